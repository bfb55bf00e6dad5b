"""Aerial perspective: is an obstacle farther for the net because there is more haze before it?

An obstacle stands still in hazy air. What is turned is how much of the air's light lies over it: as much as at 1 to 3
times its distance. Where it stands, how large it is seen, and all the rest of the picture stay.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings, Variant, each_case
from depthcue.probes.following import LEVELS, TOLD, TRUE, conclude_cue, elsewhere, read_ratio
from depthcue.probes.rendered import Rendered, RenderedScene, Thing
from depthcue.probes.scene import Pose
from depthcue.scenes import Turn

HAZE = "haze"
VEILED = 0.25
"""Optical depth of the air before the obstacle where nothing is turned: about the share of the air's light in it."""


def _case(scene: RenderedScene, thing: Thing) -> Case:
    ratios = (1.0, *LEVELS)
    per_m = VEILED / scene.nearest_m
    shows = list(scene.turned(thing, [(Turn(haze_per_m=per_m * ratio), Pose()) for ratio in ratios]))
    region, depth_m = shows[0].region, shows[0].depth_m
    assert depth_m is not None
    seen_m = float(depth_m[region].mean())

    def variant(number: int) -> Variant:
        # haze grows with extinction times distance: n times the extinction is the haze at n times the distance
        rgb = torch.where(region, shows[number].rgb, shows[0].rgb)
        truth = {TOLD: ratios[number], **({} if number else {TRUE: seen_m})}
        return Variant(HAZE if number else "", ratios[number] if number else 0.0, rgb, region, same=~region,
                       truth=truth)

    return Case(scene.name, variant(0), (variant(number) for number in range(1, len(ratios))),
                elsewhere((depth_m, torch.isfinite(depth_m)), region), thing.name)


def _cases(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, Rendered)
    return each_case(stage.familiar([Pose()]), _case)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told distance ratio of the obstacle that is followed."""
    return conclude_cue("haze", {HAZE: "haze only"}, readings, chance)


EXPERIMENT = Experiment("haze", "Is a thing farther for it because there is more haze before it?", {RENDERED: _cases},
                        read_ratio, conclude)
