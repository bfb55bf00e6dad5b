"""An ONNX graph as a torch module, through which gradients reach the picture: by onnx2pytorch (extra `onnx-gradients`).

ONNX Runtime first folds the graph's constants and batch norms, which onnx2pytorch does not, and writes it again in
standard operators. Of the converters there are, onnx2pytorch 0.6 carries FastDepth (opset 7), PyDNet for KITTI and for
Matterport (opset 18) and Depth Anything as either exporter of torch writes it (opset 17 and 20); onnx2torch 1.5 carries
PyDNet for Matterport alone, as it knows no Resize of opset 18 and no batch norm of opset 7.
"""

import math
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

GIVE_THE_NET = "Give the network itself instead of its graph."


class NotConverted(Exception):
    """A graph has no torch module: why, and in `hint` what helps."""

    def __init__(self, why: str, hint: str = GIVE_THE_NET) -> None:
        super().__init__(why)
        self.hint = hint


class TorchGraph(nn.Module):
    """A graph's computation in torch: pictures (B, 3, H, W) in its colours to its outputs by name."""

    def __init__(self, converted: Any, as_input: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.converted = converted
        self.as_input = as_input
        self.batch: int | None = None
        """Pictures that are run together; None for all of a batch."""

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        return in_batches(self._run, self.as_input(pictures), self.batch)

    def _run(self, taken: Tensor) -> dict[str, Tensor]:
        answers = self.converted(taken)
        named = zip(self.converted.output_names, answers if isinstance(answers, list) else [answers], strict=True)
        return {name: answer for name, answer in named if isinstance(answer, Tensor) and answer.ndim}


def in_batches(run: Callable[[Tensor], dict[str, Tensor]], taken: Tensor, batch: int | None) -> dict[str, Tensor]:
    """What `run` makes of pictures that it is given in groups of `batch`, the last filled up; None: all together."""
    if batch is None:
        return run(taken)
    parts = []
    for part in taken.split(batch):
        missing = batch - len(part)
        whole = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
        parts.append({name: answer[:len(part)] for name, answer in run(whole).items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def torch_graph(path: Path, as_input: Callable[[Tensor], Tensor]) -> TorchGraph:
    """The graph of a file in torch, frozen and in eval mode.

    Args:
        as_input: pictures (B, 3, H, W) in the layout and type of the graph's input.

    Raises:
        NotConverted: onnx2pytorch is not installed, or does not carry the graph.
    """
    try:
        from onnx2pytorch import ConvertModel
    except ImportError as error:
        raise NotConverted("onnx2pytorch, which makes a torch module of a graph, is not installed",
                           "pip install 'depthcue[onnx-gradients]'.") from error
    # about attributes it leaves out, which the comparison with ONNX Runtime judges, and about how it calls torch
    warnings.filterwarnings("ignore", module=r"onnx2pytorch\.")
    model = _folded(onnx.load(path))
    if any(each.data_type == onnx.TensorProto.FLOAT16 for each in model.graph.initializer):
        model = _folded(model)  # the casts to float32, in which a CPU computes, that ONNX Runtime put behind weights
    try:
        with warnings.catch_warnings():
            # the meaning of an operator it does not know it would guess from its name
            warnings.filterwarnings("error", message="No explicit conversion")
            converted = ConvertModel(model)
    except Exception as error:  # a converter meets what nobody thought of
        raise NotConverted(f"onnx2pytorch does not carry its graph: {first_line(error)}") from error
    _quicken(converted, model.graph)
    del model.graph.initializer[:]  # the module has them as its own
    return TorchGraph(converted, as_input).requires_grad_(False).eval()


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with constants and batch norms folded, in standard operators."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        with tempfile.TemporaryDirectory() as folder:
            options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
            # from memory: beside a copy there is no file of large weights
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            return onnx.load(options.optimized_model_filepath)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        raise NotConverted(f"ONNX Runtime cannot fold it: {first_line(error)}") from error


def _quicken(converted: Any, graph: onnx.GraphProto) -> None:
    """Have the same computed by kernels of torch whose gradients are quicker on a CPU.

    FastDepth forward and back (8 pictures of 224x224, two cores): 140 ms instead of 290 in bfloat16, 290 instead of 340
    in float32.
    """
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:
        name = converted.mapping[node.output[0]]
        layer = getattr(converted, name)
        limits = [constants.get(limit) for limit in node.input[1:] if limit]
        if node.op_type == "Clip" and all(limit is not None and limit.dtype.kind == "f" for limit in limits):
            # attributes of old graphs, inputs of newer ones
            given = {end: float(constants[limit])
                     for end, limit in zip(("min", "max"), node.input[1:], strict=False) if limit}
            setattr(converted, name, _Clip(given.get("min", layer.min), given.get("max", layer.max)))
    for layer in converted.modules():
        if type(layer) is nn.Conv2d and 1 < layer.groups == layer.in_channels and max(layer.stride) > 1:
            layer.__class__ = _StridedDepthwise


class _Clip(nn.Module):
    """Clip between constants; the gradient of torch.clamp takes 15 times as long."""

    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__()
        self.low = -math.inf if low is None else low
        self.high = math.inf if high is None else high

    def forward(self, maps: Tensor, *limits: Tensor) -> Tensor:
        return F.hardtanh(maps, self.low, self.high)


class _StridedDepthwise(nn.Conv2d):
    """A strided depthwise convolution, in float32 on a CPU: there its gradient takes 20 times as long in bfloat16."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float()).to(input.dtype)


def first_line(error: Exception) -> str:
    """The class and the first line of an error of others' code, without a full stop."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0].rstrip('.')}"
