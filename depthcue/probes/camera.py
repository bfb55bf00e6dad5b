"""What a turned camera sees of a scene: re-rendered, or cut out of a photograph; and how it is read."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthcue.probes.contract import (
    Answer,
    Case,
    Chance,
    Findings,
    Readings,
    Unreadable,
    Variant,
    curve,
)
from depthcue.probes.photographs import FrameScene, road_ahead
from depthcue.probes.stage import Pose, RenderedScene, Shown, Thing, distance_of, exact_distance
from depthcue.scenes import Turn

AHEAD = Pose(position=1.5, size=1.5)
"""Where the obstacle stands of which the distance is watched: it stays in the picture however the camera turns."""
_MARGIN_PX = 3
_LEAST_LEVELS = 3


def rendered_case(scene: RenderedScene, thing: Thing, condition: str, turns: Sequence[tuple[float, Turn, float]],
                  number: str) -> Case:
    """A scene seen by a camera that is truly turned.

    Args:
        turns: level, turn, and the exact value of what is read.
        number: its name.
    """
    strip = road_ahead(scene.size, scene.horizon_row)

    def variant(name: str, level: float, shown: Shown, true: float) -> Variant:
        truth = {f"true_{number}": true, "focal_px": scene.focal_px, **exact_distance(shown)}
        return Variant(name, level, shown.rgb, shown.region, ground=strip & ~_wider(shown.region), truth=truth)

    level_camera = next(scene.turned(thing, [(Turn(), AHEAD)]))
    shows = scene.turned(thing, [(turn, AHEAD) for _, turn, _ in turns])
    variants = (variant(condition, level, shown, true) for (level, _, true), shown in zip(turns, shows, strict=True))
    depth_m, known = scene.anchor
    return Case(scene.name, variant("", 0.0, level_camera, 0.0), variants,
                (depth_m, known & ~_wider(level_camera.region)), thing.name)


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
    """The middle of (C, H, W), turned counter-clockwise, as a window of `size` that the corners never enter."""
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


def read_turn(variant: Variant, answer: Answer, number: str, angle: float | Unreadable) -> dict[str, float]:
    """The angle read off the ground beside the distance of the obstacle.

    Raises:
        Unreadable: one of them could not be read; carries the other.
    """
    numbers = {} if isinstance(angle, Unreadable) else {number: angle}
    try:
        numbers["distance"] = distance_of(variant, answer)
    except Unreadable as missing:
        raise Unreadable(missing.reason, **numbers) from None
    if isinstance(angle, Unreadable):
        raise Unreadable(angle.reason, **numbers)
    return numbers


def conclude_turn(readings: Sequence[Readings], chance: Chance, condition: str, number: str, what: str) -> Findings:
    """How far the angle read follows the true one, and what the turn does to an obstacle's distance."""
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


