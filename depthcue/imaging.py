"""Pictures as arrays: opening files, resize geometry, masks and depths as colours, overlays and panels.

Numpy in, numpy out; results may be written to. A picture is uint8 RGB (H, W, 3), upright; a map (a mask in [0, 1], a
depth in metres) is float32 (H, W). Files, videos and reports take colours, curves and captions from here, so that they
look alike. Colours by name are in `colours`.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError

from depthcue.colours import DEPTH_COLOURS, MASK_COLOURS, USUAL, Look, blend_of, colour_scale, outline, planes_of
from depthcue.errors import DepthcueError

Rgb = NDArray[np.uint8]
"""uint8 RGB, (H, W, 3)."""
Grey = NDArray[np.uint8]
"""uint8, (H, W)."""
Map = NDArray[np.float32]
"""float32, (H, W)."""
Yuv = tuple[Grey, Grey, Grey]
"""Luma (H, W) and blue and red chroma (H/2, W/2), BT.709 in limited range: what video files hold (yuv420p)."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the brightness of a picture (ITU-R BT.601)."""

MAX_WORKING_PIXELS = 2**26
"""Largest working size of a net, 8192x8192 pixels."""
MAX_PIXELS = 200_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can unfold to many gigabytes."""

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats that Pillow decodes by itself. For some of the others it starts programs (EPS: Ghostscript), or takes a file
of any name for them by its first byte or two."""
HEIF_HINT = "Install what reads them with: pip install 'depthcue[heif]', or convert them to JPEG."
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

BACKGROUND_GREY = 128
"""Background of transparent pixels: neutral, so that no dark or light halo is a cue of depth."""

UNKNOWN_GREY = 110
"""Grey of a depth that is not known (NaN or not positive)."""

_PANEL_BACKGROUND = (24, 25, 28)
_PANEL_TEXT = (236, 236, 232)
_PANEL_GAP = 6
_SMALLEST_LETTERS = 10
_TILE_SIDES = (200, 1280)
"""Panels enlarge tiles whose longer side is below the first figure and shrink those above the second."""
_STRIP_PIXELS = 1 << 20
_WIDE = 2.0
"""Tiles wider than this many times their height are stacked instead of set side by side."""


_opening = threading.Lock()


def open_picture(file: Path | IO[bytes], path: Path) -> Image.Image:
    """Open a picture, of which only the header is read; the one way to Pillow's decoders.

    Args:
        file: what is read: a path, or an open file or bytes.
        path: its name in errors.

    Raises:
        DepthcueError: it is no picture of a format that is read, has more than MAX_PIXELS, or is HEIC and the package
            that reads it is missing.
        OSError: the file cannot be opened.
    """
    formats = [*_FORMATS, "HEIF"] if _is_heif(file) and _register_heif(path) else list(_FORMATS)
    if path.suffix.lower() == ".tga":  # which has no signature
        formats.append("TGA")
    with _opening:
        # the library's own limit is process-wide, lower, and warns
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=[name for name in formats if _is_known(name)])
        except UnidentifiedImageError:
            raise DepthcueError(f"{path} is not a picture that can be read", "Its content is of another kind than its "
                                "name says, damaged, or of a format that Pillow does not know.") from None
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    check_pixels(*image.size, path)
    return image


def check_pixels(width: int, height: int, path: Path) -> None:
    """Refuse a picture that is too large.

    Raises:
        DepthcueError: it has more than MAX_PIXELS.
    """
    if width * height > MAX_PIXELS:
        raise DepthcueError(f"{path} has {width}x{height} pixels, {width * height / 1e6:.0f} million; "
                            f"at most {MAX_PIXELS / 1e6:.0f} million are read", "Scale it down first.")


def _is_known(format: str) -> bool:
    if format not in Image.OPEN:
        Image.init()
    return format in Image.OPEN


def _is_heif(file: Path | IO[bytes]) -> bool:
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return _is_heif(opened)
    begin = file.read(32)
    file.seek(0)
    return begin[4:8] == b"ftyp" and begin[8:12] in _HEIF_BRANDS and b"avif" not in begin


def _register_heif(path: Path) -> bool:
    """Have Pillow read HEIC.

    Raises:
        DepthcueError: the package for it is not installed.
    """
    try:
        import pillow_heif
    except ImportError:
        raise DepthcueError(f"{path}: HEIC pictures cannot be read", HEIF_HINT) from None
    pillow_heif.register_heif_opener()
    return True


def fit_size(height: int, width: int, working: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The (height, width) at which a net with the `working` size (h, w) sees a picture of `height` × `width` pixels.

    The aspect ratio stays, the area becomes about h·w, and both sides are multiples of `multiple` (at least one).
    A picture of the working size's aspect ratio gets exactly the working size. However long and thin a picture is, the
    result has never much more than the working area.

    Raises:
        DepthcueError: a side is not positive, or the working size is not made of multiples of `multiple` or is larger
            than any memory.
    """
    if min(height, width, multiple, *working) < 1:
        raise DepthcueError(f"a picture of {width}x{height} pixels cannot be fitted to {working[1]}x{working[0]}",
                            "Sides must be positive.")
    if working[0] % multiple or working[1] % multiple:
        raise DepthcueError(f"the working size {working[1]}x{working[0]} is not made of multiples of {multiple}",
                            f"Give a width and height divisible by {multiple}.")
    area = working[0] * working[1]
    if area > MAX_WORKING_PIXELS:
        raise DepthcueError(f"a working size of {working[1]}x{working[0]} pixels takes more memory than machines have",
                            "Choose a smaller size; of two nets the sides are multiples of both nets' multiples.")
    scale = math.sqrt(area / (height * width))
    longest = max(area // (multiple * multiple), 1)  # where the other side is a single multiple

    def side(pixels: int) -> int:
        return min(max(round(pixels * scale / multiple), 1), longest) * multiple

    return side(height), side(width)


def resize_rgb(rgb: Rgb, height: int, width: int) -> Rgb:
    """Resize a picture uint8 (H, W, 3) to `height` × `width`: bilinear, antialiased where it shrinks."""
    if rgb.shape[:2] == (height, width):
        return rgb
    # reducing_gap first shrinks by whole pixels and leaves the filter at least twice the final size to work on: several
    # times faster on big photographs, a quarter of one of 255 levels in the mean
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))


def resize_map(values: Map, height: int, width: int) -> Map:
    """Resize a map float32 (H, W) of finite values to `height` × `width`: bilinear, antialiased where it shrinks."""
    if values.shape == (height, width):
        return values
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BILINEAR))


def resize_grey(grey: Grey, height: int, width: int) -> Grey:
    """Resize uint8 (H, W) to `height` × `width`: bilinear, antialiased where it shrinks."""
    if grey.shape == (height, width):
        return grey
    return np.array(Image.fromarray(np.ascontiguousarray(grey)).resize((width, height), Image.Resampling.BILINEAR))


def grey_of(rgb: Rgb) -> Grey:
    """The light of a picture uint8 (H, W, 3): Rec. 601 luma, uint8 (H, W)."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).convert("L"))


def grey8(values: NDArray[np.generic]) -> Grey:
    """A map (H, W) as 8 bit: float [0, 1] times 255, rounded; bool as 0 and 255; uint8 as it is."""
    if values.dtype == np.uint8:
        return values  # type: ignore[return-value]
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    return (np.clip(values.astype(np.float32, copy=False), 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def grey16(values: Map) -> NDArray[np.uint16]:
    """A map float (H, W) in [0, 1] as 16 bit: times 65535, rounded."""
    return (np.clip(values, 0.0, 1.0) * 65535.0 + 0.5).astype(np.uint16)


def top_pixels(scores: Map | NDArray[np.uint16], share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Exactly round(share · H · W) pixels of a map, those with the highest values; among equal ones a random choice.

    Args:
        scores: (H, W), no NaN.
        share: of the pixels, in [0, 1].
        seed: of the choice among equal values, at whose limit a flat region gives scattered pixels.

    Returns:
        bool (H, W), True where the pixel is kept.
    """
    flat = scores.ravel()
    count = round(share * flat.size)
    if count == 0:
        return np.zeros(scores.shape, np.bool_)
    limit = np.partition(flat, flat.size - count)[flat.size - count]
    kept = flat > limit
    equal = np.flatnonzero(flat == limit)
    missing = count - np.count_nonzero(kept)
    if missing < equal.size:
        equal = np.random.default_rng(seed).choice(equal, missing, replace=False, shuffle=False)
    kept[equal] = True
    return kept.reshape(scores.shape)


def overlay(rgb: Rgb, mask: Map | Grey, look: Look = USUAL) -> Rgb:
    """The picture with the mask over it, in one of the styles of `colours.Look`.

    Args:
        rgb: uint8 (H, W, 3).
        mask: float32 (H, W) in [0, 1], or its 8 bits, the same size.

    Returns:
        uint8 (H, W, 3).
    """
    levels = outline(grey8(mask)) if look.style == "contour" else grey8(mask)
    blend = blend_of(look)
    kept, grey, ground = (np.round(table * 256).astype(np.uint16) for table in (blend.kept, blend.grey, blend.ground))
    light, picture = grey_of(rgb), np.empty(rgb.shape, np.uint8)
    # in strips, because pictures may have hundreds of millions of pixels; 255 · 256 fits in 16 bits
    rows = max(_STRIP_PIXELS // rgb.shape[1], 1)
    for top in range(0, rgb.shape[0], rows):
        strip = slice(top, top + rows)
        at = levels[strip]
        common = grey.take(at) * light[strip]
        for channel in range(3):
            mixed = kept.take(at) * rgb[strip, :, channel] + common + ground[:, channel].take(at)
            picture[strip, :, channel] = np.minimum(mixed, 65407) + np.uint16(128) >> 8
    return picture


def overlay_yuv(planes: Yuv, mask: Map | Grey, look: Look = USUAL) -> Yuv:
    """`overlay` as video wants it, from the luma and chroma of a picture with even sides.

    Several times as fast as converting the result of `overlay`.
    """
    levels = outline(grey8(mask)) if look.style == "contour" else grey8(mask)
    coarse = levels.reshape(levels.shape[0] // 2, 2, -1, 2).max(axis=(1, 3))  # a thin line keeps its colour
    luma, blue, red = planes_of(look)
    return (luma.take(_pairs(levels, planes[0])), blue.take(_pairs(coarse, planes[1])),
            red.take(_pairs(coarse, planes[2])))


def grey_yuv(grey: Grey) -> Yuv:
    """A map uint8 (H, W) with even sides as grey video."""
    neutral = np.full((grey.shape[0] // 2, grey.shape[1] // 2), 128, np.uint8)
    # 220/256 for 219/255: what 16 bits hold, to within one level
    luma = ((grey.astype(np.uint16) * np.uint16(220) + np.uint16(128)) >> 8).astype(np.uint8) + np.uint8(16)
    return luma, neutral, neutral


def colourise_mask(mask: Map | Grey, colours: str = MASK_COLOURS) -> Rgb:
    """A mask float32 (H, W) in [0, 1], or its 8 bits, as a picture uint8 (H, W, 3) in the colours of that name."""
    return colour_scale(colours)[grey8(mask)]


def colourise_depth(depth_m: Map, near_m: float, far_m: float, colours: str = DEPTH_COLOURS) -> Rgb:
    """A depth map as a picture, on a logarithmic scale; by default pale and warm is near, dark violet is far.

    The ends are arguments and not taken from the map, so that the frames of a video keep their colours.

    Args:
        depth_m: float32 (H, W), metres. Infinite is far; NaN and values not above 0 are shown in mid-grey.
        near_m, far_m: the ends of the scale, 0 < near_m < far_m.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DepthcueError: the ends are not in that order, or there are no such colours.
    """
    if not 0 < near_m < far_m:
        raise DepthcueError(f"a depth scale from {near_m} m to {far_m} m", "Give ends with 0 < near < far.")
    known = depth_m > 0
    position = np.log(np.clip(np.where(known, depth_m, near_m), near_m, far_m) / near_m) / math.log(far_m / near_m)
    picture = colour_scale(colours)[(position * 255.0 + 0.5).astype(np.uint8)]
    picture[~known] = UNKNOWN_GREY
    return picture


@dataclass(frozen=True)
class ColourBar:
    """Bar under a tile of depth: its colours from near to far, with numbers."""

    near: float
    far: float
    unit: str = "m"
    """Empty where the numbers mean nothing: then it says near and far."""
    colours: str = DEPTH_COLOURS


def panel(tiles: Sequence[Rgb], labels: Sequence[str], bars: Sequence[ColourBar | None] = ()) -> Rgb:
    """Pictures with captions over them and colour bars under them, side by side; wide ones (more than 2:1) stacked.

    Tiles take the first one's size (bounded, so that captions can be read and files stay reasonable); both sides of the
    result are even, so that any video codec takes it, and depend on the first tile's size, the captions and on which
    tiles have a bar, not on what a bar says.

    Args:
        tiles: uint8 (H, W, 3) each.
        labels: one caption a tile; one that is too long for its tile is set smaller, then in two lines, then shortened.
        bars: one a tile, None for none; empty for none at all.

    Returns:
        uint8 (H, W, 3).
    """
    if not tiles or len(tiles) != len(labels) or len(bars) not in (0, len(tiles)):
        raise ValueError(f"{len(tiles)} tiles with {len(labels)} labels and {len(bars)} bars")
    height, width = tiles[0].shape[:2]
    scale = min(max(1.0, _TILE_SIDES[0] / max(height, width)), _TILE_SIDES[1] / max(height, width))
    height, width = max(round(height * scale), 1), max(round(width * scale), 1)
    stacked = width > _WIDE * height
    size, lines = _caption_size(tuple(labels), width, min(max(round(min(height, width) / 18), 13), 26))
    above = round(size * (0.5 + 1.2 * lines))
    below = [round(_bar_size(width, size) * 2.3) if bar is not None else 0 for bar in bars] or [0] * len(tiles)
    below = below if stacked else [max(below)] * len(tiles)
    step = above + height + _PANEL_GAP
    tops = [_PANEL_GAP + number * step + sum(below[:number]) if stacked else _PANEL_GAP for number in range(len(tiles))]
    whole = (tops[-1] + step + below[-1], (1 if stacked else len(tiles)) * (width + _PANEL_GAP) + _PANEL_GAP)
    canvas = np.empty((whole[0] + whole[0] % 2, whole[1] + whole[1] % 2, 3), np.uint8)
    canvas[:] = _PANEL_BACKGROUND
    for number, (tile, label) in enumerate(zip(tiles, labels, strict=True)):
        top, left = tops[number], _PANEL_GAP + (0 if stacked else number) * (width + _PANEL_GAP)
        canvas[top:top + above, left:left + width] = _caption(label, width, above, size, lines)
        canvas[top + above:top + above + height, left:left + width] = resize_rgb(tile, height, width)
        if bars and (bar := bars[number]) is not None:
            strip = _bar(bar, width, below[number], _bar_size(width, size))
            canvas[top + above + height:top + above + height + below[number], left:left + width] = strip
    return canvas


def _pairs(mask: Grey, values: Grey) -> NDArray[np.uint16]:
    """Indices into the tables of an overlay: values in the low byte, mask in the high byte."""
    pairs = mask.astype(np.uint16)
    np.left_shift(pairs, 8, out=pairs)
    return np.bitwise_or(pairs, values, out=pairs)


@lru_cache(maxsize=64)
def _caption_size(labels: tuple[str, ...], width: int, size: int) -> tuple[int, int]:
    """The largest size of letters, and the number of lines, in which all captions fit; else the smallest, and two."""
    for lines, smallest in ((1, min(size, 12)), (2, _SMALLEST_LETTERS)):
        for letters in range(size, smallest - 1, -1):
            font = ImageFont.load_default(letters)
            if all(len(_wrapped(label, width, font)) <= lines for label in labels):
                return letters, lines
    return _SMALLEST_LETTERS, 2


def _wrapped(label: str, width: int, font: Font) -> list[str]:
    """The lines of a caption, broken between words where it has to be; a word that is too long counts as many lines."""
    lines: list[str] = []
    for word in label.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(joined) <= width - 2:
            lines[-1] = joined
        else:
            lines += [word] if font.getlength(word) <= width - 2 else [word] * 9
    return lines


@lru_cache(maxsize=64)  # a video has the same few captions at every frame
def _caption(label: str, width: int, height: int, size: int, most: int) -> Rgb:
    strip = Image.new("RGB", (width, height), _PANEL_BACKGROUND)
    font = ImageFont.load_default(size)
    lines = _wrapped(label, width, font)
    if len(lines) > most:
        while label and font.getlength(label + "…") > width - 2:
            label = label[:-1]
        lines = [label.rstrip() + "…"] if label else []
    ImageDraw.Draw(strip).multiline_text((1, height / 2), "\n".join(lines), fill=_PANEL_TEXT, font=font, anchor="lm",
                                         spacing=round(size * 0.15))
    picture = np.array(strip)
    picture.flags.writeable = False
    return picture


def _bar_size(width: int, size: int) -> int:
    """Size of the letters at a colour bar."""
    return min(max(round(size * 0.85), _SMALLEST_LETTERS), max(width // 8, 7))


def _bar(bar: ColourBar, width: int, height: int, size: int) -> Rgb:
    """The strip under a tile: colours from near to far, numbers below."""
    strip = Image.new("RGB", (width, height), _PANEL_BACKGROUND)
    colours = colour_scale(bar.colours)[np.linspace(0, 255, width).round().astype(int)]
    thickness = max(round(size * 0.7), 3)
    top = max(round(size * 0.25), 1)
    strip.paste(Image.fromarray(np.repeat(colours[None], thickness, axis=0)), (0, top))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size)
    if not bar.unit:
        draw.text((1, height - 1), "near", fill=_PANEL_TEXT, font=font, anchor="ld")
        draw.text((width - 1, height - 1), "far", fill=_PANEL_TEXT, font=font, anchor="rd")
        return np.array(strip)
    used = -float(size)
    for tick in _ticks(bar.near, bar.far):
        x = math.log(tick / bar.near) / math.log(bar.far / bar.near) * (width - 1)
        text = f"{tick:.6g} {bar.unit}"
        half = font.getlength(text) / 2
        left = min(max(x - half, 0), width - 2 * half)
        if left > used + size * 0.6 and left >= 0:
            draw.line([(x, top + thickness), (x, top + thickness + max(size // 5, 2))], fill=_PANEL_TEXT)
            draw.text((left, height - 1), text, fill=_PANEL_TEXT, font=font, anchor="ld")
            used = left + 2 * half
    return np.array(strip)


def _ticks(near: float, far: float) -> list[float]:
    """Round numbers from near to far: 1, 2, 5, 10, … where three of them lie there, else three or more even steps."""
    decades = range(math.floor(math.log10(near)), math.ceil(math.log10(far)) + 1)
    ticks = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5) if near <= digit * 10.0**decade <= far]
    largest = math.ceil(math.log10(far - near))
    steps = [float(digit * 10.0**decade) for decade in range(largest, largest - 3, -1) for digit in (5, 2, 1)]
    for step in steps if len(ticks) < 3 else ():
        ticks = [number * step for number in range(math.ceil(near / step), math.floor(far / step) + 1)]
        if len(ticks) >= 3:
            break
    return ticks
