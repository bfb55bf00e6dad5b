"""Unfamiliar obstacles: is a thing that no network was taught to expect seen at all, and what does its shadow add?

van Dijk and de Croon 2019, section 4.3: a fridge on the road is not seen until it has a shadow where it touches the
ground. Every obstacle is shown with and without one, and set against the same scene without it; see `presence`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from depthcue.probes.contract import (
    PHOTOGRAPHS,
    RENDERED,
    Case,
    Chance,
    Dropped,
    Experiment,
    Findings,
    Floats,
    Readings,
    Variant,
    each_case,
)
from depthcue.probes.presence import read_presence
from depthcue.probes.scene import Pose, Scene, obstacle_variant

DISTANCE = 1.3
SHADOW, NO_SHADOW = "with shadow", "without shadow"
FAMILIAR, UNFAMILIAR = "familiar", "unfamiliar"


def _cases(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(
        stage.line_up(Pose(position=DISTANCE, size=DISTANCE)),
        lambda scene, obstacles: Case(scene.name, Variant("", 0.0, scene.bare), _variants(scene, obstacles),
                                      scene.anchor))


def _variants(scene: Scene, obstacles: Sequence[tuple[Any, bool]]) -> Iterator[Variant]:
    for obstacle, familiar in obstacles:
        group = FAMILIAR if familiar else UNFAMILIAR
        poses = [Pose(DISTANCE, DISTANCE, shadow=shadow) for shadow in (True, False)]
        for condition, shown in zip((SHADOW, NO_SHADOW), scene.show(obstacle, poses), strict=True):
            yield obstacle_variant(scene, f"{group}, {obstacle.name}, {condition}", 0.0, shown,
                                   contact_row=shown.contact[0])


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of obstacles that are seen, how completely, and how far off; what the shadow adds."""
    findings = Findings()
    for number, words in (("seen", "share of obstacles seen"), ("completeness", "share of an obstacle's pixels seen")):
        values = {(group, shadow): _means(readings, group, shadow, number)
                  for group in (FAMILIAR, UNFAMILIAR) for shadow in (SHADOW, NO_SHADOW)}
        findings.values += [{"name": f"{words}, {group}, {shadow}", **chance.mean(found)}
                            for (group, shadow), found in values.items()]
        findings.values += [{"name": f"{words}, {group}, what the shadow adds",
                             **chance.mean(values[group, SHADOW] - values[group, NO_SHADOW])}
                            for group in (FAMILIAR, UNFAMILIAR)]
    findings.values += [{"name": f"distance over that of its contact, {group}, {shadow}",
                         **chance.mean(_means(readings, group, shadow, "distance"))}
                        for group in (FAMILIAR, UNFAMILIAR) for shadow in (SHADOW, NO_SHADOW)]
    conditions = dict.fromkeys(condition for reading in readings for condition, _ in reading.numbers)
    findings.bars = [{"y": "share of the obstacle's pixels seen", "bars": [
        {**_named(condition), **chance.mean([reading.get(condition, 0.0, "completeness") for reading in readings])}
        for condition in sorted(conditions, key=lambda condition: not condition.startswith(f"{FAMILIAR}, "))]}]
    return findings


def _named(condition: str) -> dict[str, str]:
    """The obstacle and the shadow of a condition, as a bar has them."""
    group, _, rest = condition.partition(", ")
    obstacle, _, shadow = rest.rpartition(", ")
    return {"name": f"{obstacle} ({group})" if group == FAMILIAR else obstacle, "series": shadow}


def _means(readings: Sequence[Readings], group: str, shadow: str, number: str) -> Floats:
    """For each case the mean of a number over its obstacles of a group; NaN without one."""
    means = []
    for reading in readings:
        found = [numbers[number] for (condition, _), numbers in reading.numbers.items()
                 if condition.startswith(f"{group}, ") and condition.endswith(f", {shadow}") and number in numbers]
        means.append(float(np.mean(found)) if found else np.nan)
    return np.array(means)


EXPERIMENT = Experiment(
    "unfamiliar", "Does it see things that nobody taught it to expect, and does it need their shadow?",
    {RENDERED: _cases, PHOTOGRAPHS: _cases}, read_presence, conclude)
