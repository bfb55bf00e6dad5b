"""The common scale of the cue profile: the share of a true depth change that the net follows when one cue shows it.

All of a picture stays but one cue, which now says that the ratio of two distances is d times what it was: of an
obstacle now and before, or of two points in one picture. If that were so, the net ought to predict the ratio changed by
d. It predicts it changed by r. Its weight for the cue is the least-squares slope of r - 1 on d - 1, over all d shown:

    0   the cue is ignored: the net follows the other cues, which say that nothing has changed
    1   the cue is followed fully, and the others are ignored

Weights of several cues need not add up to 1: a net may use cues that no experiment changes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.evaluation.statistics import Floats
from depthcue.probes.contract import (
    RENDERED,
    Answer,
    Case,
    Chance,
    Dropped,
    Experiment,
    Findings,
    Readings,
    Unreadable,
    Variant,
    curve,
)
from depthcue.probes.stage import LEAST_PIXELS, RenderedScene, distance_of
from depthcue.scenes import Turn
from depthcue.scenes.api import FLOOR, Show
from depthcue.scenes.materials import Material, Paint

LEVELS = (1.5, 2.0, 2.5, 3.0)
"""Apparent ratios of the changed cue, beside 1, where nothing is changed."""
APPARENT, TRUE, RATIO, ANSWERED = "apparent", "true", "ratio", "answered"
"""Numbers of a variant: the ratio by its cue; the ratio by all its cues, where they agree; the ratio that the net
predicts; and that over its ratio in the reference."""
_UNCHANGED = 0.02
"""Largest difference of a pixel, in any channel, that counts as the same."""
LINES_M = {"road": (8.0, 24.0), "indoor": (3.2, 8.0)}
"""Distances of the two strips of floor that are compared; their ratio is 3 on roads and 2.5 in rooms."""
_STRIP = 1.25
"""Far over near edge of a strip."""
_HALF_WIDTH_M = {"road": 2.5, "indoor": 1.2}


@dataclass(frozen=True)
class Compared(Variant):
    """A variant that is read in two regions: the distance of `region` over that of `against`, bool (1, H, W)."""

    against: Tensor | None = None


def share_followed(apparent: Floats, answered: Floats) -> float:
    """The weight of a cue; NaN where it shows no change.

    Args:
        apparent: (L,), the factor by which a ratio of distances changed according to the turned cue.
        answered: (L,), the factor by which it changed in the net's answer.
    """
    run = apparent - 1
    if not np.any(run):
        return float("nan")
    return float(run @ (answered - 1) / (run @ run))


def unchanged(rgb: Tensor, reference: Tensor) -> Tensor:
    """Pixels, bool (1, H, W), that two pictures (3, H, W) share."""
    return (rgb - reference).abs().amax(0, keepdim=True) < _UNCHANGED


def elsewhere(anchor: tuple[Tensor, Tensor], cue: Tensor) -> tuple[Tensor, Tensor]:
    """A case's anchor without the pixels, bool (1, H, W), that carry the cue: a net that follows the cue is wrong
    there,
    and cannot be brought to scale."""
    depth_m, known = anchor
    return depth_m, known & ~cue


def read_ratio(variant: Variant, answered: Answer) -> dict[str, float]:
    """`ratio`: the distance of a compared variant's region over that of what it is compared with; else the distance of
    the region alone. Nothing where a variant has no region."""
    if variant.region is None:
        return {}
    distance = distance_of(variant, answered)
    if isinstance(variant, Compared) and variant.against is not None:
        if int(variant.against.sum()) < LEAST_PIXELS:
            raise Unreadable(f"fewer than {LEAST_PIXELS} pixels to compare with are seen")
        distance /= float(answered.depth[variant.against[0]].mean())
    return {RATIO: distance}


def conclude_cue(cue: str, names: Mapping[str, str], readings: Sequence[Readings], chance: Chance,
                 curves: Sequence[str] | None = None) -> Findings:
    """Curves, slopes and the weight of one cue.

    Args:
        cue: its name in the profile.
        names: the name of each condition in which that cue alone is changed; the first one gives the weight.
        curves: conditions whose levels make a curve; None for all.
    """
    relative = [_over_reference(reading) for reading in readings]
    weights = {condition: np.array([share_followed(reading.levels(condition, APPARENT)[1],
                                                   reading.levels(condition, ANSWERED)[1]) for reading in relative])
               for condition in names}
    findings = Findings()
    drawn = [condition for condition in names if curves is None or condition in curves]
    if drawn:
        findings = Findings("ratio of distances to which the cue is turned", "ratio of distances seen")
        findings.curves = [curve(names[condition], relative, condition, ANSWERED, chance,
                                 APPARENT) for condition in drawn]
    findings.values = [{"name": f"share followed, {name}", "condition": condition, **chance.mean(weights[condition])}
                       for condition, name in names.items()]
    errors = [_own_error(reading) for reading in readings]
    findings.values.append({"name": "own error where no cue is in conflict", "unit": "share",
                            **chance.mean(errors)})
    alone = next(iter(names))
    findings.profile = [{"cue": cue, "condition": alone, **chance.mean(weights[alone])}]
    return findings


def cue_experiment(name: str, question: str, cases: Callable[[Any], Iterator[Case | Dropped]], cue: str,
                   names: Mapping[str, str], curves: Sequence[str] | None = None) -> Experiment:
    """An experiment on rendered scenes that reads ratios and weighs one cue; arguments as for `conclude_cue`."""
    return Experiment(name, question, {RENDERED: cases}, read_ratio, partial(conclude_cue, cue, names, curves=curves))


def _over_reference(reading: Readings) -> Readings:
    """Apparent and answered ratios over those in the reference, so that every condition begins at 1."""
    start = reading.numbers.get(("", 0.0), {})
    relative = Readings(reading.scene)
    for key, numbers in reading.numbers.items():
        if key[0] and RATIO in numbers and RATIO in start:
            relative.numbers.setdefault((key[0], 1.0), {ANSWERED: 1.0, APPARENT: 1.0})
            relative.numbers[key] = {ANSWERED: numbers[RATIO] / start[RATIO],
                                     APPARENT: numbers[APPARENT] / start[APPARENT]}
    return relative


def _own_error(reading: Readings) -> float:
    """Mean relative error of what is read over variants in which all cues agree; NaN without one."""
    errors = [abs(numbers[RATIO] / numbers[TRUE] - 1) for numbers in reading.numbers.values()
              if RATIO in numbers and TRUE in numbers]
    return float(np.mean(errors)) if errors else float("nan")


def painted_case(scene: RenderedScene, condition: str, pattern_of: Callable[[float], Material]) -> Case | Dropped:
    """A case of the floor painted as a wall (the reference), and as slants up to a floor that recedes more than it
    does.

    All other cues are the same in every picture.

    Args:
        pattern_of: from the distance of the near strip, in metres, to the pattern of the floor.
    """
    near_m, far_m = LINES_M[scene.kind]
    near, far = _strip(scene, near_m, near_m * _STRIP), _strip(scene, far_m / _STRIP, far_m)
    if min(int(near.sum()), int(far.sum())) < LEAST_PIXELS:
        return Dropped(scene.name, "the floor ahead is not flat and free")
    ratios = (1.0, *LEVELS)
    paints = [Paint(FLOOR, near_m, far_m, ratio, pattern_of(near_m)) for ratio in ratios]
    pictures = scene.render([Show(Turn(paint=paint)) for paint in paints]).rgb.cpu()

    def variant(number: int) -> Variant:
        apparent_m = paints[number].apparent_m(scene.depth_m)
        truth = {APPARENT: float(apparent_m[far].mean() / apparent_m[near].mean())}
        if ratios[number] == far_m / near_m:
            truth[TRUE] = float(scene.depth_m[far].mean() / scene.depth_m[near].mean())
        return Compared(condition if number else "", ratios[number] if number else 0.0, pictures[number], far,
                        cue=scene.ground, same=unchanged(pictures[number], pictures[0]) & ~scene.ground, truth=truth,
                        against=near)

    return Case(scene.name, variant(0), (variant(number) for number in range(1, len(ratios))),
                elsewhere(scene.anchor, scene.ground))


def _strip(scene: RenderedScene, from_m: float, to_m: float) -> Tensor:
    """Visible floor ahead between two distances, bool (1, H, W)."""
    columns = torch.arange(scene.size[1]) - scene.size[1] / 2 + 0.5
    across_m = columns.abs() / scene.focal_px * scene.depth_m
    within = (scene.depth_m >= from_m) & (scene.depth_m <= to_m) & (across_m <= _HALF_WIDTH_M[scene.kind])
    return scene.ground & within
