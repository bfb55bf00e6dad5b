"""Measurements and trainings in one call: the results of the commands, with figures and files of their own."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from tiny_nets import SHARES_OF_LAMBDAS, FirstLook, TopShare, save_small_pair
from toy_nets import RedDepth, RedShares, ToyData

import depthcue
from depthcue import DepthcueError, scenes
from depthcue.data import open_data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number, rgb in enumerate(scenes.render("indoor", range(4), 48, 64).rgb):
        Image.fromarray((rgb.permute(1, 2, 0) * 255).round().byte().numpy()).save(folder / f"{number}.png")
    return folder


def red() -> depthcue.Masker:
    return depthcue.load(RedShares(), device="cpu", target=RedDepth())


def test_compare_edges_measures_plots_and_saves(tmp_path: Path) -> None:
    curve = depthcue.compare_edges(red(), ToyData(), ["sobel", "random"], keep=(0.1, 0.5), draws=50)
    at_a_tenth = {method: entries[0]["rmse_to_target"] for method, entries in curve["curves"].items()}
    assert at_a_tenth["mask"] < 0.01 < at_a_tenth["sobel"]  # depth is in the red pixels, which are a tenth
    assert curve.sentences and curve.plots[0] == "comparison"
    assert isinstance(curve.plot(), Figure) and isinstance(curve.plot("choices"), Figure)
    assert (curve._repr_png_() or b"").startswith(b"\x89PNG")
    with pytest.raises(DepthcueError, match="poster"):
        curve.plot("poster")
    saved = curve.save(tmp_path / "out")
    assert json.loads(saved.read_text())["curves"] == curve["curves"]
    written = {path.name for path in (tmp_path / "out").rglob("*.*")}
    assert {"comparison.png", "comparison.svg", "results.json"} <= written
    for example in curve["examples"]:
        assert (tmp_path / "out" / example["tiles"]["picture"]).exists()


def test_a_folder_to_work_in_is_used(tmp_path: Path) -> None:
    curve = depthcue.compare_edges(red(), ToyData(), keep=(0.2,), draws=50, out=tmp_path / "here")
    assert curve.folder == tmp_path / "here" and (tmp_path / "here" / "results.json").exists()


def test_borrowed_nets_get_their_modes_back() -> None:
    mask_net, depth_net = RedShares().train(), RedDepth().train()
    masker = depthcue.load(mask_net, device="cpu", target=depth_net)
    depthcue.compare_edges(masker, ToyData(), keep=(0.2,), draws=50)
    assert mask_net.training and depth_net.training


def test_paths_of_folders_are_data(pictures: Path) -> None:
    masker = depthcue.load(TopShare(), device="cpu", target=FirstLook())
    for data in (pictures, str(pictures), f"folder:{pictures}"):
        assert depthcue.compare_edges(masker, data, limit=2, keep=(0.2,), draws=50)["images"] == 2
    opened = open_data(f"folder:{pictures}")
    assert depthcue.compare_edges(masker, opened, keep=(0.2,), draws=50)["images"] == 4
    with pytest.raises(DepthcueError, match="limit"):
        depthcue.compare_edges(masker, opened, limit=2)


def test_settings_are_known_by_name() -> None:
    with pytest.raises(DepthcueError, match="colour"):
        depthcue.compare_edges(red(), ToyData(), colour="red")
    with pytest.raises(DepthcueError, match="colour"):
        depthcue.train_mask(FirstLook(), "scenes:indoor", steps=1, colour="red")


def test_the_other_measurements(pictures: Path) -> None:
    masker = depthcue.load(TopShare(), device="cpu", target=FirstLook())
    table = depthcue.evaluate(masker, pictures, keeps=[0.2], closely=False, draws=50)
    assert table["images"] == 4
    both = depthcue.compare_nets([masker, masker], pictures, draws=50)
    assert both["images"] == 4 and both.plots


@pytest.mark.slow
def test_cues_of_a_network_and_of_a_masker() -> None:
    masker = depthcue.load(TopShare(), device="cpu", target=FirstLook())
    alone = depthcue.probe(FirstLook(), "pitch", limit=1, draws=50)
    beside = depthcue.probe(masker, ["pitch"], limit=1, draws=50)
    assert alone["weights"] is None and beside["weights"]["name"] == "top-share"
    with pytest.raises(DepthcueError, match="nonsense"):
        depthcue.probe(FirstLook(), ["nonsense"])


class Mine(torch.nn.Module):
    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        return 1 + 5 * rgb[:, 0]


def test_a_mask_net_is_trained_for_a_network_of_ones_own(pictures: Path, tmp_path: Path) -> None:
    mine = depthcue.load_depth(Mine(), predicts="metric", takes="rgb", size=(32, 32), multiple=16)
    masker = depthcue.train_mask(mine, pictures, steps=2, batch_size=2, out=tmp_path / "run", device="cpu")
    assert masker.depth_net is mine.net and masker.mask_net.description.target == "Mine"
    result = masker(pictures / "0.png", keep=0.3)
    assert result.keep == pytest.approx(0.3, abs=1e-3) and result.depth.shape == (48, 64)
    again = depthcue.load(tmp_path / "run" / "mask.safetensors", device="cpu", target=mine)
    np.testing.assert_array_equal(again(pictures / "0.png", keep=0.3).mask, result.mask)
    assert masker.check is None  # too few pictures to keep some aside
    with pytest.raises(DepthcueError, match="already"):
        depthcue.train_mask(mine, pictures, steps=2, batch_size=2, out=tmp_path / "run", device="cpu")


def test_a_training_says_what_its_mask_net_is_good_for(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(24):
        shutil.copy(pictures / f"{number % 4}.png", tmp_path / "pictures" / f"{number}.png")
    masker = depthcue.train_mask("compact-indoor", tmp_path / "pictures", steps=1, batch_size=2, out=tmp_path / "run",
                                 device="cpu")
    assert masker.check is not None
    assert set(masker.check["curves"]) == {"mask", "sobel", "random"}
    assert (tmp_path / "run" / "check" / "results.json").exists()


def test_batches_hold_at_least_one_picture(pictures: Path) -> None:
    with pytest.raises(DepthcueError, match="--batch-size must be at least 1, got 0"):
        depthcue.compare_edges("compact-indoor", pictures, batch_size=0)


def test_a_masker_of_weights_on_disk_is_measured(pictures: Path, tmp_path: Path) -> None:
    weights, _ = save_small_pair(tmp_path, keep_range=(0.05, 0.8), lambda_at=SHARES_OF_LAMBDAS)
    assert depthcue.compare_edges(weights, pictures, ["sobel"], keep=(0.2,), draws=50)["weights"]["name"] == "small"
