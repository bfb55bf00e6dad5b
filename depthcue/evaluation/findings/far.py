"""Third finding: outdoors, the region of the vanishing point is attended to; with it the far, and rows of the picture.

Where the vanishing point is known (rendered scenes) it is taken from there and the estimator is tested on the same
pictures; elsewhere it is estimated (see `vanishing_point`), and pictures that show no clear one are left out. Edges
crowd at a vanishing point too, so edges are followed beside the mask in every curve, and the attention near it is also
compared with that elsewhere at equal edge strength. A mask that prefers the rows of the horizon would be bright there
as well; so near and elsewhere are also compared within the same rows. The sky has no depth to see; where it is known
(rendered scenes), what a mask spends on it is told apart.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.evaluation.findings.cells import FEWEST_IMAGES, Cells, Chosen, Samples, Table, cell_of
from depthcue.evaluation.findings.edges import STRENGTHS
from depthcue.evaluation.findings.seeing import EDGES, MASK, Seen
from depthcue.evaluation.findings.vanishing_point import CLEAR, Sighting, find_vanishing_point
from depthcue.evaluation.tally import short

DISTANCES = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
"""Bounds of the bins of distance from the vanishing point, in picture widths."""
NEAR = 0.1
"""What counts as near it; one of the bounds."""
DEPTH_STEPS = 9
"""Bounds of the bins of depth, each √2 of the one before, up to the range of the data."""
ROWS = 12
"""Bands of rows."""
FAR = 0.5
"""What counts as far: from this share of the data's range on, and within it."""


class FarRegion:
    """Attention by distance from the vanishing point, by depth and by row, picture by picture.

    Args:
        max_depth_m: the range of the data.
    """

    def __init__(self, max_depth_m: float) -> None:
        self.depths_m = [short(max_depth_m * 2 ** ((step - DEPTH_STEPS + 1) / 2)) for step in range(DEPTH_STEPS)]
        self._near = Cells((len(STRENGTHS) + 1, len(DISTANCES) + 1), (MASK, EDGES))
        self._near_by_row = Cells((ROWS, len(DISTANCES) + 1), (MASK, EDGES))
        self._depth = Cells((DEPTH_STEPS + 1,), (MASK, EDGES))
        self._rows = Cells((ROWS,), (MASK, EDGES))
        self._sky = Cells((2,), (MASK, EDGES))
        self._depth_source = ""
        self._points: list[_Point] = []
        self._images = 0

    def see(self, seen: Seen) -> None:
        """Add pictures."""
        self._images += len(seen)
        height, width = seen.size
        device = seen.rgb.device
        rows = (torch.arange(height, device=device) * ROWS // height).view(1, 1, -1, 1).expand(len(seen), 1, -1, width)
        self._rows.see([rows], seen.attention)
        if seen.depth_m is not None:
            self._depth_source = seen.depth_source
            self._depth.see([cell_of(seen.depth_m, self.depths_m)], seen.attention)
        if seen.truth is not None:
            sky = (seen.truth.object_id < 0).long()
            self._sky.see([sky], {name: kept.double() for name, kept in seen.kept.items()})
        points = self._look_for_points(seen)
        self._points += points
        used = [row for row, point in enumerate(points) if point.used is not None]
        if not used:
            return
        at = torch.tensor([points[row].used for row in used], dtype=torch.float64, device=device)
        distance = cell_of(distance_from(at, height, width), DISTANCES)
        attention = {name: values[used] for name, values in seen.attention.items()}
        self._near.see([cell_of(seen.strength[used], STRENGTHS), distance], attention)
        self._near_by_row.see([rows[used], distance], attention)

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """What was found, or `left_out` with the reason.

        `images`; `vanishing_point`: its `source`, how many pictures have it (`images`), have it `outside` or show no
        clear one, the `agreement` of each picture on the estimate, and the `estimator`'s error in picture widths where
        the true one is known, beside that of always saying the centre; `by_distance` from it, with `bounds` in picture
        widths, and `near` it (within NEAR): attention of mask and edges, the difference, the mask's near minus
        elsewhere `at_equal_strength`, and the same of mask and edges `in_the_same_rows` (None where fewer than two
        pictures have one); `by_depth` with bounds in metres, the source of depth, and what is `far` (None without
        depth); `by_row`, bands from the top, with their share of all attention; `sky`, its `share` of all pixels and of
        the pixels `kept` by mask and edges, and the difference (None where no picture is known to show any).
        """
        if not self._images:
            return {"left_out": "there are no pictures"}
        near = self._near.table(draws, seed) if len(self._near) >= FEWEST_IMAGES else None
        depth = self._depth.table(draws, seed) if len(self._depth) else None
        rows = self._rows.table(draws, seed)
        return {
            "images": self._images, "vanishing_point": self._about_points(),
            "by_distance": None if near is None else {
                "bounds": list(DISTANCES),
                "bins": [_compared(near, _column(near, place)) for place in range(len(DISTANCES) + 1)]},
            "near": None if near is None else self._near_it(near, self._near_by_row.table(draws, seed)),
            "by_depth": None if depth is None else {
                "source": self._depth_source, "bounds_m": self.depths_m, "far": self._far(depth),
                "bins": [_compared(depth, np.arange(DEPTH_STEPS + 1) == place) for place in range(DEPTH_STEPS + 1)]},
            "sky": self._of_sky(draws, seed),
            "by_row": {"bins": [_compared(rows, np.arange(ROWS) == place) | {
                "share_of_mask": rows.share(np.arange(ROWS) == place, MASK).entry(),
                "share_of_edges": rows.share(np.arange(ROWS) == place, EDGES).entry()} for place in range(ROWS)]},
        }

    def _near_it(self, table: Table, by_row: Table) -> dict[str, Any]:
        inner = np.arange(len(DISTANCES) + 1) <= DISTANCES.index(NEAR)
        everywhere = np.broadcast_to(inner, table.count.shape[1:])
        return {"within": NEAR, **_compared(table, everywhere), "share": table.share(everywhere).entry(),
                "at_equal_strength": table.matched(MASK, inner, ~inner).entry(),
                "in_the_same_rows": {name: by_row.matched(name, inner, ~inner).entry() for name in (MASK, EDGES)}}

    def _of_sky(self, draws: int, seed: int) -> dict[str, Any] | None:
        if not len(self._sky):
            return None
        table, sky = self._sky.table(draws, seed), np.array([False, True])
        if not table.images(sky):
            return None
        kept = {name: table.share(sky, name) for name in (MASK, EDGES)}
        return {"share": table.share(sky).entry(), "kept": {name: samples.entry() for name, samples in kept.items()},
                "mask_minus_edges": (kept[MASK] - kept[EDGES]).entry()}

    def _far(self, table: Table) -> dict[str, Any]:
        bounds = [0.0, *self.depths_m]
        far = [bound >= FAR * self.depths_m[-1] * (1 - 1e-6) for bound in bounds[:-1]]
        # the last bin is what lies beyond the range, sky and all
        return {"from_m": FAR * self.depths_m[-1], **_compared(table, np.array([*far, False]))}

    def _look_for_points(self, seen: Seen) -> list["_Point"]:
        height, width = seen.size
        known = None if seen.truth is None else seen.truth.vanishing_point.tolist()
        points = []
        for row in range(len(seen)):
            point = None if known is None else (known[row][0], known[row][1])
            points.append(_Point(find_vanishing_point(seen.rgb[row]), point, height, width))
        return points

    def _about_points(self) -> dict[str, Any]:
        known = [point for point in self._points if point.known is not None]
        about: dict[str, Any] = {
            "source": "the renderer" if known else "estimated",
            "images": sum(point.used is not None for point in self._points),
            "outside": sum(not point.inside for point in known),
            "unclear": 0 if known else sum(point.used is None for point in self._points),
            "clear_from": CLEAR, "agreement": [short(point.agreement) for point in self._points]}
        errors = [point.error for point in known if point.error is not None]
        if errors:
            about["estimator"] = {
                "images": len(errors), "median_error": short(float(np.median(errors))),
                "worst_tenth": short(float(np.quantile(errors, 0.9))),
                "unclear": sum(point.inside and point.error is None for point in known),
                "median_error_of_centre": short(float(np.median(
                    [point.centre_error for point in known if point.centre_error is not None])))}
        return about


class _Point:
    """The vanishing point of one picture: what is known and what was estimated; pixels of a height and width."""

    def __init__(self, sighting: Sighting | None, known: tuple[float, float] | None, height: int, width: int) -> None:
        self.sighting, self.known = sighting, known
        self.inside = known is not None and 0 <= known[0] <= width - 1 and 0 <= known[1] <= height - 1
        self.agreement = 0.0 if sighting is None else sighting.agreement
        estimated = (sighting.x, sighting.y) if sighting is not None and sighting.clear else None
        self.used = estimated if known is None else known if self.inside else None
        self.error: float | None = None  # in picture widths
        self.centre_error: float | None = None
        if known is not None and self.inside and estimated is not None:
            self.error = math.dist(estimated, known) / width
            self.centre_error = math.dist(((width - 1) / 2, (height - 1) / 2), known) / width


def distance_from(points: Tensor, height: int, width: int) -> Tensor:
    """Distance of every pixel from a point of its picture, (B, 2) x and y in pixels -> (B, 1, H, W) picture widths."""
    down = torch.arange(height, device=points.device).view(1, 1, -1, 1) - points[:, 1].view(-1, 1, 1, 1)
    right = torch.arange(width, device=points.device).view(1, 1, 1, -1) - points[:, 0].view(-1, 1, 1, 1)
    return torch.hypot(down, right) / width


def _column(table: Table, place: int) -> Chosen:
    chosen = np.zeros(table.count.shape[1:], dtype=np.bool_)
    chosen[:, place] = True
    return chosen


def _compared(table: Table, chosen: Chosen) -> dict[str, Any]:
    """The attention of mask and of edges over the same pixels, and the difference."""
    found: dict[str, Samples] = {name: table.mean(name, chosen) for name in (MASK, EDGES)}
    return {name: samples.entry() for name, samples in found.items()} | {
        "mask_minus_edges": (found[MASK] - found[EDGES]).entry()}
