"""The scorers that a mask is compared with: which of them work on the data at hand, and what each costs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.evaluation.statistics import short
from depthcue.evaluation.viewing import Viewing
from depthcue.scorers import ORACLES, SCORERS, Pictures, Scorer, ScorerInputs, build_scorer
from depthcue.text import did_you_mean

ALL = "all"
"""Name that stands for every scorer."""
NAMES = tuple(name for name in SCORERS if name != "mask")


@dataclass(frozen=True)
class Rivals:
    """Ways to choose pixels that work here, by name, and those that were left out, with the reason."""

    scores: dict[str, Scorer]
    left_out: dict[str, str]


def wants_scenes(against: Sequence[str]) -> bool:
    """Whether any of these scorers needs what rendered data knows of its scenes."""
    return bool({ALL, "object-boundaries"} & set(against))


def choose_rivals(against: Sequence[str], inputs: ScorerInputs, viewing: Viewing) -> Rivals:
    """Scorers called `against`, which may be or hold "all".

    Of all, those that cannot work here are left out: the depth net passes no gradients on, the data does not have the
    truth that an oracle needs (found out on its first picture), a package is not installed.

    Raises:
        DepthcueError: there is no such scorer, or one given by its name cannot work here.
    """
    for name in against:
        if name not in (*NAMES, ALL):
            raise DepthcueError(f"--against must be one of {', '.join(NAMES)}, {ALL}, got {name!r}",
                                f"{did_you_mean(name, NAMES)}Choose --against from: {', '.join(NAMES)}, {ALL}.")
    scores: dict[str, Scorer] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(NAMES if ALL in against else against):
        try:
            scorer = build_scorer(name, inputs)
            if name in ORACLES:
                _, first = next(viewing.pictures([0]))
                scorer(first)
        except DepthcueError as error:
            if name in against:
                raise
            left_out[name] = error.message
        else:
            scores[name] = scorer
    return Rivals(scores, left_out)


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
