"""Roll: does the network notice that the camera is tilted sideways?

van Dijk and de Croon 2019, section 5: the picture is turned, and the roll is read off a slice of equal disparity on the
ground. Slope 1 is full correction.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from depthcue.probes.camera import (
    AHEAD,
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
from depthcue.probes.horizon import read_roll
from depthcue.probes.photographs import FrameScene
from depthcue.scenes import Turn

LEVELS_DEG = (-10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
ROLLED, NUMBER = "rolled", "roll_deg"


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    turns = [(level, Turn(roll_deg=level), level) for level in LEVELS_DEG]
    return each_case(stage.familiar([AHEAD]),
                     lambda scene, thing: rendered_case(scene, thing, ROLLED, turns, NUMBER))


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
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
    return photograph_case(scene, cutout.name, ROLLED, views, (*window(0.0), scene.horizon_row - cut), NUMBER)


def read(variant: Variant, seen: Seen) -> dict[str, float]:
    """`roll_deg`, read off the ground; `distance` of the obstacle."""
    assert variant.ground is not None
    angle: float | Unreadable
    try:
        angle = read_roll(seen.depth, variant.ground[0])
    except Unreadable as missing:
        angle = missing
    return read_turn(variant, seen, NUMBER, angle)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The slope of the roll read against the true one, and what roll does to an obstacle's distance."""
    return conclude_turn(readings, chance, ROLLED, NUMBER, "roll")


EXPERIMENT = Experiment("roll", "Does it notice that the camera is tilted sideways?",
                        {RENDERED: _rendered, PHOTOGRAPHS: _photographs}, read, conclude)
