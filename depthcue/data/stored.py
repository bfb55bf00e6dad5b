"""The contract of RGB-D data sets, and data sets in files that keep it.

A data set gives whole frames, batches ready for a net and, where it knows them, camera motion or the truth of rendered
scenes. One in files is a list of pairs of picture and depth, decoded by threads and held in memory up to a bound.
Picture and depth are brought to one frame size and still show one view: the largest box of the frame's aspect ratio is
cut from each file and resized to the frame, pictures by antialiased bilinear interpolation, depths by the nearest pixel
(an average of two depths is neither).
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from depthcue.documents import require_regular
from depthcue.errors import DepthcueError
from depthcue.frames import load_picture
from depthcue.imaging import open_picture

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Anchor = Literal["centre", "bottom"]
DepthArray = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
Matrix = NDArray[np.float64]

CACHE_BYTES = 4 * 2**30
"""Memory for the decoded frames of one data set."""
ASPECT_TOLERANCE = 0.02
"""Picture and depth may differ in resolution; more than 2% in aspect ratio means that they are not of one view."""

log = logging.getLogger(__name__)


@dataclass
class Frames:
    """Whole frames of one data set, all of one size, on one device.

    `valid` is False where there is no depth to compare with: there `depth_m` is infinite where the set knows that it
    lies beyond its range (sky), and 0 where nothing is known. Both are None where the data set has no depth. Depth may
    be stored at another size than the picture; both show the same view.
    """

    rgb: torch.Tensor  # (B, 3, H, W) uint8
    depth_m: torch.Tensor | None  # (B, 1, h, w) float32 metres
    valid: torch.Tensor | None  # (B, 1, h, w) bool
    names: list[str]


@dataclass
class RgbdBatch:
    """Pictures ready for a net's `normalise`, with the depth they are to be compared with."""

    rgb: torch.Tensor  # (B, 3, H, W) float32 in [0, 1]
    depth_m: torch.Tensor | None  # (B, 1, h, w) float32 metres; 0 or, beyond the set's range, inf where not valid
    valid: torch.Tensor | None  # (B, 1, h, w) bool
    names: list[str]


class RgbdData(Protocol):
    """A data set opened by `open_data`. Indices run from 0 to len - 1; any order, repetitions allowed.

    `max_depth_m` is the range the data set is made for (10 m indoors, 80 m on roads): what a net's output should cover.
    """

    spec: str
    has_depth: bool
    max_depth_m: float

    def __len__(self) -> int: ...

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        """Whole frames, for augmentation."""

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        """Pictures and depths cut by the data set's protocol of evaluation; nothing random."""


def whole_frames(frames: Frames) -> RgbdBatch:
    """The frames as they are, as a batch: the evaluation of data sets without a protocol of their own."""
    return RgbdBatch(frames.rgb.float() / 255, frames.depth_m, frames.valid, frames.names)


@dataclass(frozen=True)
class SceneTruth:
    """Knowledge of a rendered scene about B pictures, at the size (H, W) that the data set has them.

    Attributes:
        edges: bool (B, 1, H, W) by cause: occlusion, crease, texture, shadow (see `scenes.render.find_edges`).
        normal: (B, 3, H, W) unit vectors, x right, y down, z forward; 0 for sky.
        object_id: int64 (B, 1, H, W), an index into the picture's `objects`; -1 for sky.
        material_id: int64 (B, 1, H, W), an index into `scenes.materials.CLASSES`.
        horizon_row: (B,), in pixels from the centre of the first row, in the middle column; may lie outside.
        vanishing_point: (B, 2) x and y, in pixels from the centre of the top left pixel, of the direction that the
            room or the road runs in; may lie outside.
        objects: of each picture, the names of what its object ids stand for.
    """

    edges: Mapping[str, Tensor]
    normal: Tensor
    object_id: Tensor
    material_id: Tensor
    horizon_row: Tensor
    vanishing_point: Tensor
    objects: Sequence[Sequence[str]]

    def at_size(self, height: int, width: int) -> "SceneTruth":
        """The same truth of the same pictures at another size.

        A pixel is on an edge where any of the pixels that it covers is; it shows the object, material and normal of
        the pixel at its centre.
        """
        size, (old_height, old_width) = (height, width), self.object_id.shape[-2:]
        if (old_height, old_width) == size:
            return self
        scale = self.vanishing_point.new_tensor([width / old_width, height / old_height])
        return SceneTruth(
            {name: functional.adaptive_max_pool2d(marks.float(), size) > 0 for name, marks in self.edges.items()},
            nearest(self.normal, size), nearest(self.object_id, size), nearest(self.material_id, size),
            (self.horizon_row + 0.5) * scale[1] - 0.5, (self.vanishing_point + 0.5) * scale - 0.5, self.objects)


@runtime_checkable
class KnownScenes(RgbdData, Protocol):
    """A data set that knows more of its scenes than depth: `isinstance(data, KnownScenes)` tells."""

    def truth(self, indices: Sequence[int], device: torch.device | str = "cpu") -> SceneTruth:
        """Known truth of the pictures that `evaluation_batch` gives for the same indices."""


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


def read_depth_png(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read a single-channel png as stored: uint8 or uint16 (H, W), by its bit depth.

    Raises:
        DepthcueError: it cannot be read, or has several channels.
    """
    try:
        require_regular(path)
        with open_picture(path, path) as image:
            if image.mode == "L":
                return np.asarray(image)
            if image.mode.startswith("I"):
                return np.asarray(image).astype(np.uint16)
            mode = image.mode
    except DepthcueError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise DepthcueError(f"cannot read the depth map {path}: {error}",
                            "Expected a whole single-channel png of 8 or 16 bits.") from error
    raise DepthcueError(f"the depth map {path} has pixels of kind {mode}",
                        "Expected a single-channel png of 8 or 16 bits; a colourised depth holds no metres.")


def covering_box(size: Size, frame_size: Size, anchor: Anchor = "centre") -> Box:
    """The largest box (left, top, right, bottom) of the frame's aspect ratio in a file of `size` (height, width)."""
    height, width = size
    scale = min(height / frame_size[0], width / frame_size[1])
    box_height, box_width = frame_size[0] * scale, frame_size[1] * scale
    # rounding may leave a side a hair larger than the file, which Pillow refuses
    left = max((width - box_width) / 2, 0.0)
    top = max(height - box_height if anchor == "bottom" else (height - box_height) / 2, 0.0)
    return left, top, min(left + box_width, width), min(top + box_height, height)


def cover_picture(rgb: NDArray[np.uint8], frame_size: Size, box: Box) -> NDArray[np.uint8]:
    """Resize what is in `box` to the frame, antialiased: uint8 (H, W, 3)."""
    if rgb.shape[:2] == frame_size:
        return rgb
    image = Image.fromarray(rgb)
    resized = image.resize((frame_size[1], frame_size[0]), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.asarray(resized)


def cover_depth(depth: DepthArray, frame_size: Size, box: Box) -> DepthArray:
    """The depth pixel nearest to the centre of each frame pixel, (H, W), in the units and type of the file."""
    if depth.shape == frame_size:
        return depth
    left, top, right, bottom = box
    rows = _nearest(frame_size[0], top, bottom, depth.shape[0])
    columns = _nearest(frame_size[1], left, right, depth.shape[1])
    return depth[rows[:, None], columns[None, :]]


def check_same_view(picture: Path, picture_size: Size, depth: Path, depth_size: Size) -> None:
    """Refuse a depth map whose aspect ratio is not the picture's.

    Raises:
        DepthcueError: it differs.
    """
    picture_aspect, depth_aspect = picture_size[1] / picture_size[0], depth_size[1] / depth_size[0]
    if abs(depth_aspect / picture_aspect - 1) > ASPECT_TOLERANCE:
        raise DepthcueError(
            f"{depth} is {depth_size[1]}x{depth_size[0]}, "
            f"but its picture {picture} is {picture_size[1]}x{picture_size[0]}",
            "A depth map must show the same view as its picture: the same aspect ratio, at any resolution.")


def _nearest(count: int, start: float, stop: float, limit: int) -> NDArray[Any]:
    centres = start + (np.arange(count) + 0.5) * (stop - start) / count
    return np.clip(np.floor(centres).astype(np.int64), 0, limit - 1)


@dataclass(frozen=True)
class Pair:
    """One picture file and, where there is one, its depth file; `where` says in errors who named them (a csv line)."""

    name: str
    picture: Path
    depth: Path | None
    where: str = ""


@dataclass(frozen=True)
class StoredFrame:
    """One decoded frame, as small as its files allow; depth in units of `metres_per_unit`, 0 = not known."""

    rgb: NDArray[np.uint8]  # (H, W, 3)
    depth: DepthArray | None  # (h, w)
    metres_per_unit: float = 1.0

    @property
    def nbytes(self) -> int:
        return self.rgb.nbytes + (0 if self.depth is None else self.depth.nbytes)


@dataclass(frozen=True)
class EvaluationProtocol:
    """Evaluation of a file data set: cover `frame`, cut the centre to `crop`, take the nearest depths at `depth`."""

    frame: Size
    crop: Size
    depth: Size


class FrameCache:
    """Decoded frames by key, up to a bound in bytes. What came first stays: epochs visit all frames in random order,
    so that throwing out the oldest would only mean decoding everything again."""

    def __init__(self, bound_bytes: int = CACHE_BYTES) -> None:
        self.bound_bytes = bound_bytes
        self.held_bytes = 0
        self._frames: dict[tuple[int, Size], StoredFrame] = {}
        self._lock = Lock()

    def get(self, index: int, size: Size) -> StoredFrame | None:
        return self._frames.get((index, size))

    def offer(self, index: int, size: Size, frame: StoredFrame) -> None:
        """Hold the frame if there is room for it."""
        with self._lock:
            if (index, size) not in self._frames and self.held_bytes + frame.nbytes <= self.bound_bytes:
                self._frames[index, size] = frame
                self.held_bytes += frame.nbytes


class StoredData:
    """An RGB-D data set of files (the `RgbdData` contract). `read_depth` gives (array (h, w), metres per unit).

    Without a protocol, evaluation shows the whole frames.
    """

    def __init__(self, spec: str, pairs: Sequence[Pair], frame_size: Size, *, max_depth_m: float,
                 read_depth: Callable[[Path], tuple[DepthArray, float]], protocol: EvaluationProtocol | None = None,
                 anchor: Anchor = "centre", cache_bytes: int = CACHE_BYTES) -> None:
        self.spec = spec
        self.pairs = list(pairs)
        self.frame_size = frame_size
        self.max_depth_m = max_depth_m
        self.has_depth = all(pair.depth is not None for pair in self.pairs)
        self.protocol = protocol or EvaluationProtocol(frame_size, frame_size, frame_size)
        self.unreadable: list[dict[str, str]] = []
        """The pictures that were left out, `picture`, and why, `error`."""
        self._read_depth = read_depth
        self._anchor: Anchor = anchor
        self._cache = FrameCache(cache_bytes)
        self._threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decode")

    def __len__(self) -> int:
        return len(self.pairs)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        """Whole frames, for augmentation."""
        return self._gather(indices, self.frame_size, device)

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        frames = self._gather(indices, self.protocol.frame, device)
        rgb = centre_crop(frames.rgb, self.protocol.crop).float() / 255
        if frames.depth_m is None or frames.valid is None:
            return RgbdBatch(rgb, None, None, frames.names)
        depth_m, valid = (nearest(centre_crop(values, self.protocol.crop), self.protocol.depth)
                          for values in (frames.depth_m, frames.valid))
        return RgbdBatch(rgb, depth_m, valid, frames.names)

    def drop_unreadable(self) -> None:
        """Decode everything once (and hold it while there is room); leave out, with a warning, what cannot be read.

        Raises:
            DepthcueError: nothing can be read.
        """
        problems = list(self._threads.map(self._problem, range(len(self.pairs))))
        kept = [index for index, problem in enumerate(problems) if problem is None]
        for pair, problem in zip(self.pairs, problems, strict=True):
            if problem is not None:
                log.warning("left out %s: %s", pair.picture, problem)
                self.unreadable.append({"picture": pair.picture.name, "error": problem})
        if not kept:
            raise DepthcueError(f"none of the {len(self.pairs)} pictures of {self.spec} can be read; the first: "
                                f"{problems[0]}", "Give a folder with whole png or jpg pictures.")
        old, self._cache = self._cache, FrameCache(self._cache.bound_bytes)
        for new_index, old_index in enumerate(kept):
            if (frame := old.get(old_index, self.frame_size)) is not None:
                self._cache.offer(new_index, self.frame_size, frame)
        self.pairs = [self.pairs[index] for index in kept]

    def _problem(self, index: int) -> str | None:
        try:
            self._stored(index, self.frame_size)
        except DepthcueError as error:
            return error.message
        return None

    def _gather(self, indices: Sequence[int], size: Size, device: torch.device | str) -> Frames:
        stored = list(self._threads.map(lambda index: self._stored(index, size), indices))
        return to_frames(stored, [self.pairs[index].name for index in indices], device)

    def _stored(self, index: int, size: Size) -> StoredFrame:
        frame = self._cache.get(index, size)
        if frame is None:
            pair = self.pairs[index]
            try:
                frame = self._decode(pair, size)
            except DepthcueError as error:
                if not pair.where:
                    raise
                raise error.within(pair.where) from error
            self._cache.offer(index, size, frame)
        return frame

    def _decode(self, pair: Pair, size: Size) -> StoredFrame:
        rgb = load_picture(pair.picture).rgb
        picture_size = rgb.shape[0], rgb.shape[1]
        frame_rgb = cover_picture(rgb, size, covering_box(picture_size, size, self._anchor))
        if pair.depth is None or not self.has_depth:
            return StoredFrame(frame_rgb, None)
        depth, metres_per_unit = self._read_depth(pair.depth)
        depth_size = depth.shape[0], depth.shape[1]
        check_same_view(pair.picture, picture_size, pair.depth, depth_size)
        frame_depth = cover_depth(depth, size, covering_box(depth_size, size, self._anchor))
        return StoredFrame(frame_rgb, frame_depth, metres_per_unit)


def to_frames(stored: Sequence[StoredFrame], names: list[str], device: torch.device | str) -> Frames:
    """Stack decoded frames into tensors on the device: rgb (B, 3, H, W) uint8, depth (B, 1, h, w) metres and valid."""
    rgb = torch.from_numpy(np.stack([frame.rgb for frame in stored]))  # (B, H, W, 3)
    rgb = rgb.to(device).permute(0, 3, 1, 2).contiguous()
    depths = [frame.depth.astype(np.float32) * np.float32(frame.metres_per_unit)
              for frame in stored if frame.depth is not None]
    if not depths:
        return Frames(rgb, None, None, names)
    depth_m = torch.from_numpy(np.stack(depths)).to(device)[:, None]  # (B, 1, h, w)
    valid = (depth_m > 0) & depth_m.isfinite()
    return Frames(rgb, torch.where(valid, depth_m, 0.0), valid, names)


def centre_crop(values: torch.Tensor, size: Size) -> torch.Tensor:
    """The central (height, width) of (B, C, H, W)."""
    top, left = round((values.shape[-2] - size[0]) / 2), round((values.shape[-1] - size[1]) / 2)
    return values[..., top:top + size[0], left:left + size[1]]


def nearest(values: torch.Tensor, size: Size) -> torch.Tensor:
    """The values (B, C, H, W) at the pixel nearest to each new pixel's centre: (B, C, h, w), of any type."""
    if values.shape[-2:] == size:
        return values
    rows, columns = ((((torch.arange(new, device=values.device) + 0.5) * old / new).long())
                     for new, old in zip(size, values.shape[-2:], strict=True))
    return values[..., rows[:, None], columns[None, :]]


def evenly(count: int, limit: int | None) -> list[int]:
    """Up to `limit` indices spread evenly over `count`: neighbours in a file list are often of one scene."""
    if limit is None or limit >= count:
        return list(range(count))
    return [index * count // limit for index in range(limit)]
