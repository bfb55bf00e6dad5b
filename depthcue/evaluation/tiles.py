"""Tensors of a measurement as pictures to look at: colours as they are, depth on a scale of the image's own."""

import numpy as np
import torch
from torch import Tensor

from depthcue.imaging import Map, Rgb, colourise_depth, resize_map

_LEAST_RANGE = 1.5
"""The far end of a depth scale is at least this many times the near end, or noise would fill a flat scene's scale."""


def picture_of(rgb: Tensor) -> Rgb:
    """A picture (3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def map_of(values: Tensor) -> Map:
    """A mask or a depth map (1, H, W) as float32 (H, W)."""
    return values[0].float().cpu().numpy()


def truth_map(depth_m: Tensor, valid: Tensor) -> Map:
    """Ground truth (1, H, W) as float32 (H, W), NaN where it is not valid (bool, the same shape)."""
    return map_of(torch.where(valid, depth_m, depth_m.new_tensor(torch.nan)))


def depth_scale(depth_m: Map) -> tuple[float, float]:
    """The near and far end in metres of a scale on which the image's nearest and farthest things can be told apart."""
    near_m, far_m = (float(end) for end in np.nanpercentile(depth_m, (1, 99)))
    return near_m, max(far_m, near_m * _LEAST_RANGE)


def depth_tile(depth_m: Map, size: tuple[int, int], scale: tuple[float, float]) -> Rgb:
    """A depth map in colours, uint8 (height, width, 3) of `size`; NaN is shown as unknown."""
    # bilinear would smear the unknown into the known
    sized = nearest(depth_m, size) if np.isnan(depth_m).any() else resize_map(depth_m, *size)
    return colourise_depth(sized, *scale)


def nearest(values: Map, size: tuple[int, int]) -> Map:
    """A map (H, W) at `size` (height, width), every value one of its own."""
    rows = np.arange(size[0]) * values.shape[0] // size[0]
    columns = np.arange(size[1]) * values.shape[1] // size[1]
    return values[rows[:, None], columns]
