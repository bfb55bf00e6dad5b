"""The picture at the head of the README: rendered places nobody trained on, and what the shipped nets keep of them.

    python benchmarks/readme_picture.py

Columns: the picture, the mask, the picture with the mask over it, depth from the whole picture, depth from the masked
picture. Writes benchmarks/results/readme.jpg.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from depthcue.imaging import colourise_depth, colourise_mask, overlay, resize_map, resize_rgb
from depthcue.nets import depth_from, fit, load_depth_net, load_mask_net
from depthcue.scenes import render

OUT = Path(__file__).resolve().parent / "results" / "readme.jpg"
FIRST_TEST_SEED = 1_000_000_000
PLACES = (("indoor", 9), ("indoor", 20), ("road", 5))
"""Kind and number of a test world."""
LAMBDA = 4.0
TILE_WIDTH, GAP = 300, 6


@torch.inference_mode()
def row(kind: str, seed: int) -> np.ndarray:
    mask_net, depth_net = load_mask_net(f"compact-{kind}"), load_depth_net(f"compact-{kind}")
    height, width = (360, 480) if kind == "indoor" else (192, 640)
    rgb = render(kind, [FIRST_TEST_SEED + seed], height, width).rgb
    normalised = depth_net.normalise(fit(rgb, depth_net.description))
    mask = mask_net(normalised, torch.tensor([LAMBDA]))
    whole, masked = (depth_from(depth_net, normalised, seen)[0, 0].numpy() for seen in (None, mask))
    picture = (rgb[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    full_mask = resize_map(mask[0, 0].numpy(), height, width)
    near_m, far_m = (float(np.quantile(whole, share)) for share in (0.02, 0.98))
    depths = [resize_rgb(colourise_depth(depth, near_m, far_m), height, width) for depth in (whole, masked)]
    tiles = [picture, colourise_mask(full_mask), overlay(picture, full_mask), *depths]
    small = [resize_rgb(tile, round(height * TILE_WIDTH / width), TILE_WIDTH) for tile in tiles]
    gap = np.full((small[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([part for tile in small for part in (tile, gap)][:-1], axis=1)


def main() -> None:
    rows = [row(kind, seed) for kind, seed in PLACES]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    OUT.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate([part for each in rows for part in (each, gap)][:-1])).save(OUT, quality=88)


if __name__ == "__main__":
    main()
