"""Pitch: does the network see the ground where the camera's tilt puts it, or where it lies in most pictures?

van Dijk and de Croon 2019, section 5: a window that is shifted up or down is nearly what a pitched camera sees; a
rendered camera is truly turned. The horizon is read off the depth map and compared with the true one: slope 1 is full
correction, slope 0 none. True distances do not change with pitch; what is seen of an obstacle does, where the network
goes by its row.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from depthcue.probes.camera import AHEAD, conclude_turn, photograph_case, read_turn, rendered_case
from depthcue.probes.contract import (
    PHOTOGRAPHS,
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
    each_case,
)
from depthcue.probes.cutouts import CutOut
from depthcue.probes.horizon import read_horizon
from depthcue.probes.photographs import FOCAL_PX, FrameScene
from depthcue.scenes import Turn

SHIFTS_PX = (-30, -20, -10, 0, 10, 20, 30)
"""Shifts of the horizon in pixels of a frame 1242 wide; down, as of a camera that looks up, is positive."""
PITCHED, NUMBER = "pitched", "horizon_deg"


def level_of(shift_px: float) -> float:
    """The pitch in degrees that shifts the horizon so."""
    return math.degrees(math.atan(shift_px / FOCAL_PX))


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    turns = [(level, Turn(pitch_deg=level), level) for level in map(level_of, SHIFTS_PX)]
    return each_case(stage.familiar([AHEAD]),
                     lambda scene, thing: rendered_case(scene, thing, PITCHED, turns, NUMBER))


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
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

    return photograph_case(scene, cutout.name, PITCHED, views(), window(0), NUMBER)


def _degrees_down(row: float, height: int, focal_px: float) -> float:
    """Degrees by which a row lies below the middle of a picture."""
    return math.degrees(math.atan((row - (height / 2 - 0.5)) / focal_px))


def read(variant: Variant, seen: Seen) -> dict[str, float]:
    """`horizon_deg`: degrees by which the ground's horizon lies below the middle; `distance` of the obstacle."""
    assert variant.ground is not None
    angle: float | Unreadable
    try:
        row = read_horizon(seen.depth, variant.ground[0], frame_height=variant.truth.get("frame_height")).row
        angle = _degrees_down(row, seen.depth.shape[0], variant.truth["focal_px"])
    except Unreadable as missing:
        angle = missing
    return read_turn(variant, seen, NUMBER, angle)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The slope of the horizon read against the true one, and what pitch does to an obstacle's distance."""
    return conclude_turn(readings, chance, PITCHED, NUMBER, "pitch")


EXPERIMENT = Experiment("pitch", "Does it notice that the camera looks up or down?",
                        {RENDERED: _rendered, PHOTOGRAPHS: _photographs}, read, conclude)
