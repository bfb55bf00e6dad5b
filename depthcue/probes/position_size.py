"""Position against size: an obstacle's distance shows in where it touches the ground, and in its apparent size.

van Dijk and de Croon 2019, section 4: an obstacle is moved away (both cues change as in the world), or only its
position in the picture changes, or only its size. The distance read is the mean over the obstacle's pixels of the
predicted depth, relative to that at the nearest position. An obstacle that is not detected even there is left out and
counted: its pixels then show the depth behind it, which grows as they move up the picture, whichever cue the net uses.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from depthcue.probes.contract import (
    PHOTOGRAPHS,
    RENDERED,
    Answer,
    Case,
    Chance,
    Dropped,
    Experiment,
    Findings,
    Floats,
    Readings,
    Unreadable,
    Variant,
    curve,
    each_case,
)
from depthcue.probes.following import share_followed
from depthcue.probes.reading import presence_numbers
from depthcue.probes.stage import Pose, Scene, distance_of, obstacle_variant

DISTANCES = tuple(round(1 + 0.1 * step, 1) for step in range(21))
COARSE = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Distances of the controls, which need a slope and no curve."""
BOTH, POSITION, SIZE, LIFTED = "both", "position", "size", "lifted"
BOX = "box, "
"""Before the condition where the obstacle is a neutral box."""
NAMES = {BOTH: "position and size", POSITION: "position only", SIZE: "size only", LIFTED: "lifted off the ground",
         BOX + BOTH: "box: position and size", BOX + POSITION: "box: position only", BOX + SIZE: "box: size only"}


def pose_of(condition: str, distance: float) -> Pose:
    """The pose that tells a distance by the cues of a condition."""
    cues = condition.removeprefix(BOX)
    return Pose(position=distance if cues in (BOTH, POSITION) else 1.0,
                size=distance if cues in (BOTH, SIZE) else 1.0, lift=distance if cues == LIFTED else 1.0)


FARTHEST = (pose_of(BOTH, 1.0), pose_of(BOTH, DISTANCES[-1]), pose_of(POSITION, DISTANCES[-1]))
"""What a scene has to have room for."""


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    known = {BOTH: DISTANCES, POSITION: DISTANCES, SIZE: DISTANCES, LIFTED: COARSE}
    neutral = {BOX + BOTH: COARSE, BOX + POSITION: COARSE, BOX + SIZE: COARSE}
    return each_case(stage.familiar(FARTHEST),
                     lambda scene, thing: _case(scene, [(thing, known), (stage.thing("box"), neutral)]))


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
    known = {BOTH: DISTANCES, POSITION: DISTANCES, SIZE: DISTANCES}
    return each_case(stage.familiar(FARTHEST), lambda scene, cutout: _case(scene, [(cutout, known)]))


def _case(scene: Scene, plan: Sequence[tuple[Any, Mapping[str, Sequence[float]]]]) -> Case:
    def variants() -> Iterator[Variant]:
        for thing, conditions in plan:
            for number, (condition, distances) in enumerate(conditions.items()):
                # at distance 1 all conditions of an obstacle are the same picture
                wanted = [distance for distance in distances if distance > 1 or number == 0]
                shows = scene.show(thing, [pose_of(condition, distance) for distance in wanted])
                for distance, shown in zip(wanted, shows, strict=True):
                    yield obstacle_variant(scene, condition, distance, shown, contact_row=shown.contact[0])

    return Case(scene.name, Variant("", 0.0, scene.bare), variants(), scene.anchor, plan[0][0].name)


def read(variant: Variant, answer: Answer) -> dict[str, float]:
    """`distance`: the mean depth seen on the obstacle.

    Raises:
        Unreadable: there is none, or the obstacle is not seen where it stands nearest.
    """
    if variant.region is None:
        return {}
    distance = distance_of(variant, answer)
    nearest = variant.condition in (BOTH, BOX + BOTH) and variant.level == 1.0
    if nearest and not presence_numbers(variant, answer)["seen"]:
        raise Unreadable("the obstacle is not seen where it stands nearest")
    return {"distance": distance}


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """Distance ratios as curves, their slopes as weights, and the net's own error where no cue is in conflict."""
    findings = Findings("distance told by the turned cue, ratio", "distance seen, ratio")
    ratios = [_relative(reading) for reading in readings]
    slopes: dict[str, Floats] = {cue: np.full(len(ratios), np.nan) for cue in (POSITION, SIZE)}
    for condition, name in NAMES.items():
        if not any(condition in [found for found, _ in reading.numbers] for reading in ratios):
            continue
        findings.curves.append(curve(name, ratios, condition, "ratio", chance, "true_ratio"))
        slopes[condition] = np.array([share_followed(*reading.levels(condition, "ratio")) for reading in ratios])
        findings.values.append({"name": f"slope, {name}", "condition": condition, **chance.mean(slopes[condition])})
    errors = [np.mean(np.abs(reading.levels(BOTH, "ratio")[1] / reading.levels(BOTH, "true_ratio")[1] - 1))
              if len(reading.levels(BOTH, "true_ratio")[0]) else np.nan for reading in ratios]
    findings.values.append({"name": "own error of the ratio without conflict", "condition": BOTH,
                            **chance.mean(np.array(errors))})
    for first, second, name in ((POSITION, SIZE, "position minus size"),
                                (SIZE, BOX + SIZE, "size of a known kind minus size of a box"),
                                (POSITION, LIFTED, "position with contact minus lifted")):
        if first in slopes and second in slopes:
            findings.values.append({"name": f"slope, {name}", **chance.mean(slopes[first] - slopes[second])})
    findings.profile = [{"cue": cue, "condition": condition, **chance.mean(slopes[condition])}
                        for cue, condition in (("vertical position", POSITION), ("familiar size", SIZE))]
    return findings


def _relative(reading: Readings) -> Readings:
    """The distances of a case over that at distance 1, which all conditions of an obstacle share."""
    relative = Readings(reading.scene)
    for (condition, level), numbers in reading.numbers.items():
        start = reading.numbers.get((BOX + BOTH if condition.startswith(BOX) else BOTH, 1.0), {})
        if "distance" not in numbers or "distance" not in start:
            continue
        ratio = {"ratio": numbers["distance"] / start["distance"]}
        # a photograph has no exact depth, but moved as in the world its distance is what it is told to be
        if "depth_m" in numbers:
            ratio["true_ratio"] = numbers["depth_m"] / start["depth_m"]
        elif condition == BOTH:
            ratio["true_ratio"] = level
        relative.numbers[condition, level] = ratio
        if condition in (BOTH, BOX + BOTH) and level == 1.0:
            prefix = condition.removesuffix(BOTH)
            for other in (POSITION, SIZE, LIFTED):
                if any(found == prefix + other for found, _ in reading.numbers):
                    relative.numbers[prefix + other, 1.0] = dict(ratio)
    return relative


EXPERIMENT = Experiment(
    "position-size", "Does it go by where an obstacle touches the ground, or by how large it looks?",
    {RENDERED: _rendered, PHOTOGRAPHS: _photographs}, read, conclude)
