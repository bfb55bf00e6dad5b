"""The same net in every precision: one contract, one gate, and a clear no where something cannot be."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from PIL import Image
from torch import nn

from depthcue.backends.onnx_backend import OnnxSession
from depthcue.backends.session import BF16, FP16, FP32, INT8, PRECISIONS, TOLERANCES, Tolerance
from depthcue.cli.main import main
from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet, build_mask_net
from depthcue.nets.checkpoint import save_net
from depthcue.runtime.cached import cached_graph, graph_path

KIND = {FP32: TensorProto.FLOAT, FP16: TensorProto.FLOAT16, BF16: TensorProto.BFLOAT16, INT8: TensorProto.INT8}


class Stack(nn.Sequential):
    """Three convolutions whose results are about as large as what they take."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
                         nn.Conv2d(8, 1, 3, padding=1))
        generator = torch.Generator().manual_seed(5)
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)


class SmallMask(MaskNet):
    def __init__(self) -> None:
        super().__init__(MaskDescription("small", "far", 32, 48, 8, 2.0, (0.5, 6.0)))
        self.stack = Stack()

    def forward(self, normalised, lam=None):
        return torch.sigmoid(self.stack(normalised) - lam.log()[:, None, None, None])


class SmallDepth(DepthNet):
    def __init__(self) -> None:
        super().__init__(DepthDescription("far", 32, 48, 8))
        self.stack = Stack()

    def forward(self, normalised):
        return (0.2 * self.stack(normalised)).clamp(-1, 1).exp()


class Cancelling(SmallMask):
    """What it answers is in digits that 16 bit does not have: a small difference of large values."""

    def forward(self, normalised, lam=None):
        features = 300 * self.stack[0](normalised).mean(1, keepdim=True)
        small = self.stack[2](normalised.mean(1, keepdim=True).expand(-1, 8, -1, -1)).mean(1, keepdim=True)
        return torch.sigmoid(nn.functional.conv2d(features + small - features, torch.ones(1, 1, 1, 1)))


@pytest.fixture(scope="module")
def pictures():
    """Smooth coloured pictures, some for comparing and others for calibrating."""
    generator = np.random.default_rng(5)
    small = generator.integers(0, 256, (14, 4, 6, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(each).resize((48, 32), Image.Resampling.BICUBIC)) for each in small]


def export(net, path, pictures, precision, **more):
    return export_onnx(net, path, pictures[:4], precision=precision, calibration=pictures[4:], **more)


@pytest.fixture(scope="module")
def exported(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("precisions")
    net, depth_net = SmallMask().eval(), SmallDepth().eval()
    return {precision: (folder / f"{precision}.onnx",
                        export(net, folder / f"{precision}.onnx", pictures, precision, depth_net=depth_net))
            for precision in PRECISIONS}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_inputs_and_outputs_are_the_same_in_every_precision(exported, precision):
    path, card = exported[precision]
    model = onnx.load(path)
    kinds = [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]
    assert kinds == [TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT]
    assert model.graph.node[0].op_type == "Cast"  # TensorRT takes bytes into a cast and nothing else
    weights = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    assert KIND[precision] in weights
    assert card["precision"] == precision and card["inputs"] == exported[FP32][1]["inputs"]
    assert card["net_identity"] == exported[FP32][1]["net_identity"]


def test_cards_say_what_was_measured_and_allowed(exported):
    for precision, (_, card) in exported.items():
        allowed = TOLERANCES[precision]
        assert card["parity"]["tolerance"]["max_abs"] == allowed.max_abs
        assert card["parity"]["max_abs"] <= allowed.max_abs and card["parity"]["task_change_m"] is not None
        assert card["runs_in_onnxruntime_on_cpu"] == (precision != BF16)
    fewer_bits = [exported[precision][1]["parity"]["mean_abs"] for precision in PRECISIONS]
    assert fewer_bits == sorted(fewer_bits) and fewer_bits[1] > 10 * fewer_bits[0]
    assert "rounded to fp16" in exported[FP16][1]["parity"]["provider"]
    assert exported[INT8][1]["lowering"]["calibration_pictures"] == 10
    sizes = {precision: card["bytes"] for precision, (_, card) in exported.items()}
    assert sizes[FP16] < sizes[FP32]


@pytest.mark.parametrize("precision", [FP32, FP16, INT8])
def test_masks_are_the_nets_in_every_precision_that_runs_here(exported, pictures, precision):
    path, _ = exported[precision]
    frames = np.stack(pictures[4:7])
    with OnnxSession(path, 3.0) as runner:
        got = runner.run(frames)
    assert runner.name == ("onnx cpu" if precision == FP32 else f"onnx cpu {precision}")
    net = SmallMask().eval()
    with torch.inference_mode():
        rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
        wanted = net(net.normalise(rgb), torch.full((3,), 3.0))[:, 0].numpy()
    assert np.abs(got - wanted).max() <= TOLERANCES[precision].max_abs


def test_bf16_is_refused_where_nothing_can_run_it(exported):
    with pytest.raises(DepthcueError, match=r"computes in bf16, for which ONNX Runtime has no kernels on a CPU"):
        OnnxSession(exported[BF16][0])


def test_a_net_that_needs_its_digits_is_refused(pictures, tmp_path):
    refused = r"(?s)fp16 does not agree with torch.*largest difference.*--precision bf16 or fp32"
    with pytest.raises(DepthcueError, match=refused):
        export(Cancelling().eval(), tmp_path / "mask.onnx", pictures, FP16)
    assert not list(tmp_path.iterdir())


def test_int8_over_the_limit_first_keeps_products_in_float_and_then_gives_up(exported, pictures, tmp_path):
    whole = exported[INT8][1]["parity"]["mean_abs"]
    card = export(SmallMask().eval(), tmp_path / "mask.onnx", pictures, INT8, tolerance=Tolerance(
        max_abs=1, mean_abs=0.95 * whole, changed_side=1, on_noise=False))
    assert card["lowering"]["nodes"] == {"Conv": 1} and len(card["lowering"]["kept_in_fp32"]) == 2
    with pytest.raises(DepthcueError, match=r"(?s)int8 does not agree.*mean difference.*--precision fp16"):
        export(SmallMask().eval(), tmp_path / "other.onnx", pictures, INT8, tolerance=Tolerance(mean_abs=1e-9))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mask.json", "mask.onnx"]


def test_an_unknown_precision_is_an_error(pictures, tmp_path):
    with pytest.raises(DepthcueError, match=r"--precision must be one of fp32, fp16, bf16, int8, got 'fp8'"):
        export(SmallMask().eval(), tmp_path / "mask.onnx", pictures, "fp8")


def test_the_cache_keeps_a_graph_for_each_precision():
    net = SmallMask().eval()
    paths = {graph_path(net, precision) for precision in PRECISIONS}
    assert len(paths) == 4 and graph_path(net) == graph_path(net, FP32)
    with pytest.raises(DepthcueError, match="calibrated on pictures"):
        cached_graph(net, INT8)


def test_tolerances_in_metres_grow_with_the_range():
    road = TOLERANCES[INT8].for_range(80.0)
    assert road.task_rmse_m == pytest.approx(8 * TOLERANCES[INT8].task_rmse_m)
    assert road.max_abs == TOLERANCES[INT8].max_abs
    assert road.for_depths().mean_abs == TOLERANCES[INT8].mean_share
    assert TOLERANCES[FP16].for_depths().max_abs == TOLERANCES[FP16].max_share < TOLERANCES[FP16].max_abs


@pytest.fixture
def weights(tmp_path):
    net = build_mask_net("compact", seed=1, config={"widths": [8] * 5, "detail": 8}, height=32, width=48,
                         target="nowhere", lambda_range=(0.5, 6.0))
    save_net(net, tmp_path / "small.safetensors", architecture="compact")
    return str(tmp_path / "small.safetensors")


def folder_of(pictures, folder):
    folder.mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return f"folder:{folder}"


@pytest.mark.parametrize("count", [1, 11])
def test_a_calibration_folder_with_few_pictures_is_an_error(weights, pictures, tmp_path, count, capsys):
    out = tmp_path / "out" / "mask.onnx"
    data = folder_of(pictures[:count], tmp_path / "few")
    assert main(["export", "--weights", weights, "--precision", "int8", "--data", data, "--out", str(out)]) == 1
    complaint = " ".join(capsys.readouterr().err.split())
    assert f"holds {count} picture{'' if count == 1 else 's'}; int8 needs at least 12" in complaint
    assert not out.parent.exists()


def test_the_command_writes_int8(pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("depthcue.export.onnx.load_mask_net", lambda spec: SmallMask().eval())
    weights, out = "small", tmp_path / "mask.onnx"
    data = folder_of(pictures, tmp_path / "enough")
    assert main(["export", "--weights", weights, "--precision", "int8", "--data", data, "--out", str(out)]) == 0
    assert "in int8 agrees with torch" in " ".join(capsys.readouterr().out.split())
    assert main(["export", "--weights", weights, "--precision", "fp8", "--out", str(out)]) == 2


@pytest.mark.parametrize("precision", [FP16, INT8])
def test_depth_nets_too(pictures, tmp_path, precision):
    card = export(SmallDepth().eval(), tmp_path / "depth.onnx", pictures, precision)
    assert card["kind"] == "depth" and card["parity"]["changed_side"] is None
    assert card["parity"]["tolerance"]["mean_abs"] == TOLERANCES[precision].mean_share
    assert card["parity"]["task_rmse_m"] <= TOLERANCES[precision].task_rmse_m


def test_a_transformer_keeps_its_softmax_and_norms_in_float32(tmp_path, pictures):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra hf)")
    from depthcue.nets import load_depth_net

    neck = {"neck_hidden_sizes": [4, 4, 8, 8], "fusion_hidden_size": 8}
    torch.manual_seed(0)
    model = transformers.DPTForDepthEstimation(transformers.DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], is_hybrid=False, initializer_range=0.2, **neck))
    model.save_pretrained(tmp_path / "model")
    transformers.DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "model")
    card = export(load_depth_net(f"hf:{tmp_path / 'model'}"), tmp_path / "depth.onnx", pictures, FP16)
    kept = card["lowering"]["kept_in_fp32"]["operator wants range or digits"]
    assert kept["Softmax"] == 4 and kept["LayerNormalization"] == 8
    assert card["lowering"]["nodes"]["MatMul"] >= 8
