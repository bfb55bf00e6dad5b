"""Gaussian blur of maps."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_blur(maps: Tensor, sigma_px: float) -> Tensor:
    """Maps (B, 1, H, W) blurred by a Gaussian of deviation `sigma_px`, cut at three deviations; borders repeated."""
    if sigma_px == 0:
        return maps
    radius = math.ceil(3 * sigma_px)
    at = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-at.square() / (2 * sigma_px**2))
    kernel = kernel / kernel.sum()
    padded = functional.pad(maps, (radius, radius, radius, radius), mode="replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(across, kernel.view(1, 1, -1, 1))
