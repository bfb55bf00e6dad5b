"""Walks with poses in the layouts that are read, and rendered flights: the same point in two frames."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.data import KnownMotion, open_data, open_motion
from depthcue.errors import DepthcueError
from depthcue.evaluation.steadiness import matching_pixels


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


@pytest.mark.parametrize("kind", ["indoor", "road"])
def test_a_flight_knows_where_each_point_was(kind: str) -> None:
    data = open_motion(f"scenes:{kind}:3")
    batch = data.evaluation_batch(range(3))
    assert batch.depth_m is not None and data.follows(2) and not data.follows(0)
    depth_m = batch.depth_m[:, 0].numpy()
    rows, columns, both = matching_pixels(depth_m[0], depth_m[2], data.intrinsics, data.pose(0), data.pose(2))
    assert both.mean() > (0.7 if kind == "indoor" else 0.3)
    rgb = batch.rgb.numpy()
    moved, still = rgb[0][:, rows[both], columns[both]], rgb[0][:, both]
    here = rgb[2][:, both]
    assert np.abs(moved - here).mean() < 0.6 * np.abs(still - here).mean()
