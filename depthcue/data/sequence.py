"""Frames of a camera whose motion is known: recorded walks with poses (`sequence:PATH`), and rendered flights.

A recorded walk is a folder with pictures and depth maps as `data.folder` takes them, and beside them

    intrinsics.txt   3×3 or 4×4 numbers by rows, in pixels of the pictures (ScanNet: intrinsic/intrinsic_color.txt)
    poses.csv        a line a frame: its picture's name without ending, then the 4×4 camera-to-world matrix by rows (m)

or, in place of poses.csv, a file of 4×4 numbers for each frame: NAME.pose.txt (7-Scenes) or pose/NAME.txt (ScanNet).
Camera axes are x right, y down, z forward. Frames whose pose is missing or not finite are left out, with a warning.
"""

import csv
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.data.folder import FRAME_SIZE, MAX_DEPTH_M, find_pairs
from depthcue.data.rendered import FIRST_TEST_SEED, FRAME_SIZES
from depthcue.data.rendered import MAX_DEPTH_M as RENDERED_MAX_DEPTH_M
from depthcue.data.stored import DepthArray, Frames, Pair, RgbdBatch, RgbdData, Size, StoredData, covering_box
from depthcue.documents import require_regular
from depthcue.errors import DepthcueError
from depthcue.imaging import open_picture
from depthcue.scenes.api import reference_focal_px, render_flight

Matrix = NDArray[np.float64]
FLIGHT_FRAMES = 10
"""Frames of one rendered flight."""
_INTRINSICS = ("intrinsics.txt", "intrinsic/intrinsic_color.txt")
_LAYOUT = ("A sequence is a folder with color/, depth/, poses.csv (a line a frame: its name and the 16 numbers of the "
           "camera-to-world matrix) and intrinsics.txt; 7-Scenes and ScanNet folders are read too.")

log = logging.getLogger(__name__)


@runtime_checkable
class KnownMotion(RgbdData, Protocol):
    """A data set of frames in the order of time, with depth and poses: `isinstance(data, KnownMotion)` tells.

    Attributes:
        intrinsics: (3, 3), in pixels of the pictures that `evaluation_batch` gives, from the corner of the first.
    """

    intrinsics: Matrix

    def pose(self, index: int) -> Matrix:
        """Camera-to-world matrix (4, 4) of a frame, metres."""

    def follows(self, index: int) -> bool:
        """Whether frame `index` comes right after frame `index` - 1."""


class SequenceData(StoredData):
    """A recorded walk, a `KnownMotion`."""

    def __init__(self, spec: str, pairs: Sequence[Pair], frame_size: Size, intrinsics: Matrix, poses: Sequence[Matrix],
                 positions: Sequence[int], read: Callable[[Path], tuple[DepthArray, float]]) -> None:
        """
        Args:
            intrinsics: at `frame_size`.
            positions: of each frame in the recording, so that a gap shows.
        """
        super().__init__(spec, pairs, frame_size, max_depth_m=MAX_DEPTH_M,
                         read_depth=read)
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


class RenderedFlights:
    """Flights through the test worlds of a kind, FLIGHT_FRAMES frames each, a `KnownMotion`."""

    has_depth = True

    def __init__(self, spec: str, kind: str, count: int) -> None:
        self.spec, self.kind, self._count = spec, kind, count
        self.frame_size = FRAME_SIZES[kind]
        self.max_depth_m = RENDERED_MAX_DEPTH_M[kind]
        height, width = self.frame_size
        focal_px = reference_focal_px(kind, height, width)
        self.intrinsics = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
        self._flight = lru_cache(maxsize=2)(self._render)

    def __len__(self) -> int:
        return self._count

    def pose(self, index: int) -> Matrix:
        """Camera-to-world matrix (4, 4) of a frame, metres."""
        pose: Matrix = self._flight(index // FLIGHT_FRAMES)[1][index % FLIGHT_FRAMES]
        return pose

    def follows(self, index: int) -> bool:
        """Whether frame `index` comes right after frame `index` - 1."""
        return index % FLIGHT_FRAMES > 0

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        raise NotImplementedError("flights are measured on, not trained on")

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        """Pictures and depths of frames."""
        batches = [self._flight(index // FLIGHT_FRAMES)[0] for index in indices]
        steps = [index % FLIGHT_FRAMES for index in indices]
        rgb, depth_m, valid = (
            torch.stack([getattr(batch, name)[step] for batch, step in zip(batches, steps, strict=True)]).to(device)
            for name in ("rgb", "depth_m", "valid"))
        return RgbdBatch(rgb, depth_m, valid, [f"{self.kind}-{index}" for index in indices])

    def _render(self, flight: int) -> tuple[RgbdBatch, Matrix]:
        rendering, poses = render_flight(self.kind, FIRST_TEST_SEED + flight, FLIGHT_FRAMES, *self.frame_size)
        valid = rendering.valid & (rendering.depth_m <= self.max_depth_m)
        return RgbdBatch(rendering.rgb, torch.where(valid, rendering.depth_m, torch.inf), valid, []), poses
