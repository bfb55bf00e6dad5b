"""Photographs at their own size, with depth beside them where there is some: frames that objects are pasted into."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from depthcue.data import folder, kitti
from depthcue.data.decoding import DepthArray, check_same_view, cover_depth
from depthcue.data.stored import Pair
from depthcue.errors import DepthcueError
from depthcue.frames import load_picture
from depthcue.imaging import resize_rgb

LONGEST_SIDE = 1600
"""Longer pictures are brought to this: no network looks at more, and pasting costs by the pixel."""
_LAYOUTS = ("folder", "kitti")


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
        pairs = kitti.selection_pairs(path) or kitti.drive_pairs(path, "val")
        read_depth: Callable[[Path], tuple[DepthArray, float]] = kitti.read_depth
    else:
        pairs, read_depth = folder.find_pairs(path)
    if not pairs:
        raise DepthcueError(f"--frames {spec}: no pictures in {path}", "Give a folder that holds pictures.")
    return [FrameFile(pair, read_depth) for pair in pairs]
