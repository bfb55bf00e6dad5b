"""What is written reads back the same, a failed write leaves nothing behind, and encoders are found by name."""

import errno
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_frames import numbered_picture
from PIL import Image

from depthcue import files
from depthcue.errors import DepthcueError
from depthcue.frames import ENCODINGS, Frame, ImageSink, VideoSink, find_inputs, open_input, sinks
from depthcue.frames.sinks import ENCODERS, SOFTWARE, find_encoder
from depthcue.frames.videos import VideoSource

RAMP = np.linspace(0, 1, 300, dtype=np.float32).reshape(15, 20)


def frame(index: int = 0, time: Fraction | None = None, name: str = "frame_00012") -> Frame:
    return Frame(np.zeros((1, 1, 3), np.uint8), index, time, name)


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_maps_read_back_as_they_were(tmp_path):
    for encoding, values in (("png8", RAMP), ("png16", RAMP), ("png1", RAMP > 0.4), ("npy", RAMP)):
        with ImageSink(tmp_path / f"{encoding}{ENCODINGS[encoding].suffix}", encoding) as sink:
            sink.write(values, frame())
    assert Image.open(tmp_path / "png1.png").mode == "1"
    assert (np.asarray(Image.open(tmp_path / "png1.png")) == (RAMP > 0.4)).all()
    deep = np.asarray(Image.open(tmp_path / "png16.png"))
    assert deep.max() == 65535 and np.abs(deep / 65535 - RAMP).max() <= 0.5001 / 65535 + 1e-7
    assert np.abs(np.asarray(Image.open(tmp_path / "png8.png")) / 255 - RAMP).max() <= 0.5001 / 255 + 1e-7
    assert (np.load(tmp_path / "npy.npy") == RAMP).all()


def test_pictures_keep_colour_order_and_views(tmp_path):
    rgb = numbered_picture(3, 16, 24)[:, ::-1]  # not contiguous
    ImageSink(tmp_path / "a.png", "rgb-png").write(rgb, frame())
    ImageSink(tmp_path / "a.jpg", "rgb-jpg").write(rgb, frame())
    assert (np.asarray(Image.open(tmp_path / "a.png")) == rgb).all()
    assert np.abs(np.asarray(Image.open(tmp_path / "a.jpg")).astype(int) - rgb).mean() < 8


def test_a_sequence_becomes_a_file_a_frame(tmp_path):
    sink = ImageSink(tmp_path / "walk" / "mask.png", "png8", per_frame=True)
    for number in (3, 12):
        sink.write(RAMP, frame(name=f"frame_{number:05d}"))
    assert written(tmp_path) == ["walk/frame_00003_mask.png", "walk/frame_00012_mask.png"]


def test_a_wrong_suffix_is_a_bug_told_early(tmp_path):
    with pytest.raises(ValueError, match=r"\.npy"):
        ImageSink(tmp_path / "a.png", "npy")


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (48, 47), (2, 2), (1, 1)])
def test_video_keeps_size_colour_and_order(tmp_path, size):
    path = tmp_path / "a.mp4"
    written = [numbered_picture(number, *size) for number in range(10)]
    with VideoSink(path, Fraction(25), size) as sink:
        for number, rgb in enumerate(written):
            sink.write(rgb, frame(number))
    with VideoSource(path) as source:
        read = list(source)
    assert source.size == size and len(read) == 10
    for got, rgb in zip(read, written, strict=True):
        # chroma has half the resolution and the codec is lossy: a few levels, away from the edges of a colour
        assert np.abs(got.rgb[-1, -1].astype(int) - rgb[-1, -1]).max() <= 6
        if min(size) > 8:
            assert np.abs(got.rgb[4, 4].astype(int) - rgb[4, 4]).max() <= 8
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == ("yuv420p" if size[0] % 2 == size[1] % 2 == 0 else "yuv444p")


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(45000, 1499),
                                  Fraction(15), Fraction(1, 3), Fraction(240)])
def test_video_rates_are_exact(tmp_path, rate):
    path = tmp_path / "a.mp4"
    with VideoSink(path, rate, (16, 16)) as sink:
        for number in range(50):
            sink.write(np.full((16, 16), number, np.uint8), frame(number, number / rate))
    with VideoSource(path) as source:
        times = [got.time for got in source]
    assert source.frame_rate == rate and source.frame_count == 50
    assert times == [number / rate for number in range(50)]


def test_variable_rates_survive_a_copy(tmp_path, make_video):
    ticks = [0, 100, 150, 400, 900, 1000, 1100, 1500, 1501, 2000, 3000, 3010]
    original = make_video(ticks=ticks, time_base=Fraction(1, 1000))
    with VideoSource(original) as source:
        with VideoSink(tmp_path / "b.mp4", source.frame_rate, source.size, time_base=source.time_base) as sink:
            for got in source:
                sink.write(got.rgb, got)
    with VideoSource(tmp_path / "b.mp4") as copy:
        times = [got.time for got in copy]
    assert times == [Fraction(tick, 1000) for tick in ticks]
    assert copy.frame_rate == source.frame_rate


def test_a_late_start_is_moved_to_zero_and_pixel_aspect_is_kept(tmp_path):
    with VideoSink(tmp_path / "a.mp4", Fraction(25), (16, 16), pixel_aspect=Fraction(4, 3)) as sink:
        for number in range(3):
            sink.write(RAMP[:1, :1].repeat(16, 0).repeat(16, 1), frame(number, 7 + Fraction(number, 25)))
    with VideoSource(tmp_path / "a.mp4") as source:
        assert [got.time for got in source] == [0, Fraction(1, 25), Fraction(2, 25)]
    assert source.pixel_aspect == Fraction(4, 3)


def test_binary_masks_survive_video_exactly(tmp_path):
    generator = np.random.default_rng(5)
    masks = [np.kron(generator.random((12, 16)) > 0.7, np.ones((4, 4), bool)) for _ in range(8)]
    with VideoSink(tmp_path / "a.mp4", Fraction(25), (48, 64), quantiser=8) as sink:
        for number, mask in enumerate(masks):
            sink.write(mask, frame(number))
    with VideoSource(tmp_path / "a.mp4") as source:
        for got, mask in zip(source, masks, strict=True):
            assert ((got.rgb[..., 0] > 127) == mask).all()


def test_soft_masks_keep_their_whole_range(tmp_path):
    mask = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(48, 0)
    with VideoSink(tmp_path / "a.mp4", Fraction(25), (48, 64)) as sink:
        for number in range(4):
            sink.write(mask, frame(number))
    with VideoSource(tmp_path / "a.mp4") as source:
        for got in source:
            assert np.abs(got.rgb[..., 0] / 255 - mask).max() < 0.03


def test_nothing_is_left_when_the_work_stops(tmp_path):
    for stop in (KeyboardInterrupt, SystemExit, DepthcueError("x"), ValueError("bug")):
        with pytest.raises(stop if isinstance(stop, type) else type(stop)):
            with VideoSink(tmp_path / "a.mp4", Fraction(25), (16, 16)) as sink:
                sink.write(np.zeros((16, 16), np.uint8), frame())
                assert written(tmp_path) != ["a.mp4"]  # hidden until whole
                raise stop
        assert written(tmp_path) == []


def test_an_earlier_result_survives_a_failed_one(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"earlier")
    with pytest.raises(RuntimeError), VideoSink(tmp_path / "a.mp4", Fraction(25), (16, 16)):
        raise RuntimeError
    assert (tmp_path / "a.mp4").read_bytes() == b"earlier"


def test_a_video_of_no_frames_is_an_error(tmp_path):
    with pytest.raises(DepthcueError, match="no frame"), VideoSink(tmp_path / "a.mp4", Fraction(25), (16, 16)):
        pass
    assert written(tmp_path) == []


def test_a_frame_of_another_size_is_a_bug(tmp_path):
    with pytest.raises(ValueError, match="in a video of"):
        with VideoSink(tmp_path / "a.mp4", Fraction(25), (16, 16)) as sink:
            sink.write(np.zeros((16, 18), np.uint8), frame())


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(VideoSink, "_mux", no_space)
    with pytest.raises(DepthcueError, match=r"no space left.*a\.mp4"):
        with VideoSink(tmp_path / "a.mp4", Fraction(25), (16, 16)) as sink:
            for number in range(40):
                sink.write(np.zeros((16, 16), np.uint8), frame(number))
    monkeypatch.setattr(files.os, "replace", no_space)
    with pytest.raises(DepthcueError, match=r"no space left.*a\.png"):
        ImageSink(tmp_path / "a.png", "png8").write(RAMP, frame())
    assert written(tmp_path) == []


@pytest.mark.parametrize("count", [8, 60])  # found on closing, and while frames are being written
def test_a_write_that_the_system_refuses(tmp_path, count):
    """The system itself stops the file at 64 KiB: the codec library's own error path."""
    generator = np.random.default_rng(7)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(DepthcueError, match=r"a\.mp4 cannot be written: File too large"):
            with VideoSink(tmp_path / "a.mp4", Fraction(25), (120, 160)) as sink:
                for number in range(count):
                    sink.write(generator.integers(0, 256, (120, 160, 3), np.uint8), frame(number))
        with pytest.raises(DepthcueError, match=r"a\.png cannot be written"):
            ImageSink(tmp_path / "a.png", "rgb-png").write(generator.integers(0, 256, (300, 300, 3), np.uint8), frame())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert written(tmp_path) == []


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", Path("/proc/nowhere")):
        with pytest.raises(DepthcueError, match=str(folder.parent if folder.name == "deeper" else folder)):
            ImageSink(folder / "a.png", "png8").write(RAMP, frame())
        with pytest.raises(DepthcueError):
            with VideoSink(folder / "a.mp4", Fraction(25), (16, 16)):
                pass


def test_a_real_video_keeps_rate_times_and_picture(shared_data, tmp_path):
    with open_input(find_inputs([str(shared_data / "video" / "office.mp4")])[0]) as source:
        with VideoSink(tmp_path / "b.mp4", source.frame_rate, source.size, time_base=source.time_base,
                       pixel_aspect=source.pixel_aspect) as sink:
            originals = []
            for got in source:
                originals.append(got)
                sink.write(got.rgb, got)
    with VideoSource(tmp_path / "b.mp4") as copy:
        for got, original in zip(copy, originals, strict=True):
            assert got.time == original.time
            assert np.abs(got.rgb.astype(int) - original.rgb).mean() < 4  # quantiser 20 on a noisy picture
    assert copy.frame_rate == Fraction(45000, 1499) and copy.size == source.size


def test_an_endless_video_reads_back_the_same_and_needs_no_memory_for_its_length(tmp_path):
    """Its index is written piece by piece: 20 bytes a frame at the end of the file would show in its last part."""
    path = tmp_path / "long.mp4"
    times = [Fraction(20 * number + number % 3, 1000) for number in range(600)]  # faster than the rate it is said
    with VideoSink(path, Fraction(25), (16, 16), time_base=Fraction(1, 1000), endless=True) as sink:
        for number, time in enumerate(times):
            sink.write(np.full((16, 16), number % 200, np.uint8), frame(number, time))
    with VideoSource(path) as source:
        assert [each.time for each in source] == times
    assert path.read_bytes().count(b"moof") >= 2


@pytest.fixture
def working(monkeypatch):
    """Sets which encoders work; the others have no device."""
    def only(*names):
        monkeypatch.setattr(sinks, "_complaint", lambda name, size: "" if name in names else "no device")
    return only


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (1, 1)])
def test_the_default_takes_every_size(size):
    assert find_encoder(SOFTWARE.name, size) is SOFTWARE


def test_auto_takes_a_gpu_where_one_encodes(working):
    working("libx264")
    assert find_encoder("auto", (48, 64)) is SOFTWARE
    working("libx264", "h264_qsv", "h264_amf")
    assert find_encoder("auto", (48, 64)).name == "h264_qsv"


def test_what_does_not_work_is_told_with_the_reason(working):
    working("libx264")
    with pytest.raises(DepthcueError, match="h264_nvenc does not work here: no device(?s:.*)libx264"):
        find_encoder("h264_nvenc", (48, 64))
    with pytest.raises(DepthcueError, match="must be one of auto, libx264, h264_nvenc(?s:.*)got 'h265'"):
        find_encoder("h265", (48, 64))


@pytest.mark.parametrize("name", ["h264_qsv", "h264_amf"])
def test_odd_sides_are_refused_where_they_cannot_be_kept(name):
    with pytest.raises(DepthcueError, match="odd sides, such as 47x33"):
        find_encoder(name, (33, 47))


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != SOFTWARE.name])
def test_an_encoder_of_a_gpu_works_or_says_why_not(name):
    """On a machine without that GPU the library's own complaint must come as an error that can be put right."""
    try:
        assert find_encoder(name, (480, 640)).name == name
    except DepthcueError as error:
        assert name in error.message and error.hint


def test_a_library_without_h264_is_told(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", frozenset())
    with pytest.raises(DepthcueError, match="cannot write H.264(?s:.*)pip install"):
        find_encoder("libx264", (48, 64))
