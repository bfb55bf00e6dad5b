"""Horizon and roll read off a depth map, as van Dijk and de Croon read them (ICCV 2019, section 5)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from depthcue.probes.contract import Floats, Unreadable

TRIALS, TOLERANCE_PX, REFERENCE_HEIGHT = 500, 2.0, 375
"""RANSAC: how many lines are tried, and how far a pixel may be from one, in a whole frame of this height."""
LEAST_POINTS, LEAST_TIMES = 60, 2.0
"""Fewer ground pixels, or fewer of them on one plane than this times what any depth puts there by chance: no ground is
found. By chance a level line holds its own rows; noise comes to up to 1.5 times that, and a ground that bulges by a
tenth of its distance here and there to 4 times."""
_MOST_POINTS = 2000
ROLL_RANGE_DEG, ROLL_STEP_DEG = 25.0, 0.25
_SLICES = (0.35, 0.5, 0.65)
_MOST_WRONG = 0.1


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
