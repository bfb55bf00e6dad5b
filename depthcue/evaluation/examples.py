"""Pictures of a comparison: what the depth net was shown, and what depth it saw, for a few images."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from depthcue.atomic import atomic_path
from depthcue.evaluation.tiles import depth_scale, depth_tile, map_of, picture_of, truth_map
from depthcue.imaging import Rgb, colourise_mask, resize_rgb

SHOWN_WIDTH = 384
"""Tiles are enlarged by a whole factor to at least this width, so that single pixels can be told apart."""


@dataclass(frozen=True)
class Example:
    """The pictures of one image, all of one size, by what they show.

    Tiles: `picture`; `mask` (the soft mask); `kept_METHOD` (what the net was shown, the rest in its mean colour);
    `depth_target` (from all pixels), `depth_METHOD`, and `depth_truth` where there is ground truth.
    """

    place: int
    name: str
    share: float
    near_m: float
    far_m: float
    tiles: dict[str, Rgb]


def draw_example(place: int, name: str, share: float, rgb: Tensor, mean: tuple[float, float, float], mask: Tensor,
                 kept: Mapping[str, Tensor], depths_m: Mapping[str, Tensor],
                 truth: tuple[Tensor, Tensor] | None) -> Example:
    """Draw the pictures of one image.

    Args:
        rgb: (3, H, W) in [0, 1] at the nets' working size.
        mean: the colour that a hidden pixel takes, as RGB in [0, 1].
        mask: (1, H, W) in [0, 1].
        kept: method to bool (1, H, W).
        depths_m: `target` and methods to (1, h, w) metres.
        truth: depth (1, h', w') in metres and where it is valid.
    """
    factor = ceil(SHOWN_WIDTH / rgb.shape[-1])
    height, width = rgb.shape[-2] * factor, rgb.shape[-1] * factor
    colour = rgb.new_tensor(mean).view(3, 1, 1)

    maps = {f"depth_{method}": map_of(depth) for method, depth in depths_m.items()}
    reference = maps["depth_target"]
    if truth is not None:
        maps["depth_truth"] = truth_map(*truth)
        if truth[1].any():
            reference = maps["depth_truth"]
    near_m, far_m = depth_scale(reference)

    tiles = {"picture": resize_rgb(picture_of(rgb), height, width),
             "mask": colourise_mask(_enlarge(map_of(mask), factor))}
    for method, pixels in kept.items():
        tiles[f"kept_{method}"] = _enlarge(picture_of(torch.where(pixels, rgb, colour)), factor)
    for label, depth in maps.items():
        tiles[label] = depth_tile(depth, (height, width), (near_m, far_m))
    return Example(place, name, share, near_m, far_m, tiles)


def save_example(example: Example, out: Path) -> dict[str, Any]:
    """Write the tiles under OUT/examples/; return their entry for the results document, paths relative to OUT."""
    paths = {}
    for label, tile in example.tiles.items():
        paths[label] = f"examples/{example.place:06d}-{label.replace('_', '-')}.png"
        with atomic_path(out / paths[label]) as partial:
            Image.fromarray(tile).save(partial)
    return {"name": example.name, "sparseness": example.share, "near_m": round(example.near_m, 3),
            "far_m": round(example.far_m, 3), "tiles": paths}


def _enlarge(pixels: np.ndarray[Any, Any], factor: int) -> Any:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
