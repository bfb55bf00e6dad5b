"""From a net, or an exported graph, to an engine that was compared with it."""

import json

import fake_tensorrt
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_nets import FirstLook, LastWord

from depthcue.backends.tensorrt_library import is_installed
from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.export.tensorrt_engine import EngineOptions, export_engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Graphs of a mask net and of its depth net, and pictures."""
    folder = tmp_path_factory.mktemp("nets")
    pictures = [np.random.default_rng(number).integers(0, 256, (40, 64, 3), dtype=np.uint8) for number in range(3)]
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    export_onnx(LastWord("first-look"), folder / "mask.onnx", pictures, FirstLook())
    export_onnx(FirstLook(), folder / "depth.onnx", pictures)
    return folder


@pytest.fixture(autouse=True)
def by_name(monkeypatch):
    """The nets by name."""
    for module in ("depthcue.export.tensorrt_engine", "depthcue.export.onnx"):
        monkeypatch.setattr(f"{module}.load_mask_net", lambda spec: LastWord("first-look"))
        monkeypatch.setattr(f"{module}.load_depth_net", lambda spec: FirstLook())
    monkeypatch.setattr("depthcue.export.onnx.load_target_of", lambda description, source: FirstLook())


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _spec(folder, name):
    return str(folder / name) if name.endswith(".onnx") else name


def export(folder, tmp_path, weights=None, target=None, options=None, precision="fp32"):
    options = options or EngineOptions(batch=(1, 2, 4))
    return export_engine(weights and _spec(folder, weights), target and _spec(folder, target), tmp_path / "made.engine",
                         f"folder:{folder / 'pictures'}", precision, options)


@pytest.mark.parametrize(("nets", "sizes"), [
    ({"weights": "last-word"}, ()), ({"weights": "mask.onnx"}, ((64, 32),)),
    ({"target": "first-look"}, ()), ({"target": "depth.onnx"}, ((32, 48),)),
])
def test_an_engine_is_compared_with_what_it_was_made_of(folder, tmp_path, monkeypatch, nets, sizes):
    fake_tensorrt.install(monkeypatch)
    card = export(folder, tmp_path, **nets, options=EngineOptions(batch=(1, 2, 4), sizes=sizes))
    parity = card["parity"]
    assert parity["provider"] == "tensorrt 10.12.0.36" and parity["max_abs"] < 1e-3 and parity["cases"] >= 4
    assert parity["task_rmse_m"] < 1e-3
    assert card["kind"] == ("mask" if "weights" in nets else "depth") and card["unchecked"] is None
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["made.engine", "made.json"]


@pytest.mark.parametrize(("harm", "complaint"), [
    (lambda maps: maps * 0, "does not agree"), (lambda maps: maps * np.nan, "NaN"),
])
@pytest.mark.parametrize("weights", ["last-word", "mask.onnx"])
def test_an_engine_that_computes_wrongly_is_not_written(folder, tmp_path, monkeypatch, weights, harm, complaint):
    fake_tensorrt.install(monkeypatch)
    run = fake_tensorrt.Context.execute_async_v3

    def wrong(self, stream):
        result = run(self, stream)
        maps = fake_tensorrt._at(self.addresses["mask"], self.get_tensor_shape("mask"), np.float32)
        maps[...] = harm(maps)
        return result

    monkeypatch.setattr(fake_tensorrt.Context, "execute_async_v3", wrong)
    with pytest.raises(DepthcueError, match=complaint):
        export(folder, tmp_path, weights)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_what_is_wrong_is_told_before_minutes_go_into_a_graph(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("depthcue.export.tensorrt_engine.export_spec", lambda *_: pytest.fail("a graph was written"))
    with pytest.raises(DepthcueError, match="takes one net"):
        export_engine("a", "b", tmp_path / "x.engine")
    with pytest.raises(DepthcueError, match=r"does not end in \.engine"):
        export_engine("a", None, tmp_path / "x.onnx")
    monkeypatch.setattr("depthcue.backends.tensorrt_library.is_installed", lambda name: False)
    with pytest.raises(DepthcueError, match="no TensorRT here"):
        export(folder, tmp_path, "last-word")


def test_a_graph_keeps_its_own_precision(folder, tmp_path, monkeypatch):
    fake_tensorrt.install(monkeypatch)
    with pytest.raises(DepthcueError, match="computes in fp32; --precision fp16"):
        export(folder, tmp_path, "mask.onnx", precision="fp16")
    with pytest.raises(DepthcueError, match="depth net"):
        export(folder, tmp_path, weights="depth.onnx")


def test_an_engine_is_no_net_to_measure(tmp_path, capsys):
    assert main(["compare-edges", "--target", str(tmp_path / "x.engine"), "--data", "scenes:indoor", "--limit", "1",
                 "--out", str(tmp_path / "out")]) == 1
    assert "is an engine" in capsys.readouterr().err


@pytest.mark.parametrize("options", [
    ["--batch", "1,2"], ["--batch", "many"], ["--size", "32"], ["--size", "32x32,64x64"], ["--library", "trt"],
    ["--workspace", "0"], ["--format", "onnx", "--batch", "4"], ["--format", "onnx", "--compute-capability", "8.9"],
])
def test_wrong_options_are_wrong_options(folder, tmp_path, options):
    assert main(["export", "-w", str(folder / "mask.onnx"), "--format", "tensorrt",
                 "--out", str(tmp_path / "x.engine"), *options]) == 2


@pytest.mark.skipif(not is_installed("tensorrt-rtx"), reason="tensorrt-rtx is not installed")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_builds_a_real_engine_without_a_gpu_and_running_it_is_told(folder, tmp_path, capfd):
    out = tmp_path / "mask.engine"
    assert main(["export", "-w", str(folder / "mask.onnx"), "--format", "tensorrt", "--batch", "1,2,4",
                 "--size", "32x32,48x32,64x64", "--compute-capability", "8.9", "--out", str(out), "--json"]) == 0
    printed = capfd.readouterr()
    card = json.loads(printed.out)
    assert card["engine"]["library"] == "tensorrt-rtx" and card["engine"]["targets"] == ["8.9"]
    assert card["engine"]["shapes"]["width"] == {"least": 32, "best": 48, "most": 64}
    assert card["parity"] is None and "was not compared" in printed.err
    assert main(["mask", str(folder / "pictures"), "--weights", str(out), "--out", str(tmp_path / "masks")]) == 1
    assert "runs on an NVIDIA GPU" in capfd.readouterr().err
