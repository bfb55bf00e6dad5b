"""A folder of pictures, of any size and at any depth of sub-folders, with or without depth maps beside them.

The depth of NAME.jpg is the first there is of NAME_depth.png (16 bits, millimetres), NAME.npy (metres), and the same
under a sub-folder `depth`: depth/NAME.png, depth/NAME_depth.png, depth/NAME.npy. 0 (or not finite) = not known. A
folder with `train` and `test` sub-folders is split by them; otherwise both splits are all pictures.
"""

import logging
from pathlib import Path
from typing import Literal

import numpy as np

from depthcue.data.decoding import DepthArray, Size, read_depth_png
from depthcue.data.stored import Pair, StoredData, evenly
from depthcue.errors import DepthcueError
from depthcue.frames import IMAGE_SUFFIXES

log = logging.getLogger(__name__)

FRAME_SIZE: Size = (240, 320)
MAX_DEPTH_M = 65.535
DEPTH_NAMES = ("{}_depth.png", "{}.npy", "depth/{}.png", "depth/{}_depth.png", "depth/{}.npy")


def open_folder(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
                ) -> StoredData:
    """Open a folder of pictures. Every picture is decoded once here, so that an unreadable one is named and left out
    now and cannot end a training an hour later. Depth is used only where every picture has it."""
    if not path.is_dir():
        raise DepthcueError(f"{spec}: {path} is not a folder", "Give a folder that holds pictures; of a video "
                            "its frames, as ffmpeg -i VIDEO FRAMES/%05d.png writes them.")
    root = path / split if (path / "train").is_dir() and (path / "test").is_dir() else path
    pairs = find_pairs(root)
    if not pairs:
        raise DepthcueError(f"{spec}: no pictures in {root}",
                            f"Looked in all sub-folders for files ending in {', '.join(sorted(IMAGE_SUFFIXES))}.")
    without = [pair for pair in pairs if pair.depth is None]
    if without and len(without) < len(pairs):
        log.warning("%s: %d of %d pictures have no depth beside them, the first %s; taking all without depth", spec,
                    len(without), len(pairs), without[0].picture)
    data = StoredData(spec, [pairs[index] for index in evenly(len(pairs), limit)], frame_size or FRAME_SIZE,
                      max_depth_m=MAX_DEPTH_M, read_depth=read_depth)
    if without:
        data.has_depth = False
    data.drop_unreadable()
    return data


def find_pairs(root: Path) -> list[Pair]:
    """All pictures below `root`, in order of their paths, each with its depth map where there is one."""
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
                   and not any(part.startswith(".") for part in file.relative_to(root).parts))
    pairs = [Pair(str(file.relative_to(root)), file, _depth_of(file)) for file in files]
    depths = {pair.depth for pair in pairs if pair.depth is not None and pair.depth != pair.picture}
    return [pair for pair in pairs if pair.picture not in depths]


def read_depth(path: Path) -> tuple[DepthArray, float]:
    """The depth as stored (h, w) and its metres per unit."""
    if path.suffix == ".npy":
        return _read_metres(path), 1.0
    stored = read_depth_png(path)
    if stored.dtype.itemsize != 2:
        raise DepthcueError(f"the depth map {path} has 8 bits",
                            "Expected a 16-bit png in millimetres, or .npy in metres.")
    return stored, 0.001


def _read_metres(path: Path) -> DepthArray:
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged file may raise nearly anything
        raise DepthcueError(f"cannot read the depth map {path}: {error}",
                            "Expected a numpy array of metres.") from error
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.squeeze(0 if values.shape[0] == 1 else 2)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise DepthcueError(f"the depth map {path} is an array of {values.dtype} {values.shape}",
                            "Expected floating-point metres, (height, width).")
    return np.where(np.isfinite(values), values, 0).astype(np.float32)


def _depth_of(picture: Path) -> Path | None:
    for pattern in DEPTH_NAMES:
        candidate = picture.parent / pattern.format(picture.stem)
        if candidate != picture and candidate.is_file():
            return candidate
    return None
