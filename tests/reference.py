"""Slow float64 definitions, written from the papers with plain loops, that the fast code is tested against."""

import math
from collections.abc import Sequence

# error measures of depth maps (Hu et al. 2019, section 4; Eigen et al. 2014)


def image_errors(prediction: Sequence[float], depth: Sequence[float], valid: Sequence[bool]) -> dict[str, float]:
    """The error measures of one image given as flat lists of pixels, in metres."""
    totals = dict.fromkeys(("mse", "mae", "abs_rel", "log10", "mse_log", "delta1", "delta2", "delta3"), 0.0)
    count = 0
    for predicted, truth, counts in zip(prediction, depth, valid, strict=True):
        if not counts:
            continue
        count += 1
        totals["mse"] += (predicted - truth) ** 2
        totals["mae"] += abs(predicted - truth)
        totals["abs_rel"] += abs(predicted - truth) / truth
        totals["log10"] += abs(math.log10(predicted) - math.log10(truth))
        totals["mse_log"] += (math.log(predicted) - math.log(truth)) ** 2
        for power in (1, 2, 3):
            totals[f"delta{power}"] += max(predicted / truth, truth / predicted) < 1.25**power
    return {name: total / count for name, total in totals.items()}


def rmse_over_images(mse: Sequence[float]) -> float:
    """The square root of the mean over images of their mean squared errors."""
    return math.sqrt(sum(mse) / len(mse))
