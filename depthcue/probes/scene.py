"""What both stages offer to experiments: a scene with a ground, and an obstacle shown on it in any pose."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from depthcue.probes.contract import FAR, Dropped, Seen, Unreadable, Variant

LEAST_PIXELS = 12
"""An obstacle of which fewer pixels are seen is not read."""
LEAST_CONTRAST = 0.03
"""An obstacle that differs less from what is behind it, in the mean over its pixels, cannot be told from it."""


@dataclass(frozen=True)
class Pose:
    """How an obstacle is shown. Distances are ratios to the nearest one, which is 1.

    position: its ground contact lies on the row of the ground at this distance; size: its apparent size is that at this
    distance; lift: it floats, its lower edge on the row of the ground at this distance, while it stays where it is
    (rendered scenes alone: in a photograph this looks as `position` does); shadow: whether it darkens the ground.
    """

    position: float = 1.0
    size: float = 1.0
    lift: float = 1.0
    shadow: bool = True


@dataclass(frozen=True)
class Shown:
    """An obstacle in a scene: the picture (3, H, W); where it is seen, bool (1, H, W); exact depth (1, H, W) in metres
    where the scene is rendered; the row and column of the middle of its lower edge."""

    rgb: Tensor
    region: Tensor
    depth_m: Tensor | None
    contact: tuple[float, float]


class Obstacle(Protocol):
    """Something that can be shown in a scene of the same stage."""

    @property
    def name(self) -> str: ...


class Scene(Protocol):
    """One rendered world or one frame, with nothing put in yet.

    Attributes:
        bare: the picture (3, H, W).
        ground: bool (1, H, W), where the ground is seen.
        anchor: as `Case.anchor`.
        horizon_row: of the true horizon, in rows from the centre of the top left pixel.
        focal_px: in pixels of this picture.
    """

    name: str
    bare: Tensor
    ground: Tensor
    anchor: tuple[Tensor, Tensor]
    horizon_row: float
    focal_px: float

    def show(self, obstacle: Obstacle, poses: Sequence[Pose]) -> Iterator[Shown]:
        """The obstacle in each pose."""

    def check(self, obstacle: Obstacle, poses: Sequence[Pose]) -> Dropped | None:
        """Why the obstacle cannot be shown in these poses, None where it can."""


LineUp = tuple["Scene", list[tuple[Any, bool]]]
"""A scene, and obstacles that can be shown in it one after the other, each with whether its kind is familiar there."""


def obstacle_variant(scene: Scene, condition: str, level: float, shown: Shown, **truth: float) -> Variant:
    """A variant that is read on the obstacle. Its mean exact depth, where known, is `depth_m` of its truth."""
    truth = exact_distance(shown) | truth
    same = ~shown.region & ((shown.rgb - scene.bare).abs().amax(0, keepdim=True) < 0.02)
    return Variant(condition, level, shown.rgb, shown.region, same=same, truth=truth)


def exact_distance(shown: Shown) -> dict[str, float]:
    """The obstacle's mean exact depth in metres, where it is known and seen, as `depth_m`."""
    if shown.depth_m is None or not shown.region.any():
        return {}
    return {"depth_m": float(shown.depth_m[shown.region].mean())}


def pixels_of(variant: Variant) -> Tensor:
    """The pixels (H, W) on which an obstacle is read.

    Raises:
        Unreadable: too few of them.
    """
    assert variant.region is not None
    if int(variant.region.sum()) < LEAST_PIXELS:
        raise Unreadable(f"fewer than {LEAST_PIXELS} pixels of the obstacle are seen")
    return variant.region[0]


def distance_of(variant: Variant, seen: Seen) -> float:
    """The mean depth seen on the obstacle, in the unit of the case.

    Raises:
        Unreadable: too few pixels of it, or no finite depth.
    """
    distance = float(seen.depth[pixels_of(variant)].mean())
    if not math.isfinite(distance) or distance >= FAR / 2:
        raise Unreadable("the obstacle is seen at no finite distance")
    return distance


def stands_out(scene: Scene, shown: Shown) -> bool:
    """Whether enough of the obstacle is seen, and it differs from what is behind it."""
    if int(shown.region.sum()) < LEAST_PIXELS:
        return False
    return float((shown.rgb - scene.bare).abs().mean(0, keepdim=True)[shown.region].mean()) >= LEAST_CONTRAST
