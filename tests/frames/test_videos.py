"""Videos as they come: turned, odd, variable, cut off, empty; and the real ones."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_frames import number_of

from depthcue.errors import DepthcueError
from depthcue.frames import Frame
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
    numbers, message = read_until_error(cut(make_video(), share))
    assert not numbers and ("not a video that can be read" in message or " holds no " in message)


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
