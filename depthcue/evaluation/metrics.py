"""Measures of depth maps and masks: errors of depth, agreement of two maps, roughness of one.

Errors of depth, image by image, over valid pixels. RMSE over images is sqrt(mean over images of the per-image mean
squared error), as Hu et al. (ICCV 2019) compute it; the other measures are means over images.

Agreement of two maps of the same picture: correlation, structural similarity (Wang et al. 2004), and overlap of the
pixels they keep. Every measure gives one number a picture and is 1 for two equal maps.

Roughness: the total variation of a mask over that of its values in random order, whatever the mask keeps.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from depthcue.data.batches import gaussian_kernel
from depthcue.objective import total_variation
from depthcue.scorers.edges import separable

NEAREST_M = 1e-3
"""Predictions are cut off here: logarithm and ratio want positive depth, and nothing is seen nearer than this."""

MEASURES = ("mse", "mae", "abs_rel", "log10", "mse_log", "delta1", "delta2", "delta3")
"""Measures of `image_errors`."""
AGREEMENT_MEASURES = ("pearson", "ssim", "iou")
"""Measures of `agreement`."""

_WINDOW, _DEVIATION = 11, 1.5
_STABLE = (0.01**2, 0.03**2)
"""(K1 L)² and (K2 L)² of Wang et al. for maps in [0, 1]."""


def image_errors(prediction_m: Tensor, depth_m: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
    """The errors of each image on its valid pixels.

    Args:
        prediction_m: (B, 1, h, w) metres; resized bilinearly where its size is not that of `depth_m`.
        depth_m: (B, 1, h, w) metres, positive where valid.
        valid: bool (B, 1, h, w); None where every pixel is.

    Returns:
        (B,) float64 for each of MEASURES, NaN for an image without a valid pixel: mse (m^2), mae (m), abs_rel,
        log10 (mean |log10 d - log10 d*|), mse_log (natural logarithm), delta1 .. delta3 (shares of pixels with
        max(d/d*, d*/d) below 1.25, 1.25^2, 1.25^3).
    """
    if prediction_m.shape[-2:] != depth_m.shape[-2:]:
        prediction_m = functional.interpolate(prediction_m, size=depth_m.shape[-2:], mode="bilinear",
                                              align_corners=False)
    keep = torch.ones_like(depth_m, dtype=torch.bool) if valid is None else valid
    count = keep.flatten(1).sum(dim=1).double()  # (B,)

    def mean(values: Tensor) -> Tensor:
        # where, not a product: what lies under an invalid pixel may be infinite
        total = torch.where(keep, values, torch.zeros_like(values)).flatten(1).sum(dim=1, dtype=torch.float64)
        return total / count

    predicted = prediction_m.clamp_min(NEAREST_M)
    truth = torch.where(keep, depth_m, torch.ones_like(depth_m))
    difference = predicted - truth
    ratio = torch.maximum(predicted / truth, truth / predicted)
    log_difference = torch.log(predicted) - torch.log(truth)
    return {
        "mse": mean(difference.square()),
        "mae": mean(difference.abs()),
        "abs_rel": mean(difference.abs() / truth),
        "log10": mean(log_difference.abs()) / float(np.log(10)),
        "mse_log": mean(log_difference.square()),
        **{f"delta{power}": mean((ratio < 1.25**power).to(predicted.dtype)) for power in (1, 2, 3)},
    }


def median_scaled(prediction_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Predictions (B, 1, h, w) at the size of `depth_m`, each with the median of its truth over valid pixels.

    Zhou, Brown, Snavely, Lowe (CVPR 2017): how a network is compared on KITTI that cannot know the scale.
    """
    sized = functional.interpolate(prediction_m, size=depth_m.shape[-2:], mode="bilinear", align_corners=False)
    truth, predicted = (torch.where(valid, values, torch.nan).flatten(1).nanmedian(dim=1).values
                        for values in (depth_m, sized.clamp_min(NEAREST_M)))
    return sized * (truth / predicted).view(-1, 1, 1, 1)


def mean_squared_difference(prediction: Tensor, target: Tensor) -> Tensor:
    """(B, 1, h, w) twice -> (B,) float64: the mean squared difference of each image, all pixels."""
    return (prediction - target).square().flatten(1).mean(dim=1, dtype=torch.float64)


def root(mse: NDArray[np.float64]) -> float:
    """RMSE over images from their mean squared errors."""
    return float(np.sqrt(np.mean(mse)))


def summarise(errors: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Errors over images from those of each: `rmse` and `rmse_log` from mse and mse_log, the mean of every other."""
    summary = {}
    for name, values in errors.items():
        if name.startswith("mse"):
            summary["rmse" + name[3:]] = root(values)
        else:
            summary[name] = float(np.mean(values))
    return summary


def agreement(first: Tensor, second: Tensor, first_kept: Tensor, second_kept: Tensor) -> dict[str, Tensor]:
    """AGREEMENT_MEASURES of two soft maps in [0, 1] and of the pixels kept by each, all (B, 1, H, W): (B,) float64
    each."""
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
    deviation of 1.5, averaged over the positions at which it lies within the map.
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
        _, index, counts = values.unique(return_inverse=True, return_counts=True)
        last = counts.cumsum(dim=0).double()  # one behind the last rank of each value
        ranks.append((last - (counts + 1) / 2)[index])
    return torch.stack(ranks)


def _windowed(maps: Tensor) -> Tensor:
    """The weighted mean under the window at every position at which it lies within the map."""
    return separable(maps, gaussian_kernel(maps.new_tensor(_DEVIATION), _WINDOW // 2))


def roughness(mask: Tensor) -> Tensor:
    """The total variation of each mask as a share of what the same values would have in random order.

    1 is noise in which pixels are independent of their neighbours, 0 a flat map; a checkerboard is above 1. Unlike the
    total variation itself, it does not grow with how much a mask keeps or how hard it is.

    Args:
        mask: (B, 1, H, W), at least two pixels.

    Returns:
        (B,); 0 where all values are equal.
    """
    values = mask.flatten(1).double().sort(dim=1).values  # (B, n)
    count = values.shape[1]
    # the mean |a - b| over all pairs of different pixels, from the sorted values: Gini's mean difference
    weights = 2 * torch.arange(count, device=mask.device, dtype=values.dtype) - count + 1
    expected = 2 * (weights * values).sum(dim=1) / (count * (count - 1))
    height, width = mask.shape[-2:]
    pairs = height * (width - 1) + (height - 1) * width
    shuffled = expected * pairs / count
    return (total_variation(mask.double()) / shuffled.clamp_min(torch.finfo(values.dtype).tiny)).to(mask.dtype)
