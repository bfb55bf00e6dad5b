"""Every kind of picture file becomes upright RGB, or an error that names it; TIFF of any kind; JPEG on a GPU."""

import ast
import builtins
import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.io
from numbered_frames import numbered_picture
from PIL import Image, features

import depthcue
from depthcue import imaging
from depthcue.data.stored import read_depth_png
from depthcue.errors import DepthcueError
from depthcue.frames import find_inputs, open_input
from depthcue.frames.pictures import check_nvjpeg, load_picture

RED, BLUE = (200, 30, 20), (20, 30, 200)


def two_tone(height: int = 12, width: int = 20) -> Image.Image:
    """Red above, blue below."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[: height // 2], rgb[height // 2:] = RED, BLUE
    return Image.fromarray(rgb)


def close(rgb: np.ndarray, colour: tuple[int, int, int], tolerance: int = 12) -> bool:
    """JPEG, CMYK and palettes move a colour by a few levels."""
    return bool(np.abs(rgb.astype(int) - colour).max() <= tolerance)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp", "a.gif", "a.ppm", "a.tga"])
def test_every_common_format(tmp_path, name):
    two_tone().save(tmp_path / name, quality=98)
    rgb = load_picture(tmp_path / name).rgb
    assert rgb.shape == (12, 20, 3) and rgb.dtype == np.uint8 and rgb.flags.c_contiguous and rgb.flags.writeable
    assert close(rgb[1, 10], RED, 25) and close(rgb[-2, 10], BLUE, 25)


def test_grey_palette_one_bit_and_cmyk(tmp_path):
    two_tone().convert("L").save(tmp_path / "grey.png")
    grey = load_picture(tmp_path / "grey.png").rgb
    assert grey.shape == (12, 20, 3) and (grey[..., 0] == grey[..., 2]).all()
    two_tone().convert("P").save(tmp_path / "palette.png")
    assert close(load_picture(tmp_path / "palette.png").rgb[0, 0], RED, 40)
    two_tone().convert("1").save(tmp_path / "bits.png")
    assert set(np.unique(load_picture(tmp_path / "bits.png").rgb)) <= {0, 255}
    two_tone().convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    assert Image.open(tmp_path / "print.jpg").mode == "CMYK"
    assert close(load_picture(tmp_path / "print.jpg").rgb[0, 0], RED)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bit_is_scaled_not_clipped(tmp_path, suffix):
    levels = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / f"deep.{suffix}")
    assert load_picture(tmp_path / f"deep.{suffix}").rgb[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def test_sixteen_bit_colour(tmp_path):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + struct.pack(">6H", 65535, 32768, 0, 0, 257, 65535)
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b""))
    assert close(load_picture(tmp_path / "deep.png").rgb[0], [(255, 128, 0), (0, 1, 255)], 1)


def test_float_and_wide_integers(tmp_path):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "unit.tif")
    assert load_picture(tmp_path / "unit.tif").rgb[0, :, 0].tolist() == [0, 128, 255]
    Image.fromarray(np.array([[0, 7.5]], np.float32)).save(tmp_path / "metres.tif")
    with pytest.raises(DepthcueError, match=r"metres\.tif holds real numbers"):
        load_picture(tmp_path / "metres.tif")
    Image.fromarray(np.array([[0, 100_000]], np.int32)).save(tmp_path / "wide.tif")
    with pytest.raises(DepthcueError, match="100000"):
        load_picture(tmp_path / "wide.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation):
    upright = two_tone()
    undo = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    rgb = load_picture(tmp_path / "turned.png").rgb
    assert (rgb == np.asarray(upright)).all()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_lose_the_picture(tmp_path):
    two_tone().save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xfe" * 40)
    assert load_picture(tmp_path / "a.jpg").rgb.shape == (12, 20, 3)


def test_transparent_pictures_stand_on_grey_and_say_so(tmp_path):
    rgba = np.zeros((4, 6, 4), np.uint8)
    rgba[..., 0] = 255
    rgba[:, :2, 3], rgba[:, 2:4, 3] = 255, 128
    Image.fromarray(rgba).save(tmp_path / "glass.png")
    glass = load_picture(tmp_path / "glass.png")
    assert glass.rgb[0, 0].tolist() == [255, 0, 0]
    assert close(glass.rgb[0, 3], (192, 64, 64), 2)
    assert glass.rgb[0, 5].tolist() == [128, 128, 128]
    assert any("transparent" in note for note in glass.notes)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "solid.png")
    assert not load_picture(tmp_path / "solid.png").notes
    Image.fromarray(rgba).convert("P").save(tmp_path / "key.png", transparency=Image.fromarray(rgba).convert("P")
                                            .getpixel((0, 0)))
    assert (load_picture(tmp_path / "key.png").rgb == 128).all()


def test_one_pixel_and_animations(tmp_path):
    Image.new("RGB", (1, 1), RED).save(tmp_path / "dot.png")
    assert load_picture(tmp_path / "dot.png").rgb.tolist() == [[list(RED)]]
    Image.new("RGB", (5, 4), RED).save(tmp_path / "moving.gif", save_all=True,
                                       append_images=[Image.new("RGB", (5, 4), colour) for colour in (BLUE, (9, 9, 9))])
    moving = load_picture(tmp_path / "moving.gif")
    assert close(moving.rgb, RED) and "first of 3 pictures" in moving.notes


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp", "a.gif"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_cut_off_pictures_name_the_file(tmp_path, name, share):
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DepthcueError) as caught:
        load_picture(tmp_path / name)
    assert name in caught.value.message and caught.value.hint


def test_what_is_not_a_picture(tmp_path):
    (tmp_path / "text.png").write_text("this is no picture " * 50)
    with pytest.raises(DepthcueError, match=r"text\.png is not a picture"):
        load_picture(tmp_path / "text.png")
    with pytest.raises(DepthcueError, match="does not exist"):
        load_picture(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DepthcueError, match="is a folder"):
        load_picture(tmp_path / "folder.png")


def test_huge_pictures_are_refused_before_they_unfold(tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + b"\0" * 60)
    with pytest.raises(DepthcueError, match="60000x60000 pixels, 3600 million; at most 200 million"):
        load_picture(tmp_path / "bomb.png")


def test_the_limit_is_ours_and_the_librarys_is_left_alone(tmp_path, monkeypatch):
    two_tone().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_picture(tmp_path / "a.png").rgb.shape == (12, 20, 3)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr(imaging, "MAX_PIXELS", 200)
    with pytest.raises(DepthcueError, match="20x12"):
        load_picture(tmp_path / "a.png")


def test_many_threads_at_once(tmp_path):
    paths: list[Path] = []
    for level in range(24):
        path = tmp_path / f"{level}.png"
        Image.new("RGB", (40, 30), (level * 10, 0, 255 - level)).save(path)
        paths.append(path)
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(load_picture, paths))
    assert [int(picture.rgb[5, 5, 0]) for picture in loaded] == [level * 10 for level in range(24)]
    assert Image.MAX_IMAGE_PIXELS is not None


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 12\n%%EndComments\n20 12 scale\n%%EOF\n"


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.tga", "a.webp", "a_depth.png"])
@pytest.mark.parametrize("content", [EPS, b"\xc5\xd0\xd3\xc6" + bytes(28) + EPS, b"GRIB" + bytes(60),
                                     b"\x01\x00\x09\x00\x00\x03" + bytes(60)])
def test_formats_that_start_other_programs_are_no_pictures(tmp_path, monkeypatch, name, content):
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    for starter in ("Popen", "run", "check_call"):
        monkeypatch.setattr(subprocess, starter, started)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DepthcueError, match="not a picture"):
        load_picture(tmp_path / name)
    with pytest.raises(DepthcueError, match="not a picture"):
        read_depth_png(tmp_path / name)


def test_every_picture_is_opened_in_one_way():
    package = Path(depthcue.__file__).parent
    calls = [path.relative_to(package).as_posix() for path in package.rglob("*.py")
             for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PIL.Image.open")]
    assert calls == ["imaging.py"]


@pytest.mark.parametrize("name", ["a.jfif", "a.jp2", "a.j2k", "a.pjpeg", "a.dib", "a.avif"])
def test_less_common_names(tmp_path, name):
    format = {"jfif": "JPEG", "pjpeg": "JPEG"}.get(name[2:])
    if name == "a.avif" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    two_tone().save(tmp_path / name, format, quality=98)
    (found,) = find_inputs([str(tmp_path)])
    assert found.kind == "image"
    assert close(load_picture(found.path).rgb[1, 10], RED, 25)


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.hif", "misnamed.jpg"])
def test_heic(tmp_path, name):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(two_tone(48, 64)).save(tmp_path / name, quality=95)
    (found,) = find_inputs([str(tmp_path)])
    rgb = load_picture(found.path).rgb
    assert rgb.shape == (48, 64, 3) and close(rgb[4, 32], RED, 25) and close(rgb[-4, 32], BLUE, 25)


def test_heic_without_its_package_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(DepthcueError, match="HEIC pictures cannot be read(?s:.*)depthcue.heif"):
        load_picture(tmp_path / "a.jpg")


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
    pytest.importorskip("tifffile").imwrite(path, values, **options)
    return path


def write_packed(path: Path, bits: int, photometric: int) -> Path:
    """A strip of numbers of `bits` bits without gaps, as sensors write them."""
    pytest.importorskip("tifffile")
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
    with pytest.importorskip("tifffile").TiffWriter(path) as file:
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


@pytest.fixture
def gpu(monkeypatch):
    """Decodes on the CPU in nvJPEG's place and counts the pictures; `fails` makes it refuse them."""
    class Fake:
        decoded, fails = 0, False

        def decode_jpeg(self, content, mode, device):
            assert (mode, device) == (torchvision.io.ImageReadMode.RGB, "cuda")
            if self.fails:
                raise RuntimeError("unsupported JPEG")
            self.decoded += 1
            return torch.from_numpy(np.array(Image.open(io.BytesIO(content.numpy())).convert("RGB"))).permute(2, 0, 1)

    fake = Fake()
    monkeypatch.setattr(torchvision.io, "decode_jpeg", fake.decode_jpeg)
    return fake


def saved(path, mode="RGB", **options):
    Image.fromarray(numbered_picture(3, 48, 64)).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_usual_files_are_decoded_there(gpu, tmp_path, mode):
    path = saved(tmp_path / "a.jpg", mode)
    rgb = load_picture(path, "gpu").rgb
    assert gpu.decoded == 1 and rgb.flags.c_contiguous
    assert (rgb == load_picture(path).rgb).all() and gpu.decoded == 1


def test_sources_pass_the_decoder_on(gpu, tmp_path):
    for number in range(3):
        saved(tmp_path / f"f_{number}.jpg")
    for source, count in ((tmp_path / "f_0.jpg", 1), (tmp_path / "f_%d.jpg", 4)):
        with open_input(find_inputs([str(source)])[0], decoder="gpu") as frames:
            list(frames)
        assert gpu.decoded == count


def test_others_stay_on_the_cpu_and_come_out_the_same(gpu, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (saved(tmp_path / "a.png"), saved(tmp_path / "ink.jpg", "CMYK"),
                 saved(tmp_path / "turned.jpg", exif=exif)):
        assert (load_picture(path, "gpu").rgb == load_picture(path).rgb).all()
    assert gpu.decoded == 0


def test_what_it_does_not_know_goes_to_the_cpu(gpu, tmp_path):
    gpu.fails = True
    path = saved(tmp_path / "a.jpg")
    assert (load_picture(path, "gpu").rgb == load_picture(path).rgb).all()


def test_a_cut_off_file_is_an_error_all_the_same(gpu, tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(DepthcueError, match="cut.jpg cannot be decoded"):
        load_picture(path, "gpu")
    assert gpu.decoded == 0


def test_a_missing_gpu_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DepthcueError, match="no GPU here decodes JPEG(?s:.*)doctor"):
        check_nvjpeg()


@pytest.mark.gpu
def test_the_gpu_gives_the_same_picture_to_a_few_levels(shared_data):
    path = shared_data / "nyu2" / "test" / "00000.jpg"
    difference = np.abs(load_picture(path, "gpu").rgb.astype(int) - load_picture(path).rgb)
    assert 0 < difference.mean() < 2, "decoded by the same library?"
