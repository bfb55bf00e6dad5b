"""Pictures of a measurement: examples, stills of a gallery, and rows of several networks' masks.

Colours are as they are, depth on a scale of the image's own. An example shows one image through every scorer's pixels.
The masks and edge maps of a gallery are 8 bit greys at the size the nets work at, so that a page can threshold and
colour them while a reader turns a slider; depth is stored in colours, since computing it anew would need the net. Rows
show the masks of several networks on one picture at one size (Figs. 6, 7, 8 of Hu et al., ICCV 2019).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from depthcue.evaluation.metrics import mean_squared_difference
from depthcue.evaluation.statistics import short
from depthcue.files import atomic_path
from depthcue.imaging import Grey, Map, Rgb, colourise_depth, colourise_mask, grey8, resize_map, resize_rgb

SHOWN_WIDTH = 384
"""Tiles are enlarged by a whole factor to at least this width, so that single pixels are visible."""
WIDEST = 640
"""Pictures of a gallery that are wider than this are shrunk: a gallery is looked at on a page."""
_LEAST_RANGE = 1.5
"""The far end of a depth scale is at least this many times the near end, or noise would fill a flat scene's scale."""


def picture_of(rgb: Tensor) -> Rgb:
    """A picture (3, H, W) in [0, 1] as uint8 (H, W, 3)."""
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()


def map_of(values: Tensor) -> Map:
    """A mask or a depth map (1, H, W) as float32 (H, W)."""
    return values[0].float().cpu().numpy()


def truth_map(depth_m: Tensor, valid: Tensor) -> Map:
    """Ground truth (1, H, W) as float32 (H, W), NaN where it is not valid (bool, the same shape)."""
    return map_of(torch.where(valid, depth_m, depth_m.new_tensor(torch.nan)))


def depth_scale(depth_m: Map) -> tuple[float, float]:
    """Near and far end in metres of a scale that covers an image's depths, but for the nearest and farthest
    hundredth."""
    near_m, far_m = (float(end) for end in np.nanpercentile(depth_m, (1, 99)))
    return near_m, max(far_m, near_m * _LEAST_RANGE)


def depth_tile(depth_m: Map, size: tuple[int, int], scale: tuple[float, float]) -> Rgb:
    """A depth map in colours, uint8 (height, width, 3) of `size`; NaN is shown as unknown."""
    # bilinear would smear the unknown into the known
    sized = nearest(depth_m, size) if np.isnan(depth_m).any() else resize_map(depth_m, *size)
    return colourise_depth(sized, *scale)


def nearest(values: Map, size: tuple[int, int]) -> Map:
    """A map (H, W) at `size` (height, width), every value one of its own."""
    rows = np.arange(size[0]) * values.shape[0] // size[0]
    columns = np.arange(size[1]) * values.shape[1] // size[1]
    return values[rows[:, None], columns]


def save_picture(out: Path, path: str, pixels: Rgb | Grey) -> str:
    """Write a picture as OUT/PATH, whole or not at all; return PATH."""
    with atomic_path(out / path) as partial:
        Image.fromarray(pixels).save(partial, quality=90)  # the quality is for JPEG alone
    return path


def _scale_of(known: Map | None, whole: Map) -> tuple[float, float]:
    """The depth scale of the ground truth (H, W), or of N(I) where no ground truth is known."""
    return depth_scale(whole if known is None or np.isnan(known).all() else known)


def save_example(out: Path, index: int, name: str, share: float, rgb: Tensor, mean: tuple[float, float, float],
                 mask: Tensor, kept: Mapping[str, Tensor], depths_m: Mapping[str, Tensor],
                 truth: tuple[Tensor, Tensor] | None) -> dict[str, Any]:
    """Write the pictures of one image, all of one size, under OUT/examples/; return their entry for the document.

    Args:
        rgb: (3, H, W) in [0, 1] at the nets' working size.
        mean: the colour that a hidden pixel takes, as RGB in [0, 1].
        mask: (1, H, W) in [0, 1].
        kept: method to bool (1, H, W).
        depths_m: `target` and methods to (1, h, w) metres.
        truth: depth (1, h', w') in metres and where it is valid.

    Returns:
        `name`, `sparseness`, `near_m` and `far_m` (the ends of the colours of depth), and `tiles`, paths relative to
        OUT: `picture`; `mask` (the soft mask); `kept_METHOD` (what the net was shown, the rest in its mean colour);
        `depth_target` (from all pixels), `depth_METHOD`, and `depth_truth` where there is ground truth.
    """
    factor = ceil(SHOWN_WIDTH / rgb.shape[-1])
    size = (rgb.shape[-2] * factor, rgb.shape[-1] * factor)
    colour = rgb.new_tensor(mean).view(3, 1, 1)

    maps = {f"depth_{method}": map_of(depth) for method, depth in depths_m.items()}
    known = None if truth is None else truth_map(*truth)
    scale = _scale_of(known, maps["depth_target"])
    if known is not None:
        maps["depth_truth"] = known

    tiles = {"picture": resize_rgb(picture_of(rgb), *size), "mask": colourise_mask(_enlarge(map_of(mask), factor))}
    for method, pixels in kept.items():
        tiles[f"kept_{method}"] = _enlarge(picture_of(torch.where(pixels, rgb, colour)), factor)
    tiles |= {label: depth_tile(depth_m, size, scale) for label, depth_m in maps.items()}
    paths = {label: save_picture(out, f"examples/{index:06d}-{label.replace('_', '-')}.png", tile)
             for label, tile in tiles.items()}
    return {"name": name, "sparseness": share, "near_m": round(scale[0], 3), "far_m": round(scale[1], 3),
            "tiles": paths}


def _enlarge(pixels: np.ndarray[Any, Any], factor: int) -> Any:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


@dataclass(frozen=True)
class Step:
    """Result of one setting on one picture: the mask M (1, H, W) in [0, 1], and N(I ⊗ M), (1, h, w) metres."""

    setting: Mapping[str, Any]
    """`lambda`, and `keep` of a net of shares."""
    mask: Tensor
    depth_through_m: Tensor


def save_still(out: Path, key: str, name: str, rgb: Tensor, edges: Tensor, whole_m: Tensor, steps: Sequence[Step],
               truth: tuple[Tensor, Tensor] | None = None) -> dict[str, Any]:
    """Write the pictures of one still under OUT/gallery/; return its entry for `gallery` in a results document.

    Args:
        key: begins the names of its files.
        name: what a reader calls it.
        rgb: the picture, (3, H', W') in [0, 1].
        edges: an edge map (1, H, W) in [0, 1].
        whole_m: N(I), (1, h, w) metres.
        steps: one a setting, those that keep most first.
        truth: ground truth (1, h', w') in metres, and where it is valid.

    Returns:
        `name`; `near_m` and `far_m`, the ends of the colours of depth; paths relative to OUT of `picture`, `edges`,
        `depth` and, where there is ground truth, `depth_truth`; and `steps`, each with its setting, the `mean` of M,
        the share of pixels with M above one half (`above_half`), the RMSE of the depth seen through M to the depth seen
        in the whole picture (`difference_m`), and paths of `mask` and `depth`.
    """
    picture = picture_of(rgb)
    if picture.shape[1] > WIDEST:
        picture = resize_rgb(picture, round(picture.shape[0] * WIDEST / picture.shape[1]), WIDEST)
    size = (picture.shape[0], picture.shape[1])
    known = None if truth is None else truth_map(*truth)
    scale = _scale_of(known, map_of(whole_m))

    def save(pixels: Rgb | Grey, file: str) -> str:
        return save_picture(out, f"gallery/{key}-{file}", pixels)

    still: dict[str, Any] = {
        "name": name, "near_m": round(scale[0], 3), "far_m": round(scale[1], 3), "picture": save(picture,
        "picture.jpg"), "edges": save(grey8(map_of(edges)), "edges.png"), "depth": save(depth_tile(map_of(whole_m),
        size, scale), "depth.jpg")}
    if known is not None:
        # a LiDAR's single points would not live through jpeg
        still["depth_truth"] = save(depth_tile(known, size, scale), "depth-truth.png")
    still["steps"] = [{
        **step.setting, "mean": short(float(step.mask.mean())),
        "above_half": short(float((step.mask > 0.5).float().mean())),
        "difference_m": short(float(mean_squared_difference(step.depth_through_m[None], whole_m[None]).sqrt())),
        "mask": save(grey8(map_of(step.mask)), f"mask-{number}.png"),
        "depth": save(depth_tile(map_of(step.depth_through_m), size, scale), f"depth-{number}.jpg"),
    } for number, step in enumerate(steps)]
    return still


def save_row(out: Path, key: str, name: str, rgb: Tensor, edges: Tensor, masks: Sequence[Tensor],
             whole_m: Sequence[Tensor], depth_through_m: Sequence[Tensor], truth: tuple[Tensor, Tensor] | None = None,
             ) -> dict[str, Any]:
    """Write the pictures of one row under OUT/examples/; return its entry for the results document.

    Args:
        key: begins the names of its files.
        name: what a reader calls the picture.
        rgb: (3, H', W') in [0, 1].
        edges: an edge map (1, H, W) in [0, 1]; its size, times a whole factor, is that of all tiles.
        masks: one a network, (1, h, w) in [0, 1], each of its own size.
        whole_m, depth_through_m: one a network, depth from the whole picture and through its own mask, (1, h, w)
            metres.
        truth: ground truth (1, h, w) in metres and where it is valid.

    Returns:
        `name`, `near_m` and `far_m` (the ends of the colours of depth), and paths relative to OUT: `picture`, `edges`,
        lists `masks`, `whole` and `seen`, and `truth` where there is any.
    """
    factor = ceil(SHOWN_WIDTH / edges.shape[-1])
    size = (edges.shape[-2] * factor, edges.shape[-1] * factor)
    known = None if truth is None else truth_map(*truth)
    scale = _scale_of(known, map_of(whole_m[0]))

    def save(tile: Rgb, what: str) -> str:
        return save_picture(out, f"examples/{key}-{what}.png", tile)

    def depths(maps: Sequence[Tensor], what: str) -> list[str]:
        return [save(depth_tile(map_of(depth_m), size, scale), f"{what}-{number}")
                for number, depth_m in enumerate(maps)]

    # nearest: single pixels of a mask are to be seen as they are
    row = {"name": name, "near_m": round(scale[0], 3), "far_m": round(scale[1], 3),
           "picture": save(resize_rgb(picture_of(rgb), *size), "picture"),
           "edges": save(colourise_mask(nearest(map_of(edges), size)), "edges"),
           "masks": [save(colourise_mask(nearest(map_of(mask), size)), f"mask-{number}")
                     for number, mask in enumerate(masks)],
           "whole": depths(whole_m, "whole"), "seen": depths(depth_through_m, "seen")}
    return row if known is None else row | {"truth": save(depth_tile(known, size, scale), "truth")}
