"""A gallery for a page: stills with everything inlined, and the colours that the page gives to masks.

The page thresholds and colours masks itself, so that its sliders answer at once; it therefore gets masks and edges as
8 bit greys and the colours as tables. Depth comes in colours: seeing it anew would need the net.

Panels set the example pictures of a comparison side by side.
"""

import re
from collections.abc import Sequence
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from depthcue.colours import USUAL, blend_of
from depthcue.documents import beside
from depthcue.errors import DepthcueError
from depthcue.files import atomic_path
from depthcue.imaging import Rgb, colourise_depth, colourise_mask, open_picture, panel, resize_rgb
from depthcue.report.section import Column, Example, picture_uri
from depthcue.report.tables import label_of
from depthcue.results import CompareEdges, EdgeExample, Row

START_MEAN = 0.2
"""The mean of M near which a gallery opens: sparse, as the paper shows its masks."""
_SHORT = 14
"""Characters that fit under a thumbnail."""


def page_gallery(stills: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Data of the stills for the page's script, from a results document that lies in `folder`.

    Raises:
        DepthcueError: a picture of a still is missing.
    """
    labels = short_names([still["name"] for still in stills])
    shown = []
    for label, still in zip(labels, stills, strict=True):
        alike = [other for other in stills if _settings(other) == _settings(still)]
        shown.append({"label": label, "start": start_step(alike), **_still(still, folder)})
    return {"stills": shown}


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin or end with, where one is too long for the space under a thumbnail."""
    words = [[word for word in re.split(r"[/_\s.-]+", name) if word] for name in names]
    if len(names) < 2 or max(map(len, names)) <= _SHORT or min(map(len, words)) < 2:
        return list(names)
    before = len(commonprefix(words))
    after = len(commonprefix([each[before:][::-1] for each in words]))
    return [" ".join(each[before:len(each) - after]) or name for each, name in zip(words, names, strict=True)]


def start_step(stills: Sequence[dict[str, Any]]) -> int:
    """The step at which the masks of stills with the same settings have a mean of about START_MEAN.

    Means, and not shares of pixels above a small threshold: soft masks have long tails, and nearly all of their pixels
    are above it when nearly nothing can be seen through them.
    """
    means = np.array([[step["mean"] for step in still["steps"]] for still in stills])  # (stills, steps)
    return int(np.abs(means.mean(axis=0) - START_MEAN).argmin())


def colour_tables() -> dict[str, Any]:
    """Red, green and blue of a mask by level; and what an overlay shows of a hidden pixel, as `mask` draws it.

    That is a share `own` of its colour, and `hidden` by its light; towards kept an overlay is linear in the mask.
    """
    levels = np.arange(256, dtype=np.uint8)[None]  # (1, 256)
    blend = blend_of(USUAL)
    hidden = blend.grey[0] * levels[0][:, None] + blend.ground[0]
    return {"mask": colourise_mask(levels)[0].tolist(), "own": float(blend.kept[0]),
            "hidden": hidden.round(1).tolist()}


def depth_gradient() -> str:
    """The colours of depth from near to far as CSS has them."""
    depths: Any = np.geomspace(1, 10, 12, dtype=np.float32)[None]
    return ", ".join("#{:02x}{:02x}{:02x}".format(*colour) for colour in colourise_depth(depths, 1, 10)[0])


def _settings(still: dict[str, Any]) -> list[str]:
    return [step_name(step) for step in still["steps"]]


def step_name(step: dict[str, Any]) -> str:
    """Name of a step of a gallery beside its slider."""
    return f"{100 * step['keep']:.3g}% kept" if "keep" in step else f"λ = {step['lambda']:.3g}"


def _still(still: dict[str, Any], folder: Path) -> dict[str, Any]:
    parts = ["picture", "edges", "depth", *(["depth_truth"] if "depth_truth" in still else [])]
    shown = {part: picture_uri(folder, still[part]) for part in parts}
    steps = [{"setting": step_name(step), "mean": step["mean"], "above_half": step["above_half"],
              "difference_m": step["difference_m"],
              **{part: picture_uri(folder, step[part]) for part in ("mask", "depth")}} for step in still["steps"]]
    return {"name": still["name"], "near_m": still["near_m"], "far_m": still["far_m"], **shown, "steps": steps}


TILE_WIDTH = 320


def draw_examples(results: CompareEdges, folder: Path, path: Path) -> None:
    """Draw the examples of a compare-edges document, one row (or, where pictures are wide, one column) an image.

    Args:
        results: the document, with at least one example.
        folder: where it lies; its examples' paths are relative to it.
        path: the png to write.

    Raises:
        DepthcueError: an example's picture is missing or cannot be read.
    """
    save_panels([panel(*_tiles(example, results, folder)) for example in results.examples], path)


def save_panels(panels: Sequence[Rgb], path: Path) -> None:
    """Write the panels of several images as one png: one row each, or one column where panels stand upright."""
    # the panel of wide pictures stands upright; those are set side by side
    upright = panels[0].shape[0] > panels[0].shape[1]
    # pictures of several shapes have panels of several sizes
    across = 0 if upright else 1
    longest = max(tiles.shape[across] for tiles in panels)
    even = [np.pad(tiles, [(0, longest - tiles.shape[side] if side == across else 0) for side in range(3)], mode="edge")
            for tiles in panels]
    with atomic_path(path) as partial:
        Image.fromarray(np.concatenate(even, axis=1 - across)).save(partial)


def _tiles(example: EdgeExample, results: CompareEdges, folder: Path) -> tuple[list[Rgb], list[str]]:
    # the first rival only: more would make tiles too small to look at
    others = [method for method in results.curves if method != "mask"][:1]
    share = f"{example.sparseness:.0%}"
    captions = {"picture": "picture", "mask": "mask M", "kept_mask": f"{share} by mask"}
    captions |= {f"kept_{method}": f"{share} by {label_of(method)}" for method in others}
    captions |= {"depth_target": "depth from all", "depth_mask": "depth from mask"}
    captions |= {f"depth_{method}": f"depth from {label_of(method)}" for method in others}
    captions["depth_truth"] = "ground truth"
    shown = [label for label in captions if label in example.tiles]
    return [read_tile(folder, example.tiles[label]) for label in shown], [captions[label] for label in shown]


def read_tile(folder: Path, name: str) -> Rgb:
    """An example's picture, beside the document that names it, at the width of tiles.

    Raises:
        DepthcueError: it is missing, lies outside of the folder or cannot be read.
    """
    path = beside(folder, name)
    try:
        with open_picture(path, path) as image:
            tile = np.asarray(image.convert("RGB"))
    except Exception as error:  # of a damaged picture, or one of billions of pixels
        raise DepthcueError(f"the example picture {path} cannot be read: {error}",
                            "Keep the examples folder beside results.json, or measure again.") from error
    height = round(tile.shape[0] * TILE_WIDTH / tile.shape[1])
    return resize_rgb(tile, height, TILE_WIDTH)


def draw_rows(rows: Sequence[Row], captions: Sequence[str], folder: Path, path: Path) -> None:
    """Draw picture, edges and the mask of every net for each row, into the png at `path`.

    Args:
        rows: as `evaluation.side_by_side.save_row` wrote them, at least one.
        captions: one for every mask.
        folder: where the results lie; the rows' paths are relative to it.

    Raises:
        DepthcueError: a picture is missing or cannot be read.
    """
    save_panels([panel([read_tile(folder, tile) for tile in (row.picture, row.edges, *row.masks)],
                       ["picture", "edges", *captions]) for row in rows], path)


def example_of(row: Row, captions: Sequence[str]) -> Example:
    """A row for a page: the picture over its true depth, every mask over the depth that it leaves, the edges."""
    known = "; the true depth" if "truth" in row else ""
    masks = [Column(caption, mask, seen)
             for caption, mask, seen in zip(captions, row.masks, row.seen, strict=True)]
    return Example(row.name, (Column(f"the picture{known}", row.picture, row.get("truth")), *masks,
                                 Column("the edges", row.edges, None)))
