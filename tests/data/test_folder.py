"""Folders of pictures, with depth or without; and walks with poses in the layouts that are read."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.data import KnownMotion, open_data, open_motion
from depthcue.data.folder import open_pictures
from depthcue.data.stored import covering_box
from depthcue.errors import DepthcueError


def write_picture(path: Path, height: int, width: int, value: int = 128) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(path)


def test_pictures_of_any_size_become_frames(tmp_path: Path) -> None:
    write_picture(tmp_path / "b" / "wide.jpg", 50, 200)
    write_picture(tmp_path / "a.png", 300, 100)
    write_picture(tmp_path / "one.png", 1, 1)
    write_picture(tmp_path / ".thumbnails" / "hidden.png", 10, 10)
    Image.fromarray(np.full((40, 40), 30000, np.uint16)).save(tmp_path / "grey16.png")
    Image.new("CMYK", (30, 20)).save(tmp_path / "print.jpg")
    data = open_data(f"folder:{tmp_path}", frame_size=(48, 64))
    frames = data.frames(range(len(data)))
    assert frames.names == ["a.png", "b/wide.jpg", "grey16.png", "one.png", "print.jpg"]
    assert frames.rgb.shape == (5, 3, 48, 64) and frames.depth_m is None and not data.has_depth
    assert (frames.rgb[0] == 128).all()


def test_the_centre_is_cut(tmp_path: Path) -> None:
    rgb = np.zeros((60, 240, 3), np.uint8)
    rgb[:, 80:160] = 255
    Image.fromarray(rgb).save(tmp_path / "a.png")
    frames = open_data(f"folder:{tmp_path}", frame_size=(30, 40)).frames([0])
    assert (frames.rgb[..., 1:-1] == 255).all() and (frames.rgb > 200).all()  # the filter sees a little beyond the cut


@pytest.mark.parametrize("name", ["a_depth.png", "a.npy", "depth/a.png", "depth/a_depth.png", "depth/a.npy"])
def test_depth_beside_the_picture(tmp_path: Path, name: str) -> None:
    write_picture(tmp_path / "a.png", 48, 64)
    depth_m = np.full((24, 32), 2.5, np.float32)
    depth_m[0, 0] = 0
    (tmp_path / "depth").mkdir()
    if name.endswith("npy"):
        depth_m[0, 1] = np.nan
        np.save(tmp_path / name, depth_m)
    else:
        Image.fromarray((depth_m * 1000).astype(np.uint16)).save(tmp_path / name)
    data = open_data(f"folder:{tmp_path}", frame_size=(48, 64))
    assert len(data) == 1 and data.has_depth
    batch = data.evaluation_batch([0])
    assert batch.depth_m is not None and batch.valid is not None
    assert batch.depth_m[0, 0, 20, 20].item() == 2.5
    assert not batch.valid[0, 0, 0, 0] and batch.depth_m.isfinite().all()
    assert batch.valid.sum() == 48 * 64 - (8 if name.endswith("npy") else 4)


def test_unreadable_pictures_are_left_out_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "a.png", 20, 20, 10)
    write_picture(tmp_path / "c.png", 20, 20, 30)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:1500])
    (tmp_path / "d.png").write_bytes(b"")
    (tmp_path / "e.png").write_text("not a picture")
    with caplog.at_level(logging.WARNING):
        data = open_data(f"folder:{tmp_path}", frame_size=(16, 16))
    assert all(name in caplog.text for name in ("b.jpg", "d.png", "e.png"))
    frames = data.frames([0, 1])
    assert len(data) == 2 and frames.names == ["a.png", "c.png"]
    assert frames.rgb[:, 0, 0, 0].tolist() == [10, 30]


def test_some_depths_missing_means_no_depth(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_picture(tmp_path / "a.png", 20, 20)
    write_picture(tmp_path / "b.png", 20, 20)
    np.save(tmp_path / "a.npy", np.ones((20, 20), np.float32))
    with caplog.at_level(logging.WARNING):
        data = open_data(f"folder:{tmp_path}", frame_size=(16, 16))
    assert not data.has_depth and "1 of 2" in caplog.text
    assert data.frames([0, 1]).depth_m is None


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="no pictures"):
        open_data(f"folder:{tmp_path}")
    (tmp_path / "a.png").write_text("x")
    with pytest.raises(DepthcueError, match=r"none of the 1 pictures.*a\.png"):
        open_data(f"folder:{tmp_path}")
    with pytest.raises(DepthcueError, match="not a folder"):
        open_data(f"folder:{tmp_path / 'a.png'}")


def test_train_and_test_folders_are_splits(tmp_path: Path) -> None:
    write_picture(tmp_path / "train" / "a.png", 20, 20)
    write_picture(tmp_path / "test" / "b.png", 20, 20)
    assert open_data(f"folder:{tmp_path}", "train").frames([0]).names == ["a.png"]
    assert open_data(f"folder:{tmp_path}", "test").frames([0]).names == ["b.png"]


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


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Four frames, 64×48, of a camera that goes 0.1 m to the right each."""
    folder = tmp_path / "walk"
    for name in ("color", "depth"):
        (folder / name).mkdir(parents=True)
    lines = []
    for index in range(4):
        Image.fromarray(np.full((48, 64, 3), 40 * index, np.uint8)).save(folder / "color" / f"{index:04d}.jpg")
        Image.fromarray(np.full((48, 64), 2000, np.uint16)).save(folder / "depth" / f"{index:04d}.png")
        pose = np.eye(4)
        pose[0, 3] = 0.1 * index
        lines.append(",".join([f"{index:04d}", *map(str, pose.ravel())]))
    (folder / "poses.csv").write_text("\n".join(lines) + "\n")
    (folder / "intrinsics.txt").write_text("60 0 32 0 60 24 0 0 1\n")
    return folder


def test_frames_poses_and_intrinsics_of_the_frame_that_is_cut(walk: Path) -> None:
    data = open_motion(f"sequence:{walk}")
    assert isinstance(data, KnownMotion) and len(data) == 4 and data.has_depth
    assert [data.follows(index) for index in range(4)] == [False, True, True, True]
    np.testing.assert_allclose(data.pose(3)[:3, 3], (0.3, 0, 0))
    batch = data.evaluation_batch([0, 3])
    assert batch.rgb.shape == (2, 3, 240, 320)  # five times the file
    np.testing.assert_allclose(data.intrinsics, [[300, 0, 160], [0, 300, 120], [0, 0, 1]])
    assert len(open_data(f"sequence:{walk}", limit=2)) == 2


def test_seven_scenes_and_scannet_keep_a_pose_beside_each_frame(walk: Path, tmp_path: Path) -> None:
    seven, scannet = tmp_path / "seven", tmp_path / "scannet"
    seven.mkdir()
    (scannet / "pose").mkdir(parents=True)
    (scannet / "intrinsic").mkdir()
    for name in ("color", "depth"):
        shutil.copytree(walk / name, scannet / name)
    for index, line in enumerate((walk / "poses.csv").read_text().splitlines()):
        numbers = np.array(line.split(",")[1:], float).reshape(4, 4)
        np.savetxt(scannet / "pose" / f"{index:04d}.txt", numbers)
        np.savetxt(seven / f"frame-{index:06d}.pose.txt", numbers)
        Image.open(walk / "color" / f"{index:04d}.jpg").save(seven / f"frame-{index:06d}.color.png")
        shutil.copy(walk / "depth" / f"{index:04d}.png", seven / f"frame-{index:06d}.depth.png")
    shutil.copy(walk / "intrinsics.txt", seven)
    np.savetxt(scannet / "intrinsic" / "intrinsic_color.txt",
               [[60, 0, 32, 0], [0, 60, 24, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    ours = open_motion(f"sequence:{walk}")
    for folder in (seven, scannet):
        data = open_motion(f"sequence:{folder}")
        assert len(data) == 4
        np.testing.assert_allclose([data.pose(index) for index in range(4)], [ours.pose(index) for index in range(4)])
        np.testing.assert_allclose(data.intrinsics, ours.intrinsics)


def test_frames_without_a_pose_are_left_out_and_leave_a_gap(walk: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = (walk / "poses.csv").read_text().splitlines()
    lines[1] = "0001" + 16 * ",nan"
    (walk / "poses.csv").write_text("\n".join(lines))
    data = open_motion(f"sequence:{walk}")
    assert len(data) == 3 and [data.follows(index) for index in range(3)] == [False, False, True]
    assert "1 of 4 frames have no pose" in caplog.text


@pytest.mark.parametrize(("name", "text", "message"), [
    ("poses.csv", "0000,1,2\n", "3 columns"), ("poses.csv", "0000" + 16 * ",x", "something else than numbers"),
    ("intrinsics.txt", "1 2 3\n", "holds 3 numbers"), ("intrinsics.txt", None, "there is no"),
    ("poses.csv", None, "0 of 4 frames have a pose")])
def test_broken_folders_say_what_is_wrong(walk: Path, name: str, text: str | None, message: str) -> None:
    if text is None:
        (walk / name).unlink()
    else:
        (walk / name).write_text(text)
    with pytest.raises(DepthcueError, match=message):
        open_motion(f"sequence:{walk}")


def test_data_without_poses_is_refused(walk: Path) -> None:
    with pytest.raises(DepthcueError, match="does not say how the camera moved"):
        open_motion(f"folder:{walk}")
