"""The meeting point with masks: which share of a mask lies on the pixels that carry the turned cue."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from depthcue.probes.contract import Chance, Readings, Variant

SHARE, LIFT, BEFORE = "mask_share", "mask_lift", "mask_share_before"
"""Numbers a reading gets: the share of the mask's sum on the cue; over the cue's share of the picture (1: as much as
chance); and the first on the same pixels of the reference picture."""


def share_on(mask: Tensor, cue: Tensor) -> float:
    """Share of the sum of a mask (1, H, W) that lies on a cue, bool (1, H, W); NaN of an empty mask."""
    return float(mask[cue].sum() / mask.sum()) if float(mask.sum()) > 0 else float("nan")


def read_attention(variant: Variant, mask: Tensor, before: Tensor) -> dict[str, float]:
    """The three numbers of a variant; none where no pixel, or all, carry the cue."""
    cue = variant.region if variant.cue is None else variant.cue
    if cue is None or not cue.any() or cue.all():
        return {}
    share = share_on(mask, cue)
    return {SHARE: share, LIFT: share / float(cue.float().mean()), BEFORE: share_on(before, cue)}


def attention_document(readings: Sequence[Readings], chance: Chance) -> list[dict[str, Any]]:
    """For each condition the mask's share on the cue, that share over chance's, and the share before it was turned.

    Means over the levels of a case, then over cases with intervals; empty where no mask was looked at.
    """
    conditions = dict.fromkeys(condition for reading in readings for condition, _ in reading.numbers)
    entries = []
    for condition in conditions:
        columns = {name: [float(found.mean()) if len(found := reading.levels(condition, name)[1]) else np.nan
                          for reading in readings] for name in (SHARE, LIFT, BEFORE)}
        if np.isfinite(columns[SHARE]).any():
            entries.append({"condition": condition,
                            **{name: chance.mean(values) for name, values in columns.items()}})
    return entries
