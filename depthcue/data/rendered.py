"""Rendered worlds as a data set: frame i of a split is the world of one seed, so that the set needs no disk.

Training and test seeds do not overlap. On a CPU the frames are held in memory like decoded
files; on a GPU they are rendered afresh, which costs less than moving them there. Flights are the frames of a camera
that moves through one test world each.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from depthcue.data.stored import (
    CACHE_BYTES,
    FrameCache,
    Frames,
    Matrix,
    RgbdBatch,
    SceneTruth,
    Size,
    StoredFrame,
    to_frames,
    whole_frames,
)
from depthcue.errors import DepthcueError
from depthcue.scenes import KINDS, render
from depthcue.scenes.api import reference_focal_px, render_flight
from depthcue.scenes.render import Rendering

FRAME_SIZES: dict[str, Size] = {"indoor": (240, 320), "road": (192, 640)}
MAX_DEPTH_M = {"indoor": 10.0, "road": 80.0}
COUNTS = {"train": 4000, "test": 200}
FIRST_TEST_SEED = 1_000_000_000
SEEDS_APART = 10_000_019
"""Distance between the worlds of two training seeds: more than anyone renders in one set."""
BEYOND = 65535
"""Stored 16-bit depth of the sky and of all beyond the range."""
FLIGHT_FRAMES = 10
"""Frames of one rendered flight."""
RENDER_AT_ONCE = 8
"""Frames rendered together on a CPU; more only costs memory there."""


def open_rendered(spec: str, rest: str, split: Literal["train", "test"], frame_size: Size | None, limit: int | None,
                  seed: int) -> "RenderedData":
    """Open `scenes:KIND` or `scenes:KIND:COUNT`; the first `limit` of them.

    Raises:
        DepthcueError: an unknown kind, or a count that is no number above 0.
    """
    kind, _, count_text = rest.partition(":")
    if kind not in KINDS:
        raise DepthcueError(f"{spec}: there are no scenes of kind {kind!r}",
                            f"Kinds: {', '.join(KINDS)}. For example: scenes:indoor, or scenes:road:1000")
    if count_text and not (count_text.isdecimal() and int(count_text)):
        raise DepthcueError(f"{spec}: {count_text!r} is not a number of frames", "For example: scenes:indoor:1000")
    count = int(count_text) if count_text else COUNTS[split]
    first_seed = FIRST_TEST_SEED if split == "test" else seed * SEEDS_APART % (FIRST_TEST_SEED - SEEDS_APART)
    return RenderedData(spec, kind, first_seed, min(count, limit or count), frame_size or FRAME_SIZES[kind])


class RenderedData:
    """`count` worlds from `first_seed` on (an `RgbdData`). Sky, and depth beyond `max_depth_m`, are infinite and not
    valid."""

    has_depth = True

    def __init__(self, spec: str, kind: str, first_seed: int, count: int, frame_size: Size,
                 cache_bytes: int = CACHE_BYTES) -> None:
        self.spec = spec
        self.kind = kind
        self.first_seed = first_seed
        self.frame_size = frame_size
        self.max_depth_m = MAX_DEPTH_M[kind]
        self._count = count
        self._cache = FrameCache(cache_bytes)
        # 16 bits over the whole range, the last value for what lies beyond: 0.15 mm steps indoors, 1.2 mm on roads
        self._metres_per_unit = self.max_depth_m / (BEYOND - 1)

    def __len__(self) -> int:
        return self._count

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        names = [f"{self.kind}-{self.first_seed + index}" for index in indices]
        if torch.device(device).type != "cpu":
            rgb, depth_m, valid = self._render(indices, device)
            return Frames(rgb, depth_m, valid, names)
        missing = [index for index in dict.fromkeys(indices) if self._cache.get(index, self.frame_size) is None]
        fresh: dict[int, StoredFrame] = {}
        for start in range(0, len(missing), RENDER_AT_ONCE):
            some = missing[start:start + RENDER_AT_ONCE]
            fresh.update(zip(some, self._stored(some), strict=True))
        for index, frame in fresh.items():
            self._cache.offer(index, self.frame_size, frame)
        stored = [fresh.get(index) or self._cache.get(index, self.frame_size) for index in indices]
        frames = to_frames([frame for frame in stored if frame is not None], names, device)
        assert frames.depth_m is not None
        valid = frames.depth_m < self.max_depth_m + self._metres_per_unit / 2  # the range's own end is a step below
        depth_m = torch.where(valid, frames.depth_m.clamp(max=self.max_depth_m), torch.inf)
        return Frames(frames.rgb, depth_m, valid, names)

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> RgbdBatch:
        return whole_frames(self.frames(indices, device))

    def truth(self, indices: Sequence[int], device: torch.device | str = "cpu") -> SceneTruth:
        """The renderer's knowledge of these frames, rendered anew: few measurements need it, and it is large to
        hold."""
        rendering = self._rendering(indices, device)
        return SceneTruth(rendering.edges, rendering.normal, rendering.object_id, rendering.material_id,
                          rendering.horizon_row, rendering.vanishing_point,
                          [[item.name for item in objects] for objects in rendering.objects])

    def _rendering(self, indices: Sequence[int], device: torch.device | str) -> Rendering:
        for index in indices:
            if not 0 <= index < self._count:
                raise IndexError(f"frame {index} of {self._count} of {self.spec}")
        return render(self.kind, [self.first_seed + index for index in indices], *self.frame_size, device=device)

    def _render(self, indices: Sequence[int], device: torch.device | str,
                ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rendering = self._rendering(indices, device)
        rgb = (rendering.rgb * 255).round().to(torch.uint8)
        valid = rendering.valid & (rendering.depth_m <= self.max_depth_m)
        return rgb, torch.where(valid, rendering.depth_m, torch.inf), valid

    def _stored(self, indices: Sequence[int]) -> list[StoredFrame]:
        rgb, depth_m, valid = self._render(indices, "cpu")
        pictures = rgb.permute(0, 2, 3, 1).contiguous().numpy()  # (B, H, W, 3)
        # never 0, which stored frames keep for "not known"
        units = (depth_m / self._metres_per_unit).round().clamp(1, BEYOND - 1)
        depths = torch.where(valid, units, float(BEYOND))[:, 0].numpy().astype(np.uint16)
        # copies, so that no frame keeps the whole batch alive
        return [StoredFrame(picture.copy(), depth.copy(), self._metres_per_unit)
                for picture, depth in zip(pictures, depths, strict=True)]


class RenderedFlights:
    """Flights through the test worlds of a kind, FLIGHT_FRAMES frames each, a `KnownMotion`."""

    has_depth = True

    def __init__(self, spec: str, kind: str, count: int) -> None:
        self.spec, self.kind, self._count = spec, kind, count
        self.frame_size = FRAME_SIZES[kind]
        self.max_depth_m = MAX_DEPTH_M[kind]
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
        raise NotImplementedError("Flights are for evaluation: use evaluation_batch.")

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
