"""How far a depth map is from another: the error measures of the depth literature, image by image.

RMSE over images is sqrt(mean over images of the per-image mean squared error), as Hu et al. (ICCV 2019) compute it;
the other measures are means over images. Only valid pixels count.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NEAREST_M = 1e-3
"""Predictions are cut off here: logarithm and ratio want positive depth, and nothing is seen nearer than this."""

MEASURES = ("mse", "mae", "abs_rel", "log10", "mse_log", "delta1", "delta2", "delta3")
"""What `image_errors` gives."""


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
