"""Light and shade: does a body bulge for the net because of how it is shaded?

A matt, plain body, long in the direction of view, lies ahead; its outline is round and tells nothing of its depth. Its
shading is turned and nothing else, to the pixel: upside down, as of a hollow lit from above (the reference), and as the
light shades it, a bulge. Both are as bright and as full of shading at the rim as in the middle, so that a net which
takes dark for far answers both alike, and follows nothing. Painted over with its mean colour the body is flat.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings, Variant
from depthcue.probes.following import TOLD, TRUE, Compared, conclude_cue, elsewhere, read_ratio, take
from depthcue.probes.rendered import Rendered, RenderedScene
from depthcue.probes.scene import LEAST_PIXELS
from depthcue.scenes.staging import Prop, Show, seen_props

BULGE, FLAT = "shaded", "flat"
_NEAREST_M = {"road": 6.0, "indoor": 2.4}
_SIZE = {"road": 1.8, "indoor": 0.8}
_INNER, _OUTER, _BAND = 0.4, (0.6, 0.9), 0.4
"""The middle and the rim that are compared, as shares of the body's radius in the picture. Of the rim what lies left
and right counts, within a band: above and below, what is far and near behind it shines through."""
_LEAST_SHADING = 0.03


def _case(scene: RenderedScene, number: int) -> Case | Dropped:
    body = Prop("egg", _NEAREST_M[scene.kind], scale=_SIZE[scene.kind], shadow=False, seed=scene.seed)
    rendering = scene.render([Show(props=(body,))])
    shaded, depth_m = rendering.rgb[0].cpu(), rendering.depth_m[0].cpu()
    region = seen_props(rendering, scene.kind, scene.seed)[0].cpu()
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
        rgb, told = pictures[condition]
        return Compared(condition, told if condition else 0.0, rgb, rim, cue=region, same=~region,
                        truth={TOLD: told, **({TRUE: bulge} if condition == BULGE else {})}, against=middle)

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


def _cases(stage: Rendered) -> Iterator[Case | Dropped]:
    return take(stage, _case)


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told ratio between rim and middle that is followed, from hollow to bulge."""
    return conclude_cue("light and shade", {BULGE: "from hollow to bulge", FLAT: "from hollow to flat"}, readings,
                        chance, curves=())


EXPERIMENT = Experiment("shading", "Does a body bulge for it because of its shading?", {RENDERED: _cases}, read_ratio,
                        conclude)
