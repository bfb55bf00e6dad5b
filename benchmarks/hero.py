"""The picture at the head of the README: photographs and rendered roads, and what the shipped nets keep of them.

    pip install scikit-image --no-deps      (its wheel ships the photographs, whose licences its loaders name)
    python benchmarks/hero.py

Columns: the picture; the 20% of its pixels that the mask net keeps, in their own colours; the depth net's answer to the
whole picture; its answer to the kept pixels alone. Both depths of a row share one scale. Writes
benchmarks/results/hero.jpg.
"""

from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from depthcue import scenes
from depthcue.data.rendered import FIRST_TEST_SEED
from depthcue.imaging import colourise_depth, grey_of, resize_rgb, top_pixels
from depthcue.nets import depth_from, fit, load_depth_net, load_mask_net, resize

OUT = Path(__file__).resolve().parent / "results" / "hero.jpg"
ROWS: tuple[tuple[str, str | int], ...] = (
    ("compact-indoor", "motorcycle_left.png"), ("compact-indoor", "astronaut.png"),
    ("compact-road", FIRST_TEST_SEED + 9), ("compact-road", FIRST_TEST_SEED + 2))
"""The nets, and a photograph of scikit-image or the seed of a rendered road."""
CAPTIONS = ("picture", "20% of its pixels, chosen by the mask", "depth from the whole picture", "depth from the 20%")
KEEP = 0.2
TILE_WIDTH, GAP, CAPTION_HEIGHT = 400, 8, 34
ROW_RATIO = 0.62
"""Least height of a row over its width; a taller picture is cut to it."""
HIDDEN_CONTRAST, HIDDEN_LIGHT = 0.25, 185
"""What is hidden turns to pale grey: this much of its contrast stays, around this light."""


def photograph(name: str) -> np.ndarray:
    """A picture that scikit-image ships, uint8 (H, W, 3)."""
    files = metadata.files("scikit-image") or []
    path = next(file.locate() for file in files if file.match(f"skimage/data/{name}"))
    return np.asarray(Image.open(str(path)).convert("RGB"))


def rendered_road(seed: int) -> np.ndarray:
    """A road that nobody trained on, uint8 (H, W, 3)."""
    rgb = scenes.render("road", [seed], 192, 640).rgb[0]
    return (rgb.permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)


def kept_view(picture: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Kept pixels in their own colours, hidden ones pale and grey; uint8 (H, W, 3) and bool (H, W)."""
    grey = HIDDEN_LIGHT + (grey_of(picture).astype(np.float32) - 128) * HIDDEN_CONTRAST
    return np.where(kept[..., None], picture, np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2))


@torch.inference_mode()
def row(net: str, source: str | int) -> np.ndarray:
    """One picture and what its nets make of it, side by side."""
    mask_net, depth_net = load_mask_net(net), load_depth_net(net)
    picture = photograph(source) if isinstance(source, str) else rendered_road(source)
    height, width = round(picture.shape[0] * TILE_WIDTH / picture.shape[1]), TILE_WIDTH
    rgb = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    normalised = depth_net.normalise(fit(rgb, depth_net.description))
    mask = mask_net(normalised, torch.tensor([mask_net.dial_value(keep=KEEP)]))
    seen = torch.from_numpy(top_pixels(mask[0, 0].numpy(), KEEP))[None, None].float()
    # at the size of the tile, where the share is exact too
    shown = top_pixels(resize(mask, (height, width))[0, 0].numpy(), KEEP)
    whole, through = (depth_from(depth_net, normalised, kept)[0, 0].numpy() for kept in (None, seen))
    near_m, far_m = (float(np.quantile(whole, share)) for share in (0.02, 0.98))
    tile = resize_rgb(picture, height, width)
    tiles = [tile, kept_view(tile, shown),
             *(resize_rgb(colourise_depth(depth, near_m, far_m), height, width) for depth in (whole, through))]
    most = round(ROW_RATIO * width)
    top = max(height - most, 0) // 4
    gap = np.full((min(height, most), GAP, 3), 255, np.uint8)
    return np.concatenate([part for tile in tiles for part in (tile[top:top + most], gap)][:-1], axis=1)


def captions(width: int) -> np.ndarray:
    """What each column shows, over its middle."""
    bar = Image.new("RGB", (width, CAPTION_HEIGHT), "white")
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 19)
    for column, caption in enumerate(CAPTIONS):
        middle = column * (TILE_WIDTH + GAP) + TILE_WIDTH // 2
        ImageDraw.Draw(bar).text((middle, CAPTION_HEIGHT // 2), caption, fill="#222222", font=font, anchor="mm")
    return np.asarray(bar)


def main() -> None:
    rows = [row(net, source) for net, source in ROWS]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    parts = [captions(rows[0].shape[1]), *(part for each in rows for part in (each, gap))][:-1]
    Image.fromarray(np.concatenate(parts)).save(OUT, quality=88)


if __name__ == "__main__":
    main()
