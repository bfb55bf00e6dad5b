"""Folders of pictures with or without depth maps, of any size and depth of sub-folders; and pictures given by path.

The depth of NAME.jpg is NAME_depth.png (16 bits, millimetres) or NAME.npy, .npz or .exr (metres), or lies in a folder
beside it, depth/NAME.png; pictures may lie in a folder of their own too, rgb/, color/ or image/, in any case (ScanNet,
7-Scenes; see `pairing`). Recordings in the layout of the TUM RGB-D benchmark are recognised by their times or lists;
their depth is 16 bits, value/5000 metres. 0, 65535 and what is not finite = not known. A folder with `train` and `test`
sub-folders is split by them; otherwise both splits are all pictures. Pictures given by path have no depth and are shown
whole, each at its own size.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from depthcue.data.pairing import ARRAY_SUFFIXES, pair
from depthcue.data.stored import DepthArray, Frames, Pair, RgbdBatch, Size, StoredData, evenly, read_depth_png
from depthcue.errors import DepthcueError
from depthcue.frames import load_picture
from depthcue.frames.inputs import Input, find_inputs
from depthcue.frames.kinds import IMAGE_SUFFIXES, log_skipped

log = logging.getLogger(__name__)

FRAME_SIZE: Size = (240, 320)
MAX_DEPTH_M = 65.535
MILLIMETRE, TUM_UNIT = 0.001, 1 / 5000
"""Metres a unit of 16-bit depth: as usual, and of the TUM RGB-D benchmark."""
_NPZ_NAMES = ("depth", "depth_m", "depths", "arr_0")
_SATURATED = 65535
_CHANNELS = b"channels\0chlist\0"


def open_folder(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
                ) -> StoredData:
    """Open a folder of pictures. Every picture is decoded once here, so that an unreadable one is named and left out
    now and cannot end a training an hour later. Depth is used only where every picture has it."""
    if not path.is_dir():
        raise DepthcueError(f"{spec}: {path} is not a folder", "Give a folder that holds pictures; of a video "
                            "its frames, as ffmpeg -i VIDEO FRAMES/%05d.png writes them.")
    root = path / split if (path / "train").is_dir() and (path / "test").is_dir() else path
    pairs, read = find_pairs(root)
    if not pairs:
        raise DepthcueError(f"{spec}: no pictures in {root}",
                            f"Looked in all sub-folders for files ending in {', '.join(sorted(IMAGE_SUFFIXES))}.")
    without = [pair for pair in pairs if pair.depth is None]
    if without and len(without) < len(pairs):
        log.warning("%s: %d of %d pictures have no depth beside them, the first %s; taking all without depth", spec,
                    len(without), len(pairs), without[0].picture)
    data = StoredData(spec, [pairs[index] for index in evenly(len(pairs), limit)], frame_size or FRAME_SIZE,
                      max_depth_m=MAX_DEPTH_M, read_depth=read)
    if without:
        data.has_depth = False
    data.drop_unreadable()
    return data


def find_pairs(root: Path) -> tuple[list[Pair], Callable[[Path], tuple[DepthArray, float]]]:
    """All pictures below `root`, each with its depth map where there is one, and how their depth is read.

    Raises:
        DepthcueError: depth maps that belong to no picture, or several that belong to one.
    """
    found = pair(root)
    log_skipped(found.unread)
    for note in found.notes:
        log.warning("%s: %s", root, note)
    pairs = [Pair(str(picture.relative_to(root)), picture, depth) for picture, depth in found.pairs]
    return pairs, lambda path: read_depth(path, TUM_UNIT if path in found.recorded else MILLIMETRE)


def read_depth(path: Path, unit: float = MILLIMETRE) -> tuple[DepthArray, float]:
    """The depth as stored (h, w) and its metres per unit, which is `unit` for 16-bit pictures."""
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _read_metres(path), 1.0
    stored = read_depth_png(path)
    if stored.dtype.itemsize != 2:
        raise DepthcueError(f"the depth map {path} has 8 bits",
                            "Expected a 16-bit png in millimetres, or .npy, .npz or .exr in metres.")
    return np.where(stored == _SATURATED, 0, stored).astype(np.uint16), unit


def _read_metres(path: Path) -> DepthArray:
    try:
        values = _exr(path) if path.suffix.lower() == ".exr" else _array(path)
    except DepthcueError:
        raise
    except Exception as error:  # a damaged file may raise nearly anything
        raise DepthcueError(f"cannot read the depth map {path}: {error}",
                            "Expected an array of metres.") from error
    if values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.squeeze(0 if values.shape[0] == 1 else 2)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating):
        raise DepthcueError(f"the depth map {path} is an array of {values.dtype} {values.shape}",
                            "Expected floating-point metres, (height, width).")
    return np.where(np.isfinite(values), values, 0).astype(np.float32)


def _array(path: Path) -> npt.NDArray[np.generic]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = loaded.files
        named = names if len(names) == 1 else [name for name in _NPZ_NAMES if name in names]
        if not named:
            raise DepthcueError(f"the depth map {path} holds several arrays: {', '.join(names)}",
                                "Call the one in metres `depth`.")
        return loaded[named[0]]


def _exr(path: Path) -> npt.NDArray[np.generic]:
    """The one channel of a picture of real numbers, or any of three that are alike."""
    content = path.read_bytes()
    begin = content.find(_CHANNELS) + len(_CHANNELS) + 4
    if begin > len(_CHANNELS) + 4 and content[begin + 1:begin + 2] == b"\0" and content[begin + 18:begin + 19] == b"\0":
        # a channel alone, of a name of one letter: FFmpeg reads such of the name Y
        content = content[:begin] + b"Y" + content[begin + 1:]
    context = av.CodecContext.create("exr", "r")
    assert isinstance(context, VideoCodecContext)
    frames = [frame for packet in (av.Packet(content), None) for frame in context.decode(packet)]
    planes = [_plane(frames[0], index) for index in range(len(frames[0].planes))][:3]
    filled = [plane for plane in planes if plane.any()]  # a channel of an unusual name comes among empty ones
    if any(not np.array_equal(plane, filled[0]) for plane in filled[1:]):
        raise DepthcueError(f"the depth map {path} has several channels that differ",
                            "Expected one channel of metres; a colourised depth holds no metres.")
    return (filled or planes)[0]


def _plane(frame: VideoFrame, index: int) -> npt.NDArray[np.generic]:
    plane = frame.planes[index]
    kind = np.dtype(np.float16 if frame.format.components[0].bits == 16 else np.float32)
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return rows[:, :plane.width].copy()


def open_pictures(sources: Sequence[str], limit: int | None = None, without: Path | None = None) -> "PictureData":
    """The pictures that paths, folders and globs name, the first `limit` of them.

    Every picture is decoded once here; one that cannot be read is named in a warning and left out.

    Args:
        without: a folder whose contents are not taken from folders and globs.

    Raises:
        DepthcueError: a source names nothing, or a video or sequence; no picture can be read.
    """
    inputs = find_inputs(sources, without=without)
    for found in inputs:
        if found.kind != "image":
            raise DepthcueError(f"{found.path} is no single picture", "Name pictures; of a video, save frames first.")
    inputs, problems = inputs[:limit], []
    readable, sizes = [], []
    for found in inputs:
        try:
            height, width, _ = load_picture(found.path).rgb.shape
        except DepthcueError as error:
            log.warning("left out %s: %s", found.path, error.message)
            problems.append(error)
        else:
            readable.append(found)
            sizes.append((height, width))
    if not readable:
        raise problems[0]
    return PictureData(readable, uniform=len(set(sizes)) == 1)


class PictureData:
    """An `RgbdData` of picture files. Only pictures of one size can share a batch; `uniform` where all can."""

    spec = "pictures"
    has_depth = False
    max_depth_m = 65.535

    def __init__(self, inputs: Sequence[Input], uniform: bool) -> None:
        self._inputs, self.uniform = list(inputs), uniform

    def __len__(self) -> int:
        return len(self._inputs)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        pictures = [torch.from_numpy(load_picture(self._inputs[index].path).rgb) for index in indices]
        rgb = torch.stack(pictures).permute(0, 3, 1, 2).contiguous()  # (B, 3, H, W)
        return Frames(rgb.to(device), None, None, [self._inputs[index].name for index in indices])

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        frames = self.frames(indices, device)
        return RgbdBatch(frames.rgb.float() / 255, None, None, frames.names)
