"""Obstacles: what makes a net detect one, and which cues of its distance does the net follow?

van Dijk and de Croon 2019, section 4.

Unfamiliar obstacles: a fridge on the road is not detected until it has a shadow where it touches the ground. Every
obstacle is shown with and without one, and compared with the same scene without it; see `reading.presence`.

Parts: a car without its inside is still detected, one without its lower edge is not. Parts of the obstacle are shown
before the bare scene, and the presence over its whole silhouette is measured.

Contact: a bar is drawn along the lower edge of an obstacle without a shadow, and its thickness and brightness are
changed.

Position against size: an obstacle is moved away (both cues change as in the world), or only its position in the picture
changes, or only its size. The distance read is the mean of the predicted depth over the obstacle's pixels, relative to
that at the nearest position. An obstacle that is not detected even there is left out and counted: its pixels then show
the depth behind it, which grows as they move up the picture, whichever cue the net uses.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.evaluation.statistics import Floats
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
from depthcue.probes.following import share_followed
from depthcue.probes.reading import against_bare, presence_numbers, read_presence
from depthcue.probes.stage import Pose, Scene, Shown, distance_of, obstacle_variant

DISTANCE = 1.3
"""Distance and size of the obstacles that are lined up, as ratios to the nearest."""
SHADOW, NO_SHADOW = "with shadow", "without shadow"
FAMILIAR, UNFAMILIAR = "familiar", "unfamiliar"

NEAR_PARTS = Pose()
WHOLE = "whole"
PARTS: dict[str, tuple[str, ...]] = {
    "hollow": ("top", "bottom", "sides"), "bottom and sides": ("bottom", "sides"), "top and sides": ("top", "sides"),
    "top and bottom": ("top", "bottom"), "sides": ("sides",), "bottom": ("bottom",)}
"""Remaining parts of the outline; the shadow on the ground belongs to the bottom."""
_SIDE, _TOP, _BOTTOM = 0.14, 0.12, 0.3
"""Width of the parts: of the silhouette's width in a row, of its height, of its height."""

NEAR_GROUND_EDGE = Pose(shadow=False)
FRAME_HEIGHT = 375
"""Height of the frames in whose pixels thickness is given."""
THICKNESSES_PX = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0)
BRIGHTNESSES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
THICK, BRIGHT = "thickness", "brightness"
_DARK, _USUAL_PX = 0.0, 9.0

DISTANCES = tuple(round(1 + 0.1 * step, 1) for step in range(21))
COARSE = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Distances of the controls, which need a slope and no curve."""
BOTH, POSITION, SIZE, LIFTED = "both", "position", "size", "lifted"
BOX = "box, "
"""Before the condition where the obstacle is a neutral box."""
NAMES = {BOTH: "position and size", POSITION: "position only", SIZE: "size only", LIFTED: "lifted off the ground",
         BOX + BOTH: "box: position and size", BOX + POSITION: "box: position only", BOX + SIZE: "box: size only"}


def _unfamiliar_cases(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(
        stage.line_up(Pose(position=DISTANCE, size=DISTANCE)),
        lambda scene, obstacles: Case(scene.name, Variant("", 0.0, scene.bare), _unfamiliar_variants(scene, obstacles),
                                      scene.anchor))


def _unfamiliar_variants(scene: Scene, obstacles: Sequence[tuple[Any, bool]]) -> Iterator[Variant]:
    for obstacle, familiar in obstacles:
        group = FAMILIAR if familiar else UNFAMILIAR
        poses = [Pose(DISTANCE, DISTANCE, shadow=shadow) for shadow in (True, False)]
        for condition, shown in zip((SHADOW, NO_SHADOW), scene.show(obstacle, poses), strict=True):
            yield obstacle_variant(scene, f"{group}, {obstacle.name}, {condition}", 0.0, shown,
                                   contact_row=shown.contact[0])


def conclude_unfamiliar(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of obstacles that are seen, how completely, and how far off; what the shadow adds."""
    findings = Findings()
    for number, words in (("seen", "share of obstacles seen"), ("completeness", "share of an obstacle's pixels seen")):
        values = {(group, shadow): _means(readings, group, shadow, number)
                  for group in (FAMILIAR, UNFAMILIAR) for shadow in (SHADOW, NO_SHADOW)}
        findings.values += [{"name": f"{words}, {group}, {shadow}", **chance.mean(found)}
                            for (group, shadow), found in values.items()]
        findings.values += [{"name": f"{words}, {group}, what the shadow adds",
                             **chance.mean(values[group, SHADOW] - values[group, NO_SHADOW])}
                            for group in (FAMILIAR, UNFAMILIAR)]
    findings.values += [{"name": f"distance over that of its contact, {group}, {shadow}",
                         **chance.mean(_means(readings, group, shadow, "distance"))}
                        for group in (FAMILIAR, UNFAMILIAR) for shadow in (SHADOW, NO_SHADOW)]
    conditions = dict.fromkeys(condition for reading in readings for condition, _ in reading.numbers)
    findings.bars = [{"y": "share of the obstacle's pixels seen", "bars": [
        {**_named(condition), **chance.mean([reading.get(condition, 0.0, "completeness") for reading in readings])}
        for condition in sorted(conditions, key=lambda condition: not condition.startswith(f"{FAMILIAR}, "))]}]
    return findings


def _named(condition: str) -> dict[str, str]:
    """The obstacle and the shadow of a condition, as a bar has them."""
    group, _, rest = condition.partition(", ")
    obstacle, _, shadow = rest.rpartition(", ")
    return {"name": f"{obstacle} ({group})" if group == FAMILIAR else obstacle, "series": shadow}


def _means(readings: Sequence[Readings], group: str, shadow: str, number: str) -> Floats:
    """Mean of a number over the obstacles of a group, for each case; NaN without one."""
    means = []
    for reading in readings:
        found = [numbers[number] for (condition, _), numbers in reading.numbers.items()
                 if condition.startswith(f"{group}, ") and condition.endswith(f", {shadow}") and number in numbers]
        means.append(float(np.mean(found)) if found else np.nan)
    return np.array(means)


UNFAMILIAR_EXPERIMENT = Experiment(
    "unfamiliar", "Does it see things that nobody taught it to expect, and does it need their shadow?",
    {RENDERED: _unfamiliar_cases, PHOTOGRAPHS: _unfamiliar_cases}, read_presence, conclude_unfamiliar)


def parts_of(region: Tensor) -> dict[str, Tensor]:
    """The top, bottom and sides of a silhouette, bool (1, H, W) each: bands along its outline, inside it."""
    silhouette = region[0]
    rows = torch.arange(silhouette.shape[0])[:, None].expand_as(silhouette)
    columns = torch.arange(silhouette.shape[1])[None, :].expand_as(silhouette)
    left = torch.where(silhouette, columns, silhouette.shape[1]).amin(1, keepdim=True)
    right = torch.where(silhouette, columns, -1).amax(1, keepdim=True)
    top = torch.where(silhouette, rows, silhouette.shape[0]).amin(0, keepdim=True)
    bottom = torch.where(silhouette, rows, -1).amax(0, keepdim=True)
    filled = torch.nonzero(silhouette.any(1))[:, 0]
    height = int(filled.max() - filled.min()) + 1 if len(filled) else 0
    wide = (right - left + 1).clamp_min(1) * _SIDE
    return {"sides": (silhouette & ((columns - left < wide) | (right - columns < wide)))[None],
            "top": (silhouette & (rows - top < max(1.0, height * _TOP)))[None],
            "bottom": (silhouette & (bottom - rows < max(1.0, height * _BOTTOM)))[None]}


def with_parts(scene: Scene, shown: Shown, names: Sequence[str]) -> Tensor:
    """The picture (3, H, W) in which only these parts of the obstacle are left."""
    bands = parts_of(shown.region)
    kept = torch.zeros_like(shown.region)
    for name in names:
        kept = kept | bands[name]
    if "bottom" in names:
        cast = ~shown.region & ((shown.rgb - scene.bare).abs().amax(0, keepdim=True) > 0.02)
        kept = kept | cast
    return torch.where(kept, shown.rgb, scene.bare)


def _parts_cases(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(stage.familiar([NEAR_PARTS]),
                     lambda scene, obstacle: against_bare(scene, obstacle, _parts_variants(scene, obstacle)))


def _parts_variants(scene: Scene, obstacle: Any) -> Iterator[Variant]:
    shown = next(iter(scene.show(obstacle, [NEAR_PARTS])))
    pictures = {WHOLE: shown.rgb, **{name: with_parts(scene, shown, bands) for name, bands in PARTS.items()}}
    for name, rgb in pictures.items():
        changed = (rgb - scene.bare).abs().amax(0, keepdim=True) > 0.02
        yield Variant(name, 0.0, rgb, shown.region, cue=changed & shown.region, same=~changed & ~shown.region,
                      truth={"contact_row": shown.contact[0]})


def conclude_parts(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the silhouette that is seen, and of obstacles, for every set of parts."""
    findings = Findings()
    complete = {name: chance.mean([reading.get(name, 0.0, "completeness") for reading in readings])
                for name in (WHOLE, *PARTS)}
    findings.bars = [{"y": "share of the whole silhouette seen",
                      "bars": [{"name": name, **found} for name, found in complete.items()]}]
    findings.values = [{"name": f"share of the silhouette seen, {name}", **found} for name, found in complete.items()]
    findings.values += [{"name": f"share of obstacles seen, {name}",
                         **chance.mean([reading.get(name, 0.0, "seen") for reading in readings])}
                        for name in (WHOLE, *PARTS)]
    return findings


PARTS_EXPERIMENT = Experiment(
    "parts", "Of which parts of its outline does it make an obstacle?",
    {RENDERED: _parts_cases, PHOTOGRAPHS: _parts_cases}, read_presence, conclude_parts)


def with_edge(rgb: Tensor, region: Tensor, thickness_px: float, brightness: float) -> Tensor:
    """A picture (3, H, W) with a grey bar along the lower edge of a region; half of it lies on the ground.

    Fractions of a pixel are covered in part, so that every thickness differs in a small picture too.
    """
    if thickness_px <= 0 or not region.any():
        return rgb
    silhouette = region[0]
    rows = torch.nonzero(silhouette.any(1))[:, 0]
    lowest = float(rows.max()) + 0.5
    low = silhouette[int(rows.min() + 0.8 * (rows.max() - rows.min())):].any(0)  # the columns it stands on
    columns = torch.nonzero(low)[:, 0]
    top, bottom = lowest - thickness_px / 2, lowest + thickness_px / 2
    at = torch.arange(rgb.shape[1], dtype=rgb.dtype)[:, None]
    cover = (torch.minimum(at + 0.5, at.new_tensor(bottom)) - torch.maximum(at - 0.5, at.new_tensor(top))).clamp(0, 1)
    across = torch.zeros(rgb.shape[2], dtype=rgb.dtype)
    across[int(columns.min()):int(columns.max()) + 1] = 1.0
    return torch.lerp(rgb, rgb.new_tensor(brightness), (cover * across[None])[None])


def _ground_edge_cases(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(stage.unfamiliar([NEAR_GROUND_EDGE]),
                     lambda scene, obstacle: against_bare(scene, obstacle, _ground_edge_variants(scene, obstacle)))


def _ground_edge_variants(scene: Scene, obstacle: Any) -> Iterator[Variant]:
    shown = next(iter(scene.show(obstacle, [NEAR_GROUND_EDGE])))
    for thickness in THICKNESSES_PX:
        yield _variant(scene, shown, THICK, thickness, thickness, _DARK)
    for brightness in BRIGHTNESSES:
        yield _variant(scene, shown, BRIGHT, brightness, _USUAL_PX, brightness)


def _variant(scene: Scene, shown: Shown, condition: str, level: float, thickness_px: float,
             brightness: float) -> Variant:
    pixels = thickness_px * scene.bare.shape[1] / FRAME_HEIGHT
    rgb = with_edge(shown.rgb, shown.region, pixels, brightness)
    edge = (rgb != shown.rgb).any(0, keepdim=True)
    return Variant(condition, level, rgb, shown.region, cue=edge, same=~shown.region & ~edge,
                   truth={"contact_row": shown.contact[0]})


def conclude_ground_edge(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the obstacle that is seen against the thickness and the brightness of its lower edge."""
    findings = Findings(y="share of the obstacle's pixels seen")
    findings.curves = [curve(f"black edge, {THICK}", readings, THICK, "completeness", chance,
                             x=f"{THICK} of the edge, pixels of a frame {FRAME_HEIGHT} high"),
                       curve(f"edge of {_USUAL_PX:g} pixels, {BRIGHT}", readings, BRIGHT, "completeness", chance,
                             x=f"{BRIGHT} of the edge")]
    for name, condition, first, last in (("the thickest edge beside none", THICK, THICKNESSES_PX[0],
                                          THICKNESSES_PX[-1]),
                                         ("a black edge beside a white one", BRIGHT, BRIGHTNESSES[-1],
                                          BRIGHTNESSES[0])):
        gains = [reading.get(condition, last, "completeness") - reading.get(condition, first, "completeness")
                 for reading in readings]
        findings.values.append({"name": f"gain in the share seen, {name}", **chance.mean(gains)})
    return findings


GROUND_EDGE_EXPERIMENT = Experiment(
    "ground-edge", "How dark and how thick has the edge on the ground to be for it to see an obstacle?",
    {RENDERED: _ground_edge_cases, PHOTOGRAPHS: _ground_edge_cases}, read_presence, conclude_ground_edge)


def pose_of(condition: str, distance: float) -> Pose:
    """The pose whose cues, those of a condition, are of an obstacle at that distance."""
    cues = condition.removeprefix(BOX)
    return Pose(position=distance if cues in (BOTH, POSITION) else 1.0,
                size=distance if cues in (BOTH, SIZE) else 1.0, lift=distance if cues == LIFTED else 1.0)


FARTHEST = (pose_of(BOTH, 1.0), pose_of(BOTH, DISTANCES[-1]), pose_of(POSITION, DISTANCES[-1]))
"""Poses that a scene must have room for."""


def _rendered(stage: Any) -> Iterator[Case | Dropped]:
    known = {BOTH: DISTANCES, POSITION: DISTANCES, SIZE: DISTANCES, LIFTED: COARSE}
    neutral = {BOX + BOTH: COARSE, BOX + POSITION: COARSE, BOX + SIZE: COARSE}
    return each_case(stage.familiar(FARTHEST),
                     lambda scene, thing: _case(scene, [(thing, known), (stage.thing("box"), neutral)]))


def _photographs(stage: Any) -> Iterator[Case | Dropped]:
    known = {BOTH: DISTANCES, POSITION: DISTANCES, SIZE: DISTANCES}
    return each_case(stage.familiar(FARTHEST), lambda scene, cutout: _case(scene, [(cutout, known)]))


def _case(scene: Scene, plan: Sequence[tuple[Any, Mapping[str, Sequence[float]]]]) -> Case:
    def variants() -> Iterator[Variant]:
        for thing, conditions in plan:
            for number, (condition, distances) in enumerate(conditions.items()):
                # at distance 1 all conditions of an obstacle are the same picture
                wanted = [distance for distance in distances if distance > 1 or number == 0]
                shows = scene.show(thing, [pose_of(condition, distance) for distance in wanted])
                for distance, shown in zip(wanted, shows, strict=True):
                    yield obstacle_variant(scene, condition, distance, shown, contact_row=shown.contact[0])

    return Case(scene.name, Variant("", 0.0, scene.bare), variants(), scene.anchor, plan[0][0].name)


def read(variant: Variant, answer: Answer) -> dict[str, float]:
    """`distance`: the mean depth seen on the obstacle.

    Raises:
        Unreadable: there is none, or the obstacle is not seen where it stands nearest.
    """
    if variant.region is None:
        return {}
    distance = distance_of(variant, answer)
    nearest = variant.condition in (BOTH, BOX + BOTH) and variant.level == 1.0
    if nearest and not presence_numbers(variant, answer)["seen"]:
        raise Unreadable("the obstacle is not seen where it stands nearest")
    return {"distance": distance}


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """Distance ratios as curves, their slopes as weights, and the net's own error where no cue is in conflict."""
    findings = Findings("distance told by the turned cue, ratio", "distance seen, ratio")
    ratios = [_relative(reading) for reading in readings]
    slopes: dict[str, Floats] = {cue: np.full(len(ratios), np.nan) for cue in (POSITION, SIZE)}
    for condition, name in NAMES.items():
        if not any(condition in [found for found, _ in reading.numbers] for reading in ratios):
            continue
        findings.curves.append(curve(name, ratios, condition, "ratio", chance, "true_ratio"))
        slopes[condition] = np.array([share_followed(*reading.levels(condition, "ratio")) for reading in ratios])
        findings.values.append({"name": f"slope, {name}", "condition": condition, **chance.mean(slopes[condition])})
    errors = [np.mean(np.abs(reading.levels(BOTH, "ratio")[1] / reading.levels(BOTH, "true_ratio")[1] - 1))
              if len(reading.levels(BOTH, "true_ratio")[0]) else np.nan for reading in ratios]
    findings.values.append({"name": "own error of the ratio without conflict", "condition": BOTH,
                            **chance.mean(np.array(errors))})
    for first, second, name in ((POSITION, SIZE, "position minus size"),
                                (SIZE, BOX + SIZE, "size of a known kind minus size of a box"),
                                (POSITION, LIFTED, "position with contact minus lifted")):
        if first in slopes and second in slopes:
            findings.values.append({"name": f"slope, {name}", **chance.mean(slopes[first] - slopes[second])})
    findings.profile = [{"cue": cue, "condition": condition, **chance.mean(slopes[condition])}
                        for cue, condition in (("vertical position", POSITION), ("familiar size", SIZE))]
    return findings


def _relative(reading: Readings) -> Readings:
    """The distances of a case over that at distance 1, which all conditions of an obstacle share."""
    relative = Readings(reading.scene)
    for (condition, level), numbers in reading.numbers.items():
        start = reading.numbers.get((BOX + BOTH if condition.startswith(BOX) else BOTH, 1.0), {})
        if "distance" not in numbers or "distance" not in start:
            continue
        ratio = {"ratio": numbers["distance"] / start["distance"]}
        # a photograph has no exact depth; of an obstacle moved as in the world the level is the ratio
        if "depth_m" in numbers:
            ratio["true_ratio"] = numbers["depth_m"] / start["depth_m"]
        elif condition == BOTH:
            ratio["true_ratio"] = level
        relative.numbers[condition, level] = ratio
        if condition in (BOTH, BOX + BOTH) and level == 1.0:
            prefix = condition.removesuffix(BOTH)
            for other in (POSITION, SIZE, LIFTED):
                if any(found == prefix + other for found, _ in reading.numbers):
                    relative.numbers[prefix + other, 1.0] = dict(ratio)
    return relative


POSITION_SIZE_EXPERIMENT = Experiment(
    "position-size", "Does it go by where an obstacle touches the ground, or by how large it looks?",
    {RENDERED: _rendered, PHOTOGRAPHS: _photographs}, read, conclude)
