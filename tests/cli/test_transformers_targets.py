"""A network of transformers, from the command line, all the way: mask net, measurements, masks, an exported file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_transformers import depth_anything, save

from depthcue.cli.main import main


@pytest.mark.slow
def test_patches_of_14_beside_blocks_of_16_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = save(Path("model"), depth_anything())
    draws = np.random.default_rng(0)
    Path("pictures").mkdir()
    for name in "ab":
        rows = np.linspace(20, 200, 96)[:, None, None] + draws.integers(0, 50, (96, 128, 3))
        Image.fromarray(rows.astype(np.uint8)).save(f"pictures/{name}.png")
    data = ["--data", "folder:pictures"]
    assert main(["train", "--net", "compact", "--target", target, *data, "--steps", "2", "--batch-size", "2",
                 "--out", "run", "-q"]) == 0
    weights = ["--weights", "run/mask.safetensors"]
    typed = [*weights, "--target", target]  # a card's word alone loads no model of others
    # pictures for both are a multiple of 14 and of 16
    described = json.loads(Path("run/mask.json").read_text())["description"]
    assert (described["height"], described["width"], described["target"]) == (112, 112, target)

    assert main(["evaluate", *typed, *data, "--keep", "0.3", "--only-table", "--out", "table", "-q"]) == 0
    assert main(["compare-edges", *typed, *data, "--against", "gradient", "--out", "edges", "-q"]) == 0
    for command, folder in (("evaluate", "table"), ("compare-edges", "edges")):
        results = json.loads(Path(folder, "results.json").read_text())
        assert results["command"] == command and results["target_net"]["relative"] and results["images"] == 2
    assert main(["optimize", "pictures", "--target", target, "--steps", "2", "--out", "searched", "-q"]) == 0
    assert main(["mask", "pictures", *typed, "--save", "mask", "--save", "depth", "--out", "masks", "-q"]) == 0
    assert sorted(path.name for path in Path("masks").glob("*.png")) == [
        "a_depth.png", "a_mask.png", "b_depth.png", "b_mask.png"]

    assert main(["export", *weights, *data, "--out", "mask.onnx", "-q"]) == 0
    parity = json.loads(Path("mask.json").read_text())["parity"]
    assert parity["mean_abs"] < 1e-3 and parity["task_rmse_m"] is None  # the depth net is not loaded on a card's word
