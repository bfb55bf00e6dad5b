"""Insertion and deletion curves: pixels shown, or hidden, one after the other in the order of a mask.

After Petsiuk, Das, Saenko (RISE, BMVC 2018), for depth: insertion begins with all pixels hidden and shows the first of
an order first; deletion begins with the whole picture and hides the first of the order first. At every share of the
pixels the RMSE of what N sees is taken. A good order makes the insertion curve fall at once, and the deletion curve
rise at once. The area under a curve is the mean RMSE over all shares, in metres: small is good for insertion, large for
deletion. Orders are compared on the same images.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from depthcue.evaluation import statistics
from depthcue.evaluation.metrics import root
from depthcue.evaluation.tally import Floats, Summary, Tally, pair, short
from depthcue.evaluation.viewing import View
from depthcue.selection import keep_first

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the pixels shown or hidden. Curves bend most at their beginning."""
WAYS = ("insertion", "deletion")
MASK = "mask"
"""The order that the others are compared with."""


def measure_orders(tally: Tally, view: View, see: Callable[[Tensor], Tensor], ranks: Mapping[str, Tensor],
                   shares: tuple[float, ...] = SHARES) -> None:
    """Add the curves of a batch.

    Args:
        see: from a mask, bool (B, 1, H, W), to the depth seen through it.
        ranks: for each order, `mask` among them, the rank of every pixel (see `selection.rank_pixels`).
        shares: rising from 0 to 1.
    """
    first = next(iter(ranks.values()))
    # both ends are the same for every order
    ends = {0.0: see(keep_first(first, 0.0)), 1.0: see(keep_first(first, 1.0))}
    for method, order in ranks.items():
        for share in shares:
            for way in WAYS:
                shown = share if way == "insertion" else 1 - share
                kept = keep_first(order, share)
                depth_m = ends[shown] if shown in ends else see(kept if way == "insertion" else ~kept)
                tally.errors(_key(way, method, share), view, depth_m)


def order_curves(summary: Summary, methods: tuple[str, ...], shares: tuple[float, ...] = SHARES) -> dict[str, Any]:
    """The curves over images: `shares`, and for each of WAYS and each order its curve and the area under it.

    Every order has `rmse` (where there is ground truth) and `rmse_to_target`, one number a share, and for both an
    `area` (say `rmse_area`), its `_ci95`, and how much it exceeds the mask's: `rmse_area_minus_mask` with its `_ci95`.
    """
    fields = {"rmse_to_target": ("mse_to_target", slice(None), summary.weights)}
    if summary.ground_truth:
        fields = {"rmse": ("mse", summary.known, summary.known_weights)} | fields
    document: dict[str, Any] = {"shares": list(shares)}
    for way in WAYS:
        document[way] = {method: {} for method in methods}
        for name, (measure, images, weights) in fields.items():
            curves = {method: np.stack([summary.values[_key(way, method, share), measure][images] for share in shares])
                      for method in methods}  # (shares, images) each
            for method, curve in curves.items():
                document[way][method] |= _entry(name, np.array(shares), curve, curves[MASK], weights)
    return document


def area_under(shares: Floats, values: Floats) -> Floats:
    """The area under curves by trapezoids: `values` (shares, ...) -> (...), or a scalar."""
    return np.asarray(np.trapezoid(values, shares, axis=0))


def _entry(name: str, shares: Floats, mse: Floats, mse_of_mask: Floats, weights: Floats) -> dict[str, Any]:
    areas = area_under(shares, np.sqrt(mse @ weights.T))  # (draws,)
    above = areas - area_under(shares, np.sqrt(mse_of_mask @ weights.T))
    area = float(area_under(shares, np.array([root(at) for at in mse])))
    area_of_mask = float(area_under(shares, np.array([root(at) for at in mse_of_mask])))
    return {name: [short(root(at)) for at in mse],
            f"{name}_area": short(area), f"{name}_area_ci95": pair(statistics.percentile_interval(areas)),
            f"{name}_area_minus_mask": short(area - area_of_mask),
            f"{name}_area_minus_mask_ci95": pair(statistics.percentile_interval(above))}


def _key(way: str, method: str, share: float) -> str:
    return f"{way} by {method} at {share}"
