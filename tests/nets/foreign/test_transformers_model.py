"""Depth models of transformers behind the contract of depth nets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_transformers import (
    depth_anything,
    depth_pro,
    dpt,
    dpt_dinov2,
    glpn,
    prompt_depth_anything,
    save,
    tipsv2,
    transformers,
    zoedepth,
)
from torch import nn

from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.nets import depth_from, load_depth_net
from depthcue.nets.base import INVERSE_DEPTH, METRIC_DEPTH
from depthcue.nets.foreign import transformers_model


@pytest.mark.parametrize(("make", "expected"), [
    (depth_anything, {"predicts": INVERSE_DEPTH, "relative": True, "multiple": 14, "height": 56, "width": 56}),
    (lambda: depth_anything(depth_estimation_type="metric", max_depth=80),
     {"predicts": METRIC_DEPTH, "relative": False, "max_depth_m": 80.0}),
    (dpt, {"predicts": INVERSE_DEPTH, "relative": True, "multiple": 1, "height": 32, "width": 32,
           "mean": (0.5, 0.5, 0.5)}),
    (zoedepth, {"predicts": METRIC_DEPTH, "relative": False, "multiple": 32, "max_depth_m": 60.0, "width": 96}),
    (glpn, {"predicts": METRIC_DEPTH, "max_depth_m": 10.0, "multiple": 32, "height": 480, "width": 640}),
    (prompt_depth_anything, {"predicts": METRIC_DEPTH, "relative": True, "shift_unknown": True, "multiple": 14}),
    (depth_pro, {"predicts": INVERSE_DEPTH, "relative": False, "max_depth_m": 80.0, "height": 64, "multiple": 1}),
    (tipsv2, {"predicts": METRIC_DEPTH, "max_depth_m": 20.0, "height": 56, "width": 84, "multiple": 1}),
], ids=["depth-anything", "depth-anything-metric", "dpt", "zoedepth", "glpn", "prompt-depth-anything", "depth-pro",
        "tipsv2"])
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


def test_every_depth_architecture_of_transformers_works_or_is_refused() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES as NAMES

    known = {*transformers_model._FAMILIES, *transformers_model._REFUSED}
    assert set(NAMES) <= known, "say in transformers_model what it predicts, or why it cannot be used"


def test_depth_pro_sees_through_the_lens_it_finds(tmp_path: Path, generator: torch.Generator) -> None:
    """Metres as transformers' own processor makes them of prediction and field of view."""
    made = depth_pro()
    net = load_depth_net(save(tmp_path / "pro", made))
    normalised = torch.randn(2, 3, 64, 64, generator=generator)
    with torch.no_grad():
        answer = made[0].eval()(normalised)
        sizes = [tuple(answer.predicted_depth.shape[1:])] * 2
        expected = made[1].post_process_depth_estimation(answer, target_sizes=sizes)
        found = net.to_depth_m(net(normalised))
    for row in range(2):
        wanted = expected[row]["predicted_depth"]
        near = wanted < 1000  # farther, both are cut off
        torch.testing.assert_close(found[row, 0][near], wanted[near], atol=1e-4, rtol=1e-4)
    assert float(answer.field_of_view.mean()) == pytest.approx(60, abs=15)


@pytest.mark.parametrize(("name", "make", "message", "far_m", "size"), [
    ("glpn-kitti", glpn, "", 80.0, (352, 1216)), ("glpn-kitti", glpn, ",max_depth_m=10", 10.0, (480, 640)),
    ("glpn-roads", lambda: glpn(80), "", 80.0, (352, 1216)),
    ("dpt-dinov2-small-kitti", dpt_dinov2, "", 80.0, (350, 1218)),
    ("dpt-dinov2-small-nyu", dpt_dinov2, "", 10.0, (476, 644)),
])
def test_models_of_roads_see_as_far_as_roads_go(
        name: str, make: Callable[[], tuple[nn.Module, Any]], message: str, far_m: float, size: tuple[int, int],
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # at their full sizes the guard would be all of the time these tests take
    monkeypatch.setattr("depthcue.nets.catalog.check_depth_net", lambda *_: None)
    made = make()
    spec = save(tmp_path / "kitti is only above" / name, made)
    net = load_depth_net(spec + message)
    assert net.description.max_depth_m == far_m
    assert (net.description.height, net.description.width) == size
    taken = torch.rand(1, 3, 64, 70 if make is dpt_dinov2 else 64)
    taken = taken[:, :, :56] if make is dpt_dinov2 else taken
    with torch.no_grad():
        own = made[0].eval()(taken).predicted_depth
        found = net.body(taken)["predicted_depth"]  # type: ignore[attr-defined, operator]
    # a GLPN scales what it predicts by its range, which its published conversion left at 10
    torch.testing.assert_close(found, own * (8 if name == "glpn-kitti" and not message else 1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("processing", [
    {"do_rescale": False, "image_mean": [123.675, 116.28, 103.53], "image_std": [58.395, 57.12, 57.375]},
    {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0], "image_std": [1.0, 1.0, 1.0]},
    {"do_normalize": False}, {"do_normalize": False, "do_rescale": False},
    {"do_normalize": False, "rescale_factor": 1 / 127.5}, {"image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0]},
    {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]},
], ids=["0 to 255", "-1 to 1", "plain", "plain 0 to 255", "0 to 2", "no mean", "other means"])
@pytest.mark.parametrize("keep", [True, False], ids=["as it is", "stretched"])
def test_a_model_sees_what_its_processor_would_show(processing: dict[str, Any], keep: bool, tmp_path: Path) -> None:
    model, _ = depth_anything()
    processor = transformers.DPTImageProcessor(size={"height": 56, "width": 84}, ensure_multiple_of=14,
                                               keep_aspect_ratio=keep, **processing)
    net = load_depth_net(save(tmp_path / "net", (model, processor)))
    picture = torch.randint(0, 256, (3, 56, 84), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = processor(picture, return_tensors="pt")["pixel_values"].float()
    found = net._as_taken(net.normalise(picture[None].float() / 255))  # type: ignore[operator]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    tall = net._as_taken(net.normalise(torch.zeros(1, 3, 84, 56)))  # type: ignore[operator]
    assert tall.shape[2:] == ((84, 56) if keep else (56, 84))


class Exchanging:
    """An image processor that shows blue for red."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.processor, name)

    def __call__(self, **options: Any) -> dict[str, Any]:
        return {"pixel_values": self.processor(**options)["pixel_values"].flip(1)}


def test_a_processor_that_depthcue_cannot_do_alike_is_found_out(tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    spec = save(tmp_path / "net", depth_anything())
    own = transformers_model._processor
    monkeypatch.setattr(transformers_model, "_processor", lambda *given: Exchanging(own(*given)))
    with pytest.raises(DepthcueError, match="would not get the picture it was made for(.|\n)*exchange colours"):
        load_depth_net(spec)
    load_depth_net(spec + ",mean=0.5/0.5/0.5,std=0.5/0.5/0.5")  # by the user's own word


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits_compute_in_32(dtype: torch.dtype, tmp_path: Path) -> None:
    net = load_depth_net(save(tmp_path / "net", depth_anything(), dtype))
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert net(torch.zeros(1, 3, 56, 56)).dtype == torch.float32


@pytest.mark.parametrize(("config", "message"), [
    ({"model_type": "bert"}, "bert are no depth models"),
    ({"model_type": "chmv2"}, "how high trees are"),
    ({"model_type": "no-such-family"}, "cannot read the configuration"),
    ({"model_type": "no-such-family", "auto_map": {"AutoConfig": "code.Config"}}, "Code of a repository's own is not"),
    ({"model_type": "dpt", "auto_map": {"AutoConfig": "code.Config", "AutoModelForDepthEstimation": "code.Config"}},
     "says nothing about the pictures"),
    ({"model_type": "dpt", "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}, "quantised"),
    ({"model_type": "depth_pro", "use_fov_model": False}, "without its field-of-view part(.|\n)*Python function"),
], ids=["no depth", "canopies", "unknown", "own code", "own code beside", "quantised", "no lens"])
def test_a_model_that_cannot_be_used_says_why_before_its_weights_are_read(config: dict[str, Any], message: str,
                                                                          tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\x00 no weights at all")
    (tmp_path / "code.py").write_text("raise SystemExit('code of the repository was run')")
    with pytest.raises(DepthcueError, match=message):
        load_depth_net(f"hf:{tmp_path}")


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('a pickle was run')",)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    spec = save(tmp_path / "dpt", dpt())
    (tmp_path / "dpt" / "model.safetensors").unlink()
    torch.save({"head.weight": Bomb()}, tmp_path / "dpt" / "pytorch_model.bin")
    with pytest.raises(DepthcueError, match="hold more than tensors, or are damaged; nothing was run"):
        load_depth_net(spec)


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for location in ("./nothere", "nothere/", "/nowhere/at/all", "a/b/c", "../nothere", "~/no-such-model"):
        with pytest.raises(DepthcueError, match=f"there is no folder {location}"):
            load_depth_net(f"hf:{location}")
    with pytest.raises(DepthcueError, match="has no config.json"):
        load_depth_net(f"hf:{tmp_path}")
    spec = save(tmp_path / "dpt", dpt())
    weights = tmp_path / "dpt" / "model.safetensors"
    with pytest.raises(DepthcueError, match="is a file(.|\n)*Give the folder"):
        load_depth_net(f"hf:{weights}")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:200])
    with pytest.raises(DepthcueError, match="cannot load .* as a depth model"):
        load_depth_net(spec)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 105\n")
    with pytest.raises(DepthcueError, match="is a pointer of Git LFS"):
        load_depth_net(spec)
    weights.unlink()
    with pytest.raises(DepthcueError, match="has a config.json and no weights"):
        load_depth_net(spec)
    weights.write_bytes(whole)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load_depth_net("hf:~/dpt").description.name == "dpt"
    (tmp_path / "dpt" / "preprocessor_config.json").unlink()
    with pytest.raises(DepthcueError, match="says nothing about the pictures it takes(.|\n)*preprocessor_config.json"):
        load_depth_net(spec)
    (tmp_path / "dpt" / "config.json").write_text("<html>")
    with pytest.raises(DepthcueError, match="config.json is not JSON"):
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


@pytest.mark.parametrize(("content", "message"), [
    (b"\x80\x02cposix\nsystem\nq\x00X\x0b\x00\x00\x00touch it-ranq\x01\x85q\x02Rq\x03.",
     "cannot load|nothing was run"),
    (b"\x80\x02", "cannot load"), (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS")])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_weights_that_are_none_are_a_mistake_of_the_file(name: str, content: bytes, message: str, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = save(tmp_path / "model", depth_anything())
    (tmp_path / "model" / "model.safetensors").unlink()
    (tmp_path / "model" / name).write_bytes(content)
    with pytest.raises(DepthcueError, match=message):
        load_depth_net(spec)
    assert not (tmp_path / "it-ran").exists()


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
