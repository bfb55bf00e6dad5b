"""Turning the lambda dial of a mask net until its masks keep the wanted share of the pixels.

The sweep looks at means of masks alone, never at depth, so that nothing that is measured later chooses the lambda.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from depthcue.evaluation.tally import short
from depthcue.evaluation.viewing import Viewing
from depthcue.nets import MaskNet
from depthcue.progress import Progress
from depthcue.selection import Means, build_method

STEPS = 16
IMAGES = 64


@dataclass(frozen=True)
class Sweep:
    """What the masks of a dial's lambdas keep."""

    lambdas: tuple[float, ...]
    """Rising."""
    means: tuple[float, ...]
    """The mean over images and pixels of the masks of each lambda, in [0, 1]."""

    def for_share(self, share: float) -> float:
        """The lambda whose masks have the mean nearest to `share`."""
        return self.lambdas[int(np.abs(np.array(self.means) - share).argmin())]

    def entries(self) -> list[dict[str, Any]]:
        """As a results document has it."""
        return [{"lambda": short(lam), "mean": short(mean)}
                for lam, mean in zip(self.lambdas, self.means, strict=True)]


def has_dial(mask_net: MaskNet) -> bool:
    """Whether the net takes lambda as an input."""
    return mask_net.description.lambda_range is not None


def lambdas_for(mask_net: MaskNet, viewing: Viewing, shares: Sequence[float], otherwise: float,
                progress: Progress) -> dict[float, float]:
    """For each share the lambda whose masks keep about that much; `otherwise` for all where the net has no dial."""
    if not has_dial(mask_net):
        return dict.fromkeys(shares, otherwise)
    places = viewing.spread(IMAGES)
    progress.start("choosing lambda", len(places))
    sweep = sweep_dial(mask_net, viewing, places, STEPS, progress)
    return {share: sweep.for_share(share) for share in shares}


def sweep_dial(mask_net: MaskNet, viewing: Viewing, places: Sequence[int], steps: int,
               progress: Progress) -> Sweep:
    """Measure the masks of `steps` lambdas, evenly in ln lambda over the range of a net that has a dial.

    Args:
        viewing: gives the pictures, at the size that the net sees them in.
        places: of the images whose masks are looked at; see `Viewing.spread`.
        progress: advanced by one an image.
    """
    span = mask_net.description.lambda_range
    if span is None:
        raise ValueError(f"{mask_net.description.name} has no dial to turn")
    lambdas = np.geomspace(*span, steps).clip(*span).tolist()
    methods = [build_method("mask", Means(mask_net, lam)) for lam in lambdas]
    totals = np.zeros(steps)
    for _, pictures in viewing.pictures(places):
        for step, method in enumerate(methods):
            totals[step] += float(method(pictures).mean(dim=(1, 2, 3)).sum())
        progress.advance(len(pictures.places))
    return Sweep(tuple(lambdas), tuple((totals / len(places)).tolist()))
