"""Focus: is an obstacle farther for the net because it is less sharp?

The lens is focused on an obstacle, and what lies beyond is the less sharp the farther it is. The obstacle stands still;
what is turned is its sharpness: as at 1 to 3 times its distance. All the rest of the picture stays.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings, Variant, each_case
from depthcue.probes.focus import APERTURE, blurred, focused
from depthcue.probes.following import LEVELS, TOLD, TRUE, conclude_cue, elsewhere, read_ratio
from depthcue.probes.rendered import Rendered, RenderedScene, Thing
from depthcue.probes.scene import Pose

BLUR = "blur"


def _case(scene: RenderedScene, thing: Thing) -> Case:
    shown = next(scene.show(thing, [Pose()]))
    region, depth_m = shown.region, shown.depth_m
    assert depth_m is not None
    seen_m = float(depth_m[region].mean())
    sharp = torch.where(region, shown.rgb, focused(shown.rgb, depth_m, seen_m))
    widest = APERTURE * scene.size[1]

    def variant(ratio: float) -> Variant:
        rgb, own = sharp, ratio == 1.0
        if not own:
            rgb = torch.where(region, blurred(shown.rgb, region, widest * (1 - 1 / ratio)), sharp)
        return Variant("" if own else BLUR, 0.0 if own else ratio, rgb, region, same=~region,
                       truth={TOLD: ratio, **({TRUE: seen_m} if own else {})})

    return Case(scene.name, variant(1.0), (variant(ratio) for ratio in LEVELS),
                elsewhere((depth_m, torch.isfinite(depth_m)), region), thing.name)


def _cases(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, Rendered)
    return each_case(stage.familiar([Pose()]), _case)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told distance ratio of the obstacle that is followed."""
    return conclude_cue("blur", {BLUR: "blur only"}, readings, chance)


EXPERIMENT = Experiment("blur", "Is a thing farther for it because it is less sharp?", {RENDERED: _cases}, read_ratio,
                        conclude)
