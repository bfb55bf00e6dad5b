"""Depth nets that know one cue alone by construction, and a toy stage on which that cue can be told by hand.

The toy world: white sky above a horizon, dark ground below it, one pure red rectangle as the obstacle. Colours carry
the other cues: the obstacle's green says how hazy it is, its blue stripes how coarse its texture is.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from depthcue.nets import DepthDescription, DepthNet
from depthcue.probes.contract import RENDERED, Dropped
from depthcue.probes.stage import LineUp, Pose, Shown
from depthcue.scenes import Turn

HEIGHT, WIDTH, HORIZON_ROW, FOCAL_PX = 60, 96, 24.5, 60.0
CAMERA_HEIGHT_M = 1.5
NEAREST_M = FOCAL_PX * CAMERA_HEIGHT_M / 30  # contact 30 rows below the horizon
FAR_M = 80.0
SKY, GROUND, SHADOW = 1.0, 0.2, 0.0
OBSTACLE_M = 0.9
"""Height and width of the obstacle: 18 pixels at the nearest place."""


class CueOracle(DepthNet):
    """Sees flat ground below a horizon and FAR_M above it; gives the obstacle one depth by the cue it knows."""

    def __init__(self, size: tuple[int, int] = (HEIGHT, WIDTH), **description: Any) -> None:
        settings = {"max_depth_m": FAR_M, "mean": (0.0,) * 3, "std": (1.0,) * 3} | description
        super().__init__(DepthDescription(type(self).__name__, *size, 1, **settings))

    def forward(self, normalised: Tensor) -> Tensor:
        return torch.stack([self.answer(rgb) for rgb in normalised])

    def answer(self, rgb: Tensor) -> Tensor:
        depth = ground_depth(self.horizon(rgb), (rgb.shape[1], rgb.shape[2]))
        obstacle = red(rgb)
        if obstacle.any():
            depth = torch.where(obstacle, torch.tensor(self.distance(rgb, obstacle)), depth)
        return self.reported(depth)[None]

    def reported(self, depth: Tensor) -> Tensor:
        """Depth in metres as this net predicts it."""
        return depth

    def horizon(self, rgb: Tensor) -> float:
        """Where it takes the horizon to be: always at the same row."""
        return HORIZON_ROW

    def distance(self, rgb: Tensor, obstacle: Tensor) -> float:
        return 5.0


class RowOracle(CueOracle):
    """Goes by the row at which the obstacle touches the ground, under a horizon that never moves."""

    def distance(self, rgb: Tensor, obstacle: Tensor) -> float:
        contact = float(torch.nonzero(obstacle.any(1)).max()) + 0.5
        return FOCAL_PX * CAMERA_HEIGHT_M / max(contact - self.horizon(rgb), 0.5)


class SizeOracle(CueOracle):
    """Goes by the height of an obstacle that it takes to be of known size."""

    def distance(self, rgb: Tensor, obstacle: Tensor) -> float:
        return FOCAL_PX * OBSTACLE_M / float(obstacle.any(1).sum())


class HazeOracle(CueOracle):
    """Goes by how far the obstacle's colour has faded."""

    def distance(self, rgb: Tensor, obstacle: Tensor) -> float:
        return 2.0 - 10.0 * float(torch.log1p(-rgb[1][obstacle].mean()))


class TextureOracle(CueOracle):
    """Goes by the width of the stripes on the obstacle: the finer, the farther."""

    def distance(self, rgb: Tensor, obstacle: Tensor) -> float:
        lowest = torch.nonzero(obstacle.any(1)).max()
        stripes = rgb[2][lowest][obstacle[lowest]]
        return 1.0 + float((stripes[1:] - stripes[:-1]).abs().gt(0.1).float().mean())


class LevelOracle(RowOracle):
    """Finds the horizon in the picture, so that it corrects for the camera's pitch."""

    def horizon(self, rgb: Tensor) -> float:
        # at the border, which no obstacle reaches
        return float((rgb[:, :, 0].amin(0) > 0.9).sum()) - 0.5


class TiltOracle(CueOracle):
    """Finds the horizon in the picture however it lies: sees ground that leans as the camera does."""

    def answer(self, rgb: Tensor) -> Tensor:
        height, width = rgb.shape[1:]
        columns = torch.arange(width, dtype=torch.float32)
        border = (columns < width / 4) | (columns >= 3 * width / 4)  # no obstacle reaches there
        rows = (rgb.amin(0) > 0.6).sum(0).float() - 0.5
        line = torch.stack((torch.ones_like(columns), columns), 1)
        horizon = line @ torch.linalg.lstsq(line[border], rows[border, None]).solution
        below = torch.arange(height)[:, None] - horizon.T
        return self.reported(torch.where(below > 0, FOCAL_PX * CAMERA_HEIGHT_M / below.clamp_min(0.5), FAR_M))[None]


class ShadowOracle(RowOracle):
    """Sees an obstacle only where something black lies on the ground."""

    def answer(self, rgb: Tensor) -> Tensor:
        dark = (rgb.amax(0) < 0.1).any()
        return super().answer(rgb if dark else torch.where(red(rgb), torch.tensor(GROUND), rgb))


class GroundOracle(CueOracle):
    """Sees no obstacle, but the ground and the sky behind it."""

    def answer(self, rgb: Tensor) -> Tensor:
        return self.reported(ground_depth(self.horizon(rgb), (rgb.shape[1], rgb.shape[2])))[None]


class BlindOracle(CueOracle):
    """Finds every obstacle at no distance at all."""

    def distance(self, rgb: Tensor, obstacle: Tensor) -> float:
        return float("inf")


class AffineOracle(RowOracle):
    """The row oracle as a relative net: inverse depth, of another scale and shift in every picture."""

    def __init__(self) -> None:
        super().__init__(predicts="inverse depth", relative=True)
        self.calls = 0

    def reported(self, depth: Tensor) -> Tensor:
        self.calls += 1
        return (1.0 + 0.3 * self.calls) / depth - 0.01 * self.calls


def ground_depth(horizon_row: float, size: tuple[int, int]) -> Tensor:
    """Depth (H, W) of flat ground below a horizon, FAR_M above it."""
    below = (torch.arange(size[0]) - horizon_row)[:, None].expand(size)
    return torch.where(below > 0, FOCAL_PX * CAMERA_HEIGHT_M / below.clamp_min(0.5), FAR_M).clamp(max=FAR_M)


def red(rgb: Tensor) -> Tensor:
    """Where the obstacle is, bool (H, W)."""
    return rgb[0] - rgb[1] > 0.3


def empty(horizon_row: float = HORIZON_ROW, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    """The picture (3, H, W) without an obstacle."""
    rows = torch.arange(size[0])[None, :, None]
    return torch.where(rows < horizon_row, SKY, GROUND).expand(3, *size).clone()


@dataclass(frozen=True)
class Block:
    """The obstacle of the toy stage."""

    name: str = "block"


class ToyScene:
    """Flat ground and sky (a `Scene`)."""

    size = (HEIGHT, WIDTH)
    horizon_row, focal_px = HORIZON_ROW, FOCAL_PX

    def __init__(self, name: str = "toy") -> None:
        self.name = name
        self.bare = empty()
        self.ground = torch.arange(HEIGHT)[None, :, None].gt(HORIZON_ROW).expand(1, HEIGHT, WIDTH)
        self.anchor = (ground_depth(HORIZON_ROW, self.size)[None], self.ground)

    def show(self, obstacle: Any, poses: Sequence[Pose]) -> Iterator[Shown]:
        yield from self.turned(obstacle, [(Turn(), pose) for pose in poses])

    def turned(self, obstacle: Any, views: Sequence[tuple[Turn, Pose]]) -> Iterator[Shown]:
        """A camera that looks up sees all of it lower."""
        for turn, pose in views:
            horizon_row = HORIZON_ROW + round(FOCAL_PX * math.tan(math.radians(turn.pitch_deg)))
            bottom = round(horizon_row + 30 / (pose.position * pose.lift))
            side = round(18 / pose.size)
            left = WIDTH // 2 - side // 2
            region = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
            region[:, bottom - side + 1:bottom + 1, left:left + side] = True
            rgb = empty(horizon_row)
            if pose.shadow:
                rgb[:, bottom + 1:bottom + 3, left:left + side] = SHADOW
            rgb = torch.where(region, torch.tensor((1.0, 0.0, 0.0)).view(3, 1, 1), rgb)
            truth = torch.where(region, torch.tensor(NEAREST_M * pose.position), ground_depth(horizon_row, self.size))
            yield Shown(rgb, region, truth, (float(bottom), WIDTH / 2))

    def check(self, obstacle: Any, poses: Sequence[Pose]) -> Dropped | None:
        return None


class ToyStage:
    """Some toy scenes, and one that no experiment can use (a `Stage`)."""

    name = RENDERED

    def __init__(self, count: int = 3, dropped: int = 1) -> None:
        self.count, self.dropped = count, dropped

    def familiar(self, poses: Sequence[Pose]) -> Iterator[tuple[ToyScene, Block] | Dropped]:
        for number in range(self.dropped):
            yield Dropped(f"hopeless-{number}", "nothing to see")
        for number in range(self.count):
            yield ToyScene(f"toy-{number}"), Block()

    unfamiliar = familiar

    def line_up(self, pose: Pose) -> Iterator[LineUp | Dropped]:
        for found in self.familiar([pose]):
            yield found if isinstance(found, Dropped) else (found[0], [(found[1], True), (Block("thing"), False)])

    def thing(self, kind: str, seed: int = 0) -> Block:
        return Block(kind)
