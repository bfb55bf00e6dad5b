"""A card that names code: no command runs it, every command says what to type; and what a file may name."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_nets import save_small_pair

from depthcue.backends.tensorrt_library import Making, Shapes, Span
from depthcue.bench.job import _depth_net
from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.nets import load_mask_net
from depthcue.nets.catalog import spec_from_file
from depthcue.runtime.cached import _engine_path, graph_path

CODE = '''
import pathlib
pathlib.Path("it-ran").touch()
dependencies = []


def net():
    pathlib.Path("it-ran").touch()
'''
NAMES_CODE = ("hub:.:net", "python:hubconf:net", "hf:somebody/model", "python:hubconf:net,size=32x48,x=.onnx")
DATA = ["--data", "folder:pictures", "--limit", "1"]
COMMANDS: dict[str, list[str]] = {
    "mask": ["mask", "pictures", "--save", "depth", "--weights", "WEIGHTS", "--backend", "torch"],
    "compare-edges": ["compare-edges", "--weights", "WEIGHTS", *DATA],
    "evaluate": ["evaluate", "--weights", "WEIGHTS", *DATA],
    "compare-nets": ["compare-nets", "-w", "WEIGHTS", "-w", "WEIGHTS", *DATA],
    "findings": ["findings", "--weights", "WEIGHTS", *DATA],
    "optimize": ["optimize", "pictures/a.png", "--weights", "WEIGHTS", "--steps", "2"],
    "probe": ["probe", "roll", "--weights", "WEIGHTS", "--limit", "1"],
}


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """A folder with code to be run and pictures; gives a mask net whose card names a target."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("hubconf.py").write_text(CODE)
    Path("pictures").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)).save("pictures/a.png")

    def make(target: str) -> str:
        weights, _ = save_small_pair(tmp_path)
        card = json.loads(weights.with_suffix(".json").read_text())
        card["description"]["target"] = target
        weights.with_suffix(".json").write_text(json.dumps(card))
        return str(weights)

    return make


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("target", NAMES_CODE)
def test_no_command_runs_what_a_card_names(command: str, target: str, strange: Callable[[str], str],
                                           capsys: pytest.CaptureFixture[str]) -> None:
    weights = strange(target)
    arguments = [weights if word == "WEIGHTS" else word for word in COMMANDS[command]]
    code = main([*arguments, "--out", "out", "-q"])
    error = capsys.readouterr().err
    assert not Path("it-ran").exists()
    assert code == 1 and f"--target {target}" in error


def test_what_needs_no_depth_net_goes_on_without(strange: Callable[[str], str]) -> None:
    weights = strange("python:hubconf:net")
    assert main(["mask", "pictures", "--weights", weights, "--out", "out", "--save", "mask", "-q"]) == 0
    assert main(["export", "--weights", weights, "--out", "net.onnx", "-q"]) == 0
    # the graph's card has inherited the target
    assert main(["mask", "pictures", "--weights", "net.onnx", "--out", "out", "--save", "mask", "-q"]) == 0
    assert main(["mask", "pictures", "--weights", "net.onnx", "--out", "out", "--save", "depth", "-q"]) == 1
    measured, why_not = _depth_net(None, load_mask_net(weights), [])  # of bench, which takes minutes
    assert measured is None and why_not is not None and "python:" in why_not
    assert not Path("it-ran").exists()


def test_what_the_user_types_is_opened(strange: Callable[[str], str]) -> None:
    weights = strange("python:hubconf:net")
    main(["mask", "pictures", "--weights", weights, "--target", "python:hubconf:net", "--save", "depth", "--out", "out",
          "-q"])
    assert Path("it-ran").exists()


@pytest.mark.parametrize("spec", ["compact-indoor", "compact:/somewhere/net.safetensors", "hu-resnet50:model",
                                  "onnx:n.onnx", "onnx:n.onnx,predicts=inverse", "/a/net.safetensors",
                                  "runs/depth.safetensors", "net.onnx", "C:/nets/net.safetensors", "nowhere"])
def test_a_file_may_name_data(spec: str) -> None:
    assert spec_from_file(spec, "a card") == spec


@pytest.mark.parametrize("spec", [*NAMES_CODE, "hub:a/b:c", " python:a:b", "PYTHON:a:b", "ultralytics:x.pt",
                                  "https://example.org/net.onnx", "hub:x.onnx", "python:a:b,.onnx,"])
def test_a_file_may_name_nothing_else(spec: str) -> None:
    with pytest.raises(DepthcueError) as caught:
        spec_from_file(spec, "a card")
    assert caught.value.hint is not None and "--target" in caught.value.hint


def test_the_target_of_a_card_is_opened(strange: Callable[[str], str], tmp_path: Path) -> None:
    weights = strange(str(tmp_path / "depth.safetensors"))
    assert main(["mask", "pictures", "--weights", weights, "--save", "depth", "--out", "out", "-q"]) == 0
    shutil.rmtree("out")
    assert main(["mask", "pictures", "--weights", strange("nowhere"), "--save", "depth", "--out", "out", "-q"]) == 1


def test_names_of_cards_do_not_lead_out_of_the_cache(strange: Callable[[str], str], tmp_path: Path) -> None:
    weights = Path(strange("nowhere"))
    card = json.loads(weights.with_suffix(".json").read_text())
    card["description"]["name"] = "../../../escaped"
    weights.with_suffix(".json").write_text(json.dumps(card))
    assert graph_path(load_mask_net(str(weights))).parent == tmp_path / "cache" / "depthcue" / "graphs"
    making = Making("tensorrt", "1", None, None, (), "0" * 64, Shapes(*[Span(1, 1, 1)] * 3), "fp32")
    engine = _engine_path({"name": "../../../escaped", "net_identity": "../x"}, making, "a/GPU")
    assert engine.resolve().parent == (tmp_path / "cache" / "depthcue" / "engines").resolve()
