"""Appearance: which properties of colour, texture, light and air does the net's depth rest on?

van Dijk and de Croon 2019, section 4.4, and more: the scene stays, how it looks is changed in one respect, and the
error against ground truth is set beside that of the unmodified picture. How far the answer moves from that to the
unmodified picture is told too: it shows what the net reacts to even where its error stays.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.probes import looks
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
from depthcue.probes.focus import focused
from depthcue.probes.following import take
from depthcue.probes.painted import LINES_M
from depthcue.probes.photographs import FrameScene, Photographs
from depthcue.probes.rendered import Rendered, RenderedScene
from depthcue.probes.scene import LEAST_PIXELS
from depthcue.scenes import ObjectTurn, Turn
from depthcue.scenes.paint import Paint
from depthcue.scenes.staging import FLOOR, Show

UNMODIFIED = "unmodified"
ERROR, CHANGE = "abs_rel", "change"
RANGE_M = {"road": 80.0, "indoor": 10.0}
"""Ground truth beyond is left out, as in the data sets of such scenes."""
_LIGHT_DEG = 120.0
_VEILED = 0.8
"""Optical depth of the haze at the middle distance."""
_MOST_SCALED = 6.0


@dataclass(frozen=True)
class Measured(Variant):
    """A variant whose depth is known: (1, H, W) metres, and where, bool (1, H, W); None where there is no depth."""

    depth_m: Tensor | None = None
    known: Tensor | None = None


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, Rendered)
    return take(stage, lambda scene, number: _rendered_case(stage, scene, number))


def _rendered_case(stage: Rendered, scene: RenderedScene, number: int) -> Case | Dropped:
    known = scene.valid & (scene.depth_m < RANGE_M[scene.kind])
    if int(known.sum()) < LEAST_PIXELS:
        return Dropped(scene.name, "nothing within the range")
    other = stage.scene(number + 1).bare

    def variants() -> Iterator[Variant]:
        for condition, rgb in (*_in_other_colours(scene.bare, other), *_turned(scene)):
            yield Measured(condition, 0.0, rgb, same=scene.valid, depth_m=scene.depth_m, known=known)

    reference = Measured("", 0.0, scene.bare, depth_m=scene.depth_m, known=known)
    return Case(scene.name, reference, variants(), (scene.depth_m, known))


def _in_other_colours(rgb: Tensor, other: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What needs no renderer."""
    yield "grayscale", looks.grayscale(rgb)
    yield "false colours", looks.false_colours(rgb, other)
    yield "inverted brightness", looks.inverted(rgb)
    yield "edges only", looks.edges_only(rgb)


def _turned(scene: RenderedScene) -> Iterator[tuple[str, Tensor]]:
    """What needs to know the scene."""
    shows = {"texture removed": Turn(textures=False), "texture swapped, near for far": _swapped(scene),
             "shadows removed": Turn(shadows=False), "light from elsewhere": Turn(light_yaw_deg=_LIGHT_DEG)}
    rendering = scene.render([Show(), *(Show(turn) for turn in shows.values())])
    classes = rendering.material_id[0].cpu()
    means = looks.class_means(scene.bare, classes)
    yield "class-mean colours", means
    yield "class colours, own value", looks.with_value(means, scene.bare.amax(0, keepdim=True))
    yield "flat shading", looks.unshaded(rendering.albedo[0].cpu(), scene.bare, scene.valid)
    yield from zip(shows, rendering.rgb[1:].cpu(), strict=True)
    depth = scene.depth_m.clamp(max=RANGE_M[scene.kind])
    middle = float(depth[scene.valid].log().mean().exp())
    yield "haze", looks.in_haze(scene.bare, _VEILED * depth / middle)
    yield "haze turned, near for far", looks.in_haze(scene.bare, _VEILED * middle / depth)
    nearest = float(depth[scene.valid].quantile(0.02))
    yield "blur beyond the focus", focused(scene.bare, depth, nearest)
    yield "blur turned, near for far", focused(scene.bare, depth, nearest, turned=True)


def _swapped(scene: RenderedScene) -> Turn:
    """Every object's texture as fine as if it lay as much nearer than the middle distance as it lies beyond it, or the
    other way round; the floor's grows coarser towards the horizon."""
    rendering = scene.render([Show()])
    ids = rendering.object_id[0, 0].cpu()
    objects = rendering.objects[0]
    found = {}
    for number in ids.unique().tolist():
        # what stands on something changes with it
        if number >= 0 and objects[number].parent < 0 and objects[number].name not in FLOOR:
            found[number] = float(scene.depth_m[0][ids == number].median())
    middle = math.exp(float(np.mean(np.log(list(found.values()))))) if found else 1.0
    near_m, far_m = LINES_M[scene.kind]
    changes = tuple(ObjectTurn(number, texture_scale=min(max((depth / middle) ** 2, 1 / _MOST_SCALED), _MOST_SCALED))
                    for number, depth in found.items())
    return Turn(paint=Paint(FLOOR, near_m, far_m, math.sqrt(near_m / far_m)), objects=changes)


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, Photographs)
    scenes = [stage.scene(number) for number in range(min(stage.count, len(stage.frames)))]
    usable = [scene for scene in scenes if isinstance(scene, FrameScene)]
    yield from (scene for scene in scenes if isinstance(scene, Dropped))
    for number, scene in enumerate(usable):
        other = usable[(number + 1) % len(usable)].bare if len(usable) > 1 else scene.bare.flip(2)
        yield _photograph_case(scene, other)


def _photograph_case(scene: FrameScene, other: Tensor) -> Case:
    known = None if scene.depth_m is None else scene.depth_m > 0

    def variants() -> Iterator[Variant]:
        for condition, rgb in _in_other_colours(scene.bare, other):
            yield Measured(condition, 0.0, rgb, same=torch.ones_like(scene.ground), depth_m=scene.depth_m, known=known)

    anchor = scene.anchor if scene.depth_m is None or known is None else (scene.depth_m, known)
    return Case(scene.name, Measured("", 0.0, scene.bare, depth_m=scene.depth_m, known=known), variants(), anchor)


def read(variant: Variant, seen: Seen) -> dict[str, float]:
    """`abs_rel` against ground truth where there is some; `change`: mean relative change against the reference."""
    assert isinstance(variant, Measured)
    numbers = {} if not variant.condition else {CHANGE: float((seen.depth / seen.reference - 1).abs().mean())}
    if variant.depth_m is None or variant.known is None:
        return numbers
    if int(variant.known.sum()) < LEAST_PIXELS:
        raise Unreadable("no ground truth within the range", **numbers)
    true_m, depth = variant.depth_m[variant.known], seen.depth[variant.known[0]]
    return numbers | {ERROR: float(((depth - true_m).abs() / true_m).mean())}


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """What every look adds to the error of the unmodified picture; as bars, the errors and how far the answers move."""
    conditions = list(dict.fromkeys(condition for reading in readings for condition, _ in reading.numbers))
    errors = {condition: np.array([reading.get(condition, 0.0, ERROR) for reading in readings])
              for condition in conditions}
    changes = {condition: np.array([reading.get(condition, 0.0, CHANGE) for reading in readings])
               for condition in conditions if condition}
    findings = Findings()
    if np.isfinite(errors.get("", np.array(np.nan))).any():
        findings.values = [{"name": f"error, {UNMODIFIED}", "unit": "abs rel", **chance.mean(errors[""])}]
        findings.values += [{"name": f"error more than {UNMODIFIED}, {condition}", "condition": condition,
                             "unit": "abs rel", **chance.mean(errors[condition] - errors[""])} for condition in changes]
    for label, columns in (("error against ground truth, abs rel", errors), ("change of the answer, share", changes)):
        bars = [{"name": condition or UNMODIFIED, **chance.mean(column)} for condition, column in columns.items()]
        if any(bar["n"] for bar in bars):
            findings.bars.append({"y": label, "bars": bars})
    return findings


EXPERIMENT = Experiment("appearance", "Which properties of colour, texture, light and air does its depth rest on?",
                        {RENDERED: _rendered, PHOTOGRAPHS: _photographs}, read, conclude)
