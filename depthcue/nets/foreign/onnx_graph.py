"""`onnx:FILE`: a depth net as an ONNX graph, run by ONNX Runtime on the CPU, and by torch where gradients are taken.

A graph that `depthcue export` wrote is known by its card. Any other must take one picture tensor, (B, 3, H, W) or
(B, H, W, 3), and says of itself in FILE's .json what `statement` knows; what it leaves open is read off its shapes. A
graph of ours takes frames of 8 bits: there a soft mask's product with the picture is rounded to 1/255.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from depthcue import scenes
from depthcue.documents import Beside, read_document, refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.nets.base import METRIC_DEPTH, DepthNet
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import GraphOnCpu
from depthcue.nets.foreign.adapter import ForeignDepthNet, depth_map
from depthcue.nets.foreign.onnx_torch import GIVE_THE_NET, NotConverted, TorchGraph, first_line, in_batches, torch_graph
from depthcue.nets.foreign.statement import RGB255, Statement, statement
from depthcue.nets.foreign.ultralytics_model import words_of_graph
from depthcue.nets.graph_card import check_runs_on_cpu, described_depth_net, file_sha256, read_graph_card
from depthcue.nets.view import fit

_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64,
          "tensor(uint8)": torch.uint8}
_ROOMS = (96, 128)
_SAME = 1e-3
"""Share of the map's range by which torch and ONNX Runtime may differ: they sum in another order."""

log = logging.getLogger(__name__)


class OnnxDepthNet(ForeignDepthNet):
    """A graph behind the contract of depth nets.

    ONNX Runtime, which takes half of torch's time on a CPU, answers where no gradient is asked for. Where one is, under
    autocast, which is how 16 bits are asked for, and on other devices the same graph in torch does.
    """

    body: "_Graph"

    def __init__(self, graph: "_Graph", said: Statement, **card: Any) -> None:
        super().__init__(graph, said, **card)
        self.differentiable = False
        self.in_torch: TorchGraph | None = None

    def for_export(self) -> DepthNet:
        if self.in_torch is None:
            raise DepthcueError(f"{self.description.name} is an ONNX graph already", "Copy the file, with its .json.")
        net = ForeignDepthNet(self.in_torch, self.said)
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
        """Take the graph into torch too, if it computes the same there; if not, say why gradients do not pass."""
        name = self.description.name
        try:
            in_torch = torch_graph(path, self.body.as_input)
            difference = self._try_out(in_torch)
        except NotConverted as error:
            log.info("%s passes no gradients: %s", name, error)
            self.gradients_hint = f"{error}. {error.hint}"
            return
        if not difference <= _SAME:  # not above: NaN is no agreement either
            reason = (f"In torch its maps differ from those of ONNX Runtime by up to {difference:.2g} of their range, "
                      f"and {_SAME:g} is allowed")
            log.warning("%s passes no gradients: %s", name, reason)
            self.gradients_hint = f"{reason}. {GIVE_THE_NET}"
            return
        self.in_torch, self.differentiable = in_torch, True

    def _try_out(self, in_torch: TorchGraph) -> float:
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

    def _difference(self, in_torch: TorchGraph, taken: Tensor, expected: Tensor) -> float:
        try:
            answer = self._depth(in_torch(taken))
        except Exception as error:  # code of others may raise anything
            raise NotConverted(f"what onnx2pytorch makes of it fails: {first_line(error)}") from error
        if answer.shape != expected.shape:
            return float("inf")
        span = float(expected.max() - expected.min())
        return float((answer - expected).abs().max()) / max(span, 1e-12)

    def _depth(self, answer: dict[str, Tensor]) -> Tensor:
        return depth_map(answer, self.description.name, self.said.output)


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
    """What fails is raised; ONNX Runtime need not print it too."""
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    return options


def open_net(place: str, asked: Mapping[str, str]) -> OnnxDepthNet:
    """The net of a graph."""
    path = Path(place)
    if not path.is_file():
        raise DepthcueError(f"there is no graph at {path}", "Give the path of an .onnx file.")
    refuse_placeholder(path)
    said = _read_beside(path)
    if "graph_schema" in said:
        if asked:
            raise DepthcueError(f"{path} has a card; {', '.join(asked)} cannot be said of it", "Leave them out.")
        return _ours(path)
    graph = _Graph(path)
    said = words_of_graph(graph.session.get_modelmeta().custom_metadata_map) | said
    known: dict[str, Any] = {} if graph.size is None else {"size": graph.size, "fixed": True}
    if graph.takes_bytes:
        known["takes"] = RGB255
    elif "takes" not in said and "takes" not in asked:
        log.warning("%s does not say what colours it takes; taken as normalised by ImageNet's mean and deviation. "
                    "Where it takes RGB in [0, 1], behind the spec: ,takes=rgb", path.stem)
    net = OnnxDepthNet(graph, statement(path.stem, known, said, asked), sha256=file_sha256(path))
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
    """What the .json beside a graph says; nothing where there is none."""
    beside = card_path(path)
    if not beside.exists():
        return {}
    return read_document(beside, "what a graph says of itself", Beside, "Put it right, or take it away.")
