"""Readings off a depth map: the depths of a case in one unit, the presence of an obstacle, horizon and roll.

Presence. The net's depth at an obstacle lies between two depths that it gives itself: that of what is behind the
obstacle (0) and that of the ground where the obstacle stands (1), in inverse depth. A pixel more than a quarter of the
distance towards the ground counts as detected: MonoDepth's recorded answers to a fridge with a shadow, which it half
detects, rise about so far. Only pixels are counted behind which the bare picture is clearly farther than the contact.

Horizon and roll are read as van Dijk and de Croon read them (ICCV 2019, section 5).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue.evaluation.statistics import Floats
from depthcue.nets import DepthNet, MaskNet, fit, resize
from depthcue.nets.units import Units, aligned_units
from depthcue.probes.contract import FAR, Answer, Case, Unreadable, Variant
from depthcue.probes.stage import LEAST_PIXELS, Scene, pixels_of

QUARTER_RISE = 0.25
"""Rise from which a pixel counts as detected."""
LEAST_COMPLETENESS = 0.3
"""Share of its pixels from which an obstacle counts as seen."""
_CLEARLY_BEHIND = 0.2
"""Least amount by which inverse depth behind is below the contact's, as a share of the contact's."""
_BELOW = 0.02
"""Height of the strip of ground under the contact, as a share of the picture's."""
TRIALS, TOLERANCE_PX, REFERENCE_HEIGHT = 500, 2.0, 375
"""RANSAC: how many lines are tried, and how far a pixel may be from one, in a whole frame of this height."""
LEAST_POINTS, LEAST_TIMES = 60, 2.0
"""Fewer ground pixels, or fewer of them on one plane than this times what any depth puts there by chance: no ground is
found. By chance a level line holds its own rows; noise comes to up to 1.5 times that, and a ground that bulges by a
tenth of its distance here and there to 4 times."""
_MOST_POINTS = 2000
"""Ground pixels that are used at most."""
ROLL_RANGE_DEG, ROLL_STEP_DEG = 25.0, 0.25
_SLICES = (0.35, 0.5, 0.65)
"""Quantiles of the disparities at which the roll is read."""
_MOST_WRONG = 0.1
"""Largest share of a column's pixels on the wrong side of its crossing."""


class Observer:
    """A frozen depth net, and its mask net where one is given, that the variants of cases are shown to.

    A net that is right up to scale and shift alone is brought to the anchor of the case in the reference picture, and
    in a variant to the reference over the pixels that show the same in both; where none do, the reference's scale and
    shift hold. A cue that moves the depth of all the picture alike is therefore measured on such a net against the
    pixels that do not carry it.
    """

    def __init__(self, depth_net: DepthNet, mask_net: MaskNet | None = None, device: str | torch.device = "cpu",
                 batch_size: int = 8) -> None:
        self.depth_net, self.mask_net = depth_net, mask_net
        self.device, self.batch_size = torch.device(device), batch_size

    def answers(self, case: Case) -> Iterator[tuple[Variant, Answer, Tensor | None]]:
        """Every variant with its depth, and its mask (1, H, W), None without a mask net; the reference first.

        Memory holds one batch of variants, however many a case has.
        """
        height, width = case.reference.rgb.shape[1:]
        (first,) = self._predict([case.reference])
        depth_m, known = (part[None].to(self.device) for part in case.anchor)
        relative = self.depth_net.description.relative
        units = self._aligned(first, depth_m, known) if relative else None
        reference = self._depth(first, units, (height, width))
        yield case.reference, Answer(reference, reference), self._masks([case.reference])[0]
        while batch := list(islice(case.variants, self.batch_size)):
            for variant, prediction, mask in zip(batch, self._predict(batch), self._masks(batch), strict=True):
                own = units
                if relative and variant.same is not None:
                    own = self._aligned(prediction, reference[None, None], variant.same[None].to(self.device))
                yield variant, Answer(self._depth(prediction, own, (height, width)), reference), mask

    def _stack(self, variants: Sequence[Variant]) -> Tensor:
        return torch.stack([variant.rgb for variant in variants]).to(self.device)  # (B, 3, H, W)

    def _predict(self, variants: Sequence[Variant]) -> list[Tensor]:
        """Predictions (1, 1, h, w) of the pictures, in the net's own units."""
        net = self.depth_net
        with torch.inference_mode():
            return list(net(net.normalise(fit(self._stack(variants), net.description))).split(1))

    def _aligned(self, prediction: Tensor, depth: Tensor, known: Tensor) -> Units:
        return aligned_units(self.depth_net.description, prediction, depth, known, FAR)

    def _depth(self, prediction: Tensor, units: Units | None, size: tuple[int, int]) -> Tensor:
        """Depth (H, W) at the picture's size, on the CPU, where it is read."""
        depth = self.depth_net.to_depth_m(prediction) if units is None else units.to_depth(prediction)
        return resize(depth.float(), size)[0, 0].clamp(max=FAR).cpu()

    def _masks(self, variants: Sequence[Variant]) -> list[Tensor | None]:
        """The mask net's masks (1, H, W) at its own setting and the picture's size."""
        net = self.mask_net
        if net is None:
            return [None] * len(variants)
        rgb = self._stack(variants)
        with torch.inference_mode():
            masks = net(net.normalise(fit(rgb, net.description)))
        return list(resize(masks.float(), (rgb.shape[2], rgb.shape[3])).cpu())


@dataclass(frozen=True)
class Presence:
    """Presence of an obstacle.

    Attributes:
        completeness: share of the countable pixels that are detected.
        rise: mean rise from what is behind (0) to the contact (1).
        distance: mean depth on the obstacle over that of the ground at its contact.
    """

    completeness: float
    rise: float
    distance: float

    @property
    def detected(self) -> bool:
        """Whether enough of it is seen to say that it is."""
        return self.completeness >= LEAST_COMPLETENESS


def presence_numbers(variant: Variant, answer: Answer) -> dict[str, float]:
    """The presence of the obstacle of a variant, whose truth says `contact_row`, and whose reference is without it.

    Returns:
        `seen` (0 or 1), `completeness`, `rise`, `distance`.

    Raises:
        Unreadable: as `presence`.
    """
    found = presence(answer.depth, answer.reference, pixels_of(variant), variant.truth["contact_row"])
    return {"seen": float(found.detected), "completeness": found.completeness, "rise": found.rise,
            "distance": found.distance}


def against_bare(scene: Scene, obstacle: Any, variants: Iterator[Variant]) -> Case:
    """A case whose reference is the scene without the obstacle."""
    return Case(scene.name, Variant("", 0.0, scene.bare), variants, scene.anchor, obstacle.name)


def read_presence(variant: Variant, answer: Answer) -> dict[str, float]:
    """`presence_numbers`; nothing of the scene without the obstacle."""
    return {} if variant.region is None else presence_numbers(variant, answer)


def presence(depth: Tensor, bare: Tensor, region: Tensor, contact_row: float) -> Presence:
    """Measure the presence of an obstacle in the depth.

    Args:
        depth, bare: predicted depth with and without it, (H, W), positive, in one unit.
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
    return Presence(float((rise > QUARTER_RISE).float().mean()), float(rise.mean()),
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


@dataclass(frozen=True)
class Horizon:
    """The row at which the ground's disparity is 0, and the share of ground pixels that lie on one plane."""

    row: float
    share: float


def read_horizon(depth: Tensor, ground: Tensor, seed: int = 0, frame_height: float | None = None) -> Horizon:
    """The horizon of the plane that most ground pixels lie on: row = a / depth + horizon, by RANSAC.

    Args:
        depth: (H, W), positive, in any unit.
        ground: bool (H, W), where to look for the ground.
        frame_height: of the whole frame, where this is a window of it.

    Raises:
        Unreadable: no plane that recedes upwards is found there.
    """
    rows, columns = np.nonzero(ground.numpy())
    draws = np.random.default_rng(seed)
    if len(rows) > _MOST_POINTS:
        some = draws.choice(len(rows), _MOST_POINTS, replace=False)
        rows, columns = rows[some], columns[some]
    disparity = 1 / depth.numpy()[rows, columns].astype(np.float64)
    if len(rows) < LEAST_POINTS:
        raise Unreadable("no ground found: too few pixels")
    tolerance = max(TOLERANCE_PX * (frame_height or depth.shape[0]) / REFERENCE_HEIGHT, 1.0)
    one, other = (draws.integers(0, len(rows), TRIALS) for _ in range(2))
    apart = disparity[one] - disparity[other]
    fine = np.abs(apart) > 1e-12
    slopes = (rows[one] - rows[other])[fine] / apart[fine]
    offsets = rows[one][fine] - slopes * disparity[one][fine]
    down = slopes > 0  # nearer is lower, or it is no ground
    if not down.any():
        raise Unreadable("no ground found: nothing recedes upwards")
    slopes, offsets = slopes[down], offsets[down]
    on_line = np.abs(rows[None] - slopes[:, None] * disparity[None] - offsets[:, None]) <= tolerance
    best = on_line[on_line.sum(1).argmax()]
    share = float(best.mean())
    if share * len(rows) < LEAST_TIMES * _most_in_one(np.sort(rows), 2 * tolerance):
        raise Unreadable("no ground found: too little of it lies on one plane")
    slope, offset = np.polyfit(disparity[best], rows[best].astype(np.float64), 1)
    if slope <= 0 or not np.isfinite(offset):
        raise Unreadable("no ground found: nothing recedes upwards")
    return Horizon(float(offset), share)


def read_roll(depth: Tensor, ground: Tensor) -> float:
    """The roll in degrees, counter-clockwise positive, at which lines of equal disparity cross the ground.

    In each column the row is found where the ground passes a given disparity; a Hough transform finds the line through
    these points. The median over three disparities.

    Args:
        depth: (H, W), positive; ground: bool (H, W), where to look.

    Raises:
        Unreadable: no ground, or no line on it.
    """
    disparity = np.where(ground.numpy(), 1 / depth.numpy().astype(np.float64), np.nan)
    known = disparity[np.isfinite(disparity)]
    if len(known) < LEAST_POINTS:
        raise Unreadable("no ground found: too few pixels")
    found = [angle for level in np.quantile(known, _SLICES) if (angle := _line_angle(*_crossings(disparity, level)))
             is not None]
    if not found:
        raise Unreadable("no line of equal disparity on the ground")
    return float(np.median(found))


def _crossings(disparity: Floats, level: float) -> tuple[Floats, Floats]:
    """Columns, and the fractional rows at which disparity rises through a level, going down.

    In each column the row that best parts farther ground above from nearer below; none where too much is on the wrong
    side, since a column of noise has no such row.
    """
    known = np.isfinite(disparity)
    nearer = known & (np.nan_to_num(disparity) >= level)
    farther = known & ~nearer
    # parted before row r: what is nearer above it, and what is farther from it on, is on the wrong side
    wrong = np.vstack([np.zeros((1, disparity.shape[1])), np.cumsum(nearer, 0)])[:-1]
    wrong = wrong + np.cumsum(farther[::-1], 0)[::-1]
    rows = wrong.argmin(0)
    clear = wrong.min(0) <= _MOST_WRONG * known.sum(0)
    inside = (rows > 0) & nearer[rows, np.arange(len(rows))] & farther[rows - 1, np.arange(len(rows))]
    columns = np.nonzero(clear & inside)[0]
    low, high = disparity[rows[columns] - 1, columns], disparity[rows[columns], columns]
    return columns.astype(np.float64), rows[columns] - 1 + (level - low) / (high - low)


def _line_angle(columns: Floats, rows: Floats) -> float | None:
    """The angle of the line most points lie on; None where they are few, or no line holds a third of them."""
    if len(columns) < 12 or np.ptp(columns) < 12:
        return None
    angles = np.arange(-ROLL_RANGE_DEG, ROLL_RANGE_DEG + ROLL_STEP_DEG / 2, ROLL_STEP_DEG)
    # rows fall to the right where the picture has turned counter-clockwise
    lifts = rows[None] + np.tan(np.radians(angles))[:, None] * (columns - columns.mean())[None]
    votes = np.array([_most_in_one(np.sort(lift)) for lift in lifts])
    if votes.max() < len(columns) / 3:
        return None
    # many neighbouring angles may hold all points of a short line; their middle is the estimate
    return float(angles[votes == votes.max()].mean())


def _most_in_one(ordered: NDArray[Any], wide: float = 1.5) -> int:
    """The largest number of values that an interval of this width holds."""
    return int((np.searchsorted(ordered, ordered + wide, side="right") - np.arange(len(ordered))).max())
