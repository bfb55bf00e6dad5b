"""How alike two maps of the same picture are: correlation, structural similarity, and overlap of the pixels they keep.

Every measure gives one number a picture and is 1 for two equal maps.
"""

import torch
from torch import Tensor
from torch.nn import functional

MEASURES = ("pearson", "ssim", "iou")
"""What `agreement` gives, in the order in which it is told."""

_WINDOW, _DEVIATION = 11, 1.5
_STABLE = (0.01**2, 0.03**2)
"""(K1 L)² and (K2 L)² of Wang et al. for maps in [0, 1]."""


def agreement(first: Tensor, second: Tensor, first_kept: Tensor, second_kept: Tensor) -> dict[str, Tensor]:
    """All MEASURES of two soft maps in [0, 1] and of the pixels kept by each, all (B, 1, H, W): (B,) float64 each."""
    return {"pearson": pearson(first, second), "ssim": ssim(first, second), "iou": iou(first_kept, second_kept)}


def pearson(first: Tensor, second: Tensor) -> Tensor:
    """The correlation over pixels of maps (B, 1, H, W), float64 (B,) in [-1, 1]; 0 where a map is constant."""
    x, y = (maps.double().flatten(1) for maps in (first, second))  # (B, H*W)
    x, y = x - x.mean(dim=1, keepdim=True), y - y.mean(dim=1, keepdim=True)
    lengths = x.norm(dim=1) * y.norm(dim=1)
    return torch.where(lengths > 1e-12, (x * y).sum(dim=1) / lengths.clamp_min(1e-12), torch.zeros_like(lengths))


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """The correlation of the ranks of pixels in maps (B, 1, H, W), float64 (B,) in [-1, 1]; 0 where a map is constant.

    Equal values share the mean of their ranks.
    """
    return pearson(_mean_ranks(first), _mean_ranks(second))


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of maps (B, 1, H, W) in [0, 1], float64 (B,) in [-1, 1].

    Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment (2004): a Gaussian window of 11 x 11 pixels with a
    deviation of 1.5, averaged over the places where it lies within the map.
    """
    if min(first.shape[-2:]) < _WINDOW:
        raise ValueError(f"maps of {first.shape[-1]}x{first.shape[-2]} pixels are smaller than the window of {_WINDOW}")
    x, y = first.double(), second.double()
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    light, contrast = _STABLE
    similar = ((2 * mean_x * mean_y + light) * (2 * covariance + contrast)
               / ((mean_x**2 + mean_y**2 + light) * (variance_x + variance_y + contrast)))
    return similar.mean(dim=(1, 2, 3))


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Pixels in both of two binary maps over those in either: bool (B, 1, H, W) twice -> float64 (B,) in [0, 1].

    Two maps that keep a share k each at random have k / (2 - k); two that keep nothing are equal and have 1.
    """
    both = (first & second).flatten(1).sum(dim=1).double()
    either = (first | second).flatten(1).sum(dim=1).double()
    return torch.where(either > 0, both / either.clamp_min(1), torch.ones_like(both))


def _mean_ranks(maps: Tensor) -> Tensor:
    """The rank of every value among those of its map (B, 1, H, W), float64, from 0 for the lowest."""
    ranks = []
    for values in maps:
        _, place, counts = values.unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(dim=0).double()  # one behind the last rank of each value
        ranks.append((last - (counts + 1) / 2)[place])
    return torch.stack(ranks)


def _windowed(maps: Tensor) -> Tensor:
    """The weighted mean under the window at every place where it lies within the map."""
    at = torch.arange(_WINDOW, dtype=maps.dtype, device=maps.device) - _WINDOW // 2
    weights = torch.exp(-at.square() / (2 * _DEVIATION**2))
    weights = weights / weights.sum()
    rows = functional.conv2d(maps, weights.view(1, 1, 1, -1))
    return functional.conv2d(rows, weights.view(1, 1, -1, 1))
