"""`onnx:FILE`: a depth net as an ONNX graph, run by ONNX Runtime on the CPU, and by torch where gradients are taken.

A graph that `depthcue export` wrote is known by its card. Any other must take one picture tensor, (B, 3, H, W) or
(B, H, W, 3), and is described by FILE's .json (see `adapter.statement`); what that leaves open is read off its shapes.
A graph of ours takes frames of 8 bits: there a soft mask's product with the picture is rounded to 1/255.

Gradients reach the picture through a torch module that onnx2pytorch makes (extra `onnx-gradients`). ONNX Runtime first
folds the graph's constants and batch norms, which onnx2pytorch does not, and writes it again in standard operators. Of
the converters there are, onnx2pytorch 0.6 carries FastDepth (opset 7), PyDNet for KITTI and for Matterport (opset 18)
and Depth Anything as either exporter of torch writes it (opset 17 and 20); onnx2torch 1.5 carries PyDNet for Matterport
alone, as it knows no Resize of opset 18 and no batch norm of opset 7.
"""

import contextlib
import dataclasses
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue import scenes
from depthcue.documents import Beside, read_document, refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.nets.base import METRIC_DEPTH, DepthNet
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import (
    GraphOnCpu,
    check_runs_on_cpu,
    described_depth_net,
    file_sha256,
    open_on_cpu,
    quiet_options,
    read_graph_card,
)
from depthcue.nets.foreign.adapter import RGB255, ForeignDepthNet, Statement, depth_map, statement
from depthcue.nets.foreign.ultralytics_model import words_of_graph
from depthcue.nets.guard import fit

_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64,
          "tensor(uint8)": torch.uint8}
_ROOMS = (96, 128)
_SAME = 1e-3
"""Share of the map's range by which torch and ONNX Runtime may differ: they sum in another order."""
GIVE_THE_NET = "Give the network itself instead of its graph."

log = logging.getLogger(__name__)


class NotConverted(Exception):
    """A graph has no torch module: why, and in `hint` what helps."""

    def __init__(self, why: str, hint: str = GIVE_THE_NET) -> None:
        super().__init__(why)
        self.hint = hint


class ConvertedGraph(nn.Module):
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
    """Run pictures in groups of `batch`, the last filled up; None: all together."""
    if batch is None:
        return run(taken)
    parts = []
    for part in taken.split(batch):
        missing = batch - len(part)
        whole = torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part
        parts.append({name: answer[:len(part)] for name, answer in run(whole).items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def torch_graph(path: Path, as_input: Callable[[Tensor], Tensor]) -> ConvertedGraph:
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
    # about attributes that it leaves out, which the comparison with ONNX Runtime judges, and about its calls of torch
    warnings.filterwarnings("ignore", module=r"onnx2pytorch\.")
    model = _folded(onnx.load(path))
    if any(each.data_type == onnx.TensorProto.FLOAT16 for each in model.graph.initializer):
        model = _folded(model)  # the casts to float32, in which a CPU computes, that ONNX Runtime put behind weights
    try:
        with warnings.catch_warnings():
            # it would guess the function of an unknown operator from its name
            warnings.filterwarnings("error", message="No explicit conversion")
            converted = ConvertModel(model)
    except Exception as error:  # a converter may raise anything on an unusual graph
        raise NotConverted(f"onnx2pytorch does not carry its graph: {error_line(error)}") from error
    _quicken(converted, model.graph)
    del model.graph.initializer[:]  # the module has them as its own
    return ConvertedGraph(converted, as_input).requires_grad_(False).eval()


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph with constants and batch norms folded, in standard operators."""
    options = quiet_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        with tempfile.TemporaryDirectory() as folder:
            options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
            # from memory: beside a copy there is no file of large weights
            open_on_cpu(model.SerializeToString(), options)
            return onnx.load(options.optimized_model_filepath)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        raise NotConverted(f"ONNX Runtime cannot fold it: {error_line(error)}") from error


def _quicken(converted: Any, graph: onnx.GraphProto) -> None:
    """Replace layers by kernels of torch that compute the same and whose gradients are quicker on a CPU.

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


def error_line(error: Exception) -> str:
    """The class and the first line of an error of others' code, without a full stop."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0].rstrip('.')}"


class OnnxDepthNet(ForeignDepthNet):
    """A graph behind the contract of depth nets.

    ONNX Runtime, which takes half of torch's time on a CPU, computes answers without gradients. The same graph in torch
    computes those with gradients, those under autocast, and those on other devices.
    """

    body: "_Graph"

    def __init__(self, graph: "_Graph", stated: Statement, **card: Any) -> None:
        super().__init__(graph, stated, **card)
        self.differentiable = False
        self.in_torch: ConvertedGraph | None = None

    def for_export(self) -> DepthNet:
        if self.in_torch is None:
            raise DepthcueError(f"{self.description.name} is an ONNX graph already", "Copy the file, with its .json.")
        net = ForeignDepthNet(self.in_torch, self.stated)
        net.card = self.card
        return net.for_export()

    def forward(self, normalised: Tensor) -> Tensor:
        taken = self._as_taken(normalised)
        device = taken.device.type
        if self.in_torch is not None and (device != "cpu" or torch.is_autocast_enabled(device)
                                          or torch.is_grad_enabled() and taken.requires_grad):
            return self._depth(self.in_torch(taken))
        return self._depth(self.body(taken))

    def convert(self, path: Path) -> None:
        """Convert the graph to torch too, if it computes the same there; otherwise keep the reason for the hint."""
        name = self.description.name
        try:
            in_torch = torch_graph(path, self.body.as_input)
            difference = self._try_out(in_torch)
        except NotConverted as error:
            log.info("%s passes no gradients: %s", name, error)
            self.gradients_hint = f"{error}. {error.hint}"
            return
        if not difference <= _SAME:  # refuses NaN too
            reason = (f"In torch its maps differ from those of ONNX Runtime by up to {difference:.2g} of their range, "
                      f"and {_SAME:g} is allowed")
            log.warning("%s passes no gradients: %s", name, reason)
            self.gradients_hint = f"{reason}. {GIVE_THE_NET}"
            return
        self.in_torch, self.differentiable = in_torch, True

    def _try_out(self, in_torch: ConvertedGraph) -> float:
        """Largest difference between torch and ONNX Runtime in rendered rooms, as a share of the maps' range."""
        rooms = fit(scenes.render("indoor", range(2), *_ROOMS).rgb, self.description)
        with torch.no_grad():
            taken = self._as_taken(self.normalise(rooms))
            expected = self._depth(self.body(taken))
            with contextlib.suppress(NotConverted):
                # most graphs that state a batch of one hold for any
                difference = self._difference(in_torch, taken, expected)
                if difference <= _SAME:
                    return difference
            in_torch.batch = self.body.batch or 1
            return self._difference(in_torch, taken, expected)

    def _difference(self, in_torch: ConvertedGraph, taken: Tensor, expected: Tensor) -> float:
        try:
            answer = self._depth(in_torch(taken))
        except Exception as error:  # code of others may raise anything
            raise NotConverted(f"what onnx2pytorch makes of it fails: {error_line(error)}") from error
        if answer.shape != expected.shape:
            return float("inf")
        span = float(expected.max() - expected.min())
        return float((answer - expected).abs().max()) / max(span, 1e-12)

    def _depth(self, answer: dict[str, Tensor]) -> Tensor:
        return depth_map(answer, self.description.name, self.stated.output)


class _Graph(GraphOnCpu):
    """Pictures (B, 3, H, W) in the colours the graph takes to its outputs by name."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        inputs = self.session.get_inputs()
        shape = inputs[0].shape if inputs else []
        channels = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] == 3]
        if len(shape) == 4 and not channels:
            # an axis that has a name or nothing may be of any length
            channels = [axis for axis in (1, 3) if not isinstance(shape[axis], int)]
        if len(inputs) != 1 or not channels or inputs[0].type not in _TYPES:
            took = "; ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
            raise DepthcueError(f"{path} takes {took or 'nothing'}; a depth net takes one picture",
                                "The input has to be a tensor (B, 3, H, W) or (B, H, W, 3) of numbers.")
        self._input, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self._channels_last = channels[0] == 3
        self.states_channels = shape[channels[0]] == 3 or len(channels) == 1
        """Whether the input's shape states which axis is that of the colours."""
        self.batch = shape[0] if isinstance(shape[0], int) else None
        sides = shape[1:3] if self._channels_last else shape[2:4]
        self.size = (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else None
        """(height, width) where the graph takes no other."""

    def find_channels(self, height: int, width: int) -> None:
        """Find the axis of the colours by running the graph: (B, 3, H, W), or (B, H, W, 3) where that alone runs."""
        for channels_last in (False, True):
            self._channels_last = channels_last
            with contextlib.suppress(DepthcueError):
                self(torch.zeros(1, 3, height, width))
                return
        self._channels_last = False

    @property
    def takes_bytes(self) -> bool:
        return self._type is torch.uint8

    def as_input(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in the layout and type of the graph's input."""
        if self.takes_bytes:
            pictures = pictures.round().clamp(0, 255)
        if self._channels_last:
            pictures = pictures.permute(0, 2, 3, 1)
        return pictures.to(self._type)

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        answers = in_batches(self._run, self.as_input(pictures.detach().cpu()), self.batch)
        return {name: answer.to(pictures.device) for name, answer in answers.items()}

    def _run(self, taken: Tensor) -> dict[str, Tensor]:
        try:
            answers = self.session.run(None, {self._input: np.ascontiguousarray(taken.numpy())}, _quietly())
        except Exception as error:  # as above
            raise DepthcueError(f"the graph fails on {tuple(taken.shape)}: {error}",
                                "Say which size and multiple it takes: ,size=WxH,multiple=N behind the spec, or "
                                ",fixed=yes where it takes one size alone.") from error
        return {output.name: torch.from_numpy(answer)
                for output, answer in zip(self.session.get_outputs(), answers, strict=True)
                if isinstance(answer, np.ndarray) and answer.ndim}


def _quietly() -> onnxruntime.RunOptions:
    """Keep ONNX Runtime from printing an error that is raised as well."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    return options


def open_net(location: str, given: Mapping[str, str]) -> OnnxDepthNet:
    """The net of a graph.

    Raises:
        DepthcueError: there is no file, it is no depth net, or words are given beside a card.
    """
    path = Path(location)
    if not path.is_file():
        raise DepthcueError(f"there is no graph at {path}", "Give the path of an .onnx file.")
    refuse_placeholder(path)
    stated = _read_beside(path)
    if "graph_schema" in stated:
        if given:
            raise DepthcueError(f"{path} has a card, and {', '.join(given)} cannot be given beside it",
                                "Leave them out.")
        return _ours(path)
    graph = _Graph(path)
    stated = words_of_graph(graph.session.get_modelmeta().custom_metadata_map) | stated
    known: dict[str, Any] = {} if graph.size is None else {"size": graph.size, "fixed": True}
    if graph.takes_bytes:
        known["takes"] = RGB255
    elif "takes" not in stated and "takes" not in given:
        log.warning("%s does not say what colours it takes; taken as normalised by ImageNet's mean and deviation. "
                    "Where it takes RGB in [0, 1], behind the spec: ,takes=rgb", path.stem)
    net = OnnxDepthNet(graph, statement(path.stem, known, stated, given), sha256=file_sha256(path))
    if not graph.states_channels:
        graph.find_channels(net.description.height, net.description.width)
    if graph.takes_bytes:
        net.gradients_hint = f"Its graph takes pictures of 8 bits, which carry no gradient. {GIVE_THE_NET}"
    else:
        net.convert(path)
    return net


def _ours(path: Path) -> OnnxDepthNet:
    card = read_graph_card(path, "depth")
    check_runs_on_cpu(card, path)
    description = described_depth_net(card)
    if not description.relative:
        description = dataclasses.replace(description, predicts=METRIC_DEPTH)  # the graph ends in metres
    net = OnnxDepthNet(_Graph(path), statement(description.name, {}, description, {
        "takes": RGB255, "fixed": card.get("one_size", False)}), sha256=card["sha256"])
    net.graph_file = path
    net.gradients_hint = ("A graph that depthcue exported takes frames of 8 bits, which carry no gradient. Give the "
                          "net that it was exported from.")
    return net


def _read_beside(path: Path) -> dict[str, Any]:
    """Read the statements of the .json beside a graph; none where there is no such file."""
    beside = card_path(path)
    if not beside.exists():
        return {}
    return read_document(beside, "what a graph says of itself", Beside, "Put it right, or take it away.")
