"""Stills for a gallery: one picture, its edges, and for several settings the soft mask and the depth seen through it.

Masks and edge maps are kept as 8 bit greys, at the size the nets work at, so that a page can threshold and colour them
while a reader turns a slider. Depth is kept in colours: seeing it anew would need the net.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from depthcue.atomic import atomic_path
from depthcue.evaluation.metrics import mean_squared_difference
from depthcue.evaluation.tally import short
from depthcue.evaluation.tiles import depth_scale, depth_tile, map_of, picture_of, truth_map
from depthcue.imaging import Grey, Rgb, grey8, resize_rgb

WIDEST = 640
"""Pictures wider than this are shrunk: a gallery is looked at on a page."""


@dataclass(frozen=True)
class Step:
    """What one setting does to one picture: the mask M (1, H, W) in [0, 1], and N(I ⊗ M), (1, h, w) metres."""

    setting: Mapping[str, Any]
    """`lambda`, and `keep` of a net of shares."""
    mask: Tensor
    seen_m: Tensor


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
    whole = map_of(whole_m)
    known = None if truth is None else truth_map(*truth)
    scale = depth_scale(whole if known is None or np.isnan(known).all() else known)
    files: dict[str, Rgb | Grey] = {"picture.jpg": picture, "edges.png": grey8(map_of(edges)),
                                    "depth.jpg": depth_tile(whole, size, scale)}
    if known is not None:
        # a LiDAR's single points would not live through jpeg
        files["depth-truth.png"] = depth_tile(known, size, scale)
    entries: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        mask, depth = f"mask-{number}.png", f"depth-{number}.jpg"
        files |= {mask: grey8(map_of(step.mask)), depth: depth_tile(map_of(step.seen_m), size, scale)}
        difference = mean_squared_difference(step.seen_m[None], whole_m[None]).sqrt()
        entries.append({**step.setting, "mean": short(float(step.mask.mean())),
                        "above_half": short(float((step.mask > 0.5).float().mean())),
                        "difference_m": short(float(difference)), "mask": mask, "depth": depth})
    paths = _save(out, key, files)
    still = {"name": name, "near_m": round(scale[0], 3), "far_m": round(scale[1], 3), "picture": paths["picture.jpg"],
             "edges": paths["edges.png"], "depth": paths["depth.jpg"]}
    if known is not None:
        still["depth_truth"] = paths["depth-truth.png"]
    return still | {"steps": [entry | {part: paths[entry[part]] for part in ("mask", "depth")} for entry in entries]}


def _save(out: Path, key: str, files: Mapping[str, Rgb | Grey]) -> dict[str, str]:
    paths = {name: f"gallery/{key}-{name}" for name in files}
    for name, pixels in files.items():
        with atomic_path(out / paths[name]) as partial:
            Image.fromarray(pixels).save(partial, quality=90)
    return paths
