"""Masks of several nets on the same pictures, side by side: one row a picture, one column a net (Figs. 6, 7, 8)."""

from collections.abc import Sequence
from pathlib import Path

from depthcue.imaging import panel
from depthcue.report.panels import read_tile, save_panels
from depthcue.report.results import Results
from depthcue.report.section import Column, Example


def draw_rows(rows: Sequence[Results], captions: Sequence[str], folder: Path, path: Path) -> None:
    """Draw picture, edges and the mask of every net for each row, into the png at `path`.

    Args:
        rows: as `evaluation.side_by_side.save_row` wrote them, at least one.
        captions: one for every mask.
        folder: where the results lie; the rows' paths are relative to it.

    Raises:
        DepthcueError: a picture is missing or cannot be read.
    """
    save_panels([panel([read_tile(folder, tile) for tile in (row["picture"], row["edges"], *row["masks"])],
                       ["picture", "edges", *captions]) for row in rows], path)


def example_of(row: Results, captions: Sequence[str]) -> Example:
    """A row for a page: the picture over its true depth, every mask over the depth that it leaves, the edges."""
    known = "; the true depth" if "truth" in row else ""
    masks = [Column(caption, mask, seen)
             for caption, mask, seen in zip(captions, row["masks"], row["seen"], strict=True)]
    return Example(row["name"], (Column(f"the picture{known}", row["picture"], row.get("truth")), *masks,
                                 Column("the edges", row["edges"], None)))
