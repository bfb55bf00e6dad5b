"""The picture at the head of the README: real photographs, and what the shipped indoor nets keep of them.

    pip install scikit-image                (its wheel ships the photographs, whose licences its loaders name)
    python benchmarks/readme_picture.py

Columns: the picture; the 10% and the 20% of its pixels that the mask net keeps, in their own colours; the depth seen in
the whole picture; the depth seen through the 20%. Writes benchmarks/results/readme.jpg.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from depthcue.imaging import colourise_depth, grey_of, resize_rgb, top_pixels
from depthcue.nets import depth_from, fit, load_depth_net, load_mask_net, resize

OUT = Path(__file__).resolve().parent / "results" / "readme.jpg"
NET = "compact-indoor"
PHOTOGRAPHS = ("motorcycle_left.png", "coffee.png", "astronaut.png")
SHARES = (0.1, 0.2)
TILE_WIDTH, GAP = 300, 6
DIMMED = 0.3


def photograph(name: str) -> np.ndarray:
    """A picture that scikit-image ships, uint8 (H, W, 3)."""
    files = metadata.files("scikit-image") or []
    path = next(file.locate() for file in files if file.match(f"skimage/data/{name}"))
    return np.asarray(Image.open(str(path)).convert("RGB"))


def kept_view(picture: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Kept pixels in their own colours, the others grey and dimmed; uint8 (H, W, 3) and bool (H, W)."""
    hidden = np.repeat((grey_of(picture) * DIMMED).astype(np.uint8)[..., None], 3, axis=2)
    return np.where(kept[..., None], picture, hidden)


@torch.inference_mode()
def row(name: str) -> np.ndarray:
    mask_net, depth_net = load_mask_net(NET), load_depth_net(NET)
    picture = photograph(name)
    height, width = round(picture.shape[0] * TILE_WIDTH / picture.shape[1]), TILE_WIDTH
    rgb = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    normalised = depth_net.normalise(fit(rgb, depth_net.description))
    tiles = [resize_rgb(picture, height, width)]
    seen = None
    for share in SHARES:
        mask = mask_net(normalised, torch.tensor([share]))
        seen = torch.from_numpy(top_pixels(mask[0, 0].numpy(), share))[None, None].float()
        # at the size of the tile, where the share is exact too
        shown = resize(mask, (height, width))[0, 0].numpy()
        tiles.append(kept_view(tiles[0], top_pixels(shown, share)))
    whole, through = (depth_from(depth_net, normalised, kept)[0, 0].numpy() for kept in (None, seen))
    near_m, far_m = (float(np.quantile(whole, share)) for share in (0.02, 0.98))
    tiles += [resize_rgb(colourise_depth(depth, near_m, far_m), height, width) for depth in (whole, through)]
    gap = np.full((height, GAP, 3), 255, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile, gap)][:-1], axis=1)


def main() -> None:
    rows = [row(name) for name in PHOTOGRAPHS]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    OUT.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate([part for each in rows for part in (each, gap)][:-1])).save(OUT, quality=88)


if __name__ == "__main__":
    main()
