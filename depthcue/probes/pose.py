"""Pitch, roll and camera: does the net's depth follow the camera's tilt, height and focal length?

Pitch (van Dijk and de Croon 2019, section 5): a window that is shifted up or down is nearly what a pitched camera sees;
a rendered camera is truly turned. The horizon is read off the depth map and compared with the true one: slope 1 is full
correction, slope 0 none. True distances do not change with pitch; the predicted distance of an obstacle does, where the
network uses its row.

Roll (the same section): the picture is turned, and the roll is read off a slice of equal disparity on the ground. Slope
1 is full correction.

Camera: the scene and its obstacle stay. A camera at k times its height, or with k times the focal length, has the
ground in each pixel k times as far as before. A net that has learnt one camera cannot know this and predicts the old
distance; the obstacle's distance, which has not changed, is then predicted wrong.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

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
from depthcue.probes.photographs import FOCAL_PX, FrameScene, road_ahead
from depthcue.probes.reading import read_horizon, read_roll
from depthcue.probes.stage import (
    LEAST_PIXELS,
    Pose,
    RenderedScene,
    RenderedStage,
    Shown,
    Thing,
    distance_of,
    exact_distance,
)
from depthcue.scenes import Turn

AHEAD = Pose(position=1.5, size=1.5)
"""Position of the obstacle whose distance is watched: it stays in the picture for every turn of the camera."""
_MARGIN_PX = 3
"""Width of the margin around an obstacle in which depth maps are smeared."""
_LEAST_LEVELS = 3
"""Fewest levels of a line."""
SHIFTS_PX = (-30, -20, -10, 0, 10, 20, 30)
"""Shifts of the horizon in pixels of a frame 1242 wide; down, as of a camera that looks up, is positive."""
PITCHED, HORIZON = "pitched", "horizon_deg"
LEVELS_DEG = (-10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
ROLLED, ROLL = "rolled", "roll_deg"
HEIGHT, FOCAL = "height", "focal length"
FACTORS = (0.7, 0.85, 1.2, 1.4)
GROUND, TRUE_GROUND, DISTANCE = "ground", "true_ground", "distance"
_FLAT = 0.03
"""Largest deviation of a pixel's change of distance from the factor, where both cameras see level ground."""


def rendered_cases(stage: RenderedStage, condition: str, number: str,
                   turns: Mapping[float, Turn]) -> Iterator[Case | Dropped]:
    """Scenes seen by a camera that is truly turned.

    Args:
        number: the name of the angle that is read.
        turns: each by its angle in degrees.
    """
    def case(scene: RenderedScene, thing: Thing) -> Case:
        strip = road_ahead(scene.size, scene.horizon_row)

        def variant(name: str, angle: float, shown: Shown) -> Variant:
            truth = {f"true_{number}": angle, "focal_px": scene.focal_px, **exact_distance(shown)}
            return Variant(name, angle, shown.rgb, shown.region, ground=strip & ~_wider(shown.region), truth=truth)

        level_camera = next(scene.turned(thing, [(Turn(), AHEAD)]))
        shows = scene.turned(thing, [(turn, AHEAD) for turn in turns.values()])
        variants = (variant(condition, angle, shown) for angle, shown in zip(turns, shows, strict=True))
        depth_m, known = scene.anchor
        return Case(scene.name, variant("", 0.0, level_camera), variants,
                    (depth_m, known & ~_wider(level_camera.region)), thing.name)

    return each_case(stage.familiar([AHEAD]), case)


def photograph_case(scene: FrameScene, obstacle: str, condition: str,
                    views: Iterator[tuple[float, Tensor, Tensor, float]], reference: tuple[Tensor, Tensor, float],
                    number: str) -> Case:
    """A photograph seen through windows cut out of it, all of one size.

    Args:
        views: level, picture (3, h, w), obstacle's region (1, h, w), and the exact value of what is read.
        reference: picture and region of the window that is not moved, and the row of its horizon.
        number: the name of what is read.
    """
    rgb, region, horizon_row = reference
    size = (rgb.shape[1], rgb.shape[2])
    strip = road_ahead(size, horizon_row)
    frame = {"focal_px": scene.focal_px, "frame_height": float(scene.size[0])}

    def variants() -> Iterator[Variant]:
        for level, picture, shown_region, true in views:
            yield Variant(condition, level, picture, shown_region, ground=strip & ~_wider(shown_region),
                          truth={f"true_{number}": true, **frame})

    rows = torch.arange(size[0], dtype=torch.float32)[:, None].expand(size)
    plane = scene.focal_px / (rows - horizon_row).clamp_min(0.5)
    start = Variant("", 0.0, rgb, region, ground=strip & ~_wider(region), truth=frame)
    return Case(scene.name, start, variants(), (plane[None], strip & ~_wider(region)), obstacle)


def rotated(maps: Tensor, angle_deg: float, size: tuple[int, int]) -> Tensor:
    """The middle of (C, H, W), turned counter-clockwise, cropped to `size`, which contains no rotated-in corner."""
    turn = math.radians(angle_deg)
    rows = torch.arange(size[0]) - (size[0] - 1) / 2
    columns = torch.arange(size[1]) - (size[1] - 1) / 2
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    # a window point shows the picture's point turned back, and rows count down
    from_x, from_y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
    height, width = maps.shape[1:]
    grid = torch.stack((2 * from_x / width, 2 * from_y / height), -1)
    return functional.grid_sample(maps[None].float(), grid[None], mode="bilinear", padding_mode="border",
                                  align_corners=False)[0]


def window_for(size: tuple[int, int], most_deg: float) -> tuple[int, int]:
    """The largest window of a picture's aspect ratio that stays inside it when turned by up to `most_deg`."""
    height, width = size
    turn = math.radians(most_deg)
    factor = min(width / (width * math.cos(turn) + height * math.sin(turn)),
                 height / (height * math.cos(turn) + width * math.sin(turn)))
    return math.floor(height * factor), math.floor(width * factor)


def read_turn(variant: Variant, answer: Answer, number: str,
              angle_of: Callable[[Variant, Answer], float]) -> dict[str, float]:
    """The angle read off the ground, by its name `number`, and the `distance` of the obstacle.

    Raises:
        Unreadable: one of them could not be read; carries the other.
    """
    numbers: dict[str, float] = {}
    missing: Unreadable | None = None
    for name, read in ((number, angle_of), ("distance", distance_of)):
        try:
            numbers[name] = read(variant, answer)
        except Unreadable as error:
            missing = error
    if missing is not None:
        raise Unreadable(missing.reason, **numbers)
    return numbers


def conclude_turn(readings: Sequence[Readings], chance: Chance, condition: str, number: str, what: str) -> Findings:
    """Compare the angle read with the true one, and measure the turn's effect on an obstacle's distance."""
    findings = Findings(f"{what} of the camera, degrees", f"{what} read off the depth map, degrees")
    relative = [_with_ratio(reading, condition) for reading in readings]
    findings.curves = [curve(f"{what} read", relative, condition, number, chance, f"true_{number}"),
                       curve("obstacle's distance", relative, condition, "ratio", chance, "true_ratio",
                             y="obstacle's distance over that of the level camera")]
    lines = np.array([_line(reading, condition, number) for reading in relative]).reshape(-1, 2)
    changes = [np.abs(reading.levels(condition, "ratio")[1] - 1) for reading in relative]
    findings.values = [
        {"name": f"slope, {what} read against true", "condition": condition, **chance.mean(lines[:, 0])},
        {"name": f"{what} read of a level camera", "condition": condition, "unit": "degrees",
         **chance.mean(lines[:, 1])},
        {"name": "mean change of an obstacle's distance", "condition": condition, "unit": "share",
         **chance.mean([float(change.mean()) if len(change) else np.nan for change in changes])}]
    return findings


def _line(reading: Readings, condition: str, number: str) -> tuple[float, float]:
    """Slope and intercept of the line through what was read against the truth; NaN where too little was."""
    levels, read = reading.levels(condition, number)
    true = np.array([reading.get(condition, level, f"true_{number}") for level in levels])
    if len(levels) < _LEAST_LEVELS or not np.ptp(true):
        return float("nan"), float("nan")
    slope, intercept = np.polyfit(true, read, 1)
    return float(slope), float(intercept)


def _with_ratio(reading: Readings, condition: str) -> Readings:
    """Distances over that of the level camera."""
    start = reading.numbers.get((condition, 0.0), {})
    with_ratio = Readings(reading.scene, {key: dict(numbers) for key, numbers in reading.numbers.items()})
    for (name, _), numbers in with_ratio.numbers.items():
        if name == condition:
            add_ratios(numbers, start)
    return with_ratio


def add_ratios(numbers: dict[str, float], start: Mapping[str, float]) -> None:
    """Add the obstacle's distance over that in `start`, and what that truly is: `ratio`, `true_ratio`."""
    for name, ratio in (("distance", "ratio"), ("depth_m", "true_ratio")):
        if name in numbers and name in start:
            numbers[ratio] = numbers[name] / start[name]


def _wider(region: Tensor) -> Tensor:
    """A region (1, H, W) and what is near it, where depth maps are smeared."""
    side = 2 * _MARGIN_PX + 1
    return functional.max_pool2d(region.float()[None], side, 1, _MARGIN_PX)[0] > 0


def level_of(shift_px: float) -> float:
    """Pitch in degrees that shifts the horizon by `shift_px`."""
    return math.degrees(math.atan(shift_px / FOCAL_PX))


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


def _horizon_deg(variant: Variant, answer: Answer) -> float:
    """Degrees by which the ground's horizon lies below the middle."""
    assert variant.ground is not None
    row = read_horizon(answer.depth, variant.ground[0], frame_height=variant.truth.get("frame_height")).row
    return _degrees_down(row, answer.depth.shape[0], variant.truth["focal_px"])


PITCH_EXPERIMENT = Experiment(
    "pitch", "Does it notice that the camera looks up or down?",
    {RENDERED: partial(rendered_cases, condition=PITCHED, number=HORIZON,
                       turns={level: Turn(pitch_deg=level) for level in map(level_of, SHIFTS_PX)}),
     PHOTOGRAPHS: lambda stage: each_case(stage.familiar([AHEAD]), _shifted_window)},
    partial(read_turn, number=HORIZON, angle_of=_horizon_deg),
    partial(conclude_turn, condition=PITCHED, number=HORIZON, what="pitch"))


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


def _roll_deg(variant: Variant, answer: Answer) -> float:
    assert variant.ground is not None
    return read_roll(answer.depth, variant.ground[0])


ROLL_EXPERIMENT = Experiment(
    "roll", "Does it notice that the camera is tilted sideways?",
    {RENDERED: partial(rendered_cases, condition=ROLLED, number=ROLL,
                       turns={level: Turn(roll_deg=level) for level in LEVELS_DEG}),
     PHOTOGRAPHS: lambda stage: each_case(stage.familiar([AHEAD]), _turned_window)},
    partial(read_turn, number=ROLL, angle_of=_roll_deg),
    partial(conclude_turn, condition=ROLLED, number=ROLL, what="roll"))


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


def read_viewpoint(variant: Variant, answer: Answer) -> dict[str, float]:
    """`distance` of the obstacle, and `ground`, the factor by which the ground is predicted farther in the same
    pixels."""
    numbers = {DISTANCE: distance_of(variant, answer)}
    if variant.ground is None:
        return numbers
    ground = variant.ground[0]
    if int(ground.sum()) < LEAST_PIXELS:
        raise Unreadable("too little ground is seen by both cameras", **numbers)
    return numbers | {GROUND: float((answer.depth[ground] / answer.reference[ground]).median())}


def conclude_viewpoint(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the change of scale that is followed, and the change of an obstacle's distance."""
    findings = Findings("factor of the camera's height or focal length", "ground seen farther by a factor of")
    relative = [_over_own_camera(reading) for reading in readings]
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


def _over_own_camera(reading: Readings) -> Readings:
    """Distances over that with the camera as it is."""
    start = reading.numbers.get(("", 0.0), {})
    relative = Readings(reading.scene, {key: dict(numbers) for key, numbers in reading.numbers.items() if key[0]})
    for numbers in relative.numbers.values():
        add_ratios(numbers, start)
        if GROUND not in numbers:  # a share needs the prediction beside the truth
            numbers.pop(TRUE_GROUND, None)
    return relative


VIEWPOINT_EXPERIMENT = Experiment(
    "camera", "Does its scale follow when the camera is mounted higher, or has a longer lens?",
    {RENDERED: lambda stage: each_case(stage.familiar([AHEAD]), _case)}, read_viewpoint, conclude_viewpoint)
