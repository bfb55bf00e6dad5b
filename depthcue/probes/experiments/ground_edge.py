"""The edge where an obstacle touches the ground: how thick and how dark has it to be for the obstacle to be seen?

van Dijk and de Croon 2019, section 4.4: a bar is drawn along the lower edge of an obstacle without a shadow, and its
thickness and brightness are turned.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from depthcue.probes.contract import (
    PHOTOGRAPHS,
    RENDERED,
    Case,
    Chance,
    Dropped,
    Experiment,
    Findings,
    Readings,
    Variant,
    curve,
    each_case,
)
from depthcue.probes.presence import against_bare, read_presence
from depthcue.probes.scene import Pose, Scene, Shown

NEAR = Pose(shadow=False)
FRAME_HEIGHT = 375
"""Of the frames in whose pixels thickness is said."""
THICKNESSES_PX = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0)
BRIGHTNESSES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
THICK, BRIGHT = "thickness", "brightness"
_DARK, _USUAL_PX = 0.0, 9.0


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


def _cases(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(stage.unfamiliar([NEAR]),
                     lambda scene, obstacle: against_bare(scene, obstacle, _variants(scene, obstacle)))


def _variants(scene: Scene, obstacle: Any) -> Iterator[Variant]:
    shown = next(iter(scene.show(obstacle, [NEAR])))
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


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
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


EXPERIMENT = Experiment(
    "ground-edge", "How dark and how thick has the edge on the ground to be for it to see an obstacle?",
    {RENDERED: _cases, PHOTOGRAPHS: _cases}, read_presence, conclude)
