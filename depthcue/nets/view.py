"""Bringing pictures to a net and its answer back: working size, masking, units."""

from math import lcm

import torch
import torch.nn.functional as F
from torch import Tensor

from depthcue.imaging import fit_size
from depthcue.nets.base import DepthDescription, DepthNet, MaskDescription
from depthcue.nets.fill import hide
from depthcue.nets.units import Units, own_units


def fit(rgb: Tensor, description: DepthDescription | MaskDescription) -> Tensor:
    """Bring pictures (B, 3, H, W) to a net's working size for their aspect ratio; the same tensor where it fits."""
    working = (description.height, description.width)
    size = fit_size(rgb.shape[2], rgb.shape[3], working=working, multiple=description.multiple)
    return resize(rgb, size)


def working_size(description: DepthDescription | MaskDescription, multiple: int = 1) -> tuple[int, int]:
    """The (height, width) nearest to a net's own that are multiples of `multiple` too, for another net beside it."""
    both = lcm(description.multiple, multiple)
    height, width = (max(round(side / both), 1) * both for side in (description.height, description.width))
    return height, width


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) to (height, width), antialiased when it shrinks."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False, antialias=True)


def depth_from(net: DepthNet, normalised: Tensor, mask: Tensor | None = None, *, units: Units | None = None,
               shown: Tensor | None = None) -> Tensor:
    """Depth (B, 1, h, w) from a normalised picture, seen through a mask (B, 1, H, W) where one is given.

    In metres; of a relative net in `units`, and where none are given in the picture's own, which are those of the whole
    picture whatever the mask. They cost a look at the whole picture: who looks at it anyway has them from `see_whole`.
    A hidden pixel shows `shown`, see `fill.background`; by default the mean colour (Eq. (2) of Hu et al. 2019).
    """
    if net.description.relative and units is None:
        with torch.no_grad():
            whole, units = see_whole(net, normalised)
        if mask is None and not torch.is_grad_enabled():
            return whole
    seen = normalised if mask is None else hide(normalised, mask, shown)
    prediction = net(seen)
    return net.to_depth_m(prediction) if units is None else units.to_depth(prediction)


def see_whole(net: DepthNet, normalised: Tensor) -> tuple[Tensor, Units | None]:
    """What a net sees in whole pictures (B, 3, H, W), (B, 1, h, w) as `depth_from` gives it, and in which units.

    The units are for `depth_from` of the same pictures through masks; None where the net is not relative.
    """
    prediction = net(normalised)
    if not net.description.relative:
        return net.to_depth_m(prediction), None
    units = own_units(net.description, prediction)
    return units.to_depth(prediction), units
