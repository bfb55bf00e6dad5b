"""What a mask net is asked for: a share to keep, or the lambda whose masks keep that share.

A net of shares is asked for the share itself. The lambda dial of another is turned until its masks keep it: the sweep
looks at means of masks alone, never at depth, so that nothing that is measured later chooses the lambda.
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


@dataclass(frozen=True)
class Setting:
    """What a mask net is asked for: a share to keep where it takes shares, else λ."""

    lam: float | None
    """λ, or what a share answers to; None where the card of a net of shares does not say."""
    keep: float | None = None

    def means(self, mask_net: MaskNet, seed: int = 0) -> Means:
        """For `selection.build_method`."""
        return Means(mask_net, self.lam, seed, keep=self.keep)

    def entry(self) -> dict[str, Any]:
        """As a results document has it."""
        named = {} if self.keep is None else {"keep": short(self.keep)}
        return named | {"lambda": None if self.lam is None else short(self.lam)}

    def __str__(self) -> str:
        return f"lambda {self.lam:g}" if self.keep is None else f"a share of {self.keep:g}"


def setting_of(mask_net: MaskNet, keep: float | None = None, lam: float | None = None) -> Setting:
    """The setting for a share or for a λ; the net's own for neither. A share says nothing to a net of λ.

    Raises:
        DepthcueError: both are given, or one is out of range.
    """
    dial = mask_net.dial_value(keep, lam)
    if not mask_net.keeps_shares:
        return Setting(dial)
    return Setting(mask_net.lambda_at(dial) if lam is None else lam, dial)


def setting_for_share(mask_net: MaskNet, viewing: Viewing, share: float, lam: float | None,
                      progress: Progress, name: str = "") -> Setting:
    """The setting whose masks keep about `share` of the pixels, unless a λ is given.

    A net of shares is asked for it; of a net with a λ dial the λ whose masks have the nearest mean is found; any other
    has one setting alone.
    """
    if lam is not None or mask_net.keeps_shares or not mask_net.has_dial:
        return setting_of(mask_net, share if lam is None else None, lam)
    places = viewing.spread(IMAGES)
    progress.start(f"choosing lambda{name}", len(places))
    return Setting(sweep_dial(mask_net, viewing, places, STEPS, progress).for_share(share))


def settings_for(mask_net: MaskNet, viewing: Viewing, shares: Sequence[float], otherwise: Setting,
                 progress: Progress) -> dict[float, Setting]:
    """For each share the setting whose masks keep about that much; `otherwise` for all where the net has no dial."""
    if not mask_net.has_dial:
        return dict.fromkeys(shares, otherwise)
    if mask_net.keeps_shares:
        return {share: setting_of(mask_net, share) for share in shares}
    places = viewing.spread(IMAGES)
    progress.start("choosing lambda", len(places))
    sweep = sweep_dial(mask_net, viewing, places, STEPS, progress)
    return {share: Setting(sweep.for_share(share)) for share in shares}


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
