"""The picture at the head of the README: photographs and rendered roads, and what published nets need of them.

    pip install scikit-image --no-deps      (its wheel ships the photographs, whose licences its loaders name)
    python benchmarks/hero.py NETS          (the folder with fastdepth_nyu.onnx and pydnet_kitti.onnx)

Columns: the picture; the 20% of its pixels that the mask net keeps, in their own colours; the depth net's answer to the
whole picture; its answer to the kept pixels alone. Both depths of a row share one scale. Writes
benchmarks/results/hero.jpg.
"""

import sys
from importlib import metadata
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

import depthcue
from depthcue import scenes
from depthcue.data.rendered import FIRST_TEST_SEED
from depthcue.imaging import colourise_depth, grey_of, resize_map, resize_rgb, top_pixels

OUT = Path(__file__).resolve().parent / "results" / "hero.jpg"
WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
FASTDEPTH = "fastdepth-mask.safetensors", "fastdepth_nyu.onnx,takes=rgb,predicts=metric"
PYDNET = ("pydnet-kitti-mask.safetensors",
          "pydnet_kitti.onnx,takes=rgb,predicts=inverse,relative=yes,shift_unknown=no")
ROWS: tuple[tuple[tuple[str, str], str | int], ...] = (
    (FASTDEPTH, "motorcycle_left.png"), (FASTDEPTH, "astronaut.png"),
    (PYDNET, FIRST_TEST_SEED + 9), (PYDNET, FIRST_TEST_SEED + 2))
"""Files of the mask net and the depth net, and a photograph of scikit-image or the seed of a rendered road."""
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


def row(mask_net: str, depth_net: str, source: str | int) -> np.ndarray:
    """One picture and what its nets make of it, side by side."""
    picture = photograph(source) if isinstance(source, str) else rendered_road(source)
    result = depthcue.load(mask_net, target=depth_net)(picture, keep=KEEP)
    height, width = round(picture.shape[0] * TILE_WIDTH / picture.shape[1]), TILE_WIDTH
    # at the size of the tile, where the share is exact too
    shown = top_pixels(resize_map(result.mask, height, width), KEEP)
    near, far = (float(np.quantile(result.depth, share)) for share in (0.02, 0.98))
    tile = resize_rgb(picture, height, width)
    tiles = [tile, kept_view(tile, shown), *(resize_rgb(colourise_depth(depth, near, far), height, width)
                                             for depth in (result.depth, result.depth_from_kept))]
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


def main(nets: str) -> None:
    rows = [row(str(WEIGHTS / mask), f"onnx:{nets}/{depth}", source) for (mask, depth), source in ROWS]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    parts = [captions(rows[0].shape[1]), *(part for each in rows for part in (each, gap))][:-1]
    Image.fromarray(np.concatenate(parts)).save(OUT, quality=88)


if __name__ == "__main__":
    main(*sys.argv[1:])
