"""A YOLO26-Depth from the command line, all the way: mask net, measurements, masks, a probe, an exported file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_ultralytics import model, save

from depthcue.cli.main import main


@pytest.mark.slow
def test_a_yolo_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = save(Path("best.pt"), model())
    draws = np.random.default_rng(0)
    Path("pictures").mkdir()
    for name in "ab":
        rows = np.linspace(20, 200, 96)[:, None, None] + draws.integers(0, 50, (96, 128, 3))
        Image.fromarray(rows.astype(np.uint8)).save(f"pictures/{name}.png")
    data = ["--data", "folder:pictures"]
    assert main(["train", "--target", target, *data, "--steps", "2", "--batch-size", "2", "--out", "run", "-q"]) == 0
    weights = ["--weights", "run/mask.safetensors"]
    assert json.loads(Path("run/mask.json").read_text())["description"]["target"] == target
    assert main(["compare-edges", *weights, "--target", target, *data, "--against", "gradient", "--out", "edges",
                 "-q"]) == 0
    results = json.loads(Path("edges/results.json").read_text())
    assert results["images"] == 2 and not results["target_net"].get("relative")
    assert main(["mask", "pictures", *weights, "--target", target, "--save", "mask", "--save", "depth", "--out",
                 "masks", "-q"]) == 0
    assert sorted(path.name for path in Path("masks").glob("*.png")) == [
        "a_depth.png", "a_mask.png", "b_depth.png", "b_mask.png"]
    assert main(["probe", "roll", "--target", target, "--limit", "2", "--out", "probed", "-q"]) == 0
    assert main(["export", "--target", target, *data, "--out", "depth.onnx", "-q"]) == 0
    assert json.loads(Path("depth.json").read_text())["one_size"]
