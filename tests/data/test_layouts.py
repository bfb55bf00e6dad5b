"""Official layouts of KITTI and NYU Depth v2, on small files and on real frames; and wrong specs."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
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


def write_pair(folder: Path, name: str, rgb: np.ndarray, depth: np.ndarray) -> str:
    Image.fromarray(rgb).save(folder / f"{name}.png")
    Image.fromarray(depth).save(folder / f"{name}_d.png")
    return f"{name}.png,{name}_d.png\n"


def tiny(tmp_path: Path, depth: np.ndarray) -> Path:
    rgb = np.arange(240 * 320 * 3, dtype=np.uint32).reshape(240, 320, 3).astype(np.uint8)
    table = tmp_path / "list.csv"
    table.write_text(write_pair(tmp_path, "a", rgb, depth))
    return table


def test_depth_units_follow_the_bit_depth_of_the_file(tmp_path: Path) -> None:
    depth = np.full((240, 320), 51, np.uint8)
    depth[0, 0] = 0
    eight = open_data(f"nyu:{tiny(tmp_path, depth)}").frames([0])
    sixteen = open_data(f"nyu:{tiny(tmp_path, depth.astype(np.uint16) * 50)}").frames([0])
    assert eight.depth_m is not None and sixteen.depth_m is not None and eight.valid is not None
    assert eight.depth_m[0, 0, 5, 5].item() == pytest.approx(2.0)
    assert sixteen.depth_m[0, 0, 5, 5].item() == pytest.approx(2.55)
    assert not eight.valid[0, 0, 0, 0] and eight.valid.sum() == 240 * 320 - 1
    assert eight.rgb.dtype == torch.uint8 and eight.rgb.shape == (1, 3, 240, 320)


def test_evaluation_is_the_published_crop(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    depth = rng.integers(1, 10000, (240, 320), dtype=np.uint16)
    batch = open_data(f"nyu:{tiny(tmp_path, depth)}").evaluation_batch([0])
    rgb = np.asarray(Image.open(tmp_path / "a.png"))
    assert batch.rgb.shape == (1, 3, 228, 304) and batch.depth_m is not None
    np.testing.assert_allclose(batch.rgb[0].permute(1, 2, 0).numpy(), rgb[6:234, 8:312] / 255, atol=1e-6)
    # Pillow's nearest, which the published code used, is the reference
    expected = Image.fromarray(depth[6:234, 8:312]).resize((152, 114), Image.Resampling.NEAREST)
    np.testing.assert_allclose(batch.depth_m[0, 0].numpy(), np.asarray(expected) / 1000, rtol=1e-6)


def test_larger_files_are_brought_to_240(tmp_path: Path) -> None:
    rgb = np.zeros((480, 640, 3), np.uint8)
    rgb[100:200, 300:400] = 255
    depth = np.full((480, 640), 1000, np.uint16)
    depth[100:200, 300:400] = 3000
    (tmp_path / "nyu2_test.csv").write_text(write_pair(tmp_path, "a", rgb, depth))
    batch = open_data(f"nyu:{tmp_path}", "test").evaluation_batch([0])
    assert batch.depth_m is not None
    bright = batch.rgb[0, 0].ge(0.5).nonzero()
    far = batch.depth_m[0, 0].gt(2).nonzero() * 2
    assert torch.equal(bright.amin(0), torch.tensor([50 - 6, 150 - 8]))
    assert torch.equal(far.amin(0), torch.tensor([50 - 6, 150 - 8]))


def test_published_lists_with_a_leading_data_folder_are_found(tmp_path: Path) -> None:
    depth = np.full((240, 320), 100, np.uint8)
    table = tiny(tmp_path, depth)
    table.write_text("data/a.png,data/a_d.png\n")
    assert len(open_data(f"nyu:{table}")) == 1


@pytest.mark.parametrize(("lines", "what"), [
    ("a.png\n", "line 1"), ("a.png,a_d.png\na.png,gone.png\n", "line 2: there is no file gone.png"),
    ("", "is empty"), ("a.png,a.png\n", "line 1: the depth map"),
])
def test_a_wrong_list_names_line_and_file(tmp_path: Path, lines: str, what: str) -> None:
    table = tiny(tmp_path, np.full((240, 320), 100, np.uint8))
    table.write_text(lines)
    with pytest.raises(DepthcueError) as caught:
        open_data(f"nyu:{table}").frames([0])
    assert what in str(caught.value) and str(table) in str(caught.value)
    assert caught.value.hint


def test_a_truncated_picture_names_its_line(tmp_path: Path) -> None:
    table = tiny(tmp_path, np.full((240, 320), 100, np.uint8))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DepthcueError, match=r"line 1.*a\.png"):
        open_data(f"nyu:{table}").frames([0])


def test_depth_of_another_view_is_refused(tmp_path: Path) -> None:
    table = tiny(tmp_path, np.full((240, 240), 100, np.uint8))
    with pytest.raises(DepthcueError, match="240x240.*320x240"):
        open_data(f"nyu:{table}").frames([0])


def test_real_frames(shared_data: Path) -> None:
    train, test = open_data(f"nyu:{shared_data}", "train"), open_data(f"nyu:{shared_data}", "test")
    assert (len(train), len(test)) == (795, 200)
    batch = test.evaluation_batch([0, 199])
    assert batch.rgb.shape == (2, 3, 228, 304) and batch.depth_m is not None and batch.valid is not None
    assert batch.depth_m.shape == (2, 1, 114, 152) and batch.valid.all()
    assert 0.5 < batch.depth_m.min() and batch.depth_m.max() <= 10
    stored = np.asarray(Image.open(shared_data / "nyu2/test/00000.png"))
    assert batch.depth_m[0, 0, 10, 20].item() == pytest.approx(stored[6 + 21, 8 + 41] / 1000)
    stored = np.asarray(Image.open(shared_data / "nyu2/train/00002.png"))
    frames = train.frames([0])
    assert frames.depth_m is not None
    assert frames.depth_m[0, 0, 100, 200].item() == pytest.approx(stored[100, 200] / 255 * 10)


def test_limit_spreads_over_the_list(shared_data: Path) -> None:
    few = open_data(f"nyu:{shared_data}", "train", limit=5)
    names = few.frames(range(5)).names
    every = [line.split(",")[0] for line in (shared_data / "nyu2_train.csv").read_text().splitlines()]
    assert names == [every[index * 795 // 5] for index in range(5)]


@pytest.mark.parametrize("spec", ["", "nyu", "nyu:", "imagenet:x", "/some/path", "scenes", ":x"])
def test_an_unknown_spec_shows_what_is_allowed(spec: str) -> None:
    with pytest.raises(DepthcueError) as caught:
        open_data(spec)
    assert repr(spec) in caught.value.message
    assert all(kind in str(caught.value.hint) for kind in ("scenes:indoor", "nyu:PATH", "kitti:PATH", "folder:PATH"))


@pytest.mark.parametrize("kind", ["nyu", "kitti", "folder"])
def test_a_missing_path_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="gone"):
        open_data(f"{kind}:{tmp_path / 'gone'}")


def test_a_folder_without_the_lists_names_the_list_it_wants(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=r"nyu2_train\.csv"):
        open_data(f"nyu:{tmp_path}", "train")


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="at least 1, got 0"):
        open_data(f"folder:{tmp_path}", limit=0)


@pytest.mark.parametrize("name", ["lr=0.1,bs=32", "10:30", "scenes:indoor", "a,b=c:d", "[x]*?"])
def test_a_folder_of_any_name_is_opened(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    Image.new("RGB", (32, 24)).save(Path(name) / "a=1,b:2.png")
    for path in (name, tmp_path / name):
        assert open_data(f"folder:{path}", frame_size=(24, 32)).frames([0]).names == ["a=1,b:2.png"]


def test_a_list_is_guessed_and_mistakes_are_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((48, 64), 2000, np.uint16)).save(tmp_path / "a_depth.png")
    (tmp_path / "list.csv").write_text("a.png,a_depth.png\n")
    assert open_data(str(tmp_path / "list.csv")).spec == f"nyu:{tmp_path / 'list.csv'}"
    for spec, near in ((str(tmp_path), f"Did you mean folder:{tmp_path}?"), ("scene:indoor", "scenes:indoor?"),
                       ("foldr:x", "folder:x?")):
        with pytest.raises(DepthcueError) as caught:
            open_data(spec)
        assert near in (caught.value.hint or "")
