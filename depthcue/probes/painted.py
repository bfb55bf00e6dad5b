"""A floor whose pattern tells another slant than everything else does; the experiments differ in the pattern."""

from collections.abc import Callable

import torch
from torch import Tensor

from depthcue.probes.contract import Case, Dropped, Variant
from depthcue.probes.following import LEVELS, TOLD, TRUE, Compared, elsewhere, unchanged
from depthcue.probes.rendered import RenderedScene
from depthcue.probes.scene import LEAST_PIXELS
from depthcue.scenes import Turn
from depthcue.scenes.materials import Material
from depthcue.scenes.paint import Paint
from depthcue.scenes.staging import FLOOR, Show

LINES_M = {"road": (8.0, 24.0), "indoor": (3.2, 8.0)}
"""Distances of the two strips of floor that are compared; the floor itself tells their ratio, 3 and 2.5."""
_STRIP = 1.25
"""Far over near edge of a strip."""
_HALF_WIDTH_M = {"road": 2.5, "indoor": 1.2}


def painted_case(scene: RenderedScene, condition: str, pattern_of: Callable[[float], Material]) -> Case | Dropped:
    """The floor painted so that its pattern tells a wall (the reference), and slants up to a floor that recedes more
    than it does. All else tells the same in every picture.

    Args:
        pattern_of: the pattern for a floor whose near strip is that far away, in metres.
    """
    near_m, far_m = LINES_M[scene.kind]
    near, far = _strip(scene, near_m, near_m * _STRIP), _strip(scene, far_m / _STRIP, far_m)
    if min(int(near.sum()), int(far.sum())) < LEAST_PIXELS:
        return Dropped(scene.name, "the floor ahead is not flat and free")
    ratios = (1.0, *LEVELS)
    paints = [Paint(FLOOR, near_m, far_m, ratio, pattern_of(near_m)) for ratio in ratios]
    pictures = scene.render([Show(Turn(paint=paint)) for paint in paints]).rgb.cpu()

    def variant(number: int) -> Variant:
        told_m = paints[number].told_m(scene.depth_m)
        truth = {TOLD: float(told_m[far].mean() / told_m[near].mean())}
        if ratios[number] == far_m / near_m:
            truth[TRUE] = float(scene.depth_m[far].mean() / scene.depth_m[near].mean())
        return Compared(condition if number else "", ratios[number] if number else 0.0, pictures[number], far,
                        cue=scene.ground, same=unchanged(pictures[number], pictures[0]) & ~scene.ground, truth=truth,
                        against=near)

    return Case(scene.name, variant(0), (variant(number) for number in range(1, len(ratios))),
                elsewhere(scene.anchor, scene.ground))


def _strip(scene: RenderedScene, from_m: float, to_m: float) -> Tensor:
    """Where the floor ahead between two distances is seen, bool (1, H, W)."""
    columns = torch.arange(scene.size[1]) - scene.size[1] / 2 + 0.5
    across_m = columns.abs() / scene.focal_px * scene.depth_m
    within = (scene.depth_m >= from_m) & (scene.depth_m <= to_m) & (across_m <= _HALF_WIDTH_M[scene.kind])
    return scene.ground & within
