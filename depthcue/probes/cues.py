"""The cues of the profile, one experiment each: perspective, texture, shading, haze, blur, relative size, occlusion.

Linear perspective: the floor is striped along the view, without any other texture. Only how the stripes converge is
changed: from not at all, as on a wall, through that of a level floor, to more than that.

Texture gradient: the floor is covered with blotches of unknown size, without lines or rows. Only how their size falls
towards the horizon is changed: from not at all, as on a wall, through that of a level floor, to more than that.

Light and shade: a matt, plain body, long in the direction of view, lies ahead; its outline is round and does not show
its depth. Only its shading is changed: upside down, as that of a hollow lit from above (the reference), and as the
light shades it, a bulge. Both are equally bright and equally shaded at the rim and in the middle, so that a net which
takes dark for far gives both the same depth, and follows nothing. Painted over with its mean colour the body is flat.

Aerial perspective: an obstacle stands still in hazy air. Only the amount of the air's light that lies over it is
changed: as much as at 1 to 3 times its distance. Its position, its apparent size, and the rest of the picture stay.

Focus: the lens is focused on an obstacle, and what lies beyond is less sharp with distance. The obstacle stands still;
only its sharpness is changed: as at 1 to 3 times its distance. The rest of the picture stays.

Relative size: two flat figures of one shape and colour float side by side, their lower edges at one height, since a net
that uses the position of objects would take a higher edge for a farther one. Only their apparent sizes are changed.

Occlusion: two flat figures of unlike colours float in the air and overlap. Only which of them covers the other is
changed: they are at nearly one distance, so that light and outlines stay to the pixel. The figure that covers is
nearer, but nothing shows by how much; on the scale of the profile it is a step of STEP times the distance.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from depthcue.probes.appearance import APERTURE, blurred, focused
from depthcue.probes.contract import (
    RENDERED,
    Case,
    Chance,
    Dropped,
    Experiment,
    Findings,
    Readings,
    Variant,
    each_case,
)
from depthcue.probes.following import (
    APPARENT,
    LEVELS,
    RATIO,
    TRUE,
    Compared,
    conclude_cue,
    cue_experiment,
    elsewhere,
    painted_case,
    read_ratio,
    unchanged,
)
from depthcue.probes.stage import (
    LEAST_PIXELS,
    Figure,
    Pose,
    RenderedScene,
    Thing,
    alike,
    hidden,
    show_figures,
)
from depthcue.scenes import Turn
from depthcue.scenes.api import Prop, Show, prop_regions
from depthcue.scenes.materials import Material

LINES = "lines"
_STRIPE = 0.08
"""Width of a stripe as a share of the distance of the near strip."""


def perspective_pattern(near_m: float) -> Material:
    """Stripes that run along the view."""
    return Material("stone", (0.45, 0.44, 0.42), (0.10, 0.10, 0.11), cell=(_STRIPE * near_m, 0.0, 0.0),
                    parity=(1.0, 0.0, 0.0))


PERSPECTIVE_EXPERIMENT = cue_experiment(
    "perspective", "Does the ground recede for it because lines on it converge?",
    lambda stage: stage.cases(lambda scene, _: painted_case(scene, LINES, perspective_pattern)),
    "linear perspective", {LINES: "converging lines only"})
"""The share of the apparent ratio between a far and a near strip of floor that is followed."""


TEXTURE = "texture"
_BLOTCH = 0.08
"""Size of a blotch as a share of the distance of the near strip."""


def texture_gradient_pattern(near_m: float) -> Material:
    """Blotches, alike in all directions."""
    return Material("stone", (0.55, 0.54, 0.52), (0.07, 0.07, 0.08), noise_period=(_BLOTCH * near_m,) * 3,
                    noise_mix=1.0, sharpness=4.0)


TEXTURE_GRADIENT_EXPERIMENT = cue_experiment(
    "texture-gradient", "Does the ground recede for it because its texture gets finer?",
    lambda stage: stage.cases(lambda scene, _: painted_case(scene, TEXTURE, texture_gradient_pattern)),
    "texture gradient", {TEXTURE: "texture gradient only"})
"""The share of the apparent ratio between a far and a near strip of floor that is followed."""


BULGE, FLAT = "shaded", "flat"
_NEAREST_M = {"road": 6.0, "indoor": 2.4}
_SIZE = {"road": 1.8, "indoor": 0.8}
_INNER, _OUTER, _BAND = 0.4, (0.6, 0.9), 0.4
"""The middle and the rim that are compared, as shares of the body's radius in the picture. Of the rim what lies left
and right counts, within a band: above and below, what is far and near behind it shines through."""
_LEAST_SHADING = 0.03


def _shading_case(scene: RenderedScene, number: int) -> Case | Dropped:
    body = Prop("egg", _NEAREST_M[scene.kind], scale=_SIZE[scene.kind], shadow=False, seed=scene.seed)
    rendering = scene.render([Show(props=(body,))])
    shaded, depth_m = rendering.rgb[0].cpu(), rendering.depth_m[0].cpu()
    region = prop_regions(rendering, scene.kind, scene.seed)[0].cpu()
    middle, rim = _rings(region)
    if min(int(middle.sum()), int(rim.sum())) < LEAST_PIXELS:
        return Dropped(scene.name, "something of the scene stands before the body")
    if float(shaded[:, region[0]].std(1).mean()) < _LEAST_SHADING:
        return Dropped(scene.name, "the light leaves no shading on the body")
    bulge = float(depth_m[rim].mean() / depth_m[middle].mean())
    mean = shaded[:, region[0]].mean(1)[:, None, None]
    pictures = {"": (torch.where(region, _upside_down(shaded, region, mean), shaded), 1 / bulge),
                BULGE: (shaded, bulge), FLAT: (torch.where(region, mean, shaded), 1.0)}

    def variant(condition: str) -> Variant:
        rgb, apparent = pictures[condition]
        return Compared(condition, apparent if condition else 0.0, rgb, rim, cue=region, same=~region,
                        truth={APPARENT: apparent, **({TRUE: bulge} if condition == BULGE else {})}, against=middle)

    return Case(scene.name, variant(""), (variant(condition) for condition in (BULGE, FLAT)),
                elsewhere(scene.anchor, region))


def _rings(region: Tensor) -> tuple[Tensor, Tensor]:
    """The middle and the rim of a round region, bool (1, H, W)."""
    rows, columns = torch.nonzero(region[0], as_tuple=True)
    if not len(rows):
        return region, region
    y, x = torch.meshgrid(torch.arange(region.shape[1]), torch.arange(region.shape[2]), indexing="ij")
    top, bottom, left, right = rows.min(), rows.max(), columns.min(), columns.max()
    down = (y - (top + bottom) / 2) / ((bottom - top + 1) / 2)
    radius = torch.hypot(down, (x - (left + right) / 2) / ((right - left + 1) / 2))
    aside = (radius > _OUTER[0]) & (radius < _OUTER[1])
    return region & (radius < _INNER), region & aside & (down.abs() < _BAND)


def _upside_down(rgb: Tensor, region: Tensor, filling: Tensor) -> Tensor:
    """A picture (3, H, W) in which a region is turned by 180 degrees; `filling` where it is not symmetric."""
    rows, columns = torch.nonzero(region[0], as_tuple=True)
    box = slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)
    turned = rgb.clone()
    turned[:, box[0], box[1]] = torch.where(region, rgb, filling)[:, box[0], box[1]].flip(1, 2)
    return turned


SHADING_EXPERIMENT = cue_experiment(
    "shading", "Does a body bulge for it because of its shading?", lambda stage: stage.cases(_shading_case),
    "light and shade", {BULGE: "from hollow to bulge", FLAT: "from hollow to flat"}, curves=())
"""The share of the apparent ratio between rim and middle that is followed, from hollow to bulge."""


HAZE = "haze"
VEILED = 0.25
"""Optical depth of the air before the obstacle in the reference: about the share of the air's light in it."""


def _haze_case(scene: RenderedScene, thing: Thing) -> Case:
    ratios = (1.0, *LEVELS)
    per_m = VEILED / scene.nearest_m
    shows = list(scene.turned(thing, [(Turn(haze_per_m=per_m * ratio), Pose()) for ratio in ratios]))
    region, depth_m = shows[0].region, shows[0].depth_m
    assert depth_m is not None
    distance_m = float(depth_m[region].mean())

    def variant(number: int) -> Variant:
        # haze grows with extinction times distance: n times the extinction is the haze at n times the distance
        rgb = torch.where(region, shows[number].rgb, shows[0].rgb)
        truth = {APPARENT: ratios[number], **({} if number else {TRUE: distance_m})}
        return Variant(HAZE if number else "", ratios[number] if number else 0.0, rgb, region, same=~region,
                       truth=truth)

    return Case(scene.name, variant(0), (variant(number) for number in range(1, len(ratios))),
                elsewhere((depth_m, torch.isfinite(depth_m)), region), thing.name)


HAZE_EXPERIMENT = cue_experiment(
    "haze", "Is a thing farther for it because there is more haze before it?",
    lambda stage: each_case(stage.familiar([Pose()]), _haze_case), "haze", {HAZE: "haze only"})
"""The share of the apparent distance ratio of the obstacle that is followed."""


BLUR = "blur"


def _blur_case(scene: RenderedScene, thing: Thing) -> Case:
    shown = next(scene.show(thing, [Pose()]))
    region, depth_m = shown.region, shown.depth_m
    assert depth_m is not None
    distance_m = float(depth_m[region].mean())
    sharp = torch.where(region, shown.rgb, focused(shown.rgb, depth_m, distance_m))
    widest = APERTURE * scene.size[1]

    def variant(ratio: float) -> Variant:
        rgb, own = sharp, ratio == 1.0
        if not own:
            rgb = torch.where(region, blurred(shown.rgb, region, widest * (1 - 1 / ratio)), sharp)
        return Variant("" if own else BLUR, 0.0 if own else ratio, rgb, region, same=~region,
                       truth={APPARENT: ratio, **({TRUE: distance_m} if own else {})})

    return Case(scene.name, variant(1.0), (variant(ratio) for ratio in LEVELS),
                elsewhere((depth_m, torch.isfinite(depth_m)), region), thing.name)


BLUR_EXPERIMENT = cue_experiment(
    "blur", "Is a thing farther for it because it is less sharp?",
    lambda stage: each_case(stage.familiar([Pose()]), _blur_case), "blur", {BLUR: "blur only"})
"""The share of the apparent distance ratio of the obstacle that is followed."""


SIZE, WORLD = "relative size", "as in the world"
_PAIR_SIZE, _PAIR_ASIDE, _LOW = 0.15, 0.24, -0.1
_WORLD_RATIO = 2.0
"""Ratio at which the figures are also shown at the distances that their sizes suggest, for the net's own error."""


def relative_size_pair(scene: RenderedScene, number: int, apparent: float, true: float) -> list[Figure]:
    """Two figures, first the one that looks farther; their sides change from scene to scene."""
    aside = _PAIR_ASIDE if number % 2 else -_PAIR_ASIDE
    cards = []
    for side in (1, -1):
        size = _PAIR_SIZE / math.sqrt(apparent) ** side
        cards.append(Figure(scene.seed, aside * side, _LOW + size / 2, size, scene.nearest_m * math.sqrt(true) ** side))
    return cards


def _relative_size_case(scene: RenderedScene, number: int) -> Case | Dropped:
    plan = [("", 1.0, 1.0), *((SIZE, level, 1.0) for level in LEVELS), (WORLD, _WORLD_RATIO, _WORLD_RATIO)]
    cards = [relative_size_pair(scene, number, apparent, true) for _, apparent, true in plan]
    rendering, regions = show_figures(scene, cards)
    if any(hidden(scene, group, group_regions) for group, group_regions in zip(cards, regions, strict=True)):
        return Dropped(scene.name, "something of the scene stands before the figures")
    pictures = rendering.rgb.cpu()
    # read where each figure is in every picture: elsewhere the share of pixels that show what is behind would change
    far, near = (torch.stack([group_regions[which] for group_regions in regions]).all(0) for which in (0, 1))
    if alike(pictures[0], regions[0], scene.bare, each_other=False):
        return Dropped(scene.name, "the figures cannot be told from what is behind them")

    def variant(row: int) -> Variant:
        condition, apparent, true = plan[row]
        figures = regions[row][0] | regions[row][1]
        same = unchanged(pictures[row], pictures[0]) & ~(figures | regions[0][0] | regions[0][1])
        return Compared(condition, apparent if condition else 0.0, pictures[row], far, cue=figures, same=same,
                        truth={APPARENT: apparent, **({TRUE: true} if apparent == true else {})}, against=near)

    return Case(scene.name, variant(0), (variant(row) for row in range(1, len(plan))),
                elsewhere(scene.anchor, regions[0][0] | regions[0][1]))


RELATIVE_SIZE_EXPERIMENT = cue_experiment(
    "relative-size", "Of two figures that look alike, is the smaller one farther for it?",
    lambda stage: stage.cases(_relative_size_case),
    "relative size", {SIZE: "relative size only", WORLD: "where sizes tell, light included"}, curves=(SIZE,))
"""The share of the apparent ratio between the two figures that is followed."""


COVERED, STEPPED = "covered", "covered, as in the world"
STEP = 1.5
"""Distance of the covered figure over that of the covering one, where only which is nearer is known."""
_HAIR = 1.004
_CARD_SIZE, _CARD_ASIDE, _UP = 0.24, 0.07, 0.04


def occlusion_pair(scene: RenderedScene, number: int, step: float) -> list[Figure]:
    """Two figures, the first of them `step` times as far as the other (below 1: nearer)."""
    side = 1 if number % 2 else -1
    seeds = (2 * scene.seed, 2 * scene.seed + 1)
    return [Figure(seed, side * sign * _CARD_ASIDE, sign * _UP, _CARD_SIZE, scene.nearest_m * math.sqrt(step) ** sign)
            for seed, sign in zip(seeds, (1, -1), strict=True)]


def _occlusion_case(scene: RenderedScene, number: int) -> Case | Dropped:
    # in the reference the first figure covers the other; then it is covered; at last it is at the farther distance
    plan = [("", 1 / _HAIR, 1 / STEP), (COVERED, _HAIR, STEP), (STEPPED, STEP, STEP)]
    cards = [occlusion_pair(scene, number, step) for _, step, _ in plan]
    rendering, regions = show_figures(scene, cards)
    if any(hidden(scene, group, group_regions) for group, group_regions in zip(cards, regions, strict=True)):
        return Dropped(scene.name, "something of the scene stands before the figures")
    pictures = rendering.rgb.cpu()
    first, second = (regions[0][which] & regions[1][which] for which in (0, 1))
    if alike(pictures[0], (first, second), scene.bare):
        return Dropped(scene.name, "the figures cannot be told apart, or from what is behind them")
    overlap = (regions[0][0] | regions[0][1]) & ~first & ~second

    def variant(row: int) -> Variant:
        condition, step, apparent = plan[row]
        return Compared(condition, apparent if condition else 0.0, pictures[row], first, cue=overlap,
                        same=unchanged(pictures[row], pictures[0]) & ~(overlap | first | second),
                        truth={APPARENT: apparent, **({TRUE: step} if step == apparent else {})}, against=second)

    return Case(scene.name, variant(0), (variant(row) for row in range(1, len(plan))),
                elsewhere(scene.anchor, overlap | first | second))


def conclude_occlusion(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the apparent step that is followed, and how often the order is right."""
    findings = conclude_cue("occlusion", {COVERED: "occlusion only", STEPPED: "with the step, light included"},
                            readings, chance, curves=())
    findings.values.append({"name": "share of pictures in which what covers is seen nearer", "condition": COVERED,
                            **chance.mean([_share_right(reading) for reading in readings])})
    return findings


def _share_right(reading: Readings) -> float:
    """The share of both orders that the net gets right; NaN where one was not read."""
    covering, covered = reading.get("", 0.0, RATIO), reading.get(COVERED, STEP, RATIO)
    return float(np.mean([covering < 1, covered > 1])) if np.isfinite([covering, covered]).all() else float("nan")


OCCLUSION_EXPERIMENT = Experiment(
    "occlusion", "Is what covers another thing nearer for it?",
    {RENDERED: lambda stage: stage.cases(_occlusion_case)}, read_ratio, conclude_occlusion)
