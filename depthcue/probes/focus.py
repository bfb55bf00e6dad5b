"""A lens of limited depth of field, laid over a picture that is sharp everywhere."""

import torch
from torch import Tensor

from depthcue.probes.compositing import blur

APERTURE = 0.008
"""Deviation of the blur of what is infinitely far behind the focus, as a share of the picture's width."""
_STEPS = 5


def focused(rgb: Tensor, depth: Tensor, focus: float, turned: bool = False) -> Tensor:
    """The picture as a lens sees it that is focused at a distance.

    Every pixel is blurred by its own amount; a thin lens's blur grows with |1 - focus / depth|.

    Args:
        rgb: (3, H, W).
        depth: (1, H, W), positive or infinite, in the unit of `focus`.
        turned: the gradient turned: what should be sharp is blurred most, what is farthest is sharp.
    """
    amount = (1 - focus / depth.clamp_min(focus / 2)).abs().clamp(max=1.0)
    if turned:
        amount = 1 - amount
    widest = APERTURE * rgb.shape[2]
    levels = torch.stack([rgb, *(blur(rgb[None], widest * step / _STEPS)[0] for step in range(1, _STEPS + 1))])
    place = amount * _STEPS
    low = place.floor().clamp(max=_STEPS - 1).long()
    share = place - low
    below, above = (levels.gather(0, which.expand(1, *rgb.shape))[0] for which in (low[None], low[None] + 1))
    return (below + (above - below) * share).clamp(0, 1)


def blurred(rgb: Tensor, region: Tensor, sigma_px: float) -> Tensor:
    """A picture (3, H, W) in which the pixels of a region, bool (1, H, W), are mixed among themselves alone."""
    inside = region.float()
    weight = blur(inside[None], sigma_px)[0]
    return blur((rgb * inside)[None], sigma_px)[0] / weight.clamp_min(1e-4)
