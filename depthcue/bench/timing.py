"""Timing several ways to do the same thing, in turns, so that a disturbance of the machine hits all of them.

Ratios are taken within rounds: each round times every way once, a few milliseconds apart, so that what slows the
machine for a second slows both sides of the fraction.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

MIN_ROUNDS = 5
MAX_ROUNDS = 200
WARM_UP = 2
"""Calls before the clock starts: the first allocates and chooses algorithms, the second runs as all later ones."""


@dataclass(frozen=True)
class Timed:
    """The seconds that each call took, in the order of rounds."""

    seconds: tuple[float, ...]

    def as_json(self, batch: int, reference: "Timed | None" = None) -> dict[str, Any]:
        """What the calls on batches of `batch` frames come to.

        `median_ms` and `p95_ms` a call; `frames_per_second` by the median; `calls`; with a reference of the same
        rounds, `ratio`: how many times as fast as it, the median over rounds.
        """
        middle = median(self.seconds)
        numbers = {"median_ms": _short(1e3 * middle), "p95_ms": _short(1e3 * float(np.quantile(self.seconds, 0.95))),
                   "frames_per_second": _short(batch / middle), "calls": len(self.seconds)}
        if reference is not None:
            numbers["ratio"] = _short(median(theirs / own for theirs, own
                                             in zip(reference.seconds, self.seconds, strict=True)))
        return numbers


def take_turns(calls: Mapping[str, Callable[[], object]], seconds: float,
               failed: Callable[[str, Exception], None]) -> dict[str, Timed]:
    """Time every call again and again, in turns, for about `seconds` in all, and at least MIN_ROUNDS times each.

    Args:
        failed: told of a call that raised, in warming up or later; such a call is left out of the result.
    """
    calls = dict(calls)

    def timed(name: str) -> float | None:
        start = time.perf_counter()
        try:
            calls[name]()
        except Exception as error:  # libraries raise what they like when memory or an algorithm is missing
            failed(name, error)
            del calls[name]
            return None
        return time.perf_counter() - start

    a_round = 0.0
    for _ in range(WARM_UP):
        a_round = sum(timed(name) or 0.0 for name in tuple(calls))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(_rounds(a_round, seconds)):
        for name in _turned(tuple(calls), number):
            spent = timed(name)
            if spent is not None:
                taken[name].append(spent)
    return {name: Timed(tuple(taken[name])) for name in calls}


def _rounds(a_round_s: float, seconds: float) -> int:
    return int(min(max(seconds / max(a_round_s, 1e-9), MIN_ROUNDS), MAX_ROUNDS))


def _turned(names: Sequence[str], number: int) -> Sequence[str]:
    """Another one first in every round: whoever runs after a heavy one finds the caches cold."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


def _short(value: float) -> float:
    """Four significant digits, more than any of this is good for."""
    return float(f"{value:.4g}")
