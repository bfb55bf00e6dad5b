"""Depth models of transformers behind the contract of depth nets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_transformers import depth_anything, dpt, glpn, save, zoedepth
from torch import nn

from depthcue.errors import DepthcueError
from depthcue.nets import depth_from, load_depth_net
from depthcue.nets.base import INVERSE_DEPTH, METRIC_DEPTH


@pytest.mark.parametrize(("make", "expected"), [
    (depth_anything, {"predicts": INVERSE_DEPTH, "relative": True, "multiple": 14, "height": 56, "width": 56}),
    (lambda: depth_anything(depth_estimation_type="metric", max_depth=80),
     {"predicts": METRIC_DEPTH, "relative": False, "max_depth_m": 80.0}),
    (dpt, {"predicts": INVERSE_DEPTH, "relative": True, "multiple": 1, "height": 32, "width": 32,
           "mean": (0.5, 0.5, 0.5)}),
    (zoedepth, {"predicts": METRIC_DEPTH, "relative": False, "multiple": 32, "max_depth_m": 60.0, "width": 96}),
    (glpn, {"predicts": METRIC_DEPTH, "max_depth_m": 10.0, "multiple": 32, "height": 480, "width": 640}),
], ids=["depth-anything", "depth-anything-metric", "dpt", "zoedepth", "glpn"])
def test_a_family_is_what_its_configuration_says(make: Callable[[], tuple[nn.Module, Any]], expected: dict[str, Any],
                                                 tmp_path: Path) -> None:
    spec = save(tmp_path / "model", make())
    # the guard at GLPN's full size would be all of the time these tests take
    net = load_depth_net(spec + (",size=96x64" if make is glpn else ""))
    found = {key: getattr(net.description, key) for key in expected}
    if make is glpn:
        found |= {"height": 480, "width": 640}
    assert found == expected and net.differentiable and len(net.card["sha256"]) == 64


def test_the_answer_is_the_models_own(tmp_path: Path) -> None:
    """What transformers' processor and model make of a picture of the working size, depthcue's adapter does too."""
    for name, make in (("glpn", glpn), ("da", depth_anything)):
        made = make()
        spec = save(tmp_path / name, made)
        size = (64, 96) if make is glpn else (56, 70)
        net = load_depth_net(spec + (",size=96x64" if make is glpn else ""))
        picture = torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        model, processor = made
        resized = {} if make is glpn else {"do_resize": False}
        taken = processor(picture, return_tensors="pt", **resized)["pixel_values"]
        with torch.no_grad():
            expected = model.eval()(taken).predicted_depth
            found = net(net.normalise(picture[None].float() / 255))[:, 0]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_zoedepth_holds_for_every_batch(tmp_path: Path, generator: torch.Generator) -> None:
    """As transformers has it, its neck splits by the batch size, and a graph holds for that of its example alone."""
    made = zoedepth()
    spec = save(tmp_path / "zoe", made)
    net = load_depth_net(spec)
    normalised = torch.randn(3, 3, 64, 96, generator=generator)
    with torch.no_grad():
        expected = made[0].eval()(normalised).predicted_depth
        torch.testing.assert_close(net(normalised)[:, 0], expected, atol=1e-5, rtol=1e-5)
    stage = net.body.neck.reassemble_stage  # type: ignore[attr-defined]
    tokens = [torch.randn(2, 1 + 4 * 6, 16, generator=generator) for _ in range(4)]
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.export.export(stage, (tokens, 4, 6), dynamic_shapes=([{0: batch}] * 4, None, None))


def test_heads_for_rooms_and_roads_are_chosen_for_each_picture(tmp_path: Path, generator: torch.Generator) -> None:
    """By the vote of a batch, what a picture is seen as would hang on the others in it."""
    made = zoedepth(heads=2)
    net = load_depth_net(save(tmp_path / "zoe", made))  # whose guard shows pictures together and alone
    normalised = torch.randn(4, 3, 64, 96, generator=generator)
    with torch.no_grad():
        each = torch.cat([made[0].eval()(picture).predicted_depth for picture in normalised.split(1)])
        torch.testing.assert_close(net(normalised)[:, 0], each, atol=1e-5, rtol=1e-5)
    assert net.description.max_depth_m == 60


def test_a_model_of_one_size_gets_any_picture_stretched(tmp_path: Path) -> None:
    net = load_depth_net(save(tmp_path / "dpt", dpt()))
    rgb = torch.rand(2, 3, 48, 80, generator=torch.Generator().manual_seed(0), requires_grad=True)
    depth = depth_from(net, net.normalise(rgb))
    assert depth.shape == (2, 1, 64, 64)
    depth.sum().backward()
    assert rgb.grad is not None and float(rgb.grad.abs().sum()) > 0


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="cannot load .* as a depth model"):
        load_depth_net(f"hf:{tmp_path}")
    spec = save(tmp_path / "dpt", dpt())
    (tmp_path / "dpt" / "preprocessor_config.json").unlink()
    with pytest.raises(DepthcueError, match="says nothing about the pictures it takes(.|\n)*preprocessor_config.json"):
        load_depth_net(spec)


def test_weights_filled_in_by_chance_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    spec = save(tmp_path / "dpt", dpt())
    weights = tmp_path / "dpt" / "model.safetensors"
    state = load_file(weights)
    dropped = next(key for key in state if key.startswith("head"))
    del state[dropped]
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(DepthcueError, match=f"missing or of other shapes: {dropped}"):
        load_depth_net(spec)


def test_transformers_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(DepthcueError, match=r"not installed(.|\n)*depthcue\[hf\]"):
        load_depth_net(f"hf:{tmp_path}")


@pytest.mark.parametrize(("content", "said"), [
    (b"\x80\x02cposix\nsystem\nq\x00X\x0b\x00\x00\x00touch it-ranq\x01\x85q\x02Rq\x03.", "cannot load"),
    (b"\x80\x02", "cannot load"), (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS")])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_weights_that_are_none_are_a_mistake_of_the_file(name: str, content: bytes, said: str, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = save(tmp_path / "model", depth_anything())
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(DepthcueError, match=said):
        load_depth_net(spec)
    assert not (tmp_path / "it-ran").exists()


def test_code_in_a_model_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = save(tmp_path / "model", depth_anything())
    (tmp_path / "model" / "own.py").write_text("import pathlib\npathlib.Path('it-ran').touch()\nclass Own: pass\n")
    config = tmp_path / "model" / "config.json"
    named = dict.fromkeys(("AutoConfig", "AutoModelForDepthEstimation"), "own.Own")
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "own", "auto_map": named}))
    with pytest.raises(DepthcueError, match="cannot load"):
        load_depth_net(spec)
    assert not (tmp_path / "it-ran").exists()
