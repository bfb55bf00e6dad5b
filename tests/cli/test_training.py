"""`depthcue train-depth` and `depthcue train`: the options they share, and a net of each kind trained for one step."""

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
from noise_pictures import save_noise
from PIL import Image

from depthcue.cli.main import main
from depthcue.cli.training import SharedOptions, train, train_depth
from depthcue.nets import build_depth_net
from depthcue.nets.checkpoint import save_net


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Two pictures with depth."""
    folder = save_noise(tmp_path / "pictures", "ab", (32, 48), depth=True)
    return f"folder:{folder}"


def test_a_depth_net_and_its_mask_net(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alike = ["--data", data, "--steps", "1", "--batch-size", "2", "--device", "cpu", "--name", "tiny", "--seed", "3"]
    assert main(["train-depth", *alike, "--size", "48x32", "--out", str(tmp_path / "depth"), "--loss", "depth"]) == 0
    weights = capsys.readouterr().out.strip()
    assert weights == str(tmp_path / "depth" / "depth.safetensors")
    assert main(["train", *alike, "--target", weights, "--out", str(tmp_path / "mask"), "--lambda", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["weights"] == str(tmp_path / "mask" / "mask.safetensors")
    assert printed["training"]["steps"] == 1 and printed["through_20"] == {}  # of two pictures none is kept aside
    for kind, loss in (("depth", "depth"), ("mask", "depth+grad+normal")):
        printed = json.loads((tmp_path / kind / "config.json").read_text())
        assert (printed["name"], printed["seed"], printed["batch_size"], printed["loss"]) == ("tiny", 3, 2, loss)


@pytest.mark.parametrize("command", [train, train_depth])
def test_every_shared_option_reaches_the_command(command: object) -> None:
    taken = inspect.signature(command).parameters  # type: ignore[arg-type]
    assert set(SharedOptions.__dataclass_fields__) <= set(taken) and "shared" not in taken


def test_steps_and_epochs_exclude_each_other(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-depth", "--data", data, "--steps", "1", "--epochs", "1", "--out", str(tmp_path / "run")]) == 1
    assert "not both" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_training_ends_with_what_the_mask_is_worth_and_the_next_command(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "my pictures"
    folder.mkdir()
    draws = np.random.default_rng(0)
    for number in range(10):
        Image.fromarray(draws.integers(0, 255, (32, 48, 3), np.uint8)).save(folder / f"{number}.png")
    net = build_depth_net("compact", config={"widths": [8] * 5}, height=32, width=48)
    save_net(net, tmp_path / "n.safetensors", architecture="compact")
    assert main(["train", "--target", str(tmp_path / "n.safetensors"), "--data", f"folder:{folder}", "--steps", "2",
                 "--batch-size", "2", "--device", "cpu", "--out", str(tmp_path / "run")]) == 0
    out, err = capsys.readouterr()
    # a slow machine tells how far it is
    assert all(re.fullmatch(r"(training|comparing): \d+/\d+.*", line) for line in err.splitlines()), err
    for part in ("mask", "edges", "random", "RMSE", "1 image is too few to tell", "cannot be told",
                 "Training took 2 steps"):
        assert part in out, part
    weights = tmp_path / "run" / "mask.safetensors"
    assert f"Weights: {weights}" in out
    assert f"Next: depthcue mask '{folder}' --weights {weights} --out {tmp_path / 'run' / 'masks'}" in out
    card = json.loads((tmp_path / "run" / "mask.json").read_text())
    assert card["training"]["init"] == "general" and card["training"]["net"] == "lite0"
    assert card["kept_aside"]["pictures"] == 1
    results = json.loads((tmp_path / "run" / "check" / "results.json").read_text())
    assert set(results["curves"]) == {"mask", "sobel", "random"} and results["images"] == 1


def test_how_long_a_training_takes_is_given_once(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--target", "compact-indoor", "--data", data, "--minutes", "1", "--steps", "1", "--out",
                 str(tmp_path / "run")]) == 1
    assert "--minutes" in capsys.readouterr().err
