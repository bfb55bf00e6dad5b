"""Pitch, roll and camera: does the net's depth follow the camera's tilt, height and focal length?

van Dijk and de Croon 2019, section 5, for pitch and roll.

Pitch: a window that is shifted up or down is nearly what a pitched camera sees; a rendered camera is truly turned. The
horizon is read off the depth map and compared with the true one: slope 1 is full correction, slope 0 none. True
distances do not change with pitch; the predicted distance of an obstacle does, where the network uses its row.

Roll: the picture is turned, and the roll is read off a slice of equal disparity on the ground. Slope 1 is full
correction.

Camera: the scene and its obstacle stay. A camera at a factor k of its height, or with k times the focal length, has the
ground in each pixel k times as far as before. A net that has learnt one camera cannot know this and predicts the old
distance; the obstacle's distance, which has not changed, then comes out wrong.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.probes.camera import (
    AHEAD,
    add_ratios,
    conclude_turn,
    photograph_case,
    read_turn,
    rendered_case,
    rotated,
    window_for,
)
from depthcue.probes.contract import (
    PHOTOGRAPHS,
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
    each_case,
)
from depthcue.probes.cutouts import CutOut
from depthcue.probes.following import share_followed
from depthcue.probes.photographs import FOCAL_PX, FrameScene
from depthcue.probes.reading import read_horizon, read_roll
from depthcue.probes.stage import LEAST_PIXELS, RenderedScene, RenderedStage, Shown, Thing, distance_of, exact_distance
from depthcue.scenes import Turn

SHIFTS_PX = (-30, -20, -10, 0, 10, 20, 30)
"""Shifts of the horizon in pixels of a frame 1242 wide; down, as of a camera that looks up, is positive."""
PITCHED, HORIZON = "pitched", "horizon_deg"


def level_of(shift_px: float) -> float:
    """The pitch in degrees that shifts the horizon so."""
    return math.degrees(math.atan(shift_px / FOCAL_PX))


def _rendered_pitch(stage: Any) -> Iterator[Case | Dropped]:
    turns = [(level, Turn(pitch_deg=level), level) for level in map(level_of, SHIFTS_PX)]
    return each_case(stage.familiar([AHEAD]),
                     lambda scene, thing: rendered_case(scene, thing, PITCHED, turns, HORIZON))


def _pitch_of_photographs(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(stage.familiar([AHEAD]), _shifted_window)


def _shifted_window(scene: FrameScene, cutout: CutOut) -> Case | Dropped:
    shown = next(scene.show(cutout, [AHEAD]))
    most = round(max(SHIFTS_PX) * scene.scale)
    height = scene.size[0] - 2 * most
    if most + height <= shown.contact[0] + 2 * most:
        return Dropped(f"{scene.name}, {cutout.name}", "the object does not stay within the shifted window")

    def window(shift_px: float) -> tuple[Tensor, Tensor, float]:
        """Picture, region and horizon of the window that has its horizon lower by a shift."""
        top = most - round(shift_px * scene.scale)
        return shown.rgb[:, top:top + height], shown.region[:, top:top + height], scene.horizon_row - top

    def views() -> Iterator[tuple[float, Tensor, Tensor, float]]:
        for shift in SHIFTS_PX:
            rgb, region, row = window(shift)
            yield level_of(shift), rgb, region, _degrees_down(row, height, scene.focal_px)

    return photograph_case(scene, cutout.name, PITCHED, views(), window(0), HORIZON)


def _degrees_down(row: float, height: int, focal_px: float) -> float:
    """Degrees by which a row lies below the middle of a picture."""
    return math.degrees(math.atan((row - (height / 2 - 0.5)) / focal_px))


def read_pitch(variant: Variant, answer: Answer) -> dict[str, float]:
    """`horizon_deg`: degrees by which the ground's horizon lies below the middle; `distance` of the obstacle."""
    assert variant.ground is not None
    angle: float | Unreadable
    try:
        row = read_horizon(answer.depth, variant.ground[0], frame_height=variant.truth.get("frame_height")).row
        angle = _degrees_down(row, answer.depth.shape[0], variant.truth["focal_px"])
    except Unreadable as missing:
        angle = missing
    return read_turn(variant, answer, HORIZON, angle)


def conclude_pitch(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The slope of the horizon read against the true one, and what pitch does to an obstacle's distance."""
    return conclude_turn(readings, chance, PITCHED, HORIZON, "pitch")


PITCH_EXPERIMENT = Experiment(
    "pitch", "Does it notice that the camera looks up or down?",
    {RENDERED: _rendered_pitch, PHOTOGRAPHS: _pitch_of_photographs}, read_pitch, conclude_pitch)


LEVELS_DEG = (-10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
ROLLED, ROLL = "rolled", "roll_deg"


def _rendered_roll(stage: Any) -> Iterator[Case | Dropped]:
    turns = [(level, Turn(roll_deg=level), level) for level in LEVELS_DEG]
    return each_case(stage.familiar([AHEAD]),
                     lambda scene, thing: rendered_case(scene, thing, ROLLED, turns, ROLL))


def _roll_of_photographs(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(stage.familiar([AHEAD]), _turned_window)


def _turned_window(scene: FrameScene, cutout: CutOut) -> Case | Dropped:
    shown = next(scene.show(cutout, [AHEAD]))
    size = window_for(scene.size, max(LEVELS_DEG))
    cut = (scene.size[0] - size[0]) / 2  # rows above and below the window
    if shown.contact[0] > scene.size[0] - cut:
        return Dropped(f"{scene.name}, {cutout.name}", "the object does not stay within the turned window")

    def window(angle: float) -> tuple[Tensor, Tensor]:
        return rotated(shown.rgb, angle, size), rotated(shown.region, angle, size) > 0.5

    views = ((level, *window(level), level) for level in LEVELS_DEG)
    return photograph_case(scene, cutout.name, ROLLED, views, (*window(0.0), scene.horizon_row - cut), ROLL)


def read_roll_of(variant: Variant, answer: Answer) -> dict[str, float]:
    """`roll_deg`, read off the ground; `distance` of the obstacle."""
    assert variant.ground is not None
    angle: float | Unreadable
    try:
        angle = read_roll(answer.depth, variant.ground[0])
    except Unreadable as missing:
        angle = missing
    return read_turn(variant, answer, ROLL, angle)


def conclude_roll(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The slope of the roll read against the true one, and what roll does to an obstacle's distance."""
    return conclude_turn(readings, chance, ROLLED, ROLL, "roll")


ROLL_EXPERIMENT = Experiment(
    "roll", "Does it notice that the camera is tilted sideways?",
    {RENDERED: _rendered_roll, PHOTOGRAPHS: _roll_of_photographs}, read_roll_of, conclude_roll)


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
    assert isinstance(stage, RenderedStage)
    return each_case(stage.familiar([AHEAD]), _case)


def read_viewpoint(variant: Variant, answer: Answer) -> dict[str, float]:
    """`distance` of the obstacle, and by which factor the ground is seen farther in the same pixels: `ground`."""
    numbers = {DISTANCE: distance_of(variant, answer)}
    if variant.ground is None:
        return numbers
    ground = variant.ground[0]
    if int(ground.sum()) < LEAST_PIXELS:
        raise Unreadable("too little ground is seen by both cameras", **numbers)
    return numbers | {GROUND: float((answer.depth[ground] / answer.reference[ground]).median())}


def conclude_viewpoint(readings: Sequence[Readings], chance: Chance) -> Findings:
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


VIEWPOINT_EXPERIMENT = Experiment(
    "camera", "Does its scale follow when the camera is mounted higher, or has a longer lens?",
    {RENDERED: _cases}, read_viewpoint, conclude_viewpoint)
