"""Depth models of Ultralytics behind the contract of depth nets; files that run nothing; an import that stays home."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_ultralytics import model, save

from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.nets import depth_from, load_depth_net
from depthcue.nets.base import METRIC_DEPTH
from depthcue.nets.foreign.ultralytics_model import words_of_graph


def test_pictures_are_opened_as_before_it_was_imported(tmp_path: Path) -> None:
    """The import replaces Pillow's way to open pictures by one that installs packages."""
    code = ("from PIL import Image; before = Image.open; from depthcue.nets.foreign.ultralytics_model import _tasks; "
            "_tasks(); assert Image.open is before")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_the_answer_is_their_predictors_own(tmp_path: Path) -> None:
    """Metres as YOLO(...).predict gives them."""
    from ultralytics import YOLO

    made = model()
    net = load_depth_net(save(tmp_path / "best.pt", made))
    assert (net.description.predicts, net.description.relative, net.description.licence) == (
        METRIC_DEPTH, False, "AGPL-3.0")
    assert (net.description.height, net.description.width) == (64, 64) and net.differentiable
    rgb = torch.randint(0, 256, (3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    (theirs,) = YOLO(str(tmp_path / "best.pt")).predict(
        np.ascontiguousarray(rgb.permute(1, 2, 0).numpy()[..., ::-1]), imgsz=64, device="cpu", verbose=False)
    with torch.inference_mode():
        ours = depth_from(net, net.normalise(rgb[None].float() / 255))
    expected = torch.as_tensor(theirs.depth.data).float().cpu()
    torch.testing.assert_close(ours[0, 0], expected.reshape(64, 64), atol=1e-3, rtol=1e-3)
    assert float(ours.max() / ours.min()) > 1.05


def test_calibration_and_log_depth_are_undone_in_the_answer(tmp_path: Path) -> None:
    made = model()
    net = load_depth_net(save(tmp_path / "best.pt", made))
    taken = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    made.half().float()
    head: Any = made.model[-1]  # type: ignore[index]
    answer: list[torch.Tensor] = []
    head.head.register_forward_hook(lambda *given: answer.append(given[2]))
    with torch.no_grad():
        made(taken)
        quarter = torch.exp(float(head.cal_a) * answer[0].clamp(-4, 5) + float(head.cal_b))
        expected = torch.nn.functional.interpolate(quarter, size=(64, 96), mode="bilinear", align_corners=True)
        torch.testing.assert_close(net.body(taken), expected, atol=1e-4, rtol=1e-4)  # type: ignore[operator]


def test_random_weights_are_the_same_each_time_and_pass_gradients() -> None:
    nets = [load_depth_net("ultralytics:yolo26n-depth.yaml,size=96x64") for _ in range(2)]
    assert nets[0].card["sha256"] == nets[1].card["sha256"]
    assert (nets[0].description.height, nets[0].description.width) == (64, 96)
    rgb = torch.rand(1, 3, 48, 64, requires_grad=True)
    depth = depth_from(nets[0], nets[0].normalise(rgb))
    assert depth.shape == (1, 1, 64, 96)
    depth.sum().backward()
    assert rgb.grad is not None and float(rgb.grad.abs().sum()) > 0


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def test_a_pickle_runs_nothing_and_opens_nothing_for_others(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    spec = save(tmp_path / "best.pt", model())
    load_depth_net(spec)
    assert set(torch.serialization.get_safe_globals()) == before
    spec = save(tmp_path / "bomb.pt", model(), extra=Bomb())
    with pytest.raises(DepthcueError, match="holds more than a model of Ultralytics(.|\n)*nothing in it was run"):
        load_depth_net(spec)
    (tmp_path / "plain.pt").write_bytes(b"\x80\x02]q\x00.")
    with pytest.raises(DepthcueError, match="holds (more than a|no) model of Ultralytics"):
        load_depth_net(f"ultralytics:{tmp_path / 'plain.pt'}")


def test_descriptions_are_not_evaluated(tmp_path: Path) -> None:
    from ultralytics.nn import tasks

    description = tasks.yaml_model_load("yolo26n-depth.yaml")
    description["activation"] = "__import__('os')._exit(7)"
    (tmp_path / "evil-depth.yaml").write_text(json.dumps(description))
    with pytest.raises(DepthcueError, match="cannot build"):
        load_depth_net(f"ultralytics:{tmp_path / 'evil-depth.yaml'}")


@pytest.mark.parametrize(("location", "message"), [
    ("gone.pt", "there is no file gone.pt"), ("gone-depth.yaml", "knows no model description"),
    ("yolo26n.yaml", "is no depth model of Ultralytics: its last layer is Detect"),
    ("https://example.org/yolo26n-depth.yaml", "is an address"), ("page.pt", "is a web page"),
    ("detect.pt", "its last layer is Detect"), ("model.onnx", "does not end in .pt(.|\n)*onnx:FILE"),
    ("pruned.pt", "do not fit its own description")])
def test_what_is_no_depth_model_is_told(location: str, message: str, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("page.pt").write_text("<!DOCTYPE html><html>")
    Path("model.onnx").write_bytes(b"\x08\x07\x12")
    if location == "detect.pt":
        save(Path(location), model("detect"))
    if location == "pruned.pt":
        made = model()
        made.model[0] = torch.nn.Identity()  # type: ignore[index, operator]
        save(Path(location), made)
    with pytest.raises(DepthcueError, match=message):
        load_depth_net(f"ultralytics:{location}")


def test_ultralytics_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(DepthcueError, match=r"cannot be imported(.|\n)*depthcue\[ultralytics\]"):
        load_depth_net("ultralytics:yolo26n-depth.yaml")


def test_its_import_resolves_no_names_and_writes_nowhere_else(tmp_path: Path) -> None:
    """A resolver and sockets that would be seen; and nothing imports it unasked."""
    program = """
import socket, sys
def seen(*given, **more): raise SystemExit(f"the network was asked: {given}")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = seen
from depthcue.nets import load_depth_net
load_depth_net("compact-indoor")
assert "ultralytics" not in sys.modules
load_depth_net("ultralytics:yolo26n-depth.yaml,size=64x64")
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO", "ULTRALYTICS"))}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(tmp_path / "cache"),
                    "XDG_CONFIG_HOME": str(home / "config"), "MPLBACKEND": "no-backend-of-this-name"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment,
                          cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and not list(home.rglob("*ltralytics*"))


@pytest.mark.parametrize(("metadata", "size"), [
    ({"imgsz": "[64, 96]"}, (64, 96)), ({"imgsz": "nonsense"}, (640, 640)), ({"imgsz": "[1, 1e9]"}, (640, 640)),
    ({"imgsz": "320"}, (320, 320)), ({}, (640, 640)), ({"task": "detect"}, None), ({"author": "me"}, None)])
def test_a_graph_says_what_their_exporter_wrote_into_it(metadata: dict[str, str],
                                                       size: tuple[int, int] | None) -> None:
    words = words_of_graph({"author": "Ultralytics", "task": "depth"} | metadata)
    assert words.get("size") == size
    assert (words.get("takes"), words.get("predicts")) == ((None, None) if size is None else ("rgb", METRIC_DEPTH))


@pytest.mark.slow
def test_their_exported_graph_answers_as_the_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from ultralytics import YOLO

    net = load_depth_net(save(tmp_path / "best.pt", model()))
    YOLO(str(tmp_path / "best.pt")).export(format="onnx", imgsz=64, simplify=False, device="cpu", verbose=False)
    caplog.clear()
    graph = load_depth_net(f"onnx:{tmp_path / 'best.onnx'}")
    assert not caplog.text  # nothing had to be assumed
    assert graph.description.max_depth_m == net.description.max_depth_m
    rgb = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(depth_from(graph, graph.normalise(rgb)), depth_from(net, net.normalise(rgb)),
                                   atol=1e-3, rtol=1e-3)


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
