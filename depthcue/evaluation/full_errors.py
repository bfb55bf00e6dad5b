"""Every error measure of one way to see, against ground truth and against N(I), each with an interval over images."""

from typing import Any

from torch import Tensor

from depthcue.evaluation import statistics
from depthcue.evaluation.metrics import image_errors, root
from depthcue.evaluation.tally import Floats, Summary, Tally, pair, short
from depthcue.evaluation.viewing import View

MEANS = ("abs_rel", "log10", "delta1", "delta2", "delta3")
"""The measures that are means over images; RMSE comes with them."""


def add_full_errors(tally: Tally, key: str, view: View, depth_m: Tensor, *, in_metres: bool = True) -> None:
    """Add all that `full_errors` tells of `key`: the errors of `depth_m` (B, 1, h, w), what the net sees one way.

    Args:
        in_metres: False where N(I) has units of its own, which know no zero: ratios and logarithms against it would
            mean nothing, and are left out.
    """
    tally.errors(key, view, depth_m)
    if in_metres:
        errors = image_errors(depth_m, view.target_m)
        for measure in MEANS:
            tally.add(_to_target(key), measure, errors[measure])


def full_errors(summary: Summary, key: str) -> dict[str, dict[str, Any]]:
    """The errors of one way to see: `truth` (where the data has any) and `target`.

    Each holds `rmse` and MEANS, and for each of them the 95% interval over images, as in `rmse_ci95`. Against the
    target the means are absent where they were left out.
    """
    entry = {}
    if summary.ground_truth:
        entry["truth"] = _measured(summary.values[key, "mse"][summary.known], summary.known_weights,
                                   {name: summary.values[key, name][summary.known] for name in MEANS})
    means = {name: summary.values[_to_target(key), name] for name in MEANS if (_to_target(key), name) in summary.values}
    entry["target"] = _measured(summary.values[key, "mse_to_target"], summary.weights, means)
    return entry


def _to_target(key: str) -> str:
    return f"{key}, to the target"


def _measured(mse: Floats, weights: Floats, means: dict[str, Floats]) -> dict[str, Any]:
    entry: dict[str, Any] = {"rmse": short(root(mse)), "rmse_ci95": pair(statistics.rmse_interval(mse, weights))}
    for name, values in means.items():
        entry |= {name: short(float(values.mean())), f"{name}_ci95": pair(statistics.mean_interval(values, weights))}
    return entry
