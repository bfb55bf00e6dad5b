"""Example pictures of a comparison, set side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from depthcue.atomic import atomic_path
from depthcue.documents import beside
from depthcue.errors import DepthcueError
from depthcue.imaging import Rgb, open_picture, panel, resize_rgb
from depthcue.report.results import Results
from depthcue.report.tables import label_of

TILE_WIDTH = 320


def draw_examples(results: Results, folder: Path, path: Path) -> None:
    """Draw the examples of a compare-edges document, one row (or, where pictures are wide, one column) an image.

    Args:
        results: the document, with at least one example.
        folder: where it lies; its examples' paths are relative to it.
        path: the png to write.

    Raises:
        DepthcueError: an example's picture is missing or cannot be read.
    """
    save_panels([panel(*_tiles(example, results, folder)) for example in results["examples"]], path)


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


def _tiles(example: Results, results: Results, folder: Path) -> tuple[list[Rgb], list[str]]:
    # the first rival only: more would make tiles too small to look at
    others = [method for method in results["curves"] if method != "mask"][:1]
    share = f"{example['sparseness']:.0%}"
    captions = {"picture": "picture", "mask": "mask M", "kept_mask": f"{share} by mask"}
    captions |= {f"kept_{method}": f"{share} by {label_of(method)}" for method in others}
    captions |= {"depth_target": "depth from all", "depth_mask": "depth from mask"}
    captions |= {f"depth_{method}": f"depth from {label_of(method)}" for method in others}
    captions["depth_truth"] = "ground truth"
    shown = [label for label in captions if label in example["tiles"]]
    return [read_tile(folder, example["tiles"][label]) for label in shown], [captions[label] for label in shown]


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
