"""Single pictures as data."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.data.folder import open_pictures
from depthcue.data.stored import covering_box
from depthcue.errors import DepthcueError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draws = np.random.default_rng(0)
    for name, size in (("a", (30, 40)), ("b", (30, 40)), ("c", (20, 64))):
        Image.fromarray(draws.integers(0, 255, (*size, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_pictures_are_shown_whole_and_as_they_are(folder: Path) -> None:
    data = open_pictures([str(folder)])
    assert len(data) == 3 and not data.uniform and not data.has_depth
    batch = data.evaluation_batch([2])
    assert batch.names == ["c"] and batch.rgb.shape == (1, 3, 20, 64) and batch.depth_m is None
    with Image.open(folder / "c.png") as picture:
        assert (batch.rgb[0, :, 3, 5] * 255).round().int().tolist() == list(picture.getpixel((5, 3)))


def test_pictures_of_one_size_share_a_batch(folder: Path) -> None:
    data = open_pictures([str(folder / "a.png"), str(folder / "b.png")])
    assert data.uniform and data.evaluation_batch([0, 1]).rgb.shape == (2, 3, 30, 40)
    assert len(open_pictures([str(folder)], limit=1)) == 1


def test_what_cannot_be_read_is_left_out_and_named(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "bad.png").write_bytes(b"not a picture")
    with caplog.at_level(logging.WARNING):
        assert len(open_pictures([str(folder)])) == 3
    assert "bad.png" in caplog.text
    with pytest.raises(DepthcueError, match=r"bad\.png"):
        open_pictures([str(folder / "bad.png")])


def test_a_video_is_no_picture(folder: Path) -> None:
    (folder / "film.mp4").write_bytes(b"0")
    with pytest.raises(DepthcueError, match="no single picture"):
        open_pictures([str(folder / "film.mp4")])


@pytest.mark.parametrize("anchor", ["centre", "bottom"])
def test_the_box_that_covers_a_frame_never_leaves_the_picture(anchor: str) -> None:
    for size in ((124, 170), (500, 741), (100, 143), (333, 999)):
        # frames of about the picture's own aspect ratio are where rounding errs
        for frame in ((240, 320), (216, 320), (size[0] * 3 // 7, size[1] * 3 // 7), (96, 288)):
            left, top, right, bottom = covering_box(size, frame, anchor)  # type: ignore[arg-type]
            assert 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]
