"""Numbers of every image, and their summary over images with bootstrap intervals.

The images of a test set are one draw of all images that could have been taken. Drawing as many again from them, with
replacement, some thousand times shows how far a measured number would move (Efron's percentile interval). Two methods
measured on the same images are resampled together, so that an image hard for both weighs on both.

A `Tally` collects the numbers of every image. A key names what the net was shown ("target": the whole picture; "mask
at 0.2"), a measure what was computed from it. Errors are against ground truth where the data has it (`rmse`), and
always against N(I) (`rmse_to_target`). A `TallySummary` has the numbers over images.
"""

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue.evaluation.metrics import image_errors, mean_squared_difference, median_scaled, root, summarise
from depthcue.evaluation.viewing import View
from depthcue.scorers import Pictures, Scorer

Floats = NDArray[np.float64]
DRAWS = 2000
LEVEL = 0.95
TARGET = "target"
"""The key of what the net sees in whole pictures."""
MEANS = ("abs_rel", "log10", "delta1", "delta2", "delta3")
"""The measures that are means over images; RMSE comes with them."""


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


def mean_entry(name: str, values: Floats, weights: Floats) -> dict[str, Any]:
    """The mean over images of `values` (images,) with its interval, as documents have them: `NAME` and `NAME_ci95`."""
    return {name: short(float(values.mean())), f"{name}_ci95": pair(mean_interval(values, weights))}


def short(value: float) -> float:
    """A number in six digits, more than any of these is good for, so that a results file can be read."""
    return float(f"{value:.6g}")


def shorts(values: Floats) -> list[float]:
    """Every number of an array (n,) as `short` gives it."""
    return [short(value) for value in values.tolist()]


def pair(interval: tuple[float, float]) -> list[float]:
    """An interval as JSON has it."""
    return [short(end) for end in interval]


class Tally:
    """Measurements of each image so far."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers: dict[tuple[str, str], list[float]] = {}

    def add_target(self, view: View) -> None:
        """Begin with the images of a view: their names, and errors of N(I), `abs_rel_scaled` after median scaling."""
        self.names += view.batch.names
        self._errors_to_truth(TARGET, view, view.target_m)
        depth_m, valid = view.batch.depth_m, view.batch.valid
        if depth_m is not None and valid is not None:
            scaled = median_scaled(view.target_m, depth_m, valid)
            self.add(TARGET, "abs_rel_scaled", image_errors(scaled, depth_m, valid)["abs_rel"])

    def errors(self, key: str, view: View, depth_m: Tensor) -> None:
        """Add the errors of `depth_m` (B, 1, h, w), the answer to one input, against ground truth and N(I)."""
        self._errors_to_truth(key, view, depth_m)
        self.add(key, "mse_to_target", mean_squared_difference(depth_m, view.target_m))

    def add(self, key: str, measure: str, values: Tensor) -> None:
        """Add one number an image, (B,)."""
        # plain numbers: thousands of small arrays among large tensors would keep the heap from shrinking
        self.numbers.setdefault((key, measure), []).extend(values.double().tolist())

    def full_errors(self, key: str, view: View, depth_m: Tensor, *, in_metres: bool) -> None:
        """Add all that `TallySummary.full_errors` gives: the errors of `depth_m` (B, 1, h, w), the answer to one input.

        Args:
            in_metres: False where N(I) has a unit of its own, which has no zero: ratios and logarithms against it would
                say nothing, and are left out.
        """
        self.errors(key, view, depth_m)
        if in_metres:
            errors = image_errors(depth_m, view.target_m)
            for measure in MEANS:
                self.add(_to_target(key), measure, errors[measure])

    def _errors_to_truth(self, key: str, view: View, depth_m: Tensor) -> None:
        if view.batch.depth_m is not None:
            for measure, values in image_errors(depth_m, view.batch.depth_m, view.batch.valid).items():
                self.add(key, measure, values)


class TallySummary:
    """Numbers over images, with 95% bootstrap intervals, from those of each image."""

    def __init__(self, tally: Tally, draws: int = DRAWS, seed: int = 0) -> None:
        self.names = tally.names
        self.values = {key: np.array(numbers) for key, numbers in tally.numbers.items()}
        images = len(tally.names)
        self.weights = resampling_weights(images, draws, seed)
        # an image without any valid depth has no error, and is left out of those against ground truth
        self.known = np.isfinite(self.values.get((TARGET, "mse"), np.full(images, np.nan)))
        self.ground_truth = bool(self.known.any())
        if self.ground_truth:
            self.known_weights = resampling_weights(int(self.known.sum()), draws, seed)

    def without_depth(self) -> list[str]:
        """Images that have no valid depth, where others have."""
        return [name for name, known in zip(self.names, self.known, strict=True) if not known] \
            if self.ground_truth else []

    def of_target(self) -> dict[str, Any]:
        """The error measures of N on whole pictures; empty without ground truth."""
        if not self.ground_truth:
            return {}
        errors = {measure: values[self.known] for (key, measure), values in self.values.items() if key == TARGET}
        interval = rmse_interval(errors["mse"], self.known_weights)
        return {**{name: short(value) for name, value in summarise(errors).items()}, "rmse_ci95": pair(interval)}

    def of(self, key: str) -> dict[str, Any]:
        """The errors of one key, with intervals."""
        entry: dict[str, Any] = {}
        if self.ground_truth:
            mse = self.values[key, "mse"][self.known]
            entry = {"rmse": short(root(mse)),
                     "rmse_ci95": pair(rmse_interval(mse, self.known_weights)),
                     **{name: short(float(self.values[key, name][self.known].mean()))
                        for name in ("abs_rel", "delta1")}}
        mse = self.values[key, "mse_to_target"]
        return entry | {"rmse_to_target": short(root(mse)),
                        "rmse_to_target_ci95": pair(rmse_interval(mse, self.weights))}

    def full_errors(self, key: str) -> dict[str, dict[str, Any]]:
        """The errors of one key: `truth` (where the data has any) and `target`.

        Each holds `rmse` and MEANS, and for each of them the 95% interval over images, as in `rmse_ci95`. Against the
        target the means are absent where they were left out.
        """
        entry = {}
        if self.ground_truth:
            entry["truth"] = _measured(self.values[key, "mse"][self.known], self.known_weights,
                                       {name: self.values[key, name][self.known] for name in MEANS})
        means = {name: self.values[_to_target(key), name] for name in MEANS if (_to_target(key), name) in self.values}
        entry["target"] = _measured(self.values[key, "mse_to_target"], self.weights, means)
        return entry

    def difference(self, key: str, reference: str) -> dict[str, Any]:
        """RMSE of `key` minus `reference`'s on the same images: `truth`, `truth_ci95`, `target`, `target_ci95`."""
        entry: dict[str, Any] = {}
        if self.ground_truth:
            mse, other = (self.values[name, "mse"][self.known] for name in (key, reference))
            entry = {"truth": short(root(mse) - root(other)),
                     "truth_ci95": pair(rmse_difference_interval(mse, other, self.known_weights))}
        mse, other = (self.values[name, "mse_to_target"] for name in (key, reference))
        return entry | {"target": short(root(mse) - root(other)),
                        "target_ci95": pair(rmse_difference_interval(mse, other, self.weights))}

    def beside(self, key: str, mask_key: str) -> dict[str, Any]:
        """The errors of one key, and how much they exceed those through the mask on the same images."""
        names = {"truth": "minus_mask", "truth_ci95": "minus_mask_ci95",
                 "target": "to_target_minus_mask", "target_ci95": "to_target_minus_mask_ci95"}
        return self.of(key) | {names[field]: value for field, value in self.difference(key, mask_key).items()}

    def mean(self, key: str, measure: str) -> float:
        """The mean over images of something measured on each."""
        return short(float(self.values[key, measure].mean()))

    def mean_interval(self, key: str, measure: str) -> list[float]:
        """The 95% interval of that mean."""
        return pair(mean_interval(self.values[key, measure], self.weights))

    def entry(self, key: str, measure: str) -> dict[str, Any]:
        """The mean of a measure with its interval: `value`, `value_ci95`."""
        return mean_entry("value", self.values[key, measure], self.weights)

    def ratio(self, key: str, measure: str, other: str) -> dict[str, Any] | None:
        """The mean over images of one measure over that of another, with its interval; None where that is 0."""
        above, below = self.values[key, measure], self.values[key, other]
        if not below.any():
            return None
        drawn = (self.weights @ above) / np.maximum(self.weights @ below, np.finfo(np.float64).tiny)
        return {"value": short(float(above.mean() / below.mean())),
                "value_ci95": pair(percentile_interval(drawn))}

    def per_image(self, key: str) -> dict[str, list[float | None]]:
        """RMSE of each image, None where it has no valid depth."""
        columns = {"rmse": "mse", "rmse_to_target": "mse_to_target"}
        return {name: [short(float(np.sqrt(value))) if np.isfinite(value) else None
                       for value in self.values[key, measure]]
                for name, measure in columns.items() if (key, measure) in self.values}


def _to_target(key: str) -> str:
    return f"{key}, to the target"


def _measured(mse: Floats, weights: Floats, means: dict[str, Floats]) -> dict[str, Any]:
    entry: dict[str, Any] = {"rmse": short(root(mse)), "rmse_ci95": pair(rmse_interval(mse, weights))}
    for name, values in means.items():
        entry |= mean_entry(name, values, weights)
    return entry


class Stopwatch:
    """Clock of the time that each scorer takes for the pictures of a batch."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ms: dict[str, list[float]] = {}

    def score(self, name: str, scorer: Scorer, pictures: Pictures) -> Tensor:
        """The scores (B, 1, H, W) of `pictures`, and the time it took, kept."""
        self._wait()
        start = time.perf_counter()
        scores = scorer(pictures)
        self._wait()
        self._ms.setdefault(name, []).append(1000 * (time.perf_counter() - start) / len(pictures.rgb))
        return scores

    def cost_ms(self) -> dict[str, dict[str, Any]]:
        """Milliseconds a picture of each scorer: median, quartiles, and how many batches they are of.

        Where there are several batches the first is left out: it also pays for what is done once.
        """
        costs = {}
        for name, all_ms in self._ms.items():
            timed = np.array(all_ms[1:] or all_ms)
            costs[name] = {"median": short(float(np.median(timed))),
                           "quartiles": [short(float(end)) for end in np.quantile(timed, (0.25, 0.75))],
                           "batches": len(timed)}
        return costs

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
