"""Videos that a screen does not show as they are stored: high dynamic range, transparency."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.frames import VideoSource, load_picture

HEIGHT, WIDTH = 64, 96
PQ, HLG, SDR = 16, 18, 1
WHITE = 203.0
"""Light of the reference white in cd/m², BT.2408."""
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
LUMA = np.array([0.2627, 0.6780, 0.0593])


def patches(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Two rows of as many colours, (H, W, 3)."""
    rows = [np.repeat(np.asarray(row, float), WIDTH // len(row), axis=0) for row in (above, below)]
    return np.repeat(np.stack(rows), HEIGHT // 2, axis=0)


def as_pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: light in cd/m² as a signal in [0, 1]."""
    power = (light / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def as_hlg(light: np.ndarray) -> np.ndarray:
    """BT.2100: light on a screen of 1000 cd/m² as a signal in [0, 1]."""
    shown = light / 1000
    scene = shown * np.maximum(shown @ LUMA, 1e-9)[..., None] ** (1 / 1.2 - 1)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9))
                    + 0.55991073)


def write_hdr(path: Path, light: np.ndarray, transfer: int, codec: str = "libx265", tagged: int = 9) -> Path:
    """A video of three frames that show `light`, in BT.2020 colours of 10 bits."""
    signal = as_pq(light) if transfer == PQ else as_hlg(light)
    luma = signal @ LUMA
    blue, red = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    planes = [np.rint(64 + 876 * luma), *(np.rint(512 + 896 * each[::2, ::2]) for each in (blue, red))]
    stored = np.concatenate([plane.ravel() for plane in planes]).astype(np.uint16).reshape(-1, WIDTH)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p10le"
        stream.options = {"x265-params": "log-level=none", "crf": "4"} if codec == "libx265" else {}
        context = stream.codec_context
        context.color_trc, context.color_primaries = transfer, tagged
        context.colorspace, context.color_range = tagged, 1
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(stored, "yuv420p10le")
            frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = transfer, tagged, tagged, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_still(path: Path, light: np.ndarray, transfer: int) -> Path:
    """A picture that shows `light`, in BT.2020 colours of 8 bits."""
    signal = as_pq(light) if transfer == PQ else as_hlg(light)
    image = Image.fromarray(np.rint(np.clip(signal, 0, 1) * 255).astype(np.uint8))
    if path.suffix == ".png":
        image.save(path)
        content, code = path.read_bytes(), b"cICP" + bytes([9, transfer, 0, 1])
        chunk = struct.pack(">I", 4) + code + struct.pack(">I", zlib.crc32(code))
        path.write_bytes(content[:33] + chunk + content[33:])  # behind the header
    elif path.suffix == ".heic":
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.register_heif_opener()
        image.save(path, quality=100, chroma=444, color_primaries=9, transfer_characteristics=transfer,
                   matrix_coefficients=9, full_range_flag=1)
    else:
        image.save(path, quality=100, subsampling="4:4:4")
        content = bytearray(path.read_bytes())
        start = content.index(b"colrnclx") + len(b"colrnclx")
        content[start:start + 4] = struct.pack(">HH", 9, transfer)
        path.write_bytes(content)
    return path


def shown(path: Path) -> tuple[np.ndarray, list[str]]:
    """The middles of the first frame's patches, four above and four below (8, 3), and the notes."""
    with VideoSource(path) as source:
        frames = list(source)
    assert all((frame.rgb == frames[0].rgb).mean() > 0.9 for frame in frames)
    middles, small = (picture[len(picture) // 4::len(picture) // 2, size // 8::size // 4].reshape(8, 3).astype(int)
                      for picture, size in ((frames[0].rgb, WIDTH), (frames[0].resized(HEIGHT // 2, WIDTH // 2),
                                                                     WIDTH // 2)))
    assert np.abs(small - middles).max() <= 6
    return middles, source.notes


@pytest.mark.parametrize(("transfer", "name", "codec"), [
    (PQ, "a.mp4", "libx265"), (HLG, "a.mkv", "ffv1")])
def test_what_lies_below_white_keeps_its_look_and_highlights_their_steps(tmp_path, transfer, name, codec):
    colours = np.array([(110, 110, 110), (200, 60, 50), (40, 90, 180), (190, 190, 190)])
    usual = WHITE * (colours / 255) ** 2.4 @ TO_BT2020.T
    bright = WHITE * np.array([[1, 1, 1], [2, 2, 2], [3, 3, 3], [4, 4, 4]])
    rgb, notes = shown(write_hdr(tmp_path / name, patches(usual, bright), transfer, codec))
    assert notes == [f"HDR ({'PQ' if transfer == PQ else 'HLG'}): tone-mapped to BT.709"]
    assert np.abs(rgb[:4] - colours).max() <= 18
    assert (np.diff(rgb[4:, 1]) >= 4).all() and 205 <= rgb[4, 1]
    assert np.ptp(rgb[4:], axis=1).max() <= 3  # white stays white


@pytest.mark.parametrize(("transfer", "suffix"), [(PQ, ".png"), (PQ, ".heic"), (PQ, ".avif"), (HLG, ".png")])
def test_stills_of_high_range_keep_their_look(tmp_path, transfer, suffix):
    colours = np.array([(110, 110, 110), (200, 60, 50), (40, 90, 180), (190, 190, 190)])
    usual = WHITE * (colours / 255) ** 2.4 @ TO_BT2020.T
    picture = load_picture(write_still(tmp_path / f"a{suffix}", patches(usual, usual[::-1]), transfer))
    assert picture.notes == (f"HDR ({'PQ' if transfer == PQ else 'HLG'}): tone-mapped to BT.709",)
    middles = picture.rgb[HEIGHT // 4::HEIGHT // 2, WIDTH // 8::WIDTH // 4].astype(int)
    assert np.abs(middles - np.stack([colours, colours[::-1]])).max() <= 18


def test_a_still_of_usual_range_is_left_alone(tmp_path):
    light = np.full((4, 3), WHITE / 2)
    path = write_still(tmp_path / "a.png", patches(light, light), SDR)
    assert load_picture(path).notes == () and (load_picture(path).rgb == np.asarray(Image.open(path))).all()


def test_colours_that_only_dolby_vision_explains_are_refused(tmp_path, make_video):
    plain = make_video("a.mp4", codec="libx265")
    content = plain.read_bytes()
    assert b"hev1" in content
    marked = tmp_path / "b.mp4"
    marked.write_bytes(content.replace(b"hev1", b"dvhe"))
    with pytest.raises(DepthcueError, match="Dolby Vision"), VideoSource(marked):
        pass
    light = np.full((4, 3), WHITE / 2)
    base = write_hdr(tmp_path / "c.mp4", patches(light, light), PQ)  # HDR10 that Dolby Vision only adds to
    base.write_bytes(base.read_bytes().replace(b"hev1", b"dvhe"))
    with VideoSource(base) as source:
        assert source.size == (HEIGHT, WIDTH)


def test_a_build_that_cannot_says_so(tmp_path, monkeypatch):
    path = write_hdr(tmp_path / "a.mkv", np.full((HEIGHT, WIDTH, 3), 40.0), PQ, "ffv1")
    monkeypatch.setattr("depthcue.frames.frame._TARGET", "out_primaries=no such thing")
    rgb, notes = shown(path)
    assert rgb.shape == (8, 3) and len(notes) == 1 and "washed out" in notes[0]


def test_usual_range_is_left_alone(make_video):
    with VideoSource(make_video()) as source:
        assert len(list(source)) == 12
    assert source.notes == []


def write_transparent(path: Path, codec: str, pix_fmt: str, alpha: np.ndarray) -> Path:
    """Red on whose right half, or all over, lies transparency."""
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 220, alpha
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pix_fmt
        if codec.startswith("libvpx"):
            stream.options = {"auto-alt-ref": "0", "crf": "4", "b": "2M"}
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, "rgba").reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), [
    ("a.webm", "libvpx", "yuva420p"), ("a.webm", "libvpx-vp9", "yuva420p"), ("a.mov", "prores_ks", "yuva444p10le"),
    ("a.mov", "qtrle", "argb"), ("a.mov", "png", "rgba"), ("a.mkv", "ffv1", "bgra")])
def test_transparency_stands_on_grey(tmp_path, name, codec, pix_fmt):
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, WIDTH // 2:] = 0
    rgb, notes = shown(write_transparent(tmp_path / name, codec, pix_fmt, alpha))
    assert np.abs(rgb - ([(220, 0, 0)] * 2 + [(128, 128, 128)] * 2) * 2).max() <= 12
    assert notes == ["transparent: shown on mid-grey"]
    alpha[:] = 255
    rgb, notes = shown(write_transparent(tmp_path / f"solid-{name}", codec, pix_fmt, alpha))
    assert np.abs(rgb - (220, 0, 0)).max() <= 12 and notes == []


def test_half_transparency_is_mixed(tmp_path):
    rgb, _ = shown(write_transparent(tmp_path / "a.mov", "png", "rgba", np.full((HEIGHT, WIDTH), 51, np.uint8)))
    assert np.abs(rgb - (146, 102, 102)).max() <= 1


def test_transparency_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    path = write_transparent(tmp_path / "a.webm", "libvpx-vp9", "yuva420p", np.zeros((HEIGHT, WIDTH), np.uint8))
    monkeypatch.setattr("depthcue.frames.videos._WITH_ALPHA", {})
    _, notes = shown(path)
    assert len(notes) == 1 and "as if it were opaque" in notes[0]
