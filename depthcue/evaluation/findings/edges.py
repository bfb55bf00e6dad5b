"""First finding: edges are chosen by their use for geometry, not by their strength.

Hu et al. saw that masks hold some edges and not others. Here every pixel has an edge strength (the slope of brightness)
and a kind (which edge it lies on, see `kinds`). Asked is what attention each kind gets at equal strength, and how much
of the attention strength and kind explain (see `explained`).
"""

from typing import Any

import numpy as np

from depthcue.evaluation.findings.cells import Cells, Chosen, Table, cell_of
from depthcue.evaluation.findings.explained import explained
from depthcue.evaluation.findings.kinds import (
    APPEARANCE,
    BY_DEPTH,
    CAUSES,
    GEOMETRY,
    HOW,
    INSIDE,
    kinds_by_cause,
    kinds_by_depth,
)
from depthcue.evaluation.findings.seeing import EDGES, MASK, Seen

STRENGTHS = tuple(round(0.002 * 2 ** (half / 2), 9) for half in range(16))
"""Bounds of the bins of strength, each √2 of the one before; IMAGE_EDGE is one of them."""
_SQUARE, _STRENGTH = "square", "strength"


class EdgeKinds:
    """Attention by kind and strength of edges, picture by picture."""

    def __init__(self) -> None:
        self.kinds: tuple[str, ...] = ()
        self._cells: Cells | None = None
        self._reason = "the data has no depth: which edges are edges of the scene is not known"

    def see(self, seen: Seen) -> None:
        """Add pictures; those of which no kinds are known are left out."""
        if seen.truth is not None:
            self.kinds, kinds = CAUSES, kinds_by_cause(seen.truth)
        else:
            by_depth = kinds_by_depth(seen)
            if by_depth is None:
                return
            self.kinds, kinds = BY_DEPTH, by_depth
            self._reason = "the depth of the data is too sparse for depth edges"
        if self._cells is None:
            self._cells = Cells((len(STRENGTHS) + 1, len(self.kinds)),
                                (MASK, EDGES, _SQUARE, _STRENGTH, *(_kept(name) for name in seen.kept)))
        known = (kinds >= 0).flatten(1).any(dim=1)
        if not known.any():
            return
        attention = seen.attention[MASK]
        maps = {**seen.attention, _SQUARE: attention.square(), _STRENGTH: seen.strength,
                **{_kept(name): kept.double() for name, kept in seen.kept.items()}}
        self._cells.see([cell_of(seen.strength[known], STRENGTHS), kinds[known]],
                        {name: values[known] for name, values in maps.items()})

    def results(self, draws: int, seed: int) -> dict[str, Any]:
        """What was found, or `left_out` with the reason.

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
                kind: [table.mean(MASK, self._chosen((kind,), place)).entry() for place in range(len(STRENGTHS) + 1)]
                for kind in self.kinds}},
            "at_equal_strength": self._contrasts(table),
            "explained": {"all pixels": self._explained(table, self.kinds),
                          "on edges": self._explained(table, [kind for kind in self.kinds if kind != INSIDE])},
        }

    def _of_kind(self, table: Table, kind: str) -> dict[str, Any]:
        chosen = self._chosen((kind,))
        by_mask, by_edges = (table.share(chosen, _kept(name)) for name in (MASK, EDGES))
        return {"kind": kind, "share": table.share(chosen).entry(), "strength": table.mean(_STRENGTH, chosen).entry(),
                "attention": table.mean(MASK, chosen).entry(),
                "kept": {MASK: by_mask.entry(), EDGES: by_edges.entry(), "difference": (by_mask - by_edges).entry()}}

    def _contrasts(self, table: Table) -> list[dict[str, Any]]:
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

    def _explained(self, table: Table, kinds: tuple[str, ...] | list[str]) -> dict[str, Any]:
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
