"""Gradients through ONNX graphs: the same graph in torch, tried out against ONNX Runtime."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.nets import load_depth_net, require_gradients, restore_mode
from depthcue.nets.foreign.onnx_graph import OnnxDepthNet

pytest.importorskip("onnx2pytorch", reason="onnx2pytorch is not installed (extra onnx-gradients)")
WORDS = "predicts=inverse,relative=yes,takes=rgb"
PICTURE = "picture"


def write(path: Path, nodes: Sequence[NodeProto], weights: dict[str, np.ndarray], shape: Sequence[object],
          opset: int = 18, domains: Sequence[str] = (), dtype: int = TensorProto.FLOAT) -> str:
    """A graph from `picture` to `depth`, and the spec that opens it."""
    graph = helper.make_graph(
        nodes, "depth", [helper.make_tensor_value_info(PICTURE, dtype, shape)],
        [helper.make_tensor_value_info("depth", dtype, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[
        helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)], ir_version=8), path)
    return f"onnx:{path},{WORDS}"


def opened(spec: str) -> OnnxDepthNet:
    net = load_depth_net(spec)
    assert isinstance(net, OnnxDepthNet)
    return net


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.5, shape).astype(np.float32)


WEIGHTS = {"w": random(4, 3, 3, 3), "b": random(4), "scale": random(4), "shift": random(4), "mean": random(4),
           "variance": random(4) ** 2 + 0.1, "out": random(1, 4, 1, 1)}


def old_graph(path: Path, batch: object = 1) -> str:
    """As early exporters wrote: opset 7, a batch norm, Clip by attributes, Upsample, a batch that is stated."""
    return write(path, [
        helper.make_node("Conv", [PICTURE, "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], epsilon=1e-3),
        helper.make_node("Clip", ["n"], ["k"], min=0.0, max=6.0),
        helper.make_node("Upsample", ["k"], ["u"], scales=[1.0, 1.0, 2.0, 2.0], mode="nearest"),
        helper.make_node("Conv", ["u", "out"], ["depth"])], WEIGHTS, [batch, 3, 32, 48], opset=7)


def by_hand(rgb: Tensor) -> Tensor:
    """What `old_graph` computes."""
    weights = {name: torch.from_numpy(value).to(rgb.dtype) for name, value in WEIGHTS.items()}
    maps = F.conv2d(rgb, weights["w"], weights["b"], stride=2, padding=1)
    maps = F.batch_norm(maps, weights["mean"], weights["variance"], weights["scale"], weights["shift"], eps=1e-3)
    return F.conv2d(F.interpolate(maps.clamp(0, 6), scale_factor=2, mode="nearest"), weights["out"])


def gradient(net: torch.nn.Module, normalised: Tensor) -> Tensor:
    picture = normalised.clone().requires_grad_()
    net(picture).square().sum().backward()
    assert picture.grad is not None
    return picture.grad


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_the_graph(tmp_path: Path, memory_format: torch.memory_format) -> None:
    net = opened(old_graph(tmp_path / "old.onnx")).to(memory_format=memory_format)  # type: ignore[call-overload]
    rgb = torch.rand(3, 3, 32, 48, generator=torch.Generator().manual_seed(0))  # more than the one that is stated
    exact = rgb.double().requires_grad_()
    by_hand(exact).square().sum().backward()
    assert exact.grad is not None
    with restore_mode(net):
        # the picture is normalised by the net's deviation, and so is its gradient
        found = gradient(net, net.normalise(rgb)) / net._std
    torch.testing.assert_close(found, exact.grad.float(), rtol=1e-3, atol=1e-4)
    assert net.differentiable and net.in_torch is not None and net.in_torch.batch is None
    # batch norms are part of the convolutions, and there is nothing to train
    assert not any("BatchNorm" in type(module).__name__ for module in net.in_torch.modules())
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_onnxruntime_answers_where_no_gradient_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = opened(old_graph(tmp_path / "old.onnx"))
    normalised = torch.rand(2, 3, 32, 48)
    expected = net(normalised.requires_grad_()).detach()
    ran = []
    run = net.body._run
    monkeypatch.setattr(net.body, "_run", lambda taken: ran.append(len(taken)) or run(taken))
    with torch.no_grad():
        torch.testing.assert_close(net(normalised), expected)
    assert ran == [1, 1]
    with torch.inference_mode():
        torch.testing.assert_close(net(normalised.detach()), expected)
    net(normalised.detach())  # nothing wants a gradient of it
    assert len(ran) == 6
    net(normalised)
    assert len(ran) == 6


def test_another_device_gets_torch(tmp_path: Path) -> None:
    net = opened(old_graph(tmp_path / "old.onnx")).to("meta")
    depth = net(torch.zeros(2, 3, 32, 48, device="meta"))  # ONNX Runtime would have no numbers to run on
    assert depth.device.type == "meta" and depth.shape == (2, 1, 32, 48)


def test_16_bits_are_torchs(tmp_path: Path) -> None:
    net = opened(old_graph(tmp_path / "old.onnx"))
    normalised = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    exact = gradient(net, normalised)
    with torch.autocast("cpu", torch.bfloat16):
        rough = gradient(net, normalised)
        with torch.no_grad():  # the whole picture is seen in the precision in which it is seen through a mask
            torch.testing.assert_close(net(normalised), net(normalised.clone().requires_grad_()), rtol=0, atol=0)
    assert not torch.equal(rough, exact)
    # where 8 bits of mantissa put a value on the other side of a kink, its gradient is gone or comes
    assert float(F.cosine_similarity(rough.flatten(), exact.flatten(), dim=0)) > 0.97


@pytest.mark.parametrize(("opset", "clip"), [(7, {"min": 0.1, "max": 0.2}), (18, {"min": 0.1, "max": 0.2}),
                                             (18, {"min": 0.1}), (18, {"max": 0.2})])
def test_clips_in_every_form(tmp_path: Path, opset: int, clip: dict[str, float]) -> None:
    limits = {} if opset == 7 else {end: np.float32(clip[end]) for end in clip}
    inputs = [end if end in limits else "" for end in ("min", "max")] if limits else []
    spec = write(tmp_path / "clip.onnx", [
        helper.make_node("Conv", [PICTURE, "out"], ["c"]),
        helper.make_node("Clip", ["c", *inputs], ["depth"], **(clip if opset == 7 else {}))],
        {"out": random(1, 3, 1, 1), **limits}, ["b", 3, 32, 48], opset)
    net = opened(spec)
    normalised = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0)).requires_grad_()
    depth = net(normalised)
    with torch.no_grad():
        torch.testing.assert_close(depth, net(normalised))
    inside = (depth > clip.get("min", -9.0)) & (depth < clip.get("max", 9.0))
    assert 0.1 < float(inside.float().mean()) < 0.9
    assert torch.equal(gradient(net, normalised.detach()).abs().sum(dim=1, keepdim=True) > 0, inside)


def test_strided_depthwise_convolutions(tmp_path: Path) -> None:
    weights = {"expand": random(8, 3, 1, 1), "w": random(8, 1, 3, 3), "out": random(1, 8, 1, 1)}
    spec = write(tmp_path / "strided.onnx", [
        helper.make_node("Conv", [PICTURE, "expand"], ["e"]),
        helper.make_node("Conv", ["e", "w"], ["c"], strides=[2, 2], pads=[1, 1, 1, 1], group=8),
        helper.make_node("Conv", ["c", "out"], ["depth"])], weights, ["b", 3, 32, 48])
    net = opened(spec)
    assert net.in_torch is not None
    normalised = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    exact = gradient(net, normalised)
    taken = []
    strided = [layer for layer in net.in_torch.modules() if getattr(layer, "stride", None) == (2, 2)]
    strided[0].register_forward_hook(lambda layer, inputs, output: taken.append((inputs[0], output)))
    with torch.autocast("cpu", torch.bfloat16):
        rough = gradient(net, normalised)
    # rounded once, after a convolution of float32: bfloat16 is what surrounds it
    (maps, answer), = taken
    assert maps.dtype == answer.dtype == torch.bfloat16
    sharp = F.conv2d(maps.float(), torch.from_numpy(weights["w"]), stride=2, padding=1, groups=8)
    assert torch.equal(answer, sharp.bfloat16())
    assert float(F.cosine_similarity(rough.flatten(), exact.flatten(), dim=0)) > 0.99


def test_a_graph_in_float16(tmp_path: Path) -> None:
    weights = {"w": random(4, 3, 3, 3), "out": random(1, 4, 1, 1)}
    spec = write(tmp_path / "half.onnx", [
        helper.make_node("Conv", [PICTURE, "w"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "out"], ["depth"])],
        {name: value.astype(np.float16) for name, value in weights.items()}, ["b", 3, 32, 48],
        dtype=TensorProto.FLOAT16)
    net = opened(spec)
    rgb = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    exact = rgb.clone().requires_grad_()
    first, last = (torch.from_numpy(value) for value in weights.values())
    F.conv2d(F.conv2d(exact, first, padding=1).relu(), last).square().sum().backward()
    assert exact.grad is not None
    found = gradient(net, net.normalise(rgb)) / net._std
    # 11 bits of mantissa; a sign that they turn at the ReLU turns a gradient
    assert float(F.cosine_similarity(found.flatten(), exact.grad.flatten(), dim=0)) > 0.99


def test_a_graph_is_exported_as_frames_to_depth(tmp_path: Path) -> None:
    net = opened(old_graph(tmp_path / "old.onnx"))
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    export_onnx(net, tmp_path / "frames.onnx", [picture])
    again = load_depth_net(str(tmp_path / "frames.onnx"))
    assert again.description.relative and getattr(again, "fixed")  # noqa: B009
    rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(again(again.normalise(rgb)), net(net.normalise(rgb)), atol=1e-3, rtol=1e-3)


def test_a_graph_that_holds_for_one_picture_gets_them_one_by_one(tmp_path: Path) -> None:
    spec = write(tmp_path / "one.onnx", [
        helper.make_node("ReduceMean", [PICTURE, "channels"], ["grey"], keepdims=1),
        helper.make_node("Reshape", ["grey", "shape"], ["depth"])],
        {"channels": np.array([1]), "shape": np.array([1, 1, 32, 48])}, [1, 3, 32, 48])
    net = opened(spec)
    assert net.in_torch is not None and net.in_torch.batch == 1
    normalised = torch.rand(3, 3, 32, 48)
    alone = torch.cat([gradient(net, one) for one in normalised.split(1)])
    torch.testing.assert_close(gradient(net, normalised), alone)


def test_torch_that_computes_something_else_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # torch's bicubic interpolation has another coefficient
    spec = write(tmp_path / "cubic.onnx", [
        helper.make_node("ReduceMean", [PICTURE, "channels"], ["grey"], keepdims=1),
        helper.make_node("Resize", ["grey", "", "scales"], ["depth"], mode="cubic", cubic_coeff_a=-0.5)],
        {"channels": np.array([1]), "scales": np.float32([1, 1, 2, 2])}, ["b", 3, 32, 48])
    net = opened(spec)
    assert not net.differentiable and net.in_torch is None
    assert "passes no gradients: In torch its maps differ from those of ONNX Runtime by up to 0.0" in caplog.text
    with pytest.raises(DepthcueError, match="of their range, and 0.001 is allowed"):
        require_gradients(net, "training")


def test_an_operator_that_is_not_known_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    spec = write(tmp_path / "strange.onnx", [
        helper.make_node("ReduceMean", [PICTURE, "channels"], ["grey"], keepdims=1),
        helper.make_node("QuickGelu", ["grey"], ["depth"], domain="com.microsoft")],
        {"channels": np.array([1])}, ["b", 3, 32, 48], domains=["com.microsoft"])
    net = opened(spec)
    assert "QuickGelu" in caplog.text and net(torch.rand(1, 3, 32, 48)).shape == (1, 1, 32, 48)
    with pytest.raises(DepthcueError, match="(?s)passes no gradients back.*op_type=QuickGelu"):
        require_gradients(net, "training")


def test_without_the_converter_a_graph_is_a_black_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx2pytorch", None)
    net = opened(old_graph(tmp_path / "old.onnx"))
    assert net(torch.rand(2, 3, 32, 48)).shape == (2, 1, 32, 48)
    with pytest.raises(DepthcueError, match=r"(?s)not installed.*depthcue\[onnx-gradients\]"):
        require_gradients(net, "training")


def test_a_vision_transformer(tmp_path: Path) -> None:
    tiny = pytest.importorskip("tiny_transformers")
    net = load_depth_net(f"{tiny.save(tmp_path / 'tiny', tiny.depth_anything())},size=70x56")
    body = getattr(net, "body")  # noqa: B009

    class Bare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, picture: Tensor) -> Tensor:
            return self.body(picture).predicted_depth

    torch.onnx.export(Bare().eval(), (torch.zeros(2, 3, 56, 70),), tmp_path / "tiny.onnx", input_names=[PICTURE],
                      dynamic_shapes=({0: torch.export.Dim("batch")},), dynamo=True, verbose=False)
    message = net.description
    graph = opened(f"onnx:{tmp_path / 'tiny.onnx'},predicts=inverse,relative=yes,takes=normalised,mean="
                   f"{'/'.join(map(str, message.mean))},std={'/'.join(map(str, message.std))}")
    assert graph.differentiable and graph.fixed
    normalised = torch.rand(3, 3, 56, 70, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(graph(normalised), net(normalised), rtol=1e-3, atol=1e-3)
    expected = gradient(net, normalised)
    allowed = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(gradient(graph, normalised), expected, rtol=1e-2, atol=allowed)
