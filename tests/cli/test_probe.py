"""`depthcue probe` from end to end, with a net too small to be good."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_nets import FirstLook

from depthcue.cli.main import main
from depthcue.export import export_onnx
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net
from depthcue.probes.running import EXPERIMENTS, ProbeSettings, probe

BY_ROW = '''
import torch


class Net(torch.nn.Module):
    """Sees flat ground below row 13 of 32; what is red is as far as the ground at its lowest row."""

    depth_description = {"predicts": "metric", "takes": "rgb", "size": (32, 96), "multiple": 1, "max_depth_m": 80.0}

    def forward(self, rgb):
        rows = torch.arange(rgb.shape[2])[None, :, None] - 13.0
        red = rgb[:, 0] - rgb[:, 1] > 0.2
        lowest = torch.where(red, rows, 1.0).amax((1, 2), keepdim=True)
        return (60 / torch.where(red, lowest, rows).clamp_min(0.8))[:, None]
'''


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a tiny depth net."""
    file = tmp_path_factory.mktemp("nets") / "tiny-depth.safetensors"
    net = build_depth_net("compact", config={"widths": (4, 4, 8, 8, 8)}, height=32, width=96, max_depth_m=80.0,
                          name="tiny-depth")
    save_net(net, file, architecture="compact")
    return str(file)


@pytest.fixture(scope="module")
def mask_net(target: str) -> str:
    """The file of a tiny mask net of that depth net."""
    file = Path(target).with_name("tiny-mask.safetensors")
    net = build_mask_net("compact", config={"widths": (4, 4, 8, 8, 8), "detail": 4}, height=32, width=96,
                         name="tiny-mask", target=target, lambda_range=(0.5, 6.0))
    save_net(net, file, architecture="compact")
    return str(file)


@pytest.fixture
def photographs(tmp_path: Path) -> list[str]:
    """Options that name two frames and a cut-out."""
    draws = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "frames").mkdir(exist_ok=True)
        grey = draws.integers(0, 255, (64, 192, 1), np.uint8).repeat(3, axis=2)
        Image.fromarray(grey).save(tmp_path / "frames" / f"{name}.png")
    picture = np.zeros((60, 60, 4), np.uint8)
    picture[4:-4, 4:-4] = (200, 20, 20, 255)
    (tmp_path / "objects").mkdir()
    Image.fromarray(picture).save(tmp_path / "objects" / "car1.png")
    return ["--frames", str(tmp_path / "frames"), "--objects", str(tmp_path / "objects")]


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in EXPERIMENTS) and "photographs" in printed


def test_on_rendered_scenes(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["probe", "pitch", "--target", target, "--limit", "1", "--out", str(out), "--json"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert json.loads(capsys.readouterr().out) == results
    assert results["target_net"]["sha256"] and results["weights"] is None and results["profile"] == []
    assert results["stages"]["rendered"]["scenes"] == "road"
    (entry,) = results["experiments"]
    assert entry["name"] == "pitch" and entry["stage"] == "rendered" and entry["cases"] == 1 and entry["variants"] == 8
    assert {path.name for path in out.iterdir()} == {"results.json", "examples", "pitch-rendered.png",
                                                     "pitch-rendered.svg"}


def test_on_photographs_and_beside_another(photographs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net_that_goes_by_row.py").write_text(BY_ROW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    arguments = ["probe", "position-size", "--target", "python:net_that_goes_by_row:Net", "--stage", "photographs",
                 "--horizon", "0.4", *photographs]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    assert main([*arguments, "--out", str(tmp_path / "two"), "--beside", str(tmp_path / "one")]) == 0
    printed = capsys.readouterr().out
    assert "Cue profile of" in printed and "vertical position" in printed
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    assert results["beside"][0]["profile"] == results["profile"]
    position, size = (weight["value"] for weight in results["profile"])
    assert position > 0.7 and abs(size) < 0.2  # two pixels of a frame make one of the net's
    assert (tmp_path / "two" / "profile.png").is_file()
    assert main(["report", str(tmp_path / "two"), "--out", str(tmp_path / "page.html"), "--quiet"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Which cues does it believe?" in page and "vertical position" in page and "car1" in page


def test_a_mask_net_brings_its_depth_net(target: str, mask_net: str, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "haze", "--weights", mask_net, "--limit", "1", "--out", str(tmp_path / "out")]) == 0
    assert "Where the mask lies" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["target_net"]["name"] == "tiny-depth" and results["weights"]["name"] == "tiny-mask"
    (attention,) = results["experiments"][0]["attention"]
    assert attention["condition"] == "haze" and all(
        attention[number]["n"] == 1 for number in ("mask_share", "mask_share_before", "mask_lift"))


def exported(folder: Path) -> str:
    """A net of one convolution as `depthcue export` writes it."""
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    export_onnx(FirstLook(), folder / "tiny.onnx", [picture])
    return f"onnx:{folder / 'tiny.onnx'}"


def from_transformers(folder: Path) -> str:
    """A random relative net of inverse depth, saved as transformers does it."""
    pytest.importorskip("transformers", reason="transformers is not installed (extra hf)")
    from nets.foreign.test_transformers_model import depth_anything, save

    return save(folder / "model", depth_anything())


@pytest.mark.parametrize("form", [exported, from_transformers])
def test_nets_in_other_forms(form: Callable[[Path], str], tmp_path: Path) -> None:
    assert main(["probe", "haze", "--scenes", "road", "--target", form(tmp_path), "--limit", "1", "--out",
                 str(tmp_path / "out"), "--quiet"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["target_net"]["relative"] is (form is from_transformers)
    assert len(results["target_net"]["sha256"]) == 64
    assert not results["experiments"][0]["unreadable"]
    (weight,) = results["profile"]
    assert weight["cue"] == "haze" and weight["n"] == 1
    if form is exported:
        own = probe(["haze"], FirstLook(), tmp_path / "own", ProbeSettings(scenes="road", limit=1))
        assert weight["value"] == pytest.approx(own["profile"][0]["value"], abs=1e-3)


@pytest.mark.parametrize(("arguments", "message"), [
    (["magic"], "position-size"), (["all", "magic"], "magic"), (["--stage", "theatre"], "photographs"),
    (["--stage", "photographs"], "--frames"), (["--objects", "."], "--objects"), (["--horizon", "0.5"], "--horizon"),
    (["--stage", "rendered", "--frames", "."], "--frames"), (["--scenes", "garden"], "garden"),
    (["--beside", "/nowhere"], "--beside"), (["--target", "compact-nowhere"], "compact-nowhere"),
    (["--frames", "/nowhere", "--objects", "/nowhere"], "/nowhere")])
def test_mistakes_are_errors_without_a_traceback(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                               arguments: list[str], message: str) -> None:
    out = tmp_path / "out"
    assert main(["probe", "--target", target, "--out", str(out), *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and message in printed.err and "Traceback" not in printed.err
    assert not (out / "results.json").exists()


def test_a_folder_is_needed(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--target", target]) == 2
    assert "--out" in capsys.readouterr().err
