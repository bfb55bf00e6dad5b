"""Relative size: of two figures that look the same, is the smaller one farther?

Two flat figures of one shape and colour hang side by side in the air, their lower edges at one height, since a net that
goes by where things stand would take a higher edge for a farther one. Nobody knows their size, but it may be the same;
nothing but how large each is seen is turned.
"""

import math
from collections.abc import Iterator, Sequence

import torch

from depthcue.probes.cards import Card, alike, hang, hidden
from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings, Variant
from depthcue.probes.following import (
    LEVELS,
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

SIZE, WORLD = "relative size", "as in the world"
_SIZE, _ASIDE, _LOW = 0.15, 0.24, -0.1
_WORLD_RATIO = 2.0
"""At this ratio the figures also hang where their sizes tell, for the net's own error."""


def pair(scene: RenderedScene, number: int, told: float, true: float) -> list[Card]:
    """The figure that is to look farther, then the other one; their sides change from scene to scene."""
    aside = _ASIDE if number % 2 else -_ASIDE
    cards = []
    for way in (1, -1):
        size = _SIZE / math.sqrt(told) ** way
        cards.append(Card(scene.seed, aside * way, _LOW + size / 2, size, scene.nearest_m * math.sqrt(true) ** way))
    return cards


def _case(scene: RenderedScene, number: int) -> Case | Dropped:
    plan = [("", 1.0, 1.0), *((SIZE, level, 1.0) for level in LEVELS), (WORLD, _WORLD_RATIO, _WORLD_RATIO)]
    cards = [pair(scene, number, told, true) for _, told, true in plan]
    rendering, regions = hang(scene, cards)
    if any(hidden(scene, group, seen) for group, seen in zip(cards, regions, strict=True)):
        return Dropped(scene.name, "something of the scene stands before the figures")
    pictures = rendering.rgb.cpu()
    # read where each figure is in every picture, or what is behind them would be read by shares that change
    far, near = (torch.stack([seen[which] for seen in regions]).all(0) for which in (0, 1))
    if alike(pictures[0], regions[0], scene.bare, each_other=False):
        return Dropped(scene.name, "the figures cannot be told from what is behind them")

    def variant(row: int) -> Variant:
        condition, told, true = plan[row]
        figures = regions[row][0] | regions[row][1]
        same = unchanged(pictures[row], pictures[0]) & ~(figures | regions[0][0] | regions[0][1])
        return Compared(condition, told if condition else 0.0, pictures[row], far, cue=figures, same=same,
                        truth={TOLD: told, **({TRUE: true} if told == true else {})}, against=near)

    return Case(scene.name, variant(0), (variant(row) for row in range(1, len(plan))),
                elsewhere(scene.anchor, regions[0][0] | regions[0][1]))


def _cases(stage: Rendered) -> Iterator[Case | Dropped]:
    return take(stage, _case)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told ratio between the two figures that is followed."""
    return conclude_cue("relative size", {SIZE: "relative size only", WORLD: "where sizes tell, light included"},
                        readings, chance, curves=(SIZE,))


EXPERIMENT = Experiment("relative-size", "Of two figures that look alike, is the smaller one farther for it?",
                        {RENDERED: _cases}, read_ratio, conclude)
