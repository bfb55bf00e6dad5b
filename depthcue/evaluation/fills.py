"""Curves of errors over shares of pixels: of insertion and deletion, and at equal shares under every fill.

Insertion and deletion curves, after Petsiuk, Das, Saenko (RISE, BMVC 2018), for depth: insertion begins with all pixels
hidden and shows the highest scores first; deletion begins with the whole picture and hides them first. At every share
of the pixels the RMSE of N is taken. Good scores make the insertion curve fall at once, and the deletion curve rise at
once. The area under a curve is the mean RMSE over all shares, in metres: small is good for insertion, large for
deletion. Scorers are compared on the same images.

Equal shares under every fill test whether the mask's pixels stay better under every fill. A mask net
that is trained under one fill can learn to keep what stands out from it. Its pixels are then better under that fill
alone, and no better than those of `contrast`, which ranks pixels by how far they are from the fill.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from depthcue.evaluation import statistics
from depthcue.evaluation.metrics import root
from depthcue.evaluation.statistics import Floats, Tally, TallySummary, pair, short
from depthcue.evaluation.viewing import View
from depthcue.nets import Setting
from depthcue.scorers import keep_first

INSERTION_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of pixels shown or hidden, close together where curves bend most."""
CURVE_KINDS = ("insertion", "deletion")
FILL_SHARES = (0.1, 0.2, 0.5)
"""Shares of pixels kept under every fill."""
ALWAYS = ("contrast", "sobel")
"""Scorers that a mask is compared with under every fill, besides others."""
MASK = "mask"
"""The order that the others are compared with."""


def measure_orders(tally: Tally, view: View, depth_through: Callable[[Tensor], Tensor], ranks: Mapping[str, Tensor],
                   shares: tuple[float, ...] = INSERTION_SHARES) -> None:
    """Add the curves of a batch.

    Args:
        depth_through: from a mask, bool (B, 1, H, W), to the depth seen through it.
        ranks: for each order, `mask` among them, the rank of every pixel (see `scorers.rank_pixels`).
        shares: rising from 0 to 1.
    """
    first = next(iter(ranks.values()))
    # both ends are the same for every order
    ends = {0.0: depth_through(keep_first(first, 0.0)), 1.0: depth_through(keep_first(first, 1.0))}
    for method, method_ranks in ranks.items():
        for share in shares:
            for curve_kind in CURVE_KINDS:
                shown = share if curve_kind == "insertion" else 1 - share
                kept = keep_first(method_ranks, share)
                depth_m = ends[shown] if shown in ends else depth_through(kept if curve_kind == "insertion" else ~kept)
                tally.errors(_insertion_key(curve_kind, method, share), view, depth_m)


def order_curves(summary: TallySummary, methods: tuple[str, ...],
                 shares: tuple[float, ...] = INSERTION_SHARES) -> dict[str, Any]:
    """The curves over images: `shares`, and for each of CURVE_KINDS and each order its curve and the area under it.

    Every order has `rmse` (where there is ground truth) and `rmse_to_target`, one number a share, and for both an
    `area` (say `rmse_area`), its `_ci95`, and how much it exceeds the mask's: `rmse_area_minus_mask` with its `_ci95`.
    """
    fields = {"rmse_to_target": ("mse_to_target", slice(None), summary.weights)}
    if summary.ground_truth:
        fields = {"rmse": ("mse", summary.known, summary.known_weights)} | fields
    document: dict[str, Any] = {"shares": list(shares)}
    for curve_kind in CURVE_KINDS:
        document[curve_kind] = {method: {} for method in methods}
        for name, (measure, images, weights) in fields.items():
            curves = {method: np.stack([summary.values[_insertion_key(curve_kind, method, share), measure][images]
                                        for share in shares]) for method in methods}  # (shares, images) each
            for method, curve in curves.items():
                document[curve_kind][method] |= _entry(name, np.array(shares), curve, curves[MASK], weights)
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


def _insertion_key(curve_kind: str, method: str, share: float) -> str:
    return f"{curve_kind} by {method} at {share}"


def measure_under_fills(tally: Tally, view: View, depth_through: Callable[[Tensor, str], Tensor],
                        fills: tuple[str, ...],
                        mask_ranks: Callable[[float], Tensor], ranks: Mapping[str, Tensor]) -> None:
    """Add the errors of a batch.

    Args:
        depth_through: from pixels kept, bool (B, 1, H, W), and a fill to the depth seen.
        mask_ranks: from a share to the rank of every pixel in the mask for that share (see `scorers.rank_pixels`).
        ranks: the rank of every pixel for each other scorer.
    """
    for share in FILL_SHARES:
        for method, method_ranks in {MASK: mask_ranks(share), **ranks}.items():
            kept = keep_first(method_ranks, share)
            for fill in fills:
                tally.errors(_fill_key(method, share, fill), view, depth_through(kept, fill))


def curves_under_fills(summary: TallySummary, fills: tuple[str, ...], methods: tuple[str, ...],
                       settings: Mapping[float, Setting]) -> dict[str, Any]:
    """Errors of every method at each share under every fill, and its RMSE minus the mask's on the same images.

    Args:
        methods: those that were compared with the mask.
        settings: of the mask net, for each share.
    """
    return {fill: {method: [
        {"sparseness": share, **(settings[share].entry() if method == MASK else {}),
         **summary.beside(_fill_key(method, share, fill), _fill_key(MASK, share, fill))}
        for share in FILL_SHARES] for method in (MASK, *methods)} for fill in fills}


def _fill_key(method: str, share: float, fill: str) -> str:
    return f"{method} at {share} on {fill}"
