"""Camera: does the net's scale follow when the camera is mounted higher, or has a longer lens?

The scene stays, and so does the obstacle in it. A camera at a factor k of its height, or with k times the focal length,
sees the ground in each pixel k times as far as before. A net that has learnt one camera cannot know, and sees it where
it was; the obstacle's distance, which has not changed, then comes out wrong.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from depthcue.probes.camera import AHEAD, add_ratios
from depthcue.probes.contract import (
    RENDERED,
    Case,
    Chance,
    Dropped,
    Experiment,
    Findings,
    Readings,
    Seen,
    Unreadable,
    Variant,
    curve,
    each_case,
)
from depthcue.probes.following import share_followed
from depthcue.probes.rendered import Rendered, RenderedScene, Thing
from depthcue.probes.scene import LEAST_PIXELS, Shown, distance_of, exact_distance
from depthcue.scenes import Turn

HEIGHT, FOCAL = "height", "focal length"
FACTORS = (0.7, 0.85, 1.2, 1.4)
GROUND, TRUE_GROUND, DISTANCE = "ground", "true_ground", "distance"
_FLAT = 0.03


def turns_of(scene: RenderedScene) -> list[tuple[str, float, Turn]]:
    """Condition, factor and turn of every camera."""
    return [*((HEIGHT, factor, Turn(height_m=(factor - 1) * scene.camera_height_m)) for factor in FACTORS),
            *((FOCAL, factor, Turn(focal_factor=factor)) for factor in FACTORS)]


def _case(scene: RenderedScene, thing: Thing) -> Case:
    turns = turns_of(scene)
    start, *shows = scene.turned(thing, [(Turn(), AHEAD), *((turn, AHEAD) for _, _, turn in turns)])
    assert start.depth_m is not None
    before_m = start.depth_m

    def variant(condition: str, factor: float, shown: Shown) -> Variant:
        assert shown.depth_m is not None
        change = shown.depth_m / before_m
        # where the ground was seen and still is, the distance in a pixel has changed by the factor
        ground = scene.ground & ~start.region & ~shown.region & ((change / factor - 1).abs() < _FLAT)
        truth = exact_distance(shown) | ({TRUE_GROUND: float(change[ground].median())} if ground.any() else {})
        return Variant(condition, factor, shown.rgb, shown.region, cue=scene.ground, ground=ground, truth=truth)

    reference = Variant("", 0.0, start.rgb, start.region, cue=scene.ground, truth=exact_distance(start))
    return Case(scene.name, reference,
                (variant(condition, factor, shown) for (condition, factor, _), shown in zip(turns, shows, strict=True)),
                (before_m, torch.isfinite(before_m)), thing.name)


def _cases(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, Rendered)
    return each_case(stage.familiar([AHEAD]), _case)


def read(variant: Variant, seen: Seen) -> dict[str, float]:
    """`distance` of the obstacle, and by which factor the ground is seen farther in the same pixels: `ground`."""
    numbers = {DISTANCE: distance_of(variant, seen)}
    if variant.ground is None:
        return numbers
    ground = variant.ground[0]
    if int(ground.sum()) < LEAST_PIXELS:
        raise Unreadable("too little ground is seen by both cameras", **numbers)
    return numbers | {GROUND: float((seen.depth[ground] / seen.reference[ground]).median())}


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the change of scale that is followed, and what an unnoticed one does to an obstacle's distance."""
    findings = Findings("factor of the camera's height or focal length", "ground seen farther by a factor of")
    relative = [_with_ratio(reading) for reading in readings]
    for condition in (HEIGHT, FOCAL):
        shares = [share_followed(reading.levels(condition, TRUE_GROUND)[1], reading.levels(condition, GROUND)[1])
                  for reading in relative]
        changes = [float(np.abs(found - 1).mean()) if len(found := reading.levels(condition, "ratio")[1]) else np.nan
                   for reading in relative]
        findings.curves += [
            curve(f"ground, {condition}", relative, condition, GROUND, chance, TRUE_GROUND),
            curve(f"obstacle, {condition}", relative, condition, "ratio", chance, "true_ratio",
                  y="obstacle's distance over that with the own camera")]
        findings.values += [
            {"name": f"share of the change of scale that is followed, {condition}", "condition": condition,
             **chance.mean(shares)},
            {"name": f"mean change of an obstacle's distance, {condition}", "condition": condition, "unit": "share",
             **chance.mean(changes)}]
    return findings


def _with_ratio(reading: Readings) -> Readings:
    """Distances over that with the camera as it is."""
    start = reading.numbers.get(("", 0.0), {})
    relative = Readings(reading.scene, {key: dict(numbers) for key, numbers in reading.numbers.items() if key[0]})
    for numbers in relative.numbers.values():
        add_ratios(numbers, start)
        if GROUND not in numbers:  # a share needs what was seen beside what is true
            numbers.pop(TRUE_GROUND, None)
    return relative


EXPERIMENT = Experiment("camera", "Does its scale follow when the camera is mounted higher, or has a longer lens?",
                        {RENDERED: _cases}, read, conclude)
