"""The photograph stage: cut-out objects pasted into frames, with a given or an estimated horizon.

Frames are photographs at their own size; some have depth beside them, which shows where the ground is.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from depthcue.data import folder, layouts
from depthcue.data.stored import DepthArray, Pair, check_same_view, cover_depth
from depthcue.errors import DepthcueError
from depthcue.evaluation.far import find_vanishing_point
from depthcue.frames import load_picture
from depthcue.imaging import resize_rgb
from depthcue.probes.contract import PHOTOGRAPHS, Dropped, Unreadable
from depthcue.probes.cutouts import FRAME_WIDTH, CutOut, contact_shadow, layer, paste, read_cutouts
from depthcue.probes.reading import read_horizon
from depthcue.probes.stage import LineUp, Pose, Shown, first_shown, lined_up, stands_out

LONGEST_SIDE = 1600
"""Longer pictures are brought to this: no network looks at more, and pasting costs by the pixel."""
_LAYOUTS = ("folder", "kitti")
FOCAL_PX = 721.5
"""Focal length of the frames that objects.csv describes; another frame's is taken to grow with its width."""
CASES = 16
"""Pairs of a frame and an object in each experiment by default."""
_LINED_UP = 8
_LEAST_BELOW = 0.05
"""Share of the height under the horizon within which rows are too coarse a measure of distance."""
_LEAST_INSIDE = 0.9
_AROUND = (0.012, 0.03)
"""Half of the window, as shares of the height and width, in which known depth is looked at about a contact."""
_LEAST_KNOWN, _OFF_GROUND = 5, 0.3
_DEFAULT_CONTACT = 0.6
_GROUND_TOP, _GROUND_HALF_WIDTH = 0.12, 0.22


@dataclass(frozen=True)
class FrameFile:
    """One frame on disk."""

    pair: Pair
    read_depth: Callable[[Path], tuple[DepthArray, float]]

    def read(self) -> tuple[Tensor, Tensor | None]:
        """The picture (3, H, W) in [0, 1], and depth (1, H, W) in metres, 0 where not known; None without depth.

        Raises:
            DepthcueError: a file cannot be read, or the depth is not of the same view.
        """
        pixels = load_picture(self.pair.picture).rgb
        shrink = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
        size = (round(pixels.shape[0] * shrink), round(pixels.shape[1] * shrink))
        rgb = torch.from_numpy(resize_rgb(pixels, *size)).permute(2, 0, 1).float() / 255
        if self.pair.depth is None:
            return rgb, None
        stored, metres_per_unit = self.read_depth(self.pair.depth)
        check_same_view(self.pair.picture, (pixels.shape[0], pixels.shape[1]), self.pair.depth,
                        (stored.shape[0], stored.shape[1]))
        depth = cover_depth(stored, size, (0.0, 0.0, float(stored.shape[1]), float(stored.shape[0])))
        return rgb, torch.from_numpy(depth.astype("float32"))[None] * metres_per_unit


def find_frames(spec: str) -> list[FrameFile]:
    """The frames that `folder:PATH`, `kitti:PATH` or a plain path of a folder names, by name.

    Raises:
        DepthcueError: another kind of spec, no such folder, no picture in it.
    """
    layout, colon, rest = spec.partition(":")
    if not colon or Path(spec).is_dir():
        layout, rest = "folder", spec
    if layout not in _LAYOUTS:
        raise DepthcueError(f"{spec!r} names no frames", "Give --frames a folder, folder:PATH or kitti:PATH.")
    path = Path(rest).expanduser()
    if not path.is_dir():
        raise DepthcueError(f"--frames {spec}: {path} is not a folder", "Give a folder that holds pictures.")
    if layout == "kitti":
        pairs = layouts.selection_pairs(path) or layouts.drive_pairs(path, "val")
        read_depth: Callable[[Path], tuple[DepthArray, float]] = layouts.read_kitti_depth
    else:
        pairs, read_depth = folder.find_pairs(path)
    if not pairs:
        raise DepthcueError(f"--frames {spec}: no pictures in {path}", "Give a folder that holds pictures.")
    return [FrameFile(pair, read_depth) for pair in pairs]


class FrameScene:
    """One frame of known horizon (a `Scene`)."""

    def __init__(self, name: str, rgb: Tensor, horizon_row: float, depth_m: Tensor | None = None) -> None:
        """
        Args:
            rgb: (3, H, W) in [0, 1].
            depth_m: (1, H, W) metres, 0 where not known; where it is given, objects stand on free ground alone.
        """
        self.name, self.bare, self.horizon_row = name, rgb, horizon_row
        self.size = (rgb.shape[1], rgb.shape[2])
        self.scale = self.size[1] / FRAME_WIDTH
        self.focal_px = FOCAL_PX * self.scale
        self.ground = road_ahead(self.size, horizon_row)
        rows = torch.arange(self.size[0], dtype=torch.float32)[:, None].expand(self.size)
        plane = self.focal_px / (rows - horizon_row).clamp_min(0.5)
        self.anchor = (plane[None], self.ground)
        self.depth_m = depth_m

    def show(self, obstacle: Any, poses: Sequence[Pose]) -> Iterator[Shown]:
        for pose in poses:
            contact, scale = self.contact_of(obstacle, pose), self.scale / pose.size
            over, region = layer(obstacle, (contact[1], contact[0]), scale, self.size)
            under = self.bare
            if pose.shadow:
                opaque = obstacle.rgba[3] > 0.5
                wide = float(opaque.any(0).sum()) * scale
                under = contact_shadow(under, (contact[1], contact[0]), wide)
            yield Shown(paste(under, over), region & (over[3:] > 0.5), None, contact)

    def contact_of(self, cutout: CutOut, pose: Pose) -> tuple[float, float]:
        """Row and column of the ground contact: its offset from the middle of the horizon shrinks with distance."""
        if cutout.contact_offset is None:
            across, below = 0.0, _DEFAULT_CONTACT * (self.size[0] - 1 - self.horizon_row)
        else:
            across, below = cutout.contact_offset[0] * self.scale, cutout.contact_offset[1] * self.scale
        return self.horizon_row + below / pose.position, self.size[1] / 2 - 0.5 + across / pose.position

    def check(self, obstacle: Any, poses: Sequence[Pose]) -> Dropped | None:
        """The obstacle has to touch the ground below the horizon, lie within the frame, and be visible."""
        name = f"{self.name}, {obstacle.name}"
        for pose in poses:
            contact, scale = self.contact_of(obstacle, pose), self.scale / pose.size
            if contact[0] <= self.horizon_row + _LEAST_BELOW * self.size[0]:
                return Dropped(name, "the object stands too near the horizon")
            if not self._free(contact):
                return Dropped(name, "there is no free ground where the object would stand")
            over, _ = layer(obstacle, (contact[1], contact[0]), scale, self.size)
            if float(over[3].sum()) < _LEAST_INSIDE * float(obstacle.rgba[3].sum()) * scale**2:
                return Dropped(name, "the object lies outside the frame")
        if not all(stands_out(self, shown) for shown in self.show(obstacle, poses[:1])):
            return Dropped(name, "the obstacle cannot be told from what is behind it")
        return None

    def _free(self, contact: tuple[float, float]) -> bool:
        """Whether what depth is known about a contact is that of the ground; true where too little is known."""
        if self.depth_m is None:
            return True
        rows = torch.arange(self.size[0], dtype=torch.float32)[:, None] - self.horizon_row
        # of a plane, depth times rows below the horizon is the same everywhere
        product, known = self.depth_m[0] * rows, self.depth_m[0] > 0
        row, column = round(contact[0]), round(contact[1])
        high, wide = round(_AROUND[0] * self.size[0]), round(_AROUND[1] * self.size[1])
        window = (slice(max(row - high, 0), row + high + 1), slice(max(column - wide, 0), column + wide + 1))
        ground, here = product[self.ground[0] & known], product[window][known[window]]
        if len(ground) < _LEAST_KNOWN or len(here) < _LEAST_KNOWN:
            return True
        return abs(float(here.median() / ground.median()) - 1) < _OFF_GROUND


def road_ahead(size: tuple[int, int], horizon_row: float) -> Tensor:
    """Road in a frame of `size`, bool (1, H, W): a strip ahead that widens from the horizon down."""
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])[None, :]
    below = (rows - horizon_row) / max(size[0] - 1 - horizon_row, 1.0)
    across = (columns - size[1] / 2 + 0.5).abs() / size[1]
    return ((below > _GROUND_TOP) & (across < _GROUND_HALF_WIDTH * (0.3 + 0.7 * below)))[None]


def _horizon_in_depth(depth_m: Tensor, seed: int) -> float:
    """The row of the horizon of the road that known depth (1, H, W) shows; raises Unreadable."""
    size = (depth_m.shape[1], depth_m.shape[2])
    return read_horizon(depth_m[0], road_ahead(size, 0.45 * size[0])[0] & (depth_m[0] > 0), seed).row


def _horizon_in_picture(rgb: Tensor) -> float:
    """The row of the vanishing point of a picture (3, H, W); raises Unreadable where its lines agree on none."""
    sighting = find_vanishing_point(rgb)
    if sighting is None or not sighting.clear:
        raise Unreadable("the frame has no depth, and its lines agree on no vanishing point; give the horizon")
    return sighting.y


class PhotographStage:
    """The stage: frames and cut-outs, in pairs (a `Stage`)."""

    name = PHOTOGRAPHS

    def __init__(self, spec: str, frames: Sequence[FrameFile], cutouts: Sequence[CutOut],
                 unusable: Sequence[Dropped] = (), horizon: float | None = None, count: int = CASES,
                 seed: int = 0) -> None:
        self.spec, self.frames, self.cutouts, self.unusable = spec, list(frames), list(cutouts), list(unusable)
        # kinds mixed, however few of them are shown
        random.Random(seed).shuffle(self.cutouts)
        self.horizon, self.count, self.seed = horizon, count, seed
        self._opened: dict[int, FrameScene | Dropped] = {}

    @classmethod
    def open(cls, frames: str | None, objects: Path | None, horizon: float | None, limit: int | None,
             seed: int = 0) -> "PhotographStage":
        """Open frames (`kitti:PATH`, `folder:PATH` or a plain folder) and a folder of cut-outs.

        Raises:
            DepthcueError: one of them is missing or cannot be read, or a horizon that is above the picture.
        """
        if frames is None or objects is None:
            raise DepthcueError("photographs need frames and objects to put into them",
                                "Give --frames DIR (or kitti:DIR) and --objects DIR, or --stage rendered.")
        if horizon is not None and not 0 <= horizon < 0.95:
            raise DepthcueError(f"--horizon must be at least 0 and below 0.95, got {horizon:g}",
                                "It is the horizon's row as a share of the height, from the top: 0.5 is the middle.")
        cutouts, unusable = read_cutouts(objects)
        return cls(frames, find_frames(frames), cutouts, unusable, horizon, limit or CASES, seed)

    def described(self) -> dict[str, Any]:
        """Description of this stage in the results."""
        return {"frames": self.spec, "frame_count": len(self.frames), "objects": len(self.cutouts),
                "unusable_objects": [{"case": drop.name, "reason": drop.reason} for drop in self.unusable],
                "horizon": "given" if self.horizon is not None
                else "estimated from a frame's depth, or its vanishing point where it has none",
                "cases": self.count}

    def scene(self, number: int) -> FrameScene | Dropped:
        """One frame with its horizon, or why it has none."""
        if number not in self._opened:
            self._opened[number] = self._open(number)
        return self._opened[number]

    def _open(self, number: int) -> FrameScene | Dropped:
        name = self.frames[number].pair.name
        try:
            rgb, depth_m = self.frames[number].read()
        except DepthcueError as error:
            return Dropped(name, f"the frame cannot be read: {error.message}")
        height, width = rgb.shape[1:]
        if self.horizon is not None:
            return FrameScene(name, rgb, self.horizon * height - 0.5, depth_m)
        try:
            row = _horizon_in_picture(rgb) if depth_m is None else _horizon_in_depth(depth_m, self.seed)
        except Unreadable as missing:
            return Dropped(name, f"no horizon: {missing.reason}")
        if not 0 <= row < 0.95 * height:
            return Dropped(name, "the horizon lies above or below the picture")
        return FrameScene(name, rgb, row, depth_m)

    def pairs_shown(self, cutouts: Sequence[CutOut],
                    poses: Sequence[Pose]) -> Iterator[tuple[FrameScene, CutOut] | Dropped]:
        """`count` pairs of a frame and an object that can be shown in all poses; what cannot is `Dropped`."""
        return first_shown(self._pairs(cutouts), poses, self.count)

    def _pairs(self, cutouts: Sequence[CutOut]) -> Iterator[tuple[FrameScene, CutOut] | Dropped]:
        """Every pair, each frame once before any comes again and then with other objects; dropped frames once."""
        for position in range(len(self.frames) * len(cutouts)):
            turn, frame = divmod(position, len(self.frames))
            scene = self.scene(frame)
            if not isinstance(scene, Dropped):
                yield scene, cutouts[(frame + turn * len(self.frames) + turn) % len(cutouts)]
            elif turn == 0:
                yield scene

    def familiar(self, poses: Sequence[Pose]) -> Iterator[tuple[FrameScene, CutOut] | Dropped]:
        """Frames with an object of a kind whose size is known; with any object where none is."""
        return self.pairs_shown([cutout for cutout in self.cutouts if cutout.familiar] or self.cutouts, poses)

    def line_up(self, pose: Pose) -> Iterator[LineUp | Dropped]:
        """`count` frames, each with one familiar cut-out and the unfamiliar ones that can be shown in the pose."""
        familiar = [cutout for cutout in self.cutouts if cutout.familiar]
        unfamiliar = [cutout for cutout in self.cutouts if not cutout.familiar] or familiar
        for number in range(min(self.count, len(self.frames))):
            scene = self.scene(number)
            if isinstance(scene, Dropped):
                yield scene
                continue
            known = [familiar[number % len(familiar)]] if familiar else []
            others = ((cutout, cutout.familiar) for cutout in (*known, *unfamiliar[:_LINED_UP]))
            yield from lined_up(scene, [], others, pose)

    def unfamiliar(self, poses: Sequence[Pose]) -> Iterator[tuple[FrameScene, CutOut] | Dropped]:
        """Frames with an object of no such kind; with any object where there is none."""
        return self.pairs_shown([cutout for cutout in self.cutouts if not cutout.familiar] or self.cutouts, poses)
