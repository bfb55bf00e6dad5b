"""Parts of an obstacle: of which parts of its outline does a network make the whole?

van Dijk and de Croon 2019, section 4.4: a car of which the inside is gone is still seen, one without its lower edge is
not. Parts of the obstacle are shown before the bare scene, and what is seen in all of its silhouette is measured.
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
    each_case,
)
from depthcue.probes.presence import against_bare, read_presence
from depthcue.probes.scene import Pose, Scene, Shown

NEAR = Pose()
WHOLE = "whole"
PARTS: dict[str, tuple[str, ...]] = {
    "hollow": ("top", "bottom", "sides"), "bottom and sides": ("bottom", "sides"), "top and sides": ("top", "sides"),
    "top and bottom": ("top", "bottom"), "sides": ("sides",), "bottom": ("bottom",)}
"""What is left of the outline; what is cast on the ground belongs to the bottom."""
_SIDE, _TOP, _BOTTOM = 0.14, 0.12, 0.3
"""Width of the parts: of the silhouette's width in a row, of its height, of its height."""


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


def _cases(stage: Any) -> Iterator[Case | Dropped]:
    return each_case(stage.familiar([NEAR]),
                     lambda scene, obstacle: against_bare(scene, obstacle, _variants(scene, obstacle)))


def _variants(scene: Scene, obstacle: Any) -> Iterator[Variant]:
    shown = next(iter(scene.show(obstacle, [NEAR])))
    pictures = {WHOLE: shown.rgb, **{name: with_parts(scene, shown, bands) for name, bands in PARTS.items()}}
    for name, rgb in pictures.items():
        changed = (rgb - scene.bare).abs().amax(0, keepdim=True) > 0.02
        yield Variant(name, 0.0, rgb, shown.region, cue=changed & shown.region, same=~changed & ~shown.region,
                      truth={"contact_row": shown.contact[0]})


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
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


EXPERIMENT = Experiment("parts", "Of which parts of its outline does it make an obstacle?",
                        {RENDERED: _cases, PHOTOGRAPHS: _cases}, read_presence, conclude)
