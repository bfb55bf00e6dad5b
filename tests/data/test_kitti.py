"""KITTI's official layouts."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from depthcue.data import open_data
from depthcue.data.layouts import open_kitti
from depthcue.errors import DepthcueError

SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")


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
    assert str(depth) in caught.value.message
    assert str(picture.relative_to(tmp_path / "2011_09_26")) in str(caught.value.hint)
    assert str(tmp_path / "2011_09_26") in str(caught.value.hint)


def _as_jpeg(picture: Path) -> Path:
    jpeg = picture.with_suffix(".jpg")
    Image.open(picture).save(jpeg, quality=92)
    picture.unlink()
    return jpeg


@pytest.mark.parametrize("depth_at", ["train", "data_depth_annotated/train", "2011_09_26"])
@pytest.mark.parametrize("raw_at", [".", "raw", "raw_data"])
def test_pictures_converted_to_jpeg(tmp_path: Path, depth_at: str, raw_at: str) -> None:
    """As monodepth2's instructions have it, which keep the depth beside the pictures of a drive too."""
    picture, depth = write_drive(tmp_path, "train")
    jpeg = _as_jpeg(picture)
    for folder, to in (("train", depth_at), ("2011_09_26", f"{raw_at}/2011_09_26")):
        drive = tmp_path / folder / "2011_09_26_drive_0001_sync"
        moved = tmp_path / to / drive.name
        moved.mkdir(parents=True, exist_ok=True)
        for part in [*drive.iterdir()] if drive.is_dir() and drive != moved else []:
            if (part.name == "proj_depth") == (folder == "train"):
                part.rename(moved / part.name)
    data = open_data(f"kitti:{tmp_path}", "train", frame_size=(352, 1216))
    frames = data.frames([0])
    assert len(data) == 1 and frames.valid is not None and int(frames.valid.sum()) == 1
    # one bright pixel, which the chroma of a jpeg dims
    assert float(frames.rgb.max()) > 30 and not jpeg.with_suffix(".png").exists()


def test_drives_without_a_split_are_split_as_the_benchmark_does(tmp_path: Path,
                                                                caplog: pytest.LogCaptureFixture) -> None:
    for number in ("0001", "0002", "0005"):
        drive = tmp_path / "2011_09_26" / f"2011_09_26_drive_{number}_sync"
        for folder in ("proj_depth/groundtruth/image_02", "image_02/data"):
            (drive / folder).mkdir(parents=True)
            Image.fromarray(np.full((375, 1242), 2560, np.uint16) if folder[0] == "p" else np.zeros(
                (375, 1242, 3), np.uint8)).save(drive / folder / "0000000005.png")
    drives = {split: [pair.name[17:21] for pair in open_kitti("kitti", tmp_path, split, None, None).pairs]
              for split in SPLITS}
    assert drives == {"train": ["0001"], "test": ["0002", "0005"]}
    assert not caplog.text
    for number in ("0002", "0005"):
        (tmp_path / "2011_09_26" / f"2011_09_26_drive_{number}_sync").rename(tmp_path / number)
    assert len(open_data(f"kitti:{tmp_path}", "test")) == 1
    assert "none of the drives" in caplog.text


def test_depth_converted_to_jpeg_is_lost(tmp_path: Path) -> None:
    drive = tmp_path / "2011_09_26" / "2011_09_26_drive_0001_sync" / "proj_depth" / "groundtruth" / "image_02"
    drive.mkdir(parents=True)
    Image.fromarray(np.zeros((375, 1242), np.uint8)).save(drive / "0000000005.jpg")
    with pytest.raises(DepthcueError, match="the depth maps in .* are .jpg"):
        open_data(f"kitti:{tmp_path}", "train")


def test_a_selection_of_jpeg_pictures(tmp_path: Path) -> None:
    for folder in ("image", "groundtruth_depth"):
        (tmp_path / folder).mkdir()
        name = f"2011_09_26_drive_0002_sync_{folder}_0000000005_image_02.png"
        Image.fromarray(np.full((352, 1216), 2560, np.uint16) if folder != "image" else np.zeros(
            (352, 1216, 3), np.uint8)).save(tmp_path / folder / name)
    _as_jpeg(next((tmp_path / "image").glob("*.png")))
    assert len(open_data(f"kitti:{tmp_path}", "test")) == 1


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
