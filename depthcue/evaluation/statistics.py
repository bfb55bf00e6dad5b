"""Bootstrap intervals over images.

The images of a test set are one draw of all images that could have been taken. Drawing as many again from them, with
replacement, some thousand times shows how far a measured number would move (Efron's percentile interval). Two methods
measured on the same images are resampled together, so that an image hard for both weighs on both.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 2000
LEVEL = 0.95


def resampling_weights(images: int, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Weight of each image in each resample: (draws, images), every row summing to 1.

    Drawn once and used for every number, so that all numbers see the same resamples.
    """
    if images < 1:
        raise ValueError("there is no image to resample")
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(images, np.full(images, 1 / images), size=draws)
    return counts.astype(np.float64) / images


def percentile_interval(samples: Floats) -> tuple[float, float]:
    """The interval that leaves out (1 - LEVEL) / 2 of the samples on either side."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_interval(values: Floats, weights: Floats) -> tuple[float, float]:
    """The interval of the mean over images of `values` (images,)."""
    return percentile_interval(weights @ values)


def rmse_interval(mse: Floats, weights: Floats) -> tuple[float, float]:
    """The interval of sqrt(mean over images of `mse`), in the unit of its root."""
    return percentile_interval(np.sqrt(weights @ mse))


def rmse_difference_interval(mse: Floats, mse_of_other: Floats, weights: Floats) -> tuple[float, float]:
    """The interval of RMSE minus the other's RMSE, both on the same resampled images."""
    return percentile_interval(np.sqrt(weights @ mse) - np.sqrt(weights @ mse_of_other))


def short(value: float) -> float:
    """Six digits are more than any of these numbers is good for, and make a file that can be read."""
    return float(f"{value:.6g}")


def pair(interval: tuple[float, float]) -> list[float]:
    """An interval as JSON has it."""
    return [short(end) for end in interval]
