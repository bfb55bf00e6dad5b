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
)
from depthcue.probes.horizon import read_roll
from depthcue.scenes import Turn

LEVELS_DEG = (-10.0, -8.0, -6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
ROLLED, NUMBER = "rolled", "roll_deg"


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    for placed in stage.familiar([AHEAD]):
        if isinstance(placed, Dropped):
            yield placed
        else:
            scene, thing = placed
            turns = [(level, Turn(roll_deg=level), level) for level in LEVELS_DEG]
            yield rendered_case(scene, thing, ROLLED, turns, NUMBER)


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
    for placed in stage.familiar([AHEAD]):
        if isinstance(placed, Dropped):
            yield placed
            continue
        scene, cutout = placed
        shown = next(scene.show(cutout, [AHEAD]))
        size = window_for(scene.size, max(LEVELS_DEG))
        name = f"{scene.name}, {cutout.name}"
        horizon_row = scene.horizon_row - (scene.size[0] - size[0]) / 2
        if shown.contact[0] > scene.size[0] - (scene.size[0] - size[0]) / 2:
            yield Dropped(name, "the object does not stay within the turned window")
            continue

        def window(angle: float, shown: Any = shown, size: tuple[int, int] = size) -> tuple[Tensor, Tensor]:
            return rotated(shown.rgb, angle, size), rotated(shown.region, angle, size) > 0.5

        def views(window: Any = window) -> Iterator[tuple[float, Tensor, Tensor, float]]:
            for level in LEVELS_DEG:
                yield level, *window(level), level

        yield photograph_case(scene, name, ROLLED, views(), (*window(0.0), horizon_row), NUMBER)


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
