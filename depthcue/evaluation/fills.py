"""Whether a mask's pixels are the better ones whatever hidden pixels show: equal shares of pixels under every fill.

A mask net that is trained under one fill can learn to keep what stands out from it. Its pixels then look well chosen
under that fill alone, and no better than `contrast`, which ranks pixels by just that.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from depthcue.evaluation.dial import Setting
from depthcue.evaluation.insertion import MASK
from depthcue.evaluation.tally import Summary, Tally
from depthcue.evaluation.viewing import View
from depthcue.selection import keep_first

SHARES = (0.1, 0.2, 0.5)
"""Of the pixels kept."""
ALWAYS = ("contrast", "sobel")
"""What a mask is compared with under every fill, whatever else it is compared with."""


def measure_under_fills(tally: Tally, view: View, see: Callable[[Tensor, str], Tensor], fills: tuple[str, ...],
                        mask_ranks: Callable[[float], Tensor], ranks: Mapping[str, Tensor]) -> None:
    """Add the errors of a batch.

    Args:
        see: from pixels kept, bool (B, 1, H, W), and a fill to the depth seen.
        mask_ranks: from a share to the rank of every pixel in the mask for that share (see `selection.rank_pixels`).
        ranks: the rank of every pixel for each other way to choose.
    """
    for share in SHARES:
        for method, order in {MASK: mask_ranks(share), **ranks}.items():
            kept = keep_first(order, share)
            for fill in fills:
                tally.errors(_key(method, share, fill), view, see(kept, fill))


def curves_under_fills(summary: Summary, fills: tuple[str, ...], methods: tuple[str, ...],
                       settings: Mapping[float, Setting]) -> dict[str, Any]:
    """For every fill and method its errors at each share, and its RMSE minus the mask's on the same images.

    Args:
        methods: those that were compared with the mask.
        settings: of the mask net, for each share.
    """
    return {fill: {method: [
        {"sparseness": share, **(settings[share].entry() if method == MASK else {}),
         **summary.beside(_key(method, share, fill), _key(MASK, share, fill))}
        for share in SHARES] for method in (MASK, *methods)} for fill in fills}


def _key(method: str, share: float, fill: str) -> str:
    return f"{method} at {share} on {fill}"
