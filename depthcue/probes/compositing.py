"""Pasting a cut-out into a picture: at any place and size, with soft borders, and with a shadow where it stands."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.probes.cutouts import CutOut

BORDER_PX = 0.6
"""Deviation of the blur on the border of what is pasted: a lens leaves no sharper ones, and a cut does."""
SHADOW_DARKNESS, SHADOW_FLATNESS = 0.75, 0.09
"""How much light the middle of a contact shadow takes; its height over the object's width."""


def layer(cutout: CutOut, contact: tuple[float, float], scale: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """A cut-out laid on an empty picture: RGBA (4, H, W) with colours multiplied by alpha, and its reading region.

    Args:
        contact: x, y in the picture at which its ground contact comes to lie; fractions of a pixel count.
        scale: of the cut-out, its pixels over the picture's.
        size: (H, W) of the picture.

    Returns:
        The layer, and bool (1, H, W), where at least half of a pixel belongs to the region on which depth is read.
    """
    alpha = cutout.rgba[3:]
    stack = torch.cat((cutout.rgba[:3] * alpha, alpha, cutout.read.float()))[None]  # (1, 5, h, w)
    # a margin, so that borders can be soft on all sides
    stack = functional.pad(stack, (4, 4, 4, 4))
    height, width = stack.shape[2:]
    if scale < 1:
        shrunk = (max(1, round(height * scale)), max(1, round(width * scale)))
        stack = functional.interpolate(stack, size=shrunk, mode="bilinear", align_corners=False, antialias=True)
    # picture point p shows the cut-out's point contact + (p - place) / scale, in the padded cut-out's own measure
    rows = (torch.arange(size[0]) - contact[1]) / scale + cutout.contact[1] + 4
    columns = (torch.arange(size[1]) - contact[0]) / scale + cutout.contact[0] + 4
    grid_y, grid_x = torch.meshgrid(2 * (rows + 0.5) / height - 1, 2 * (columns + 0.5) / width - 1, indexing="ij")
    laid = functional.grid_sample(stack, torch.stack((grid_x, grid_y), -1)[None], mode="bilinear",
                                  padding_mode="zeros", align_corners=False)
    soft = blur(laid[:, :4], BORDER_PX)[0]
    return soft, laid[0, 4:] >= 0.5


def paste(picture: Tensor, over: Tensor) -> Tensor:
    """A layer (4, H, W) with colours multiplied by alpha over a picture (3, H, W)."""
    return (over[:3] + picture * (1 - over[3:])).clamp(0, 1)


def contact_shadow(picture: Tensor, contact: tuple[float, float], width_px: float) -> Tensor:
    """The picture (3, H, W) with the soft dark ellipse that an object `width_px` wide leaves where it stands."""
    height, width = picture.shape[1:]
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    half = max(width_px / 2, 1.0)
    low = max(width_px * SHADOW_FLATNESS, 1.0)
    radius = ((columns - contact[0]) / half) ** 2 + ((rows - contact[1] + 0.3 * low) / low) ** 2
    dark = SHADOW_DARKNESS * torch.exp(-(radius**2) / 2)
    return picture * (1 - dark[None])


def blur(maps: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of (B, C, H, W), borders reflected."""
    reach = max(1, math.ceil(3 * sigma_px))
    weights = torch.exp(-(torch.arange(-reach, reach + 1, dtype=maps.dtype) ** 2) / (2 * sigma_px**2))
    weights = weights / weights.sum()
    channels = maps.shape[1]
    padded = functional.pad(maps, (reach,) * 4, mode="replicate")
    padded = functional.conv2d(padded, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(padded, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
