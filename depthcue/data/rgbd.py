"""What every RGB-D data set gives, whatever is behind it: frames as stored, and batches ready for a net."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


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
class Batch:
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

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Batch:
        """Pictures and depths cut the way the data set is evaluated; nothing random."""


def whole_frames(frames: Frames) -> Batch:
    """The frames as they are, as a batch: the evaluation of data sets without a protocol of their own."""
    return Batch(frames.rgb.float() / 255, frames.depth_m, frames.valid, frames.names)
