"""One contract for every frame source: pictures, numbered sequences, videos."""

import gc
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_frames import number_of, numbered_picture
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.frames import Frame, FrameSource, Input, find_inputs, open_input


def write_pictures(folder: Path, numbers: list[int]) -> Path:
    for number in numbers:
        Image.fromarray(numbered_picture(number, 48, 64)).save(folder / f"frame_{number:05d}.png")
    return folder / "frame_%05d.png"


@pytest.fixture(params=["image", "sequence", "video"])
def source(request, tmp_path, make_video) -> Input:
    made: dict[str, Callable[[], Path]] = {
        "image": lambda: write_pictures(tmp_path, [0]).with_name("frame_00000.png"),
        "sequence": lambda: write_pictures(tmp_path, list(range(6))),
        "video": lambda: make_video(count=6),
    }
    return find_inputs([str(made[request.param]())])[0]


def open_files() -> set[str]:
    links = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            links.add(os.readlink(link))
        except OSError:
            continue
    return links


def test_frames_are_upright_rgb_in_order(source):
    with open_input(source) as frames:
        got = list(frames)
    assert len(got) == frames.frame_count == (1 if source.kind == "image" else 6)
    for number, frame in enumerate(got):
        assert frame.index == number
        assert frame.rgb.dtype == np.uint8 and frame.rgb.shape == (48, 64, 3) and frame.rgb.flags.c_contiguous
        assert number_of(frame.rgb) == number
        assert frame.rgb[5, 5, 0] > 150 and frame.rgb[5, 5, 1] < 60  # the red corner: top left, red first
    assert len({frame.name for frame in got}) == len(got)
    assert frames.size == (48, 64)
    assert frames.path == source.path


def test_a_clock_is_exact_or_absent(source):
    with open_input(source) as frames:
        got = list(frames)
        assert frames.is_video == (source.kind == "video")
    if frames.is_video:
        assert frames.frame_rate == 25
        assert [frame.time for frame in got] == [Fraction(number, 25) for number in range(6)]
        assert all((frame.time / frames.time_base).denominator == 1 for frame in got)
    else:
        assert frames.frame_rate is None and frames.time_base is None
        assert all(frame.time is None for frame in got)


def test_a_source_is_iterated_once(source):
    with open_input(source) as frames:
        list(frames)
        with pytest.raises(RuntimeError, match="once"):
            iter(frames)


def test_the_file_is_closed_after_an_error_or_an_early_end(source, tmp_path):
    def read_one(frames: FrameSource) -> Frame:
        with frames:
            for _frame in frames:
                raise KeyboardInterrupt
        raise AssertionError("no frame came")

    with pytest.raises(KeyboardInterrupt):
        read_one(open_input(source))
    gc.collect()
    assert not any(name.startswith(str(tmp_path)) for name in open_files())


@pytest.mark.parametrize("content", [b"", b"no picture, no video" * 100], ids=["empty", "text"])
def test_a_bad_file_is_an_error_with_its_name(source, content):
    path = source.path if source.kind != "sequence" else source.path.with_name("frame_00003.png")
    path.write_bytes(content)
    got = []
    with pytest.raises(DepthcueError) as caught:
        with open_input(source) as frames:
            got.extend(frame.name for frame in frames)
    assert str(path) in caught.value.message
    # of a sequence, all that can be read is delivered first
    assert len(got) == (5 if source.kind == "sequence" else 0)


def test_a_file_that_vanished_is_an_error_with_its_name(source):
    for file in source.path.parent.iterdir():
        file.unlink()
    with pytest.raises(DepthcueError, match=source.path.name.replace("%05d", ".*")):
        with open_input(source) as frames:
            list(frames)


def test_gaps_in_a_sequence_are_skipped_and_said(tmp_path):
    pattern = write_pictures(tmp_path, [1, 2, 5, 9, 10])
    with open_input(find_inputs([str(pattern)])[0]) as frames:
        got = list(frames)
    assert [frame.name for frame in got] == ["frame_00001", "frame_00002", "frame_00005", "frame_00009", "frame_00010"]
    assert [frame.index for frame in got] == [0, 1, 2, 3, 4]
    assert frames.notes == ["5 frame numbers missing: 3 to 4, 6 to 8"]


def test_notes_of_pictures_reach_the_source(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 100)).save(tmp_path / "glass.png")
    with open_input(find_inputs([str(tmp_path / "glass.png")])[0]) as frames:
        list(frames)
    assert frames.notes == ["transparent: shown on mid-grey"]
