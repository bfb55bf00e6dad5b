"""Third finding: outdoors, masks attend to the region of the vanishing point.

With it the far, and rows of the picture, are measured. Where the vanishing point is known (rendered scenes) it is taken
from there and the estimator is tested on the same pictures; elsewhere it is estimated, and pictures without a clear one
are left out. Edges crowd at a vanishing point too, so edges are followed beside the mask in every curve, and the
attention near it is also compared with that elsewhere at equal edge strength. A mask that prefers the rows of the
horizon would be bright there as well; so near and elsewhere are also compared within the same rows. The sky has no
depth; where it is known (rendered scenes), the share of a mask on it is reported separately.

`find_vanishing_point` estimates where the straight edges of the main direction meet. Every edge pixel with a clear
direction votes for the points that its line leads to, as in the voting of road followers (Rasmussen, CVPR 2004; Kong,
Audibert, Ponce, CVPR 2009), there by texture, here by edges:

1. Edge pixels are the strongest across their edge; the direction of the edge comes from the structure tensor around
   the pixel, and pixels without a clear one (corners, foliage) have no vote. Neither have level and upright edges:
   in most pictures they belong to other directions of the world, and would meet all along the horizon or nowhere.
2. A vote counts for a point by how well the line leads to it (a Gaussian of the angle). The votes that come from one
   direction are counted by their root, so that a single long line cannot win alone wherever it leads.
3. The best point of a coarse grid over the picture is refined among the pixels around it.

A point outside the picture is not found. The share of all votes that lead to the point is its agreement.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthcue.evaluation.cells import (
    EDGES,
    FEWEST_IMAGES,
    MASK,
    Cells,
    CellTotals,
    Chosen,
    MaskedBatch,
    Samples,
    cell_of,
)
from depthcue.evaluation.objects import STRENGTHS
from depthcue.evaluation.statistics import short
from depthcue.nets import resize
from depthcue.scorers.edges import gray, gray_gradient, thinned

WIDTH = 320
"""Width of the pictures in which a vanishing point is looked for: enough for lines, and textures are gone."""
LEAST_GRADIENT = 0.08
"""Least Sobel gradient of a voting pixel; black to white is 4."""
LEAST_COHERENCE = 0.8
"""Least coherence of a voting pixel's structure tensor; 1 is one direction alone."""
LEVEL_DEG, UPRIGHT_DEG = 10.0, 4.0
"""Edges closer than this to level or upright have no vote."""
SPREAD_DEG = 2.0
"""Deviation of the angle between a line and the direction of the point."""
_POINTS_AT_ONCE = 128
"""Points for which votes are counted together: their (p, n) maps stay in a cache."""
NEAREST = 0.1
"""Distance, in widths of the picture, below which pixels do not vote: everything close by points somewhere near."""
STEP_PX = 4
"""Spacing of the coarse grid."""
SECTORS = 24
"""Directions in which votes are counted together."""
FEWEST = 40
"""Fewest voting pixels."""
CLEAR = 0.14
"""Agreement from which a point is taken for a vanishing point. Noise, however coarse, stays below 0.1; nineteen of
twenty rendered roads come above."""
DISTANCES = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
"""Bounds of the bins of distance from the vanishing point, in picture widths."""
NEAR = 0.1
"""Bound of the near region, in picture widths; one of the bounds."""
DEPTH_STEPS = 9
"""Bounds of the bins of depth, each √2 of the one before, up to the range of the data."""
ROWS = 12
"""Bands of rows."""
FAR = 0.5
"""Share of the data's range from which on a depth is far."""


@dataclass(frozen=True)
class Sighting:
    """A vanishing point that was looked for.

    Attributes:
        x, y: in pixels of the picture from the centre of its top left pixel.
        agreement: the share of all votes that lead to it, in [0, 1].
    """

    x: float
    y: float
    agreement: float

    @property
    def clear(self) -> bool:
        """Whether enough of the picture agrees on it."""
        return self.agreement >= CLEAR


@dataclass(frozen=True)
class _Voters:
    """Edge pixels with a direction: position, unit vector along the edge and weight, (n,) each, in pixels."""

    x: Tensor
    y: Tensor
    along_x: Tensor
    along_y: Tensor
    weight: Tensor


def find_vanishing_point(rgb: Tensor) -> Sighting | None:
    """Estimate the vanishing point of one picture (3, H, W) in [0, 1]; None where hardly anything has a direction."""
    height = max(round(rgb.shape[1] * WIDTH / rgb.shape[2]), 16)
    voters = _voters(resize(gray(rgb[None]), (height, WIDTH)))
    if len(voters.x) < FEWEST:
        return None
    coarse = _grid(0, height - 1, 0, WIDTH - 1, STEP_PX, rgb.device)
    x, y = coarse[_votes(voters, coarse)[0].argmax()].tolist()
    fine = _grid(y - STEP_PX, y + STEP_PX, x - STEP_PX, x + STEP_PX, 1, rgb.device)
    score, agreement = _votes(voters, fine)
    best = int(score.argmax())
    # a pixel's centre lies half a pixel from its corner, in both sizes
    scale_x, scale_y = rgb.shape[2] / WIDTH, rgb.shape[1] / height
    return Sighting((float(fine[best, 0]) + 0.5) * scale_x - 0.5, (float(fine[best, 1]) + 0.5) * scale_y - 0.5,
                    float(agreement[best]))


def _voters(brightness: Tensor) -> _Voters:
    """The edge pixels of a gray picture (1, 1, H, W) that have a direction."""
    gradient = gray_gradient(brightness)  # (1, 2, H, W)
    magnitude = gradient.square().sum(1, keepdim=True).sqrt()
    horizontal, vertical = gradient[:, :1], gradient[:, 1:]
    products = torch.cat([horizontal.square(), horizontal * vertical, vertical.square()], dim=1)
    xx, xy, yy = functional.avg_pool2d(products, 5, stride=1, padding=2)[0]  # (H, W) each
    across = torch.atan2(2 * xy, xx - yy) / 2
    coherence = torch.hypot(xx - yy, 2 * xy) / (xx + yy).clamp_min(1e-12)
    along_x, along_y = -torch.sin(across), torch.cos(across)
    level = along_y.abs() < math.sin(math.radians(LEVEL_DEG))
    upright = along_x.abs() < math.sin(math.radians(UPRIGHT_DEG))
    votes = thinned(gradient, magnitude)[0, 0] & (magnitude[0, 0] > LEAST_GRADIENT) \
        & (coherence > LEAST_COHERENCE) & ~level & ~upright
    # the frame itself is no edge, but its repeated pixels bend directions beside it
    votes[:2], votes[-2:], votes[:, :2], votes[:, -2:] = False, False, False, False
    rows, columns = votes.nonzero(as_tuple=True)
    return _Voters(columns.float(), rows.float(), along_x[votes], along_y[votes], magnitude[0, 0][votes].sqrt())


def _votes(voters: _Voters, points: Tensor) -> tuple[Tensor, Tensor]:
    """Score and agreement, (p,) each, of points (p, 2) given as x and y."""
    some = [_some_votes(voters, part) for part in points.split(_POINTS_AT_ONCE)]
    return torch.cat([score for score, _ in some]), torch.cat([agreement for _, agreement in some])


def _some_votes(voters: _Voters, points: Tensor) -> tuple[Tensor, Tensor]:
    to_x, to_y = points[:, :1] - voters.x, points[:, 1:] - voters.y  # (p, n)
    distance = torch.hypot(to_x, to_y)
    off = (to_x * voters.along_y - to_y * voters.along_x).abs() / distance.clamp_min(1e-3)  # sine of the angle
    leads = torch.exp(-(off / math.radians(SPREAD_DEG)).square() / 2) * voters.weight
    leads = torch.where(distance > NEAREST * WIDTH, leads, 0.0)
    sector = ((torch.atan2(to_y, to_x) / (2 * math.pi) + 0.5) * SECTORS).long().clamp_max(SECTORS - 1)
    by_sector = torch.zeros(len(points), SECTORS, device=points.device).scatter_add_(1, sector, leads)
    return by_sector.sqrt().sum(1), leads.sum(1) / voters.weight.sum()


def _grid(top: float, bottom: float, left: float, right: float, step: int, device: torch.device) -> Tensor:
    """Points (p, 2), x and y, of a grid that includes the top left corner."""
    rows = torch.arange(top, bottom + 0.5, step, device=device)
    columns = torch.arange(left, right + 0.5, step, device=device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


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

    def add(self, batch: MaskedBatch) -> None:
        """Add pictures."""
        self._images += len(batch)
        height, width = batch.size
        device = batch.rgb.device
        rows = (torch.arange(height, device=device) * ROWS // height).view(1, 1, -1, 1).expand(len(batch), 1, -1, width)
        self._rows.add([rows], batch.attention)
        if batch.depth_m is not None:
            self._depth_source = batch.depth_source
            self._depth.add([cell_of(batch.depth_m, self.depths_m)], batch.attention)
        if batch.truth is not None:
            sky = (batch.truth.object_id < 0).long()
            self._sky.add([sky], {name: kept.double() for name, kept in batch.kept.items()})
        points = self._find_points(batch)
        self._points += points
        used = [row for row, point in enumerate(points) if point.used is not None]
        if not used:
            return
        at = torch.tensor([points[row].used for row in used], dtype=torch.float64, device=device)
        distance = cell_of(distance_from(at, height, width), DISTANCES)
        attention = {name: values[used] for name, values in batch.attention.items()}
        self._near.add([cell_of(batch.strength[used], STRENGTHS), distance], attention)
        self._near_by_row.add([rows[used], distance], attention)

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """The findings, or `left_out` with the reason.

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
                "bins": [_compared(near, _column(near, index)) for index in range(len(DISTANCES) + 1)]},
            "near": None if near is None else self._near_it(near, self._near_by_row.table(draws, seed)),
            "by_depth": None if depth is None else {
                "source": self._depth_source, "bounds_m": self.depths_m, "far": self._far(depth),
                "bins": [_compared(depth, np.arange(DEPTH_STEPS + 1) == index) for index in range(DEPTH_STEPS + 1)]},
            "sky": self._of_sky(draws, seed),
            "by_row": {"bins": [_compared(rows, np.arange(ROWS) == index) | {
                "share_of_mask": rows.share(np.arange(ROWS) == index, MASK).entry(),
                "share_of_edges": rows.share(np.arange(ROWS) == index, EDGES).entry()} for index in range(ROWS)]},
        }

    def _near_it(self, table: CellTotals, by_row: CellTotals) -> dict[str, Any]:
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

    def _far(self, table: CellTotals) -> dict[str, Any]:
        bounds = [0.0, *self.depths_m]
        far = [bound >= FAR * self.depths_m[-1] * (1 - 1e-6) for bound in bounds[:-1]]
        # the last bin is what lies beyond the range, sky and all
        return {"from_m": FAR * self.depths_m[-1], **_compared(table, np.array([*far, False]))}

    def _find_points(self, batch: MaskedBatch) -> list["_Point"]:
        height, width = batch.size
        known = None if batch.truth is None else batch.truth.vanishing_point.tolist()
        points = []
        for row in range(len(batch)):
            point = None if known is None else (known[row][0], known[row][1])
            points.append(_Point(find_vanishing_point(batch.rgb[row]), point, height, width))
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


def _column(table: CellTotals, index: int) -> Chosen:
    chosen = np.zeros(table.count.shape[1:], dtype=np.bool_)
    chosen[:, index] = True
    return chosen


def _compared(table: CellTotals, chosen: Chosen) -> dict[str, Any]:
    """The attention of mask and of edges over the same pixels, and the difference."""
    found: dict[str, Samples] = {name: table.mean(name, chosen) for name in (MASK, EDGES)}
    return {name: samples.entry() for name, samples in found.items()} | {
        "mask_minus_edges": (found[MASK] - found[EDGES]).entry()}
