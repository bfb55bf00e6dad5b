"""Masks of several networks on one picture as pictures of one size, to be set side by side (Figs. 6, 7, 8)."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from depthcue.atomic import atomic_path
from depthcue.evaluation.examples import SHOWN_WIDTH
from depthcue.evaluation.tiles import depth_scale, depth_tile, map_of, nearest, picture_of, truth_map
from depthcue.imaging import Rgb, colourise_mask, resize_rgb


def save_row(out: Path, key: str, name: str, rgb: Tensor, edges: Tensor, masks: Sequence[Tensor],
             whole_m: Sequence[Tensor], seen_m: Sequence[Tensor], truth: tuple[Tensor, Tensor] | None = None,
             ) -> dict[str, Any]:
    """Write the pictures of one row under OUT/examples/; return its entry for the results document.

    Args:
        key: begins the names of its files.
        name: what a reader calls the picture.
        rgb: (3, H', W') in [0, 1].
        edges: an edge map (1, H, W) in [0, 1]; its size, times a whole factor, is that of all tiles.
        masks: one a network, (1, h, w) in [0, 1], each of its own size.
        whole_m, seen_m: one a network, depth from the whole picture and by its own mask, (1, h, w) metres.
        truth: ground truth (1, h, w) in metres and where it is valid.

    Returns:
        `name`, `near_m` and `far_m` (the ends of the colours of depth), and paths relative to OUT: `picture`, `edges`,
        lists `masks`, `whole` and `seen`, and `truth` where there is any.
    """
    factor = ceil(SHOWN_WIDTH / edges.shape[-1])
    size = (edges.shape[-2] * factor, edges.shape[-1] * factor)
    known = None if truth is None else truth_map(*truth)
    scale = depth_scale(map_of(whole_m[0]) if known is None or np.isnan(known).all() else known)

    def save(tile: Rgb, what: str) -> str:
        path = f"examples/{key}-{what}.png"
        with atomic_path(out / path) as partial:
            Image.fromarray(tile).save(partial)
        return path

    def depths(maps: Sequence[Tensor], what: str) -> list[str]:
        return [save(depth_tile(map_of(depth_m), size, scale), f"{what}-{number}")
                for number, depth_m in enumerate(maps)]

    # nearest: single pixels of a mask are to be seen as they are
    row = {"name": name, "near_m": round(scale[0], 3), "far_m": round(scale[1], 3),
           "picture": save(resize_rgb(picture_of(rgb), *size), "picture"),
           "edges": save(colourise_mask(nearest(map_of(edges), size)), "edges"),
           "masks": [save(colourise_mask(nearest(map_of(mask), size)), f"mask-{number}")
                     for number, mask in enumerate(masks)],
           "whole": depths(whole_m, "whole"), "seen": depths(seen_m, "seen")}
    return row if known is None else row | {"truth": save(depth_tile(known, size, scale), "truth")}
