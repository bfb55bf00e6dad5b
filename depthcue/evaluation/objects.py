"""Kinds of pixels that a mask keeps: edges by their cause, objects by their size, surfaces, and straight edges.

First finding. Hu et al. (ICCV 2019) saw that masks hold some edges and not others. Here every pixel has an edge
strength (the slope of brightness) and a kind: the cause of its edge on rendered scenes, a depth edge or not on pictures
with dense depth. Measured are the attention of each kind at equal strength, and how much of the attention strength and
kind explain (`cells.explained`).

Second finding. An object is the pixels that show it, wherever they lie; floors, walls and roads are objects too, the
largest. Its size is the share of the picture that it covers. Inside means that the next pixel of another object is more
than BAND steps away, so that neither a Sobel filter nor a slightly blurred mask reaches it from the boundary. Since a
pixel inside a small object is never far from the boundary, small and large are also compared at equal distance from it.

For the losses of a depth net (Fig. 8) the shares of kept pixels on surfaces and on small objects are measured, and how
straight the mask's edges are. For an evaluation the character of a mask's selection: whether its values are near 0 and
1, whether its border is as bright as the rest, and whether the pixels of a smaller share lie among those of a larger
one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthcue.data import SceneTruth
from depthcue.evaluation.cells import (
    EDGES,
    MASK,
    NOWHERE,
    Cells,
    CellTotals,
    Chosen,
    MaskedBatch,
    cell_of,
    edge_strength,
    explained,
)
from depthcue.objective import sobel
from depthcue.scorers import Pictures, keep_top
from depthcue.scorers.edges import gaussian_blur
from depthcue.scorers.oracles import LEAST_KNOWN, depth_bends, object_boundaries

SIZES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Bounds of the bins of size, in shares of the picture."""
SMALL, LARGE = 0.01, 0.1
"""An object below the first is small, from the second on large."""
BAND = 1
"""Pixels up to so many steps from the pixels at the boundary belong to it."""
DISTANCES = (BAND + 1, 3, 4, 5, 7, 11)
"""Bounds of the bins of distance from the boundary, in steps to any of eight neighbours."""

INSIDE = "inside"
CAUSES = ("occlusion", "crease", "shadow", "texture", INSIDE)
"""Kinds on rendered scenes: a pixel on two edges is of the first kind of these."""
BY_DEPTH = ("depth edge", "image edge", INSIDE)
"""Kinds on pictures with dense depth."""
GEOMETRY = ("occlusion", "crease", "depth edge")
"""Kinds that the shape of the scene makes."""
APPEARANCE = ("shadow", "texture", "image edge")
"""Kinds that only the picture has."""

DEPTH_JUMP = 0.05
"""Bend of `depth_bends` from which depth has an edge: it jumps by a tenth, or has a crease as sharp."""
IMAGE_EDGE = 0.032
"""Strength (share of black to white a pixel) from which a pixel off all depth edges is an edge of the picture; a bound
of the bins of strength, so that this kind adds nothing to what strength says."""

HOW = {
    CAUSES: "by cause, as the renderer knows it; a pixel beside an edge counts as on it, its Sobel filter sees it",
    BY_DEPTH: f"depth edges where inverse depth bends by more than {DEPTH_JUMP:g} of itself, a pixel to each side "
              "included; image edges are all other pixels with a strong slope of brightness: textures and shadows, and "
              "creases too slight to be seen in the depth",
}
STRENGTHS = tuple(round(0.002 * 2 ** (half / 2), 9) for half in range(16))
"""Bounds of the bins of strength, each √2 of the one before; IMAGE_EDGE is one of them."""
_SQUARE, _STRENGTH = "square", "strength"

REACH_PX = 3.0
"""Deviation of the window in which a piece of edge is called straight or not, in pixels of the working size."""
UNDECIDED = (0.05, 0.95)
"""Between these values a mask neither keeps a pixel nor hides it."""
BORDER_PX = 2
NESTED = ((0.05, 0.1), (0.1, 0.2), (0.2, 0.5))
"""Shares of which the pixels of the first should lie among those of the second."""


class ObjectSizes:
    """Attention by size of object and distance from its boundary, picture by picture."""

    def __init__(self) -> None:
        self._cells = Cells((len(DISTANCES) + 1, len(SIZES) + 1), (MASK, EDGES))
        self._objects: list[list[int]] = []

    def add(self, batch: MaskedBatch) -> None:
        """Add pictures of which it is known what every pixel shows."""
        if batch.truth is None:
            return
        objects = batch.truth.object_id
        sizes, numbers = object_sizes(objects)
        distance = steps_from(object_boundaries(objects), DISTANCES[-1])
        sized = torch.where(objects >= 0, cell_of(sizes, SIZES), NOWHERE)
        self._cells.add([cell_of(distance.float(), DISTANCES), sized], batch.attention)
        self._objects += numbers

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """The findings, or `left_out` with the reason.

        `images`; `band` and `bounds` of size; `by_size`, for each bin the number of `objects`, the share of pixels
        inside, and the attention of mask and edges `inside` and at the `boundary`, and their ratio; `small` and
        `large`, the same for those below the first and from the last bound of `sizes_compared` on;
        `small_minus_large`, differences of the mean attention inside, and at equal distance from the boundary.
        """
        if not len(self._cells):
            return {"left_out": "the data does not say which pixels show one object; depth alone does not tell an "
                                "object from what it stands on or leans against"}
        table = self._cells.table(draws, seed)
        numbers = np.array(self._objects)
        bins = [np.arange(len(SIZES) + 1) == index for index in range(len(SIZES) + 1)]
        small = np.arange(len(SIZES) + 1) <= SIZES.index(SMALL)
        large = np.arange(len(SIZES) + 1) > SIZES.index(LARGE)
        inside = {name: {part: table.mean(name, self._chosen(sizes, inside=True))
                         for part, sizes in (("small", small), ("large", large))} for name in (MASK, EDGES)}
        return {
            "images": len(self._cells), "band": BAND, "bounds": list(SIZES), "sizes_compared": [SMALL, LARGE],
            "by_size": [self._of_sizes(table, sizes, numbers) for sizes in bins],
            "small": self._of_sizes(table, small, numbers), "large": self._of_sizes(table, large, numbers),
            "small_minus_large": {name: {
                "inside": (inside[name]["small"] - inside[name]["large"]).entry(),
                "at_equal_distance": self._inner(table).matched(name, small, large).entry(),
            } for name in (MASK, EDGES)},
        }

    def _of_sizes(self, table: CellTotals, sizes: Chosen, numbers: np.ndarray[Any, Any]) -> dict[str, Any]:
        inside, boundary = self._chosen(sizes, inside=True), self._chosen(sizes, inside=False)
        entry: dict[str, Any] = {"objects": int(numbers[:, sizes].sum()), "share_inside": table.share(inside).entry()}
        for name in (MASK, EDGES):
            parts = {"inside": table.mean(name, inside), "boundary": table.mean(name, boundary)}
            entry[name] = {part: samples.entry() for part, samples in parts.items()}
            entry[name]["ratio"] = (parts["inside"] / parts["boundary"]).entry()
        return entry

    def _chosen(self, sizes: Chosen, inside: bool) -> Chosen:
        chosen = np.zeros((len(DISTANCES) + 1, len(SIZES) + 1), dtype=np.bool_)
        chosen[slice(1, None) if inside else slice(0, 1)] = sizes
        return chosen

    def _inner(self, table: CellTotals) -> CellTotals:
        """The table without the boundary band."""
        counts, sums = self._cells.per_picture()
        return CellTotals(counts[:, 1:], {name: values[:, 1:] for name, values in sums.items()}, table.weights)


def object_sizes(objects: Tensor) -> tuple[Tensor, list[list[int]]]:
    """The size of what every pixel shows, and how many objects there are of each size.

    Args:
        objects: int64 (B, 1, H, W), -1 for none.

    Returns:
        (B, 1, H, W), the share of the picture that the pixel's object covers (0 for none); and for each picture the
        number of objects in each bin of SIZES.
    """
    sizes, numbers = torch.zeros(objects.shape, device=objects.device), []
    for row, shown in enumerate(objects):
        areas = torch.bincount(shown.flatten() + 1) / shown.numel()
        areas[0] = 0
        sizes[row] = areas[shown + 1]
        numbers.append(torch.bincount(cell_of(areas[areas > 0], SIZES), minlength=len(SIZES) + 1).tolist())
    return sizes, numbers


def steps_from(marks: Tensor, most: int) -> Tensor:
    """Steps to any of eight neighbours from each pixel to the nearest mark, at `most` that many: int64 (B, 1, H, W)."""
    steps, reached = torch.full(marks.shape, most, device=marks.device), marks
    steps[marks] = 0
    for step in range(1, most):
        grown = functional.max_pool2d(reached.float(), 3, stride=1, padding=1) > 0
        steps[grown & ~reached] = step
        reached = grown
    return steps


def kinds_by_cause(truth: SceneTruth) -> Tensor:
    """Index in CAUSES of every pixel, int64 (B, 1, H, W); a Sobel filter reaches one pixel beyond an edge."""
    kinds = truth.object_id.new_full(truth.object_id.shape, CAUSES.index(INSIDE))
    # the later are overwritten by the earlier
    for index, cause in reversed(list(enumerate(CAUSES[:-1]))):
        kinds[widened(truth.edges[cause])] = index
    return kinds


def kinds_by_depth(batch: MaskedBatch) -> Tensor | None:
    """Index in BY_DEPTH of every pixel, int64 (B, 1, H, W), NOWHERE where depth is unknown; None without depth.

    Pictures whose depth is too sparse to tell neighbours apart are NOWHERE all over.
    """
    if batch.depth_as_stored is None:
        return None
    bends, known = depth_bends(*batch.depth_as_stored)
    dense = known.float().mean(dim=(1, 2, 3), keepdim=True) >= LEAST_KNOWN
    # pixels at the border of the depth lack neighbours on one side; those beside them stand for them
    known_cells = functional.interpolate(widened(known & dense).float(), size=batch.size, mode="nearest-exact") > 0
    jumps = functional.adaptive_max_pool2d((bends > DEPTH_JUMP).float(), batch.size) > 0
    strong = batch.strength >= IMAGE_EDGE
    kinds = strong.long() * BY_DEPTH.index("image edge") + (~strong).long() * BY_DEPTH.index(INSIDE)
    kinds[widened(jumps)] = BY_DEPTH.index("depth edge")
    kinds[~known_cells] = NOWHERE
    return kinds


def widened(marks: Tensor) -> Tensor:
    """Marks and the eight pixels around each, bool (B, 1, H, W)."""
    return functional.max_pool2d(marks.float(), 3, stride=1, padding=1) > 0


class EdgeKinds:
    """Attention by kind and strength of edges, picture by picture."""

    def __init__(self) -> None:
        self.kinds: tuple[str, ...] = ()
        self._cells: Cells | None = None
        self._reason = "the data has no depth: which edges are edges of the scene is not known"

    def add(self, batch: MaskedBatch) -> None:
        """Add pictures; those of which no kinds are known are left out."""
        if batch.truth is not None:
            self.kinds, kinds = CAUSES, kinds_by_cause(batch.truth)
        else:
            by_depth = kinds_by_depth(batch)
            if by_depth is None:
                return
            self.kinds, kinds = BY_DEPTH, by_depth
            self._reason = "the depth of the data is too sparse for depth edges"
        if self._cells is None:
            self._cells = Cells((len(STRENGTHS) + 1, len(self.kinds)),
                                (MASK, EDGES, _SQUARE, _STRENGTH, *(_kept(name) for name in batch.kept)))
        known = (kinds >= 0).flatten(1).any(dim=1)
        if not known.any():
            return
        attention = batch.attention[MASK]
        maps = {**batch.attention, _SQUARE: attention.square(), _STRENGTH: batch.strength,
                **{_kept(name): kept.double() for name, kept in batch.kept.items()}}
        self._cells.add([cell_of(batch.strength[known], STRENGTHS), kinds[known]],
                        {name: values[known] for name, values in maps.items()})

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """The findings, or `left_out` with the reason.

        `images`; `kinds` and `how` they are known; `by_kind`, for each its `share` of the pixels, mean `strength`, mean
        attention of the mask and the share of the kept pixels that are of it, chosen by the mask, by edge strength,
        and the difference (`kept`); `by_strength`, the bounds and the attention of each kind in each bin;
        `at_equal_strength`, differences of attention between kinds, bin by bin; `explained`, for all pixels and for
        those on edges.
        """
        if self._cells is None or not len(self._cells):
            return {"left_out": self._reason}
        table = self._cells.table(draws, seed)
        return {
            "images": len(self._cells), "kinds": list(self.kinds), "how": HOW[self.kinds],
            "by_kind": [self._of_kind(table, kind) for kind in self.kinds],
            "by_strength": {"bounds": list(STRENGTHS), "attention": {
                kind: [table.mean(MASK, self._chosen((kind,), index)).entry() for index in range(len(STRENGTHS) + 1)]
                for kind in self.kinds}},
            "at_equal_strength": self._contrasts(table),
            "explained": {"all pixels": self._explained(table, self.kinds),
                          "on edges": self._explained(table, [kind for kind in self.kinds if kind != INSIDE])},
        }

    def _of_kind(self, table: CellTotals, kind: str) -> dict[str, Any]:
        chosen = self._chosen((kind,))
        by_mask, by_edges = (table.share(chosen, _kept(name)) for name in (MASK, EDGES))
        return {"kind": kind, "share": table.share(chosen).entry(), "strength": table.mean(_STRENGTH, chosen).entry(),
                "attention": table.mean(MASK, chosen).entry(),
                "kept": {MASK: by_mask.entry(), EDGES: by_edges.entry(), "difference": (by_mask - by_edges).entry()}}

    def _contrasts(self, table: CellTotals) -> list[dict[str, Any]]:
        groups = [(GEOMETRY, APPEARANCE), *(((kind,), APPEARANCE) for kind in GEOMETRY),
                  *(((kind,), (INSIDE,)) for kind in (*GEOMETRY, *APPEARANCE))]
        found: list[dict[str, Any]] = []
        for first, second in groups:
            names = [[kind for kind in group if kind in self.kinds] for group in (first, second)]
            if not all(names) or any(entry["of"] == names[0] and entry["minus"] == names[1] for entry in found):
                continue
            first_kinds, second_kinds = (np.isin(np.array(self.kinds), group) for group in names)
            difference = table.matched(MASK, first_kinds, second_kinds).entry()
            if difference is not None:
                found.append({"of": names[0], "minus": names[1], "difference": difference})
        return found

    def _explained(self, table: CellTotals, kinds: tuple[str, ...] | list[str]) -> dict[str, Any]:
        assert self._cells is not None
        counts, sums = self._cells.per_picture()
        here = np.isin(np.array(self.kinds), kinds)
        return explained(counts[..., here], sums[MASK][..., here], sums[_SQUARE][..., here], table.weights)

    def _chosen(self, kinds: tuple[str, ...], strength: int | None = None) -> Chosen:
        chosen = np.zeros((len(STRENGTHS) + 1, len(self.kinds)), dtype=np.bool_)
        rows = slice(None) if strength is None else strength
        chosen[rows, np.isin(np.array(self.kinds), kinds)] = True
        return chosen


def _kept(name: str) -> str:
    return f"kept by {name}"


def surfaces(pictures: Pictures) -> Tensor:
    """Smooth surfaces of a picture: pixels more than one away from every edge, bool (B, 1, H, W).

    Edges are strong slopes of the picture's brightness and, where depth is known densely, places where inverse depth
    bends, with the thresholds of the findings. On data with sparse depth or none the picture alone decides.
    """
    size = _size(pictures)
    edges = edge_strength(pictures.rgb) >= IMAGE_EDGE
    if pictures.depth_m is not None and pictures.valid is not None:
        bends, known = depth_bends(pictures.depth_m, pictures.valid)
        dense = known.float().mean(dim=(1, 2, 3), keepdim=True) >= LEAST_KNOWN
        edges = edges | (functional.adaptive_max_pool2d(((bends > DEPTH_JUMP) & dense).float(), size) > 0)
    return ~widened(edges)


def small_objects(pictures: Pictures) -> Tensor | None:
    """Pixels of objects that cover less than SMALL of a picture, bool (B, 1, H, W).

    None where the data does not say what is an object: depth alone does not tell an object from what it stands on.
    """
    if pictures.object_id is None:
        return None
    # nearest: between objects 3 and 5 there is no object 4
    objects = functional.interpolate(pictures.object_id.double(), size=_size(pictures), mode="nearest-exact").long()
    sizes, _ = object_sizes(objects)
    return (objects >= 0) & (sizes < SMALL)


def share_within(kept: Tensor, region: Tensor) -> Tensor:
    """The share of the kept pixels that lie in a region: bool (B, 1, H, W) twice -> (B,); 0 where none is kept."""
    return (kept & region).flatten(1).sum(dim=1) / kept.flatten(1).sum(dim=1).clamp_min(1)


def undecided(mask: Tensor) -> Tensor:
    """The share of values strictly between those of UNDECIDED, (B, 1, H, W) -> (B,)."""
    low, high = UNDECIDED
    return ((mask > low) & (mask < high)).flatten(1).double().mean(dim=1)


def border_and_rest(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the outer BORDER_PX pixels and that of all others, (B, 1, H, W) -> (B,) twice."""
    inner = torch.zeros(mask.shape[-2:], dtype=torch.bool, device=mask.device)
    inner[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    values = mask.double()
    return values[..., ~inner].mean(dim=(1, 2)), values[..., inner].mean(dim=(1, 2))


def nesting(mask_at: Callable[[float], Tensor], smaller: float, larger: float, seed: int = 0) -> Tensor:
    """The share of the pixels kept at one share that are also kept at a larger one: (B,) in [0, 1].

    Args:
        mask_at: from a share to the scores (B, 1, H, W) that choose its pixels.
        seed: of the order among equal scores.
    """
    return share_within(keep_top(mask_at(smaller), smaller, seed), keep_top(mask_at(larger), larger, seed))


def straightness(mask: Tensor) -> Tensor:
    """Straightness of a mask's edges: 1 for straight lines and borders, 0 for shapes alike in all directions.

    The coherence of the structure tensor (Bigün and Granlund 1987), (l1 - l2) / (l1 + l2) of its eigenvalues, each
    pixel weighed by the steepness of the mask around it, so that flat regions do not count.

    Args:
        mask: (B, 1, H, W) in [0, 1].

    Returns:
        (B,) in [0, 1]; 0 for a mask that is the same everywhere.
    """
    across, down = sobel(functional.pad(mask, (1, 1, 1, 1), mode="replicate")).double().split(1, dim=1)
    # what the filter saw beyond the repeated border is cut off again
    across, down = across[..., 1:-1, 1:-1], down[..., 1:-1, 1:-1]
    xx, yy, xy = (gaussian_blur(product, REACH_PX) for product in (across * across, down * down, across * down))
    anisotropy = ((xx - yy).square() + 4 * xy.square()).sqrt()  # l1 - l2, (B, 1, H, W)
    total = (xx + yy).sum(dim=(1, 2, 3))
    return torch.where(total > 1e-9, anisotropy.sum(dim=(1, 2, 3)) / total.clamp_min(1e-9), torch.zeros_like(total))


def _size(pictures: Pictures) -> tuple[int, int]:
    return pictures.rgb.shape[-2], pictures.rgb.shape[-1]
