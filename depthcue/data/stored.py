"""Data sets that lie in files: pairs of picture and depth, decoded by threads and held in memory up to a bound."""

import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch

from depthcue.data.decoding import (
    Anchor,
    DepthArray,
    Size,
    check_same_view,
    cover_depth,
    cover_picture,
    covering_box,
)
from depthcue.data.rgbd import Batch, Frames
from depthcue.errors import DepthcueError
from depthcue.frames import load_picture

log = logging.getLogger(__name__)

CACHE_BYTES = 4 * 2**30
"""How much memory one data set may hold its decoded frames in."""


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

    rgb: npt.NDArray[np.uint8]  # (H, W, 3)
    depth: DepthArray | None  # (h, w)
    metres_per_unit: float = 1.0

    @property
    def nbytes(self) -> int:
        return self.rgb.nbytes + (0 if self.depth is None else self.depth.nbytes)


@dataclass(frozen=True)
class EvaluationProtocol:
    """How a file data set is evaluated: cover `frame`, cut the centre to `crop`, take the nearest depths at `depth`."""

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
        self._read_depth = read_depth
        self._anchor: Anchor = anchor
        self._cache = FrameCache(cache_bytes)
        self._threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="decode")

    def __len__(self) -> int:
        return len(self.pairs)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        return self._gather(indices, self.frame_size, device)

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Batch:
        frames = self._gather(indices, self.protocol.frame, device)
        rgb = centre_crop(frames.rgb, self.protocol.crop).float() / 255
        if frames.depth_m is None or frames.valid is None:
            return Batch(rgb, None, None, frames.names)
        depth_m, valid = (nearest(centre_crop(values, self.protocol.crop), self.protocol.depth)
                          for values in (frames.depth_m, frames.valid))
        return Batch(rgb, depth_m, valid, frames.names)

    def drop_unreadable(self) -> None:
        """Decode everything once (and hold it while there is room); leave out, with a warning, what cannot be read."""
        problems = list(self._threads.map(self._problem, range(len(self.pairs))))
        kept = [index for index, problem in enumerate(problems) if problem is None]
        for pair, problem in zip(self.pairs, problems, strict=True):
            if problem is not None:
                log.warning("left out %s: %s", pair.picture, problem)
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
