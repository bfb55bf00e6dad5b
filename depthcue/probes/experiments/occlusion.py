"""Occlusion: is a figure that covers part of another one nearer?

Two flat figures of unlike colours hang in the air and overlap. Which of them covers the other is turned, and nothing
else: they hang at one distance, a hair apart, so that light and outlines stay to the pixel. What covers is nearer, but
by how much nothing tells; on the scale of the profile it is taken for a step of STEP times the distance.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from depthcue.probes.cards import Card, alike, hang, hidden
from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings, Variant
from depthcue.probes.following import (
    RATIO,
    TOLD,
    TRUE,
    Compared,
    conclude_cue,
    elsewhere,
    read_ratio,
    take,
    unchanged,
)
from depthcue.probes.rendered import Rendered, RenderedScene

COVERED, STEPPED = "covered", "covered, as in the world"
STEP = 1.5
"""Distance of what is covered over that of what covers it, where the order alone is told."""
_HAIR = 1.004
_SIZE, _ASIDE, _UP = 0.24, 0.07, 0.04


def pair(scene: RenderedScene, number: int, step: float) -> list[Card]:
    """Two figures, the first of them `step` times as far as the other (below 1: nearer)."""
    way = 1 if number % 2 else -1
    seeds = (2 * scene.seed, 2 * scene.seed + 1)
    return [Card(seed, way * sign * _ASIDE, sign * _UP, _SIZE, scene.nearest_m * math.sqrt(step) ** sign)
            for seed, sign in zip(seeds, (1, -1), strict=True)]


def _case(scene: RenderedScene, number: int) -> Case | Dropped:
    # in the reference the first figure covers the other; then it is covered; at last it hangs where that puts it
    plan = [("", 1 / _HAIR, 1 / STEP), (COVERED, _HAIR, STEP), (STEPPED, STEP, STEP)]
    cards = [pair(scene, number, step) for _, step, _ in plan]
    rendering, regions = hang(scene, cards)
    if any(hidden(scene, group, seen) for group, seen in zip(cards, regions, strict=True)):
        return Dropped(scene.name, "something of the scene stands before the figures")
    pictures = rendering.rgb.cpu()
    first, second = (regions[0][which] & regions[1][which] for which in (0, 1))
    if alike(pictures[0], (first, second), scene.bare):
        return Dropped(scene.name, "the figures cannot be told apart, or from what is behind them")
    overlap = (regions[0][0] | regions[0][1]) & ~first & ~second

    def variant(row: int) -> Variant:
        condition, step, told = plan[row]
        return Compared(condition, told if condition else 0.0, pictures[row], first, cue=overlap,
                        same=unchanged(pictures[row], pictures[0]) & ~(overlap | first | second),
                        truth={TOLD: told, **({TRUE: step} if step == told else {})}, against=second)

    return Case(scene.name, variant(0), (variant(row) for row in range(1, len(plan))),
                elsewhere(scene.anchor, overlap | first | second))


def _cases(stage: Rendered) -> Iterator[Case | Dropped]:
    return take(stage, _case)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told step that is followed, and how often the order is seen right."""
    findings = conclude_cue("occlusion", {COVERED: "occlusion only", STEPPED: "with the step, light included"},
                            readings, chance, curves=())
    findings.values.append({"name": "share of pictures in which what covers is seen nearer", "condition": COVERED,
                            **chance.mean([_seen_right(reading) for reading in readings])})
    return findings


def _seen_right(reading: Readings) -> float:
    """The share of both orders that is seen as told; NaN where one was not read."""
    covering, covered = reading.get("", 0.0, RATIO), reading.get(COVERED, STEP, RATIO)
    return float(np.mean([covering < 1, covered > 1])) if np.isfinite([covering, covered]).all() else float("nan")


EXPERIMENT = Experiment("occlusion", "Is what covers another thing nearer for it?", {RENDERED: _cases}, read_ratio,
                        conclude)
