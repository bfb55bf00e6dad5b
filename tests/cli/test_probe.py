"""`depthcue probe` from end to end, with a net too small to be good."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depthcue.cli.main import main
from depthcue.nets import build_depth_net
from depthcue.nets.checkpoint import save_net
from depthcue.probes.registry import EXPERIMENTS


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a tiny depth net."""
    file = tmp_path_factory.mktemp("nets") / "tiny-depth.safetensors"
    net = build_depth_net("compact", config={"widths": (4, 4, 8, 8, 8)}, height=32, width=96, max_depth_m=80.0)
    save_net(net, file, architecture="compact")
    return str(file)


@pytest.fixture
def photographs(tmp_path: Path) -> list[str]:
    """Options that name two frames and a cut-out."""
    draws = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "frames").mkdir(exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (64, 192, 3), np.uint8)).save(tmp_path / "frames" / f"{name}.png")
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


def test_on_photographs_and_beside_another(target: str, photographs: list[str], tmp_path: Path,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["probe", "position-size", "--target", target, "--stage", "photographs", "--horizon", "0.4",
                 *photographs]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    assert main([*arguments, "--out", str(tmp_path / "two"), "--beside", str(tmp_path / "one")]) == 0
    printed = capsys.readouterr().out
    assert "Cue profile of" in printed and "vertical position" in printed
    results = json.loads((tmp_path / "two" / "results.json").read_text())
    assert results["beside"][0]["profile"] == results["profile"]
    assert (tmp_path / "two" / "profile.png").is_file()


@pytest.mark.parametrize(("arguments", "said"), [
    (["magic"], "position-size"), (["--stage", "theatre"], "photographs"),
    (["--stage", "photographs"], "--frames"), (["--scenes", "garden"], "garden"),
    (["--beside", "/nowhere"], "--beside"), (["--target", "compact-nowhere"], "compact-nowhere"),
    (["--frames", "/nowhere", "--objects", "/nowhere"], "/nowhere")])
def test_mistakes_are_told_without_a_traceback(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                               arguments: list[str], said: str) -> None:
    out = tmp_path / "out"
    assert main(["probe", "--target", target, "--out", str(out), *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and said in printed.err and "Traceback" not in printed.err
    assert not (out / "results.json").exists()


def test_a_folder_is_needed(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--target", target]) == 2
    assert "--out" in capsys.readouterr().err
