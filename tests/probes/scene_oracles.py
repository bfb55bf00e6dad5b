"""Depth nets that know one staged scene, and one cue of its pictures, by construction.

Each predicts the true depth of the scene without obstacles, and changes it only where its cue says so. It knows where
things are, which is no cue that an experiment changes; their depth by the cue it reads off the picture. `run` runs an
experiment on such a net.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.nets import DepthDescription, DepthNet
from depthcue.nets.base import METRIC_DEPTH
from depthcue.probes import cues
from depthcue.probes.appearance import APERTURE, blurred, luma
from depthcue.probes.contract import Case, Chance
from depthcue.probes.following import APPARENT, LINES_M, Compared
from depthcue.probes.reading import Observer
from depthcue.probes.running import ExampleKeeper, measure
from depthcue.probes.stage import RenderedScene
from depthcue.progress import Silent
from depthcue.scenes import Turn
from depthcue.scenes.api import Show
from depthcue.scorers.edges import gaussian_blur


class SceneOracle(DepthNet):
    """Knows no cue: sees the bare scene in every picture of it."""

    cue = ""

    def __init__(self, scene: RenderedScene, cases: dict[str, Case]) -> None:
        super().__init__(DepthDescription(type(self).__name__, *scene.size, 1, max_depth_m=1e3, mean=(0.0,) * 3,
                                          std=(1.0,) * 3))
        self.scene = scene
        self.own = scene.depth_m[0].clamp(max=100.0)
        self.learn(cases)

    def learn(self, cases: dict[str, Case]) -> None:
        """Where to look: the references of the experiments by name."""

    def forward(self, normalised: Tensor) -> Tensor:
        return torch.stack([self.depth_seen_by(rgb, self.own.clone())[None] for rgb in normalised])

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        """The depth (H, W) of a picture (3, H, W)."""
        return depth

    def new(self, rgb: Tensor) -> Tensor:
        """Where a picture differs from the bare scene, bool (H, W)."""
        return (rgb - self.scene.bare).abs().amax(0) > 0.05


class ObstacleOracle(SceneOracle):
    """Gives the one thing that is new in a picture a depth by the cue it knows."""

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        new, ground = self.new(rgb), self.scene.ground[0]
        if float(new.float().mean()) > 0.3 or float((new & ground).sum() / ground.sum()) > 0.4:
            return depth  # the light, the air or the floor has changed, no thing
        share = rgb / self.scene.bare.clamp_min(0.02)
        shadow = ground & (share.mean(0) < 1) & (share.std(0) < 0.06 * share.mean(0))  # all colours fade alike
        rows = torch.nonzero((new & ~shadow).sum(1) >= 2)[:, 0]
        if len(rows) > 5 and bool(new[:, rgb.shape[2] // 2].any()):
            columns = torch.nonzero(new.any(0))[:, 0]
            depth[rows.min():rows.max() + 1, columns.min():columns.max() + 1] = self.distance(rows)
        return depth

    def distance(self, rows: Tensor) -> float:
        """The depth of a thing in the middle of the picture that is seen in these rows."""
        raise NotImplementedError


class RowOracle(ObstacleOracle):
    """Goes by the lowest row of a thing that stands on the floor."""

    cue = "vertical position"

    def distance(self, rows: Tensor) -> float:
        below = float(rows.max()) + 0.5 - self.scene.horizon_row
        return self.scene.focal_px * self.scene.camera_height_m / max(below, 1.0)


class KnownSizeOracle(ObstacleOracle):
    """Goes by the height of a thing, which it takes for one of known size."""

    cue = "familiar size"

    def distance(self, rows: Tensor) -> float:
        return 0.3 * self.scene.nearest_m * len(self.own) / len(rows)


class FloorOracle(SceneOracle):
    """Goes by how much finer the pattern of the floor is in a far strip than in a near one."""

    def learn(self, cases: dict[str, Case]) -> None:
        body = cases["shading"].reference.cue
        assert body is not None
        self.floor = self.scene.ground[0] & ~body[0]

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        bright = luma(rgb) > gaussian_blur(luma(rgb)[None], 0.06 * rgb.shape[1])[0]
        floor = self.floor
        across = (bright[0, :, 1:] != bright[0, :, :-1]) & floor[:, 1:] & floor[:, :-1]
        down = (bright[0, 1:] != bright[0, :-1]) & floor[1:] & floor[:-1]
        near, far = (round(ground_row(self.scene, distance)) for distance in LINES_M[self.scene.kind])
        unit = rgb.shape[1] // 48
        ahead = slice(far, near), slice(round(0.42 * rgb.shape[2]), round(0.58 * rgb.shape[2]))
        shown = luma(rgb)[0][ahead][floor[ahead]]
        contrast = float(shown.std() / shown.mean())
        if contrast < 0.35 or not self.mine(*(float(changes[ahead].sum()) for changes in (across, down))):
            return depth
        fineness = [float(across[rows].sum() / floor[rows].sum())
                    for rows in (slice(near - unit, near + 3 * unit), slice(far + unit, far + 4 * unit))]
        rows = torch.arange(len(depth))[:, None].expand_as(depth)
        return torch.where(rows < (near + far) / 2, 10.0 * fineness[1] / fineness[0], 10.0)

    def mine(self, across: float, down: float) -> bool:
        """Whether the floor has this oracle's pattern, from how often it changes across the picture and down."""
        raise NotImplementedError


class TextureScaleOracle(FloorOracle):
    """Goes by texture that changes down the picture as much as across."""

    cue = "texture gradient"

    def mine(self, across: float, down: float) -> bool:
        return down > 0.6 * across


class ConvergenceOracle(FloorOracle):
    """Goes by lines, which do not change down the picture."""

    cue = "linear perspective"

    def mine(self, across: float, down: float) -> bool:
        return down < 0.6 * across


class RelativeSizeOracle(SceneOracle):
    """Goes by how high what stands out from the bare scene rises above the horizon, left and right of its middle."""

    cue = "relative size"

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        new = self.new(rgb) & ~self.scene.ground[0]
        middle = slice(round(0.46 * rgb.shape[2]), round(0.54 * rgb.shape[2]))
        if float(new.float().mean()) > 0.3 or bool(new[:, middle].any()):
            return depth  # the light or the air has changed, or it is one thing, and nothing to compare it with
        left = torch.arange(rgb.shape[2])[None] < rgb.shape[2] / 2
        for thing in (new & left, new & ~left):
            if int(thing.sum()) > 25:
                depth = torch.where(thing, 100.0 / float(thing.any(1).sum()), depth)
        return depth


class OrderOracle(SceneOracle):
    """Goes by which of two figures is whole where they overlap."""

    cue = "occlusion"

    def learn(self, cases: dict[str, Case]) -> None:
        reference = cases["occlusion"].reference
        assert isinstance(reference, Compared) and reference.region is not None and reference.against is not None
        assert reference.cue is not None
        self.first, self.second, self.overlap = reference.region[0], reference.against[0], reference.cue[0]

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        one, other, between = (rgb[:, visible].median(1).values for visible in (self.first, self.second, self.overlap))
        first_wins, second_wins = ((between - colour).abs().amax() < 0.04 for colour in (one, other))
        if bool(first_wins) == bool(second_wins):
            return depth
        step = math.sqrt(cues.STEP) ** (-1 if first_wins else 1)
        depth = torch.where(self.first, self.scene.nearest_m * step, depth)
        return torch.where(self.second, self.scene.nearest_m / step, depth)


class ReliefOracle(SceneOracle):
    """Goes by whether a body is brighter above, as a bulge lit from above is, or below."""

    cue = "light and shade"

    def learn(self, cases: dict[str, Case]) -> None:
        case = cases["shading"]
        reference = case.reference
        assert isinstance(reference, Compared) and reference.region is not None and reference.cue is not None
        self.rim, self.body = reference.region[0], reference.cue[0]
        self.bulge = 1 / reference.truth[APPARENT]
        self.colour = reference.rgb[:, self.body].mean(1)

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        if (rgb[:, self.body].mean(1) - self.colour).abs().amax() > 0.01:
            return depth  # it is not there
        rows = torch.nonzero(self.body)[:, 0].float()
        brightness = luma(rgb)[0][self.body]
        tilt = float(((rows - rows.mean()) * (brightness - brightness.mean())).mean())
        if abs(tilt) < 0.02:
            return depth
        flat = torch.where(self.body, self.scene.nearest_m, depth)
        return torch.where(self.rim, self.scene.nearest_m * self.bulge ** (-1 if tilt > 0 else 1), flat)


class HazeOracle(SceneOracle):
    """Goes by how much light the air adds to what is darkest on an obstacle, in air that is full of it."""

    cue = "haze"

    def learn(self, cases: dict[str, Case]) -> None:
        reference = cases["haze"].reference
        assert reference.region is not None
        self.obstacle = reference.region[0]
        self.air = self.scene.render([Show(Turn(haze_per_m=50.0))]).rgb[0].flatten(1).median(1).values ** 2.2
        self.start = self.optical_depth(reference.rgb)

    def optical_depth(self, rgb: Tensor) -> float:
        seen = (rgb[2][self.obstacle] ** 2.2).quantile(0.05)
        return -math.log(max(1 - float(seen / self.air[2]), 1e-3))

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        if float(luma(rgb).quantile(0.02)) < 0.1:
            return depth  # clear air leaves something dark somewhere
        more = (self.optical_depth(rgb) - self.start) / cues.VEILED
        return torch.where(self.obstacle, self.scene.nearest_m * (1 + more), depth)


class FocusOracle(SceneOracle):
    """Goes by how much less sharp an obstacle is than it knows it to be."""

    cue = "blur"

    def learn(self, cases: dict[str, Case]) -> None:
        reference = cases["blur"].reference
        assert reference.region is not None
        self.region, self.sharp = reference.region, reference.rgb
        widest = APERTURE * self.sharp.shape[2]
        self.known = {1.0: self.sharp} | {ratio: blurred(self.sharp, self.region, widest * (1 - 1 / ratio))
                                          for ratio in np.arange(1.25, 4.1, 0.25).tolist()}

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        visible = self.region[0]
        misses = {ratio: float((rgb - known)[:, visible].abs().mean()) for ratio, known in self.known.items()}
        best = min(misses, key=lambda ratio: misses[ratio])
        if misses[best] > 0.01 or float((rgb - self.sharp)[:, ~visible].abs().mean()) > 1e-3:
            return depth  # it is not there, or this is another lens
        return torch.where(visible, self.scene.nearest_m * best, depth)


ORACLES = (RowOracle, KnownSizeOracle, TextureScaleOracle, ConvergenceOracle, RelativeSizeOracle, OrderOracle,
           ReliefOracle, HazeOracle, FocusOracle)


class InOtherUnits(DepthNet):
    """What an oracle sees, as nets of other kinds predict it; a relative one in units of its own for each picture."""

    def __init__(self, oracle: SceneOracle, predicts: str, relative: bool) -> None:
        super().__init__(replace(oracle.description, predicts=predicts, relative=relative))
        self.oracle, self.calls = oracle, 0

    def forward(self, normalised: Tensor) -> Tensor:
        seen = self.oracle(normalised)
        if self.description.predicts != METRIC_DEPTH:
            seen = 1 / seen
        if self.description.relative:
            self.calls += 1
            seen = (1 + 0.2 * (self.calls % 5)) * seen + 0.1 * (self.calls % 3)
        return seen


def ground_row(scene: RenderedScene, distance_m: float) -> float:
    """The row at which the floor ahead lies at a distance."""
    return scene.horizon_row + scene.focal_px * scene.camera_height_m / distance_m


def run(experiment: Any, stage: Any, net: SceneOracle, out: Path) -> dict[str, Any]:
    """Values of an experiment by name, and its `entry` in the document."""
    entry = measure(experiment, stage, Observer(net.eval()), Chance(100), ExampleKeeper(out), Silent())
    return {value["name"]: value["value"] for value in entry["values"]} | {"entry": entry}
