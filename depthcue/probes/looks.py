"""The same picture in other colours: each takes one part of how things look away, or gives it another.

Pictures are (3, H, W) in [0, 1], gamma encoded; all return the like.
"""

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.probes.compositing import blur

_SMOOTH_PX = 2.0
_LUMA = (0.299, 0.587, 0.114)
_FLOOR = 1e-3


def luma(rgb: Tensor) -> Tensor:
    """Brightness (1, H, W) in [0, 1], as of ITU-R BT.601."""
    return torch.tensordot(rgb.new_tensor(_LUMA), rgb, dims=1)[None]


def grayscale(rgb: Tensor) -> Tensor:
    """Brightness alone."""
    return luma(rgb).expand_as(rgb).clone()


def false_colours(rgb: Tensor, source: Tensor) -> Tensor:
    """Hue and saturation of another picture of any size, value of its own, as van Dijk and de Croon colour theirs."""
    sized = functional.interpolate(source[None], size=rgb.shape[1:], mode="bilinear", align_corners=False)
    # the hue of what is nearly black is noise
    return with_value(blur(sized, _SMOOTH_PX)[0], rgb.amax(0, keepdim=True))


def with_value(colours: Tensor, value: Tensor) -> Tensor:
    """Colours of which the largest channel becomes `value`, (1, H, W), while hue and saturation stay."""
    return (colours * (value / colours.amax(0, keepdim=True).clamp_min(_FLOOR))).clamp(0, 1)


def class_means(rgb: Tensor, classes: Tensor) -> Tensor:
    """Every pixel in the mean colour of its class in this picture; classes: (1, H, W) of integers."""
    result = torch.empty_like(rgb)
    for number in classes.unique():
        chosen = classes[0] == number
        result[:, chosen] = rgb[:, chosen].mean(1, keepdim=True)
    return result


def inverted(rgb: Tensor) -> Tensor:
    """Bright for dark, while what distinguishes the channels of a pixel stays."""
    return (rgb + 1 - 2 * luma(rgb)).clamp(0, 1)


def edges_only(rgb: Tensor) -> Tensor:
    """The strength of brightness edges (Sobel), the strongest hundredth white, all else black."""
    rows = rgb.new_tensor((1.0, 2.0, 1.0))[:, None] * rgb.new_tensor((-1.0, 0.0, 1.0))[None]
    padded = functional.pad(luma(rgb)[None], (1, 1, 1, 1), mode="replicate")
    slopes = functional.conv2d(padded, torch.stack((rows, rows.T))[:, None])
    strength = torch.linalg.vector_norm(slopes, dim=1)  # (1, H, W)
    return (strength / strength.flatten().quantile(0.99).clamp_min(_FLOOR)).clamp(0, 1).expand_as(rgb).clone()


def in_haze(rgb: Tensor, optical_depth: Tensor) -> Tensor:
    """The picture through haze of its own light, near white; optical_depth: (1, H, W), 0 and up."""
    light = (0.5 + 0.5 * rgb.flatten(1).quantile(0.95, dim=1))[:, None, None]
    return torch.lerp(light.expand_as(rgb), rgb, torch.exp(-optical_depth))


def unshaded(albedo: Tensor, rgb: Tensor, valid: Tensor) -> Tensor:
    """Surfaces in their own colours, as if light came evenly from everywhere; the sky stays.

    Args:
        albedo: (3, H, W), linear; rgb: the picture, whose mean brightness they get; valid: bool (1, H, W), not sky.
    """
    encoded = albedo.clamp_min(0) ** (1 / 2.2)
    if valid.any():
        encoded = encoded * (luma(rgb)[valid].mean() / luma(encoded)[valid].mean().clamp_min(_FLOOR))
    return torch.where(valid, encoded, rgb).clamp(0, 1)
