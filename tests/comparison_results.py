"""Results of compare-edges made by hand: what the report is given, without any net; and how such are typed."""

import math
from typing import Any

from depthcue.results import Result, result_of


def typed(document: Any) -> Any:
    """A document made by hand as report gets it; what already is a result passes."""
    return document if isinstance(document, Result) else result_of({"schema": 1, **document})


def stated(document: dict[str, Any]) -> Result:
    """What a document states, whatever its command would have to say besides."""
    return Result.from_dict({"schema": 1, **document})


SHARES = (0.1, 0.2, 0.5, 0.9)


def comparison_results(ground_truth: bool = True) -> dict[str, Any]:
    """A document with falling curves, the mask's the lowest; errors 0.85 m above those against the target."""
    steepness = {"mask": (0.4, 3.0), "sobel": (1.0, 2.6), "random": (1.2, 2.2)}
    curves: dict[str, list[dict[str, Any]]] = {}
    for method, (height, rate) in steepness.items():
        curves[method] = []
        for share in SHARES:
            away = height * math.exp(-rate * share)
            above = away - 0.4 * math.exp(-3.0 * share)
            entry: dict[str, Any] = {"sparseness": share}
            for error, difference, base in (("rmse_to_target", "to_target_minus_mask", 0.0),
                                            ("rmse", "minus_mask", 0.85))[:1 + ground_truth]:
                entry |= {error: base + away, f"{error}_ci95": [base + 0.9 * away, base + 1.1 * away],
                          difference: above, f"{difference}_ci95": [0.9 * above, 1.1 * above]}
            curves[method].append(entry)
    soft = {"lambda": 2.0, "mask": {"mean": 0.2, **curves["mask"][1]}, "sobel": {"mean": 0.2, **curves["sobel"][1]},
            "random": {"mean": 0.2, **curves["random"][1]},
            "binary": {**curves["mask"][1], "threshold": 0.025, "sparseness": 0.31}}
    return {"schema": 1, "command": "compare-edges", "images": 12, "ground_truth": ground_truth,
            "data": {"spec": "scenes:indoor", "without_valid_depth": []},
            "target": {"rmse": 0.85, "abs_rel": 0.2, "delta1": 0.8} if ground_truth else {},
            "curves": curves, "soft": [soft], "examples": []}
