"""A network of the user's own, from the command line: its mask net, masks, comparisons; what a black box cannot."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.cli.main import main

CODE = '''
import torch


class Net(torch.nn.Module):
    """Inverse depth up to scale and shift: brighter is nearer, smoothed over 5 pixels."""

    depth_description = {"predicts": "inverse", "relative": True, "size": (32, 42), "multiple": 14 // 7, "name": "mine"}

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(500.0))

    def forward(self, normalised):
        return self.gain * torch.nn.functional.avg_pool2d(normalised.mean(dim=1, keepdim=True), 5, 1, 2)[:, 0] - 90


def net():
    return Net()


def frozen():
    wrapped = torch.no_grad()(Net().eval())
    wrapped.depth_description = Net.depth_description
    return wrapped
'''
TARGET = "python:own_network_of_a_user:net"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the user's module, pictures with and without depth, and a mask net trained for two steps."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "own_network_of_a_user.py").write_text(CODE)
    draws = np.random.default_rng(0)
    for kind in ("bare", "known"):
        (folder / kind).mkdir()
        for name in "abc":
            rows = np.linspace(40, 220, 48)[:, None, None] + draws.integers(0, 30, (48, 64, 3))
            Image.fromarray(rows.astype(np.uint8)).save(folder / kind / f"{name}.png")
            if kind == "known":
                np.save(folder / kind / f"{name}.npy", (600 / rows.mean(axis=2)).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        assert main(["train", "--net", "compact", "--target", TARGET, "--data", f"folder:{folder / 'bare'}",
                     "--steps", "2", "--batch-size", "2", "--out", "run", "-q"]) == 0
    return folder


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return place


def test_a_mask_net_takes_pictures_as_both_nets_can(here: Path) -> None:
    card = json.loads((here / "run" / "mask.json").read_text())
    assert card["description"]["target"] == TARGET and len(card["target_sha256"]) == 64
    # 32x42 is no size for a mask net in blocks of 16
    assert (card["description"]["height"], card["description"]["width"]) == (32, 48)


def test_masks_and_depth_beside_them(here: Path, tmp_path: Path) -> None:
    assert main(["mask", "bare/a.png", "--weights", "run/mask.safetensors", "--target", TARGET, "--save", "depth",
                 "--out", str(tmp_path), "-q"]) == 0
    assert (tmp_path / "a_depth.png").is_file()


def test_errors_without_depth_are_in_own_units(here: Path, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare-edges", "--weights", "run/mask.safetensors", "--target", TARGET, "--data", "folder:bare",
                 "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["target_net"]["relative"] and "one scale and shift" in results["target_net"]["aligned"]
    assert results["ground_truth"] is False
    assert "mine sees depth only up to scale and shift: without true depth" in capsys.readouterr().out


def test_errors_with_depth_are_in_metres_after_alignment(here: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare-edges", "--weights", "run/mask.safetensors", "--target", TARGET, "--data", "folder:known",
                 "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    # brighter is nearer in the pictures too: aligned, the net is nearly right
    assert results["target"]["delta1"] > 0.95 and results["target"]["rmse"] < 1
    assert "brought to the true depth by one scale and shift" in capsys.readouterr().out


def test_a_black_box_can_be_measured_but_not_trained_for(here: Path, tmp_path: Path,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    frozen = TARGET.replace(":net", ":frozen")
    assert main(["train", "--target", frozen, "--data", "folder:bare", "--steps", "2", "--out",
                 str(tmp_path / "run"), "-q"]) == 1
    printed = capsys.readouterr().err
    assert "passes no gradients" in printed and "--surrogate" in printed and not (tmp_path / "run").exists()
    assert main(["compare-edges", "--weights", "run/mask.safetensors", "--target", frozen, "--data", "folder:bare",
                 "--limit", "2", "--out", str(tmp_path / "out"), "-q"]) == 0


def test_a_black_box_is_trained_for_through_a_surrogate(here: Path, tmp_path: Path,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    """The mask net's card names the black box, and the report is on the black box."""
    frozen = TARGET.replace(":net", ":frozen")
    for number in range(4):
        grey = np.full((48, 64, 3), 50 * number + 20, np.uint8)
        grey[10:30, 20:40] = 200 - 40 * number
        Image.fromarray(grey).save(tmp_path / f"{number}.png")
        Image.fromarray(grey[:, ::-1]).save(tmp_path / f"{number}-turned.png")
    assert main(["train", "--target", frozen, "--data", f"folder:{tmp_path}", "--steps", "2", "--batch-size", "2",
                 "--aside", "0.25", "--surrogate", "--out", str(tmp_path / "run"), "--json", "-q"]) == 0
    printed = json.loads(capsys.readouterr().out)
    card = json.loads((tmp_path / "run" / "mask.json").read_text())
    assert card["description"]["target"] == frozen and card["kept_aside"]["pictures"] == 2
    surrogate = json.loads((tmp_path / "run" / "surrogate" / "depth.json").read_text())
    assert surrogate["teacher"]["name"] == "mine" and surrogate["description"]["max_depth_m"] == 10.0
    # pictures kept aside are not shown to the surrogate either
    assert surrogate["training"]["pictures"] == card["training"]["pictures"] == [6]
    assert printed["through_20"]["sobel"]["rmse_to_target"] > 0
    check = json.loads((tmp_path / "run" / "check" / "results.json").read_text())
    assert check["target_net"]["name"] == "mine"
