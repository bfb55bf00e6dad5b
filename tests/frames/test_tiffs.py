"""Kinds of TIFF: each is read rightly or refused, never shown as something else."""

import builtins
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.frames import load_picture

tifffile = pytest.importorskip("tifffile")

HEIGHT, WIDTH = 40, 61
RAMP = np.add.outer(np.linspace(0, 0.5, HEIGHT), np.linspace(0, 0.5, WIDTH))
"""Dark at the top left, light at the bottom right: no flip, inversion or wrong scale leaves it alike."""
COLOURS = np.stack((RAMP, 1 - RAMP, np.abs(RAMP - 0.5)), axis=2)
RIGHT, RIGHT_COLOURS = (np.rint(values * 255).astype(np.uint8) for values in (RAMP, COLOURS))


def whole(shares: np.ndarray, bits: int) -> np.ndarray:
    kind = np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32
    return np.rint(shares * (2 ** bits - 1)).astype(kind)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Rows of numbers of some bits each, each row filled up to a byte."""
    bits_of = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1  # (H, W, bits)
    return np.packbits(bits_of.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def write(path: Path, values: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, values, **options)
    return path


def write_packed(path: Path, bits: int, photometric: int) -> Path:
    """A strip of numbers of `bits` bits without gaps, as sensors write them."""
    values = whole(RAMP, bits)
    content = packed(2 ** bits - 1 - values if photometric == 0 else values, bits)
    entries = [(256, 3, WIDTH), (257, 3, HEIGHT), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
               (277, 3, 1), (278, 3, HEIGHT), (279, 4, len(content))]
    folder = len(entries).to_bytes(2, "little") + b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, kind, value in entries) + bytes(4)
    padding = bytes(len(content) % 2)
    path.write_bytes(b"II*\0" + (8 + len(content) + len(padding)).to_bytes(4, "little") + content + padding + folder)
    return path


def difference(path: Path, right: np.ndarray) -> int:
    rgb = load_picture(path).rgb.astype(int)
    return int(np.abs(rgb - (right if right.ndim == 3 else right[..., None])).max())


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14])
def test_grey_of_any_number_of_bits(tmp_path, bits, photometric):
    pytest.importorskip("imagecodecs")
    levels = np.rint(RAMP * (2 ** bits - 1)) / (2 ** bits - 1)
    assert difference(write_packed(tmp_path / "a.tif", bits, photometric), np.rint(levels * 255)) <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_deep_grey(tmp_path, order, photometric):
    shares = RAMP if photometric == "minisblack" else 1 - RAMP
    path = write(tmp_path / "a.tif", whole(shares, 16), photometric=photometric, byteorder=order)
    assert difference(path, RIGHT) <= 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 7}, {"bigtiff": True}])
def test_colour_in_planes_and_in_pixels(tmp_path, bits, order, compression, options):
    values = whole(COLOURS, bits)
    kind = {"photometric": "rgb", "byteorder": order, "compression": compression, **options}
    if compression:
        pytest.importorskip("imagecodecs")
    together = write(tmp_path / "together.tif", values, planarconfig="contig", **kind)
    apart = write(tmp_path / "apart.tif", np.ascontiguousarray(np.moveaxis(values, 2, 0)), planarconfig="separate",
                  **kind)
    assert difference(together, RIGHT_COLOURS) <= 1 and difference(apart, RIGHT_COLOURS) <= 1


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_real_numbers(tmp_path, kind, photometric):
    shares = RAMP if photometric == "minisblack" else 1 - RAMP
    assert difference(write(tmp_path / "a.tif", shares.astype(kind), photometric=photometric), RIGHT) <= 1
    with pytest.raises(DepthcueError, match="outside 0 to 1"):
        load_picture(write(tmp_path / "b.tif", (shares * 7).astype(kind), photometric=photometric))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
def test_transparency_of_deep_colour(tmp_path, planar, extra):
    alpha = np.where(np.arange(WIDTH) < 30, 1.0, 0.0) * np.ones((HEIGHT, 1))
    values = whole(np.dstack((COLOURS * alpha[..., None] if extra == "assocalpha" else COLOURS, alpha)), 16)
    if planar == "separate":
        values = np.ascontiguousarray(np.moveaxis(values, 2, 0))
    path = write(tmp_path / "a.tif", values, photometric="rgb", planarconfig=planar, extrasamples=[extra])
    right = np.where(alpha[..., None] > 0, RIGHT_COLOURS, 128)
    assert difference(path, right) <= 2
    assert any("transparent" in note for note in load_picture(path).notes)


def test_the_first_of_several_and_upright(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for shares in (1 - RAMP, RAMP):
            file.write(whole(shares, 16), photometric="miniswhite", extratags=[(274, "H", 1, 3, True)])
    picture = load_picture(path)
    assert np.abs(picture.rgb[..., 0].astype(int) - RIGHT[::-1, ::-1]).max() <= 1
    assert picture.notes == ("first of 2 pictures", "16 bit: scaled to 8")


@pytest.mark.parametrize(("values", "options"), [
    (whole(COLOURS, 8).view(np.int8), {"photometric": "rgb"}),
    ((RAMP * 100).astype(np.int8), {"photometric": "minisblack"}),
    ((RAMP * 100 - 50).astype(np.int16), {"photometric": "minisblack"}),
    (whole(RAMP, 32), {"photometric": "miniswhite"}),
    (whole(COLOURS, 16), {"photometric": "cielab"}),
    (whole(COLOURS, 8), {"photometric": "minisblack", "planarconfig": "contig"}),
    (whole(RAMP, 16), {"photometric": "cfa", "extratags": [(33421, "H", 2, (2, 2), True),
                                                           (33422, "B", 4, (0, 1, 1, 2), True)]}),
])
def test_what_is_not_understood_is_refused(tmp_path, values, options):
    with pytest.raises(DepthcueError, match=r"a\.tif"):
        load_picture(write(tmp_path / "a.tif", values, **options))


def test_without_the_package_they_are_refused_and_others_are_read(tmp_path, monkeypatch):
    deep = write(tmp_path / "deep.tif", whole(1 - RAMP, 16), photometric="miniswhite")
    Image.fromarray(RIGHT).save(tmp_path / "usual.tif")
    original = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "tifffile":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DepthcueError, match="Pillow does not read rightly(?s:.*)depthcue.tiff"):
        load_picture(deep)
    assert difference(tmp_path / "usual.tif", RIGHT) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_cut_off_deep_pictures_name_the_file(tmp_path, share):
    path = write(tmp_path / "deep.tif", whole(1 - RAMP, 16), photometric="miniswhite")
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * share)])
    with pytest.raises(DepthcueError, match=r"deep\.tif"):
        load_picture(path)
