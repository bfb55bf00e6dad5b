"""Numbers of every image, their summary over images with intervals, and the settings of mask nets.

A key names what the net was shown ("target": the whole picture; "mask at 0.2"), a measure what was computed from it.
Errors are against ground truth where the data has it (`rmse`), and always against N(I) (`rmse_to_target`).

A setting is a share to keep or a λ. A net of shares takes the share itself. The λ dial of another net is swept until
its masks keep the share; the sweep uses means of masks alone, never depth, so that nothing that is measured later
chooses the λ.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from depthcue.evaluation.metrics import image_errors, mean_squared_difference, root, summarise
from depthcue.evaluation.statistics import (
    DRAWS,
    mean_interval,
    pair,
    percentile_interval,
    resampling_weights,
    rmse_difference_interval,
    rmse_interval,
    short,
)
from depthcue.evaluation.viewing import View, Viewing
from depthcue.nets import MaskNet, Setting
from depthcue.progress import Progress
from depthcue.scorers import ScorerInputs, build_scorer

TARGET = "target"
"""The key of what the net sees in whole pictures."""


class Tally:
    """Measurements of each image so far."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers: dict[tuple[str, str], list[float]] = {}

    def add_target(self, view: View) -> None:
        """Begin with the images of a view: their names, and the errors of N(I)."""
        self.names += view.batch.names
        self._errors_to_truth(TARGET, view, view.target_m)

    def errors(self, key: str, view: View, depth_m: Tensor) -> None:
        """Add the errors of `depth_m` (B, 1, h, w), the answer to one input, against ground truth and N(I)."""
        self._errors_to_truth(key, view, depth_m)
        self.add(key, "mse_to_target", mean_squared_difference(depth_m, view.target_m))

    def add(self, key: str, measure: str, values: Tensor) -> None:
        """Add one number an image, (B,)."""
        # plain numbers: thousands of small arrays among large tensors would keep the heap from shrinking
        self.numbers.setdefault((key, measure), []).extend(values.double().tolist())

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
        return self.measures(TARGET)

    def measures(self, key: str) -> dict[str, Any]:
        """Every error measure of one key against ground truth; empty where there is none."""
        if not self.ground_truth:
            return {}
        errors = {measure: values[self.known] for (found, measure), values in self.values.items()
                  if found == key and measure != "mse_to_target"}
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
        return {"value": self.mean(key, measure), "value_ci95": self.mean_interval(key, measure)}

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


STEPS = 16
IMAGES = 64


@dataclass(frozen=True)
class Sweep:
    """Kept pixels of the masks at each lambda of a dial."""

    lambdas: tuple[float, ...]
    """Rising."""
    means: tuple[float, ...]
    """The mean over images and pixels of the masks of each lambda, in [0, 1]."""

    def for_share(self, share: float) -> float:
        """The lambda whose masks have the mean nearest to `share`."""
        return self.lambdas[int(np.abs(np.array(self.means) - share).argmin())]

    def entries(self) -> list[dict[str, Any]]:
        """The fields of a results document."""
        return [{"lambda": short(lam), "mean": short(mean)}
                for lam, mean in zip(self.lambdas, self.means, strict=True)]


def inputs_of(mask_net: MaskNet, setting: Setting, seed: int = 0) -> ScorerInputs:
    """Inputs of `scorers.build_scorer` for the masks of one setting."""
    return ScorerInputs(mask_net, setting.lam, seed, keep=setting.keep)


def setting_of(mask_net: MaskNet, keep: float | None = None, lam: float | None = None) -> Setting:
    """The setting for a share or for a λ; the net's own for neither. A share says nothing to a net of λ.

    Raises:
        DepthcueError: both are given, or one is out of range.
    """
    setting = Setting.of(mask_net.description, keep, lam)
    return setting if mask_net.keeps_shares else Setting(setting.lam)


def setting_for_share(mask_net: MaskNet, viewing: Viewing, share: float, lam: float | None,
                      progress: Progress, name: str = "") -> Setting:
    """The setting whose masks keep about `share` of the pixels, unless a λ is given.

    A net of shares is asked for it; of a net with a λ dial the λ whose masks have the nearest mean is found; any other
    has one setting alone.
    """
    if lam is not None or mask_net.keeps_shares or not mask_net.has_dial:
        return setting_of(mask_net, share if lam is None else None, lam)
    indices = viewing.spread(IMAGES)
    progress.start(f"choosing lambda{name}", len(indices))
    return Setting(sweep_dial(mask_net, viewing, indices, STEPS, progress).for_share(share))


def settings_for(mask_net: MaskNet, viewing: Viewing, shares: Sequence[float], otherwise: Setting,
                 progress: Progress) -> dict[float, Setting]:
    """Settings whose masks keep about each share; `otherwise` for all where the net has no dial."""
    if not mask_net.has_dial:
        return dict.fromkeys(shares, otherwise)
    if mask_net.keeps_shares:
        return {share: setting_of(mask_net, share) for share in shares}
    indices = viewing.spread(IMAGES)
    progress.start("choosing lambda", len(indices))
    sweep = sweep_dial(mask_net, viewing, indices, STEPS, progress)
    return {share: Setting(sweep.for_share(share)) for share in shares}


def sweep_dial(mask_net: MaskNet, viewing: Viewing, indices: Sequence[int], steps: int,
               progress: Progress) -> Sweep:
    """Measure the masks of `steps` lambdas, evenly in ln lambda over the range of a net that has a dial.

    Args:
        viewing: gives the pictures, at the size that the net sees them in.
        indices: of the images whose masks are looked at; see `Viewing.spread`.
        progress: advanced by one an image.
    """
    span = mask_net.description.lambda_range
    if span is None:
        raise ValueError(f"{mask_net.description.name} has no dial to turn")
    lambdas = np.geomspace(*span, steps).clip(*span).tolist()
    methods = [build_scorer("mask", ScorerInputs(mask_net, lam)) for lam in lambdas]
    totals = np.zeros(steps)
    for _, pictures in viewing.pictures(indices):
        for step, method in enumerate(methods):
            totals[step] += float(method(pictures).mean(dim=(1, 2, 3)).sum())
        progress.advance(len(pictures.indices))
    return Sweep(tuple(lambdas), tuple((totals / len(indices)).tolist()))
