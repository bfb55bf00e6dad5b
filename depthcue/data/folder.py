"""Folders of pictures, with or without depth maps and camera poses; and pictures given by path.

The depth of NAME.jpg is NAME_depth.png (16 bits, millimetres) or NAME.npy, .npz or .exr (metres), or lies in a folder
beside it, depth/NAME.png; pictures may lie in a folder of their own too, rgb/, color/ or image/, in any case (ScanNet,
7-Scenes; see `pairing`). Recordings in the layout of the TUM RGB-D benchmark are recognised by their times or lists;
their depth is 16 bits, value/5000 metres. 0, 65535 and what is not finite = not known. A folder with `train` and `test`
sub-folders is split by them; otherwise both splits are all pictures. Pictures given by path have no depth and are shown
whole, each at its own size.

A sequence (`sequence:PATH`) is such a folder with depth, and the camera's motion beside it:

    intrinsics.txt   3×3 or 4×4 numbers by rows, in pixels of the pictures (ScanNet: intrinsic/intrinsic_color.txt)
    poses.csv        a line a frame: its picture's name without ending, then the 4×4 camera-to-world matrix by rows (m)

or, in place of poses.csv, a file of 4×4 numbers for each frame: NAME.pose.txt (7-Scenes) or pose/NAME.txt (ScanNet).
Camera axes are x right, y down, z forward. Frames whose pose is missing or not finite are left out, with a warning.
"""

import csv
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

from depthcue.data.pairing import ARRAY_SUFFIXES
from depthcue.data.pairing import pair as pair_files
from depthcue.data.stored import (
    DepthArray,
    Frames,
    Matrix,
    Pair,
    RgbdBatch,
    Size,
    StoredData,
    covering_box,
    evenly,
    read_depth_png,
    whole_frames,
)
from depthcue.documents import require_regular
from depthcue.errors import DepthcueError
from depthcue.frames import load_picture
from depthcue.frames.inputs import Input, find_inputs
from depthcue.frames.kinds import IMAGE_SUFFIXES, log_skipped
from depthcue.imaging import open_picture

log = logging.getLogger(__name__)

FRAME_SIZE: Size = (240, 320)
MAX_DEPTH_M = 65.535
MILLIMETRE, TUM_UNIT = 0.001, 1 / 5000
"""Metres a unit of 16-bit depth: as usual, and of the TUM RGB-D benchmark."""
_NPZ_NAMES = ("depth", "depth_m", "depths", "arr_0")
_SATURATED = 65535
_INTRINSICS = ("intrinsics.txt", "intrinsic/intrinsic_color.txt")
_LAYOUT = ("A sequence is a folder with color/, depth/, poses.csv (a line a frame: its name and the 16 numbers of the "
           "camera-to-world matrix) and intrinsics.txt; 7-Scenes and ScanNet folders are read too.")
_CHANNELS = b"channels\0chlist\0"


def open_folder(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
                ) -> StoredData:
    """Open a folder of pictures. Every picture is decoded once here, so that an unreadable one is named and left out
    now and cannot end a training an hour later. Depth is used only where every picture has it.

    Raises:
        DepthcueError: no folder, no pictures in it, depth that cannot be paired, or no picture that can be read.
    """
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
    found = pair_files(root)
    log_skipped(found.unread)
    for note in found.notes:
        log.warning("%s: %s", root, note)
    pairs = [Pair(str(picture.relative_to(root)), picture, depth) for picture, depth in found.pairs]
    return pairs, lambda path: read_depth(path, TUM_UNIT if path in found.recorded else MILLIMETRE)


def read_depth(path: Path, unit: float = MILLIMETRE) -> tuple[DepthArray, float]:
    """The depth as stored (h, w) and its metres per unit, which is `unit` for 16-bit pictures.

    Raises:
        DepthcueError: the file cannot be read, or has 8 bits.
    """
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


class SequenceData(StoredData):
    """A recorded walk, a `stored.KnownMotion`."""

    def __init__(self, spec: str, pairs: Sequence[Pair], frame_size: Size, intrinsics: Matrix, poses: Sequence[Matrix],
                 positions: Sequence[int], read: Callable[[Path], tuple[DepthArray, float]]) -> None:
        """
        Args:
            intrinsics: at `frame_size`.
            positions: of each frame in the recording, so that a gap shows.
        """
        super().__init__(spec, pairs, frame_size, max_depth_m=MAX_DEPTH_M, read_depth=read)
        self.intrinsics, self._poses, self._positions = intrinsics, list(poses), list(positions)

    def pose(self, index: int) -> Matrix:
        """Camera-to-world matrix (4, 4) of a frame, metres."""
        return self._poses[index]

    def follows(self, index: int) -> bool:
        """Whether frame `index` comes right after frame `index` - 1."""
        return index > 0 and self._positions[index] == self._positions[index - 1] + 1


def open_sequence(spec: str, path: Path, split: Literal["train", "test"], frame_size: Size | None,
                  limit: int | None) -> SequenceData:
    """Open a recorded walk; the first `limit` of its frames.

    Raises:
        DepthcueError: not such a folder, no pictures, depth, poses or intrinsics, or files that hold something else.
    """
    if not path.is_dir():
        raise DepthcueError(f"{spec}: {path} is not a folder", _LAYOUT)
    found, read = find_pairs(path)
    pairs = [pair for pair in found if pair.depth is not None]
    if not pairs:
        raise DepthcueError(f"{spec}: no picture in {path} has a depth map", _LAYOUT)
    poses = _poses(path, pairs)
    positions = [index for index, pair in enumerate(pairs) if pair.name in poses]
    if len(positions) < 2:
        raise DepthcueError(f"{spec}: {len(positions)} of {len(pairs)} frames have a pose", _LAYOUT)
    if len(positions) < len(pairs):
        log.warning("%s: %d of %d frames have no pose and are left out", spec, len(pairs) - len(positions), len(pairs))
    positions = positions[:limit]
    size = frame_size or FRAME_SIZE
    chosen = [pairs[index] for index in positions]
    return SequenceData(spec, chosen, size, _fitted(_intrinsics(spec, path), chosen[0].picture, size),
                        [poses[pair.name] for pair in chosen], positions, read)


def _poses(path: Path, pairs: Sequence[Pair]) -> dict[str, Matrix]:
    """The poses of frames, by the names of their pairs; those that are missing or not finite are left out."""
    table = path / "poses.csv"
    by_stem: dict[str, Matrix] = {}
    if table.is_file():
        require_regular(table)
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(csv.reader(file), 1):
                if len(line) != 17:
                    raise DepthcueError(f"{table}:{number} has {len(line)} columns, expected a name and 16 numbers",
                                        _LAYOUT)
                by_stem[line[0].strip()] = _matrix(line[1:], f"{table}:{number}", 4)
    found = {}
    for pair in pairs:
        stem = _stem(pair.picture)
        files = (pair.picture.with_name(f"{stem}.pose.txt"), path / "pose" / f"{stem}.txt")
        poses = [by_stem[stem]] if stem in by_stem else [_read_matrix(each, 4) for each in files if each.is_file()]
        if poses and np.isfinite(poses[0]).all():
            found[pair.name] = poses[0]
    return found


def _stem(picture: Path) -> str:
    """The name of a frame: `frame-000012` of frame-000012.color.png."""
    return picture.stem.removesuffix(".color").removesuffix(".rgb")


def _intrinsics(spec: str, path: Path) -> Matrix:
    for name in _INTRINSICS:
        if (path / name).is_file():
            return _read_matrix(path / name, 3)
    raise DepthcueError(f"{spec}: there is no {path / _INTRINSICS[0]}", _LAYOUT)


def _fitted(intrinsics: Matrix, picture: Path, size: Size) -> Matrix:
    """The intrinsics of a picture file at the frame that is cut from it (see `stored.covering_box`)."""
    with open_picture(picture, picture) as image:
        width, height = image.size
    left, top, right, _ = covering_box((height, width), size)
    scale = size[1] / (right - left)
    return np.diag((scale, scale, 1.0)) @ (intrinsics - np.array([[0, 0, left], [0, 0, top], [0, 0, 0]]))


def _read_matrix(file: Path, side: int) -> Matrix:
    require_regular(file)
    try:
        words = file.read_text(encoding="utf-8", errors="replace").replace(",", " ").split()
    except OSError as error:
        raise DepthcueError(f"cannot read {file}: {error}", _LAYOUT) from error
    return _matrix(words, str(file), side)


def _matrix(words: Sequence[str], where: str, side: int) -> Matrix:
    """A square matrix of `side` from its numbers by rows; of one side more, its upper left part."""
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise DepthcueError(f"{where} holds something else than numbers", _LAYOUT) from None
    for rows in (side, side + 1):
        if len(numbers) == rows * rows:
            return numbers.reshape(rows, rows)[:side, :side]
    raise DepthcueError(f"{where} holds {len(numbers)} numbers, expected {side}×{side}", _LAYOUT)


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
    unreadable: list[dict[str, str]] = []
    for found in inputs:
        try:
            height, width, _ = load_picture(found.path).rgb.shape
        except DepthcueError as error:
            log.warning("left out %s: %s", found.path, error.message)
            problems.append(error)
            unreadable.append({"picture": found.path.name, "error": error.message})
        else:
            readable.append(found)
            sizes.append((height, width))
    if not readable:
        raise problems[0]
    return PictureData(readable, uniform=len(set(sizes)) == 1, unreadable=unreadable)


class PictureData:
    """An `RgbdData` of picture files. Only pictures of one size can share a batch; `uniform` where all can."""

    spec = "pictures"
    has_depth = False
    max_depth_m = 65.535

    def __init__(self, inputs: Sequence[Input], uniform: bool, unreadable: Sequence[dict[str, str]] = ()) -> None:
        self._inputs, self.uniform, self.unreadable = list(inputs), uniform, list(unreadable)

    def __len__(self) -> int:
        return len(self._inputs)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        pictures = [torch.from_numpy(load_picture(self._inputs[index].path).rgb) for index in indices]
        rgb = torch.stack(pictures).permute(0, 3, 1, 2).contiguous()  # (B, 3, H, W)
        return Frames(rgb.to(device), None, None, [self._inputs[index].name for index in indices])

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        return whole_frames(self.frames(indices, device))
