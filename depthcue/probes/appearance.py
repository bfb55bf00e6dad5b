"""Appearance: which properties of colour, texture, light and air does the net's depth rest on?

van Dijk and de Croon 2019, section 4.4, and more properties: the scene stays, its appearance is changed in one respect,
and the error against ground truth is compared with that of the unmodified picture. The change of the predicted depth is
measured too: it shows what the net reacts to even where its error stays.

Pictures are (3, H, W) in [0, 1], gamma encoded, before and after.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
)
from depthcue.probes.following import LINES_M
from depthcue.probes.photographs import FrameScene, PhotographStage
from depthcue.probes.stage import LEAST_PIXELS, RenderedScene, RenderedStage
from depthcue.scenes import ObjectTurn, Turn
from depthcue.scenes.api import FLOOR, Show
from depthcue.scenes.materials import Paint
from depthcue.scorers.edges import gaussian_blur, gray, gray_gradient

UNMODIFIED = "unmodified"
ERROR, CHANGE = "abs_rel", "change"
RANGE_M = {"road": 80.0, "indoor": 10.0}
"""Ground truth beyond is left out, as in the data sets of such scenes."""
_LIGHT_DEG = 120.0
"""Turn of the light about the vertical."""
_VEILED = 0.8
"""Optical depth of the haze at the middle distance."""
_MOST_SCALED = 6.0
"""Most that a texture is scaled by, up or down."""
_SMOOTH_PX = 2.0
"""Deviation of the blur of another picture's colours, whose edges are not to be seen."""
_FLOOR = 1e-3
"""Least brightness that is divided by."""
APERTURE = 0.008
"""Deviation of the blur of what is infinitely far behind the focus, as a share of the picture's width."""
_STEPS = 5
"""Blurs that `focused` mixes."""


def luma(rgb: Tensor) -> Tensor:
    """Brightness (1, H, W) in [0, 1], as of ITU-R BT.601."""
    return gray(rgb[None])[0]


def grayscale(rgb: Tensor) -> Tensor:
    """Brightness alone."""
    return luma(rgb).expand_as(rgb).clone()


def false_colours(rgb: Tensor, source: Tensor) -> Tensor:
    """Hue and saturation of another picture of any size, value of its own, as van Dijk and de Croon colour theirs."""
    sized = functional.interpolate(source[None], size=rgb.shape[1:], mode="bilinear", align_corners=False)
    # the hue of what is nearly black is noise
    return with_value(gaussian_blur(sized, _SMOOTH_PX)[0], rgb.amax(0, keepdim=True))


def with_value(colours: Tensor, value: Tensor) -> Tensor:
    """Colours of which the largest channel becomes `value`, (1, H, W), while hue and saturation stay."""
    return (colours * (value / colours.amax(0, keepdim=True).clamp_min(_FLOOR))).clamp(0, 1)


def class_means(rgb: Tensor, classes: Tensor) -> Tensor:
    """Every pixel in the mean colour of its class in this picture; classes: (1, H, W) of integers."""
    result = torch.empty_like(rgb)
    for number in classes.unique():
        chosen = classes[0] == number
        result[:, chosen] = rgb[:, chosen].mean(1, keepdim=True)
    return result


def inverted(rgb: Tensor) -> Tensor:
    """Bright for dark, while what distinguishes the channels of a pixel stays."""
    return (rgb + 1 - 2 * luma(rgb)).clamp(0, 1)


def edges_only(rgb: Tensor) -> Tensor:
    """The strength of brightness edges (Sobel), the strongest hundredth white, all else black."""
    strength = torch.linalg.vector_norm(gray_gradient(gray(rgb[None])), dim=1)  # (1, H, W)
    return (strength / strength.flatten().quantile(0.99).clamp_min(_FLOOR)).clamp(0, 1).expand_as(rgb).clone()


def in_haze(rgb: Tensor, optical_depth: Tensor) -> Tensor:
    """The picture through haze of its own light, near white; optical_depth: (1, H, W), 0 and up."""
    light = (0.5 + 0.5 * rgb.flatten(1).quantile(0.95, dim=1))[:, None, None]
    return torch.lerp(light.expand_as(rgb), rgb, torch.exp(-optical_depth))


def focused(rgb: Tensor, depth: Tensor, focus: float, turned: bool = False) -> Tensor:
    """The picture through a lens that is focused at a distance.

    Every pixel is blurred by its own amount; a thin lens's blur grows with |1 - focus / depth|.

    Args:
        rgb: (3, H, W).
        depth: (1, H, W), positive or infinite, in the unit of `focus`.
        turned: the gradient is turned: what should be sharp is blurred most, what is farthest is sharp.
    """
    amount = (1 - focus / depth.clamp_min(focus / 2)).abs().clamp(max=1.0)
    if turned:
        amount = 1 - amount
    widest = APERTURE * rgb.shape[2]
    levels = torch.stack([rgb, *(gaussian_blur(rgb[None], widest * step / _STEPS)[0] for step in range(1, _STEPS + 1))])
    at = amount * _STEPS
    low = at.floor().clamp(max=_STEPS - 1).long()
    share = at - low
    below, above = (levels.gather(0, which.expand(1, *rgb.shape))[0] for which in (low[None], low[None] + 1))
    return (below + (above - below) * share).clamp(0, 1)


def blurred(rgb: Tensor, region: Tensor, sigma_px: float) -> Tensor:
    """A picture (3, H, W) in which the pixels of a region, bool (1, H, W), are mixed among themselves alone."""
    inside = region.float()
    weight = gaussian_blur(inside[None], sigma_px)[0]
    return gaussian_blur((rgb * inside)[None], sigma_px)[0] / weight.clamp_min(1e-4)


def unshaded(albedo: Tensor, rgb: Tensor, valid: Tensor) -> Tensor:
    """Surfaces in their own colours, as if light came evenly from everywhere; the sky stays.

    Args:
        albedo: (3, H, W), linear; rgb: the picture, whose mean brightness they get; valid: bool (1, H, W), not sky.
    """
    encoded = albedo.clamp_min(0) ** (1 / 2.2)
    if valid.any():
        encoded = encoded * (luma(rgb)[valid].mean() / luma(encoded)[valid].mean().clamp_min(_FLOOR))
    return torch.where(valid, encoded, rgb).clamp(0, 1)


@dataclass(frozen=True)
class AppearanceVariant(Variant):
    """A variant whose depth is known: (1, H, W) metres, and where, bool (1, H, W); None where there is no depth."""

    depth_m: Tensor | None = None
    known: Tensor | None = None


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, RenderedStage)
    return stage.cases(lambda scene, number: _rendered_case(stage, scene, number))


def _rendered_case(stage: RenderedStage, scene: RenderedScene, number: int) -> Case | Dropped:
    known = scene.valid & (scene.depth_m < RANGE_M[scene.kind])
    if int(known.sum()) < LEAST_PIXELS:
        return Dropped(scene.name, "nothing within the range")
    other = stage.scene(number + 1).bare

    def variants() -> Iterator[Variant]:
        for condition, rgb in (*_in_other_colours(scene.bare, other), *_turned(scene)):
            yield AppearanceVariant(condition, 0.0, rgb, same=scene.valid, depth_m=scene.depth_m, known=known)

    reference = AppearanceVariant("", 0.0, scene.bare, depth_m=scene.depth_m, known=known)
    return Case(scene.name, reference, variants(), (scene.depth_m, known))


def _in_other_colours(rgb: Tensor, other: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Variants in other colours, which need no renderer."""
    yield "grayscale", grayscale(rgb)
    yield "false colours", false_colours(rgb, other)
    yield "inverted brightness", inverted(rgb)
    yield "edges only", edges_only(rgb)


def _turned(scene: RenderedScene) -> Iterator[tuple[str, Tensor]]:
    """Variants that need the scene."""
    shows = {"texture removed": Turn(textures=False), "texture swapped, near for far": _swapped(scene),
             "shadows removed": Turn(shadows=False), "light from elsewhere": Turn(light_yaw_deg=_LIGHT_DEG)}
    rendering = scene.render([Show(), *(Show(turn) for turn in shows.values())])
    classes = rendering.material_id[0].cpu()
    means = class_means(scene.bare, classes)
    yield "class-mean colours", means
    yield "class colours, own value", with_value(means, scene.bare.amax(0, keepdim=True))
    yield "flat shading", unshaded(rendering.albedo[0].cpu(), scene.bare, scene.valid)
    yield from zip(shows, rendering.rgb[1:].cpu(), strict=True)
    depth = scene.depth_m.clamp(max=RANGE_M[scene.kind])
    middle = float(depth[scene.valid].log().mean().exp())
    yield "haze", in_haze(scene.bare, _VEILED * depth / middle)
    yield "haze turned, near for far", in_haze(scene.bare, _VEILED * middle / depth)
    nearest = float(depth[scene.valid].quantile(0.02))
    yield "blur beyond the focus", focused(scene.bare, depth, nearest)
    yield "blur turned, near for far", focused(scene.bare, depth, nearest, turned=True)


def _swapped(scene: RenderedScene) -> Turn:
    """A turn in which the textures of near and far objects are exchanged: an object at n times the middle distance gets
    a texture as fine as at 1/n of it. The floor's grows coarser towards the horizon."""
    rendering = scene.render([Show()])
    ids = rendering.object_id[0, 0].cpu()
    objects = rendering.objects[0]
    found = {}
    for number in ids.unique().tolist():
        # an object that stands on another changes with it
        if number >= 0 and objects[number].parent < 0 and objects[number].name not in FLOOR:
            found[number] = float(scene.depth_m[0][ids == number].median())
    middle = math.exp(float(np.mean(np.log(list(found.values()))))) if found else 1.0
    near_m, far_m = LINES_M[scene.kind]
    changes = tuple(ObjectTurn(number, texture_scale=min(max((depth / middle) ** 2, 1 / _MOST_SCALED), _MOST_SCALED))
                    for number, depth in found.items())
    return Turn(paint=Paint(FLOOR, near_m, far_m, math.sqrt(near_m / far_m)), objects=changes)


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
    assert isinstance(stage, PhotographStage)
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
            yield AppearanceVariant(condition, 0.0, rgb, same=torch.ones_like(scene.ground), depth_m=scene.depth_m,
                                    known=known)

    anchor = scene.anchor if scene.depth_m is None or known is None else (scene.depth_m, known)
    return Case(scene.name, AppearanceVariant("", 0.0, scene.bare, depth_m=scene.depth_m, known=known), variants(),
                anchor)


def read(variant: Variant, answer: Answer) -> dict[str, float]:
    """`abs_rel` against ground truth where there is some; `change`: mean relative change against the reference."""
    assert isinstance(variant, AppearanceVariant)
    numbers = {} if not variant.condition else {CHANGE: float((answer.depth / answer.reference - 1).abs().mean())}
    if variant.depth_m is None or variant.known is None:
        return numbers
    if int(variant.known.sum()) < LEAST_PIXELS:
        raise Unreadable("no ground truth within the range", **numbers)
    true_m, depth = variant.depth_m[variant.known], answer.depth[variant.known[0]]
    return numbers | {ERROR: float(((depth - true_m).abs() / true_m).mean())}


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """Error of every appearance minus that of the unmodified picture; as bars, the errors and the changes of depth."""
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
