"""Videos as they come: turned, odd, variable, cut off, empty; the real ones; and decoders by name."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_frames import number_of, numbered_picture

from depthcue.errors import DepthcueError
from depthcue.frames import Frame, VideoSink, find_inputs, open_input, videos
from depthcue.frames.videos import VideoSource


def read(path: Path) -> tuple[list[Frame], VideoSource]:
    with VideoSource(path) as source:
        return list(source), source


def read_until_error(path: Path) -> tuple[list[int], str]:
    numbers: list[int] = []
    with pytest.raises(DepthcueError) as caught, VideoSource(path) as source:
        for frame in source:
            numbers.append(number_of(frame.rgb))
    assert path.name in caught.value.message
    return numbers, caught.value.message


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


# where the red quarter, stored at the top left, is shown: y grows downwards, and (x, y) goes to (a x + c y, b x + d y)
@pytest.mark.parametrize(("matrix", "row", "column"), [
    ((0, 1, -1, 0), 0, -1),  # 90 degrees clockwise, a phone held upright
    ((-1, 0, 0, -1), -1, -1),  # 180
    ((0, -1, 1, 0), -1, 0),  # 270
    ((-1, 0, 0, 1), 0, -1),  # mirrored, a selfie camera
    ((0, 1, 1, 0), 0, 0),  # mirrored and turned
])
def test_phone_videos_are_turned_upright(make_video, matrix, row, column):
    frames, source = read(make_video(matrix=matrix, size=(48, 80)))
    expected = (48, 80) if matrix[0] else (80, 48)
    assert source.size == expected
    for frame in frames:
        assert frame.rgb.shape[:2] == expected and frame.rgb.flags.c_contiguous
        corner = frame.rgb[row, column].astype(int)
        assert corner[0] > 150 and corner[1] < 60


@pytest.mark.parametrize("size", [(33, 47), (1, 1), (2, 31)])
def test_odd_sizes_are_exact(make_video, size):
    frames, source = read(make_video("odd.mkv", codec="ffv1", size=size))
    assert source.size == size and all(frame.rgb.shape == (*size, 3) for frame in frames)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25), Fraction(24000, 1001)])
def test_rates_and_times_are_exact(make_video, name, rate):
    codec = "libx264" if name == "a.ts" else "mpeg4"
    frames, source = read(make_video(name, rate=rate, count=30, codec=codec))
    assert source.frame_rate == rate
    assert len(frames) == 30
    if name != "a.ts":  # its 90 kHz clock cannot hold 24000/1001, and is not coarse enough to be doubted
        assert [frame.time for frame in frames] == [number / rate for number in range(30)]
    assert all((frame.time / source.time_base).denominator == 1 for frame in frames)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_rates_keep_their_times(make_video, name):
    ticks = [0, 100, 150, 400, 900, 1000, 1100, 1500, 1501, 2000, 3000, 3010]
    frames, _ = read(make_video(name, ticks=ticks, time_base=Fraction(1, 1000)))
    assert [frame.time for frame in frames] == [Fraction(tick, 1000) for tick in ticks]
    assert [number_of(frame.rgb) for frame in frames] == list(range(12))


@pytest.mark.parametrize(("name", "options"), [
    ("cut.mp4", {"movflags": "faststart"}), ("cut.mkv", {}), ("cut.avi", {}),
    ("cut.mp4", {"movflags": "frag_keyframe+empty_moov"}),
])
def test_a_video_cut_off_midway_gives_its_frames_and_then_the_error(make_video, name, options):
    path = cut(make_video(name, size=(240, 320), count=16, options=options), 0.6)
    numbers, message = read_until_error(path)
    assert 4 <= len(numbers) < 16
    assert numbers == list(range(len(numbers)))  # no half-decoded picture at the end
    assert "ends early" in message or "damaged" in message


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_an_mp4_whose_index_is_cut_off(make_video, share):
    path = cut(make_video(), share)
    try:
        numbers = [frame.index for frame in read(path)[0]]
    except DepthcueError as error:
        assert "not a video that can be read" in str(error) or " holds no " in str(error)
    else:  # some versions of FFmpeg do with an index that lacks its last bytes alone
        assert share == 0.95 and numbers == list(range(12))


def test_a_hole_in_the_middle_is_reported_after_the_rest(make_video):
    path = make_video("hole.mp4", size=(240, 320), count=16, options={"movflags": "faststart"})
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 3000] = bytes(3000)
    path.write_bytes(content)
    numbers, message = read_until_error(path)
    assert numbers[-1] == 15 and len(numbers) > 8 and "damaged" in message


def test_videos_without_frames_or_without_pictures(tmp_path):
    empty = tmp_path / "empty.mp4"
    with av.open(str(empty), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert read_until_error(empty)[0] == []
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        audio = container.add_stream("aac", rate=44100)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        samples.sample_rate = 44100
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))
    assert "no video stream, only audio" in read_until_error(sound)[1]


def test_a_size_that_changes_within_a_video(make_video):
    first = make_video("a.ts", codec="libx264", size=(48, 64), count=6)
    second = make_video("b.ts", codec="libx264", size=(96, 144), count=6)
    first.write_bytes(first.read_bytes() + second.read_bytes())  # broadcasts are joined so; the clock starts again too
    frames, source = read(first)
    assert len(frames) >= 11  # the decoder may drop the one at the joint
    assert all(frame.rgb.shape == (48, 64, 3) for frame in frames)
    assert all(later.time > earlier.time for earlier, later in zip(frames, frames[1:], strict=False))
    assert any("size changes" in note for note in source.notes)


@pytest.mark.parametrize("content", [b"", b"hello " * 100])
def test_what_is_not_a_video(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    assert read_until_error(path)[0] == []
    with pytest.raises(DepthcueError, match="does not exist"):
        read(tmp_path / "gone.mp4")


@pytest.mark.parametrize(("name", "count", "rate", "size"), [
    ("driving", 221, Fraction(25), (540, 960)),
    ("office", 36, Fraction(45000, 1499), (240, 320)),
    ("kitchen", 150, Fraction(30), (480, 640)),
])
def test_real_videos(shared_data, name, count, rate, size):
    with VideoSource(shared_data / "video" / f"{name}.mp4") as source:
        times = [frame.time for frame in source]
    assert source.frame_count == len(times) == count
    assert source.frame_rate == rate and source.size == size
    assert times == [number / rate for number in range(count)]


def test_memory_does_not_grow_with_length(make_video):
    """Peak memory of a process that reads 40 frames and of one that reads 400 differ by less than 20 frames."""
    script = ("import resource, sys; from pathlib import Path; from depthcue.frames.videos import VideoSource\n"
              "with VideoSource(Path(sys.argv[1])) as frames:\n    print(sum(1 for _ in frames))\n"
              "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    peaks = []
    for count in (40, 400):
        path = make_video(f"{count}.mp4", count=count, size=(240, 320))
        done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
        frames, peak_kib = map(int, done.stdout.split())
        assert frames == count
        peaks.append(peak_kib)
    assert peaks[1] - peaks[0] < 20 * 240 * 320 * 3 / 1024


CONTAINERS = [("a.mkv", "mpeg4"), ("a.webm", "libvpx"), ("a.mp4", "mpeg4"), ("a.mov", "libx264"), ("a.flv", "libx264")]


def write_screencast(path: Path, codec: str, last_s: float = 5.0, count: int = 20) -> Path:
    """A tenth of a second for each picture, `last_s` for the last."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.options = {"bf": "0"}
        packets = []
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, 48, 64), "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number * 100, Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for number, packet in enumerate(packets):
            packet.duration = round((0.1 if number < count - 1 else last_s) / packet.time_base)
            container.mux(packet)
    return path


@pytest.mark.parametrize(("name", "codec"), CONTAINERS)
def test_a_long_last_picture_is_no_damage_and_its_copy_lasts_as_long(tmp_path, name, codec):
    frames, source = read(write_screencast(tmp_path / name, codec))
    assert len(frames) == 20 and frames[-1].time == Fraction(19, 10)
    assert abs(frames[-1].duration - 5) <= Fraction(1, 50) and all(frame.duration is None for frame in frames[:-1])
    with VideoSink(tmp_path / "copy.mp4", source.frame_rate, (48, 64), time_base=source.time_base) as sink:
        for frame in frames:
            sink.write(frame.rgb, frame.without_picture())
    with av.open(str(tmp_path / "copy.mp4")) as copy:
        assert float(copy.streams.video[0].duration * copy.streams.video[0].time_base) == pytest.approx(6.9, abs=0.02)
    again, _ = read(tmp_path / "copy.mp4")
    assert [frame.time for frame in again] == [frame.time for frame in frames]
    assert abs(again[-1].duration - 5) <= Fraction(1, 50)


@pytest.mark.parametrize(("name", "codec"), [each for each in CONTAINERS if each[0] not in ("a.mp4", "a.mov")])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_cut_screencast_is_still_told_from_a_long_last_picture(tmp_path, name, codec, share):
    numbers, message = read_until_error(cut(write_screencast(tmp_path / name, codec), share))
    assert 0 < len(numbers) <= 20 and ("ends early" in message or "damaged" in message)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
def test_usual_videos_do_not_say_how_long_their_last_picture_is(make_video, name):
    frames, _ = read(make_video(name, rate=Fraction(30000, 1001)))
    assert frames[-1].duration is None


def write_streams(path: Path, streams: list[dict[str, object]]) -> Path:
    """Several videos in one file, each of a codec, a size, a number of pictures and a disposition."""
    with av.open(str(path), "w") as container:
        made = []
        for each in streams:
            stream = container.add_stream(each.get("codec", "mpeg4"), rate=25)
            stream.height, stream.width = each["size"]
            stream.pix_fmt = "yuvj420p" if each.get("codec") == "mjpeg" else "yuv420p"
            stream.disposition = av.stream.Disposition[each["is"]] if "is" in each else av.stream.Disposition(0)
            made.append(stream)
        for each, stream in zip(streams, made, strict=True):
            for number in range(each["count"]):
                rgb = numbered_picture(number, *each["size"])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=stream.pix_fmt)))
            container.mux(stream.encode(None))
    return path


THUMBNAIL = {"codec": "mjpeg", "size": (24, 32), "count": 1}
VIDEO = {"size": (48, 64), "count": 10}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize("streams", [
    [THUMBNAIL, {**VIDEO, "is": "default"}],
    [{**THUMBNAIL, "size": (240, 320)}, {**VIDEO, "is": "default"}],
    [{"size": (24, 32), "count": 10, "is": "default"}, {**VIDEO, "is": "default"}],
    [{"size": (96, 128), "count": 10}, {**VIDEO, "is": "default"}],
])
def test_the_video_of_a_file_is_read_not_what_stands_first(tmp_path, name, streams):
    frames, source = read(write_streams(tmp_path / name, streams))
    assert source.size == VIDEO["size"] and [number_of(frame.rgb) for frame in frames] == list(range(10))
    assert source.notes == ["2 videos in the file: number 2 is read, 64x48"]


def test_a_cover_is_no_video(tmp_path):
    path = write_streams(tmp_path / "a.mp4", [{**THUMBNAIL, "size": (240, 320), "is": "attached_pic"}, VIDEO])
    frames, source = read(path)
    assert len(frames) == 10 and source.notes == []


@pytest.mark.parametrize(("name", "codec"), [
    ("a.mxf", "mpeg2video"), ("a.m2ts", "libx264"), ("a.mts", "libx264"), ("a.vob", "mpeg2video"),
    ("a.ogv", "libtheora"), ("a.wmv", "wmv2"), ("a.3g2", "mpeg4"), ("a.nut", "ffv1"), ("a.ivf", "libvpx"),
    ("a.h264", "libx264"),
    ("a.y4m", "wrapped_avframe"), ("a.mjpeg", "mjpeg"), ("a.gxf", "mpeg2video"), ("a.f4v", "libx264")])
def test_other_containers(make_video, tmp_path, name, codec):
    size = (576, 720) if name == "a.gxf" else (48, 64)
    try:
        make_video(name, codec=codec, size=size, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p")
    except (av.error.FFmpegError, ValueError) as error:
        pytest.skip(f"this PyAV writes none: {error}")
    (found,) = find_inputs([str(tmp_path)])
    with open_input(found) as source:
        assert [number_of(frame.rgb) for frame in source] == list(range(12)) and source.size == size


class FakeAcceleration:
    """In the place of the library's, which needs a GPU; `works` is whether there is one."""

    works = True

    def __init__(self, kind, allow_software_fallback):
        self.kind, self.fallback = kind, allow_software_fallback

    def create(self, codec):
        if not self.works:
            raise av.error.PermissionError(1, "Operation not permitted")
        return self


def test_the_cpu_needs_nothing():
    assert videos.hardware_decoding("cpu") is None


def test_an_unknown_decoder_is_told():
    with pytest.raises(DepthcueError, match="must be cpu or gpu, got 'nvdec'"):
        videos.check_decoder("nvdec")


@pytest.mark.parametrize(("platform", "kind"), [("linux", "cuda"), ("win32", "cuda"), ("darwin", "videotoolbox")])
def test_the_gpu_decodes_what_it_can_and_the_cpu_the_rest(monkeypatch, platform, kind):
    monkeypatch.setattr(videos.sys, "platform", platform)
    monkeypatch.setattr(videos, "hwdevices_available", lambda: [kind])
    monkeypatch.setattr(videos, "HWAccel", FakeAcceleration)
    made = videos.hardware_decoding("gpu")
    assert made.kind == kind and made.fallback


def test_a_missing_gpu_is_told_before_the_file_is_blamed(monkeypatch, make_video):
    monkeypatch.setattr(videos, "hwdevices_available", lambda: ["cuda", "videotoolbox"])
    monkeypatch.setattr(videos, "HWAccel", FakeAcceleration)
    monkeypatch.setattr(FakeAcceleration, "works", False)
    with pytest.raises(DepthcueError, match="no GPU here decodes video(?s:.*)--decoder"):
        with open_input(find_inputs([str(make_video())])[0], decoder="gpu"):
            pass


def test_a_library_without_it_says_so(monkeypatch):
    monkeypatch.setattr(videos, "hwdevices_available", lambda: [])
    with pytest.raises(DepthcueError, match="decodes nothing on a GPU"):
        videos.hardware_decoding("gpu")


@pytest.mark.gpu
def test_the_gpu_gives_the_same_picture(shared_data):
    path = shared_data / "video" / "driving.mp4"
    with VideoSource(path) as usual, VideoSource(path, "gpu") as other:
        for _, one, two in zip(range(5), usual, other, strict=False):
            # H.264 decodes to the same bits everywhere; only the layout of the chroma differs
            assert abs(one.rgb.astype(int) - two.rgb).mean() < 1
