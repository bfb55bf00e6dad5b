"""Is an obstacle seen at all, how completely, and at what distance: against the same picture without it.

What a net makes of an obstacle is set between two things it says itself: the depth of what is behind the obstacle (0)
and the depth of the ground where the obstacle stands (1), in inverse depth. A pixel in which the net goes more than a
quarter of the way counts as seen: MonoDepth's recorded answers to a fridge with a shadow, which it half sees, go about
so far. Only pixels are counted behind which the bare picture is clearly farther than the contact.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from depthcue.probes.contract import Case, Seen, Unreadable, Variant
from depthcue.probes.scene import LEAST_PIXELS, Scene, pixels_of

QUARTER_WAY = 0.25
SEEN_FROM = 0.3
"""Of this share of its pixels on, an obstacle counts as seen."""
_CLEARLY_BEHIND = 0.2
"""What is behind is that much less in inverse depth than the contact, as a share of the contact's."""
_BELOW = 0.02
"""Height of the strip of ground under the contact, as a share of the picture's."""


@dataclass(frozen=True)
class Presence:
    """completeness: share of the countable pixels that are seen; rise: mean way gone from what is behind (0) to the
    contact (1); distance: mean depth on the obstacle over that of the ground at its contact."""

    completeness: float
    rise: float
    distance: float

    @property
    def seen(self) -> bool:
        """Whether enough of it is seen to say that it is."""
        return self.completeness >= SEEN_FROM


def presence_numbers(variant: Variant, seen: Seen) -> dict[str, float]:
    """The presence of the obstacle of a variant, whose truth says `contact_row`, and whose reference is without it.

    Returns:
        `seen` (0 or 1), `completeness`, `rise`, `distance`.

    Raises:
        Unreadable: as `presence`.
    """
    found = presence(seen.depth, seen.reference, pixels_of(variant), variant.truth["contact_row"])
    return {"seen": float(found.seen), "completeness": found.completeness, "rise": found.rise,
            "distance": found.distance}


def against_bare(scene: Scene, obstacle: Any, variants: Iterator[Variant]) -> Case:
    """A case whose reference is the scene without the obstacle."""
    return Case(scene.name, Variant("", 0.0, scene.bare), variants, scene.anchor, obstacle.name)


def read_presence(variant: Variant, seen: Seen) -> dict[str, float]:
    """`presence_numbers`; nothing of the scene without the obstacle."""
    return {} if variant.region is None else presence_numbers(variant, seen)


def presence(depth: Tensor, bare: Tensor, region: Tensor, contact_row: float) -> Presence:
    """How an obstacle is seen.

    Args:
        depth, bare: what the net sees with and without it, (H, W), positive, in one unit.
        region: bool (H, W), where the obstacle is.
        contact_row: row at which it touches the ground.

    Raises:
        Unreadable: no ground under it in the picture, or too few pixels before a background that is farther.
    """
    ground = 1 / float(contact_depth(bare, region, contact_row))
    behind, there = 1 / bare, 1 / depth
    countable = region & (behind < (1 - _CLEARLY_BEHIND) * ground)
    if int(countable.sum()) < LEAST_PIXELS:
        raise Unreadable("what is behind the obstacle is not farther than its contact")
    rise = ((there - behind) / (ground - behind))[countable]
    return Presence(float((rise > QUARTER_WAY).float().mean()), float(rise.mean()),
                    float(depth[region].mean()) * ground)


def contact_depth(bare: Tensor, region: Tensor, contact_row: float) -> Tensor:
    """The depth of the ground in a strip just under an obstacle's contact, in the bare picture.

    Raises:
        Unreadable: the strip lies outside the picture.
    """
    height = bare.shape[0]
    top = round(contact_row)
    bottom = top + max(1, round(_BELOW * height))
    if not (0 <= top and bottom <= height and region.any()):
        raise Unreadable("the obstacle's contact with the ground is outside the picture")
    columns = torch.nonzero(region.any(0))[:, 0]
    return bare[top:bottom, int(columns.min()):int(columns.max()) + 1].median()
