"""Kinds of TIFF that Pillow refuses or reads wrongly in silence, as scanners, sensors and microscopes write them.

Pillow decides by few of a file's tags: it takes 12 bits for 16, white for black in deep grey pictures, signed numbers
for unsigned ones, and the separate planes of 16-bit colour for noise. So only kinds that it is known to read rightly
are left to it; all others go to tifffile, whose values are brought to 8 bits here, or are refused.
"""

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.imaging import check_pixels

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES, _PLANAR, _SAMPLE_FORMAT = 258, 262, 274, 277, 284, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_UNSIGNED, _SIGNED, _REAL = 1, 2, 3
_ASSOCIATED_ALPHA = 1
_HINT = "Convert it to an 8-bit TIFF, or to PNG."


def is_tiff(file: IO[bytes]) -> bool:
    """Whether an open file, read from its beginning, is a TIFF of any kind."""
    begin = file.read(4)
    file.seek(0)
    return begin in _MAGIC


def is_for_pillow(image: Image.Image) -> bool:
    """Whether Pillow reads this kind of TIFF rightly; True for pictures of other formats."""
    if image.format != "TIFF":
        return True
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    bits = set(_numbers(tags.get(_BITS, 1)))
    samples, photometric = tags.get(_SAMPLES, 1), tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO)
    formats = set(_numbers(tags.get(_SAMPLE_FORMAT, _UNSIGNED)))
    if formats == {_REAL}:
        return bits == {32} and samples == 1 and photometric == _BLACK_IS_ZERO
    if formats != {_UNSIGNED}:
        return False
    if tags.get(_PLANAR, 1) != 1 and samples > 1:
        return bits == {8} and photometric == _RGB and samples == 3
    if samples == 1:
        return (bits <= {1, 2, 4, 8} and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE)
                or bits <= {16, 32} and photometric == _BLACK_IS_ZERO)
    return (bits == {8} and photometric in (_BLACK_IS_ZERO, _RGB, _CMYK, _YCBCR)
            or bits == {16} and photometric == _RGB)


def read_tiff(file: IO[bytes], path: Path, notes: list[str]) -> Image.Image:
    """The first picture of a TIFF as an 8-bit image with its orientation; what was done is added to `notes`.

    Raises:
        DepthcueError: tifffile is not installed, or the kind is not known.
    """
    try:
        import tifffile
    except ImportError:
        raise DepthcueError(f"{path} is a kind of TIFF that Pillow does not read rightly",
                            "Install what does: pip install 'depthcue[tiff]', or convert it to 8 bit.") from None
    with tifffile.TiffFile(file) as opened:
        page: Any = opened.pages[0]
        check_pixels(page.imagewidth, page.imagelength, path)
        if len(opened.pages) > 1:
            notes.append(f"first of {len(opened.pages)} pictures")
        try:
            values = page.asarray()
        except (ValueError, NotImplementedError, RuntimeError, ImportError) as error:
            raise DepthcueError(f"{path} is a kind of TIFF that is not read: {error}", _HINT) from error
        levels = _levels(values, page, path)  # in [0, 1]
        if page.bitspersample > 8:
            notes.append(f"{page.bitspersample} bit: scaled to 8")
        image = _image(levels, page, path)
        image.getexif()[_ORIENTATION] = page.tags.valueof(_ORIENTATION, 1)
        return image


def _levels(values: NDArray[Any], page: Any, path: Path) -> NDArray[np.float32]:
    """The values (H, W) or (H, W, samples) as shares of the full range, dark to light."""
    if page.planarconfig == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)  # (samples, H, W) to (H, W, samples)
    kind = np.dtype(values.dtype).kind
    if kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise DepthcueError(f"{path} holds real numbers outside 0 to 1", "Convert it to 8 or 16 bit.")
        levels = values.astype(np.float32)
    elif kind in "bu" and page.bitspersample <= 16:
        levels = values.astype(np.float32) / np.float32(2 ** page.bitspersample - 1)
    else:
        sign = "signed " if kind == "i" else ""
        raise DepthcueError(f"{path} holds {sign}numbers of {page.bitspersample} bits, from "
                            f"{values.min()} to {values.max()}; unsigned ones of up to 16 bits are read", _HINT)
    return 1 - levels if page.photometric == _WHITE_IS_ZERO else levels


def _image(levels: NDArray[np.float32], page: Any, path: Path) -> Image.Image:
    photometric, samples = page.photometric, 1 if levels.ndim == 2 else levels.shape[2]
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _CMYK: 4}.get(photometric)
    if colours is None or levels.ndim not in (2, 3) or samples < colours or (colours == 1 and samples > 2):
        name = getattr(photometric, "name", photometric)
        raise DepthcueError(f"{path} is a kind of TIFF that is not read: {name} of {samples} samples", _HINT)
    bytes8 = (levels * 255 + 0.5).astype(np.uint8)
    if colours == 1:
        bytes8 = np.repeat(bytes8.reshape(*levels.shape[:2], samples)[..., :1], 3, axis=2)
    if colours == 4:
        return Image.fromarray(np.ascontiguousarray(bytes8[..., :4]), "CMYK")
    alpha = next((kind for kind in page.extrasamples if kind), None)
    if alpha is None or samples <= colours:
        return Image.fromarray(np.ascontiguousarray(bytes8[..., :3]), "RGB")
    opacity = (levels[..., colours:colours + 1] * 255 + 0.5).astype(np.uint8)
    rgba = np.ascontiguousarray(np.concatenate((bytes8[..., :3], opacity), axis=2))
    return Image.fromarray(rgba, "RGBa" if alpha == _ASSOCIATED_ALPHA else "RGBA")


def _numbers(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)
