"""The contract of RGB-D data sets: frames as stored, batches ready for a net, and the truth of rendered scenes.

That truth is edges by cause, objects, surfaces, and where lines meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional


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
        """Pictures and depths cut the way the data set is evaluated; nothing random."""


def whole_frames(frames: Frames) -> RgbdBatch:
    """The frames as they are, as a batch: the evaluation of data sets without a protocol of their own."""
    return RgbdBatch(frames.rgb.float() / 255, frames.depth_m, frames.valid, frames.names)


@dataclass(frozen=True)
class SceneTruth:
    """What a rendered scene knows of B pictures, at the size (H, W) that the data set has them.

    Attributes:
        edges: bool (B, 1, H, W) by cause: occlusion, crease, texture, shadow (see `scenes.truth.edges`).
        normal: (B, 3, H, W) unit vectors, x right, y down, z forward; 0 for sky.
        object_id: int64 (B, 1, H, W), a place in the picture's `objects`; -1 for sky.
        material_id: int64 (B, 1, H, W), a place in `scenes.materials.CLASSES`.
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
        old_height, old_width = self.object_id.shape[-2:]
        if (old_height, old_width) == (height, width):
            return self
        rows = ((torch.arange(height) + 0.5) * old_height / height).long()
        columns = ((torch.arange(width) + 0.5) * old_width / width).long()

        def nearest(values: Tensor) -> Tensor:
            return values[..., rows.to(values.device)[:, None], columns.to(values.device)[None, :]]

        scale = self.vanishing_point.new_tensor([width / old_width, height / old_height])
        return SceneTruth(
            {name: functional.adaptive_max_pool2d(marks.float(), (height, width)) > 0
             for name, marks in self.edges.items()},
            nearest(self.normal), nearest(self.object_id), nearest(self.material_id),
            (self.horizon_row + 0.5) * scale[1] - 0.5, (self.vanishing_point + 0.5) * scale - 0.5, self.objects)


@runtime_checkable
class KnownScenes(RgbdData, Protocol):
    """A data set that knows more of its scenes than depth: `isinstance(data, KnownScenes)` tells."""

    def truth(self, indices: Sequence[int], device: torch.device | str = "cpu") -> SceneTruth:
        """What is known of the pictures that `evaluation_batch` gives for the same indices."""
