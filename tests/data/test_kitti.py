"""KITTI's official layouts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.data import open_data
from depthcue.errors import DepthcueError


def write_drive(root: Path, part: str, camera: str = "image_02") -> tuple[Path, Path]:
    drive = "2011_09_26_drive_0001_sync"
    depth = root / part / drive / "proj_depth" / "groundtruth" / camera / "0000000005.png"
    picture = root / "2011_09_26" / drive / camera / "data" / "0000000005.png"
    for file in (depth, picture):
        file.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.zeros((375, 1242, 3), np.uint8)
    rgb[300, 600] = 200
    sparse = np.zeros((375, 1242), np.uint16)
    sparse[300, 600] = 20 * 256
    Image.fromarray(rgb).save(picture)
    Image.fromarray(sparse).save(depth)
    return picture, depth


def test_drives_are_cut_at_the_bottom_and_depth_follows(tmp_path: Path) -> None:
    write_drive(tmp_path, "train")
    write_drive(tmp_path, "train", "image_03")
    data = open_data(f"kitti:{tmp_path}", "train", frame_size=(352, 1216))
    assert len(data) == 2
    frames = data.frames([0])
    assert frames.rgb.shape == (1, 3, 352, 1216) and frames.depth_m is not None and frames.valid is not None
    row, column = frames.valid[0, 0].nonzero()[0].tolist()
    bright = (frames.rgb[0, 0] == frames.rgb[0, 0].max()).nonzero()[0].tolist()
    assert abs(row - bright[0]) <= 1 and abs(column - bright[1]) <= 1
    assert frames.depth_m[0, 0, row, column].item() == 20
    assert frames.valid.sum() == 1


def test_validation_drives_stand_in_for_the_selection(tmp_path: Path) -> None:
    write_drive(tmp_path, "val")
    assert len(open_data(f"kitti:{tmp_path}", "test")) == 1


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="no training frames"):
        open_data(f"kitti:{tmp_path}", "train")
    with pytest.raises(DepthcueError, match="no testing frames"):
        open_data(f"kitti:{tmp_path}", "test")
    picture, depth = write_drive(tmp_path, "train")
    picture.unlink()
    with pytest.raises(DepthcueError) as caught:
        open_data(f"kitti:{tmp_path}", "train")
    assert str(depth) in caught.value.message and str(picture) in str(caught.value.hint)


def test_real_selection(shared_data: Path) -> None:
    data = open_data(f"kitti:{shared_data / 'kitti'}", "test")
    assert len(data) == 8 and data.has_depth
    batch = data.evaluation_batch(range(8))
    assert batch.rgb.shape == (8, 3, 352, 1216) and batch.depth_m is not None and batch.valid is not None
    assert batch.depth_m.shape == batch.valid.shape == (8, 1, 352, 1216)
    shares = batch.valid.float().mean((1, 2, 3))
    assert (shares[:7] > 0.035).all() and (shares[:7] < 0.05).all() and 0.18 < shares[7] < 0.25
    folder = shared_data / "kitti/depth_selection/val_selection_cropped/groundtruth_depth"
    stored = np.asarray(Image.open(sorted(folder.glob("*.png"))[3]))
    np.testing.assert_array_equal(batch.depth_m[3, 0].numpy(), (stored / 256).astype(np.float32))
    assert (batch.depth_m[~batch.valid] == 0).all()
