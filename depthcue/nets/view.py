"""Bringing pictures to a net and its answer back: working size, masking, units."""

import torch.nn.functional as F
from torch import Tensor

from depthcue.imaging import fit_size
from depthcue.nets.base import DepthDescription, DepthNet, MaskDescription


def fit(rgb: Tensor, description: DepthDescription | MaskDescription) -> Tensor:
    """Bring pictures (B, 3, H, W) to a net's working size for their aspect ratio; the same tensor where it fits."""
    working = (description.height, description.width)
    size = fit_size(rgb.shape[2], rgb.shape[3], working=working, multiple=description.multiple)
    return resize(rgb, size)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) to (height, width), antialiased when it shrinks."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)


def depth_from(net: DepthNet, normalised: Tensor, mask: Tensor | None = None) -> Tensor:
    """Depth in metres (B, 1, h, w) from a normalised picture, seen through a mask (B, 1, H, W) where one is given.

    A hidden pixel takes the value 0, the mean colour (Eq. (2) of Hu et al. 2019).
    """
    return net.to_depth_m(net(normalised if mask is None else normalised * mask))
