"""The csv layout and the published protocol, on tiny files and on real frames."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from depthcue.data import open_data
from depthcue.errors import DepthcueError


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
