"""`onnx:FILE`: a depth net as an ONNX graph, run by ONNX Runtime on the CPU; a black box without gradients.

A graph that `depthcue export` wrote is known by its card. Any other must take one picture tensor, (B, 3, H, W) or
(B, H, W, 3), and says of itself in FILE's .json what `statement` knows; what it leaves open is read off its shapes. A
graph of ours takes frames of 8 bits: there a soft mask's product with the picture is rounded to 1/255.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets.base import METRIC_DEPTH, DepthNet
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import GraphOnCpu
from depthcue.nets.foreign.adapter import ForeignDepthNet
from depthcue.nets.foreign.statement import RGB255, statement
from depthcue.nets.foreign.ultralytics_model import words_of_graph
from depthcue.nets.graph_card import check_runs_on_cpu, described_depth_net, file_sha256, read_graph_card

_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64,
          "tensor(uint8)": torch.uint8}


class OnnxDepthNet(ForeignDepthNet):
    """A graph behind the contract of depth nets."""

    differentiable = False

    def for_export(self) -> DepthNet:
        raise DepthcueError(f"{self.description.name} is an ONNX graph already", "Copy the file, with its .json.")


class _Graph(GraphOnCpu):
    """Pictures (B, 3, H, W) in the colours the graph takes to its outputs by name."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        inputs = self.session.get_inputs()
        shape = inputs[0].shape if inputs else []
        channels = [place for place in (1, 3) if len(shape) == 4 and shape[place] == 3]
        if len(inputs) != 1 or not channels or inputs[0].type not in _TYPES:
            took = "; ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
            raise DepthcueError(f"{path} takes {took or 'nothing'}; a depth net takes one picture",
                                "The input has to be a tensor (B, 3, H, W) or (B, H, W, 3) of numbers.")
        self._input, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self._last = channels[0] == 3
        self._batch = shape[0] if isinstance(shape[0], int) else None
        sides = shape[1:3] if self._last else shape[2:4]
        self.size = (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else None
        """(height, width) where the graph takes no other."""

    @property
    def takes_bytes(self) -> bool:
        return self._type is torch.uint8

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        taken = pictures.detach().cpu()
        if self.takes_bytes:
            taken = taken.round().clamp(0, 255)
        taken = taken.to(self._type)
        if self._last:
            taken = taken.permute(0, 2, 3, 1)
        parts = [self._run(part) for part in taken.split(self._batch or len(taken))]
        return {name: torch.cat([part[name] for part in parts]).to(pictures.device) for name in parts[0]}

    def _run(self, taken: Tensor) -> dict[str, Tensor]:
        count = len(taken)
        if self._batch is not None and count < self._batch:
            taken = torch.cat([taken, taken[-1:].expand(self._batch - count, -1, -1, -1)])
        try:
            answers = self.session.run(None, {self._input: np.ascontiguousarray(taken.numpy())})
        except Exception as error:  # as above
            raise DepthcueError(f"the graph fails on {tuple(taken.shape)}: {error}",
                                "Say which size and multiple it takes: ,size=WxH,multiple=N behind the spec, or "
                                ",fixed=yes where it takes one size alone.") from error
        return {output.name: torch.from_numpy(answer)[:count]
                for output, answer in zip(self.session.get_outputs(), answers, strict=True)
                if isinstance(answer, np.ndarray) and answer.ndim}


def open_net(place: str, asked: Mapping[str, str]) -> OnnxDepthNet:
    """The net of a graph."""
    path = Path(place)
    if not path.is_file():
        raise DepthcueError(f"there is no graph at {path}", "Give the path of an .onnx file.")
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
    return OnnxDepthNet(graph, statement(path.stem, known, said, asked), sha256=file_sha256(path))


def _ours(path: Path) -> OnnxDepthNet:
    card = read_graph_card(path, "depth")
    check_runs_on_cpu(card, path)
    description = described_depth_net(card)
    if not description.relative:
        description = dataclasses.replace(description, predicts=METRIC_DEPTH)  # the graph ends in metres
    net = OnnxDepthNet(_Graph(path), statement(description.name, {}, description, {
        "takes": RGB255, "fixed": card.get("one_size", False)}), sha256=card["sha256"])
    net.graph_file = path
    return net


def _read_beside(path: Path) -> dict[str, Any]:
    """What the .json beside a graph says; nothing where there is none."""
    beside = card_path(path)
    if not beside.is_file():
        return {}
    try:
        said = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DepthcueError(f"{beside} cannot be read: {error}", "Put it right, or take it away.") from error
    if not isinstance(said, dict):
        raise DepthcueError(f"{beside} is not a JSON object", "Put it right, or take it away.")
    return said
