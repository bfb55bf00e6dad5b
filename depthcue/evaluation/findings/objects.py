"""Second finding: of small objects the inside is attended to, not the boundary alone.

An object is the pixels that show it, wherever they lie; floors, walls and roads are objects too, the largest. Its size
is the share of the picture that it covers. Inside means that the next pixel of another object is more than
BAND steps away, so that neither a Sobel filter nor a slightly blurred mask reaches it from the boundary. Since a
pixel inside a small object is never far from the boundary, small and large are also compared at equal distance from it.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from depthcue.evaluation.findings.cells import NOWHERE, Cells, Chosen, Table, cell_of
from depthcue.evaluation.findings.seeing import EDGES, MASK, Seen
from depthcue.selection.oracles import object_boundaries

SIZES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Bounds of the bins of size, in shares of the picture."""
SMALL, LARGE = 0.01, 0.1
"""An object below the first is small, from the second on large."""
BAND = 1
"""Pixels up to so many steps from the pixels at the boundary belong to it."""
DISTANCES = (BAND + 1, 3, 4, 5, 7, 11)
"""Bounds of the bins of distance from the boundary, in steps to any of eight neighbours."""


class ObjectSizes:
    """Attention by size of object and distance from its boundary, picture by picture."""

    def __init__(self) -> None:
        self._cells = Cells((len(DISTANCES) + 1, len(SIZES) + 1), (MASK, EDGES))
        self._objects: list[list[int]] = []

    def see(self, seen: Seen) -> None:
        """Add pictures of which it is known what every pixel shows."""
        if seen.truth is None:
            return
        objects = seen.truth.object_id
        sizes, numbers = object_sizes(objects)
        distance = steps_from(object_boundaries(objects), DISTANCES[-1])
        sized = torch.where(objects >= 0, cell_of(sizes, SIZES), NOWHERE)
        self._cells.see([cell_of(distance.float(), DISTANCES), sized], seen.attention)
        self._objects += numbers

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """What was found, or `left_out` with the reason.

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
        bins = [np.arange(len(SIZES) + 1) == place for place in range(len(SIZES) + 1)]
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

    def _of_sizes(self, table: Table, sizes: Chosen, numbers: np.ndarray[Any, Any]) -> dict[str, Any]:
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

    def _inner(self, table: Table) -> Table:
        """The table without the boundary band."""
        counts, sums = self._cells.per_picture()
        return Table(counts[:, 1:], {name: values[:, 1:] for name, values in sums.items()}, table.weights)


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
