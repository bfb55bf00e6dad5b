"""A float32 graph rewritten to multiply in int8, and facts on graphs that every lower precision needs.

The quantisation is static and symmetric, with a scale for each output channel of the weights. Convolutions and matrix
products of features and fixed weights get a QuantizeLinear and a DequantizeLinear before and behind them, and their
weights are stored as int8 with a DequantizeLinear; everything between computes in float32. Zero points are 0 and biases
stay in float32 because TensorRT takes nothing else; ONNX Runtime merges each group into one integer product, for which
it needs the pair behind the product too. Symmetric ranges waste half of int8 on a result that only a ReLU or ReLU6
reads, so there the range is that of what it lets through (on the compact rooms net this took the share of pixels that
change side from 0.7% to 0.4%). The last product before the output and what follows it (the mask's sigmoid) stay in
float32: 255 steps would be visible in the mask. Scales come from calibration pictures: the largest value at a point of
the graph becomes 127.

Facts on a graph: the types and the largest values inside it, measured on pictures, and whether a node comes before,
among or after the products with the picture.
"""

import copy
from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthcue.backends.onnx_backend import Feeds
from depthcue.nets.exported import open_on_cpu

PRODUCTS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
BEFORE = "before the first convolution"
APART = "not of the picture (keep, lambda, constants)"
AFTER = "after the last convolution"
MOST = 127
"""Largest of -128 … 127: symmetric ranges leave -128 unused."""
_ZERO = "depthcue_zero"


def largest_values(model: onnx.ModelProto, runs: Iterable[Feeds]) -> dict[str, float]:
    """The largest absolute value that every float32 value inside the graph takes over `runs`."""
    watched = copy.deepcopy(model)
    graph = watched.graph
    made = {output for node in graph.node for output in node.output}
    names = [name for name, kind in value_types(model).items() if kind == TensorProto.FLOAT and name in made]
    wanted = [f"depthcue_max_{number}" for number in range(len(names))]
    for name, largest_name in zip(names, wanted, strict=True):
        graph.node.append(helper.make_node("Abs", [name], [f"{largest_name}_abs"]))
        graph.node.append(helper.make_node("ReduceMax", [f"{largest_name}_abs"], [largest_name], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(largest_name, TensorProto.FLOAT, []))
    session = open_on_cpu(watched.SerializeToString())
    largest = np.zeros(len(names))
    for run in runs:
        # maximum keeps NaN, so that a value which is no number anywhere is seen
        largest = np.maximum(largest, np.stack(session.run(wanted, run)))
    return dict(zip(names, largest.tolist(), strict=True))


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type (onnx.TensorProto.*) of every named value: inputs, weights and what the nodes give."""
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, data_prop=True).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        types[value.name] = value.type.tensor_type.elem_type
    return types


def rebuilt(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto],
            tensors: Iterable[TensorProto]) -> onnx.ModelProto:
    """A copy of a graph with other nodes and weights; inputs and outputs stay."""
    result = copy.deepcopy(model)
    graph = result.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensors)
    return result


def away_from_features(model: onnx.ModelProto) -> list[str | None]:
    """Reason for every node that does not work on features; None for one that does.

    Features are what convolutions or matrix products have made of the picture, the graph's first input. A product that
    takes the picture itself counts as working on features, and what no product follows does not.
    """
    graph = model.graph
    of_picture, features = {graph.input[0].name}, set[str]()
    reasons: list[str | None] = []
    for node in graph.node:
        takes_picture = any(name in of_picture for name in node.input)
        works = any(name in features for name in node.input) or (takes_picture and node.op_type in PRODUCTS)
        of_picture.update(node.output if takes_picture else ())
        features.update(node.output if works else ())
        reasons.append(None if works else BEFORE if takes_picture else APART)
    needed = set[str]()
    for index in reversed(range(len(graph.node))):
        node = graph.node[index]
        if node.op_type in PRODUCTS or any(name in needed for name in node.output):
            needed.update(node.input)
        elif reasons[index] is None:
            reasons[index] = AFTER
    return reasons


def last_products(model: onnx.ModelProto) -> set[int]:
    """Indices of the products that no other product follows: they make the output."""
    followed, last = set[str](), set[int]()
    for index in reversed(range(len(model.graph.node))):
        node = model.graph.node[index]
        feeds_product = any(name in followed for name in node.output)
        if node.op_type in PRODUCTS and not feeds_product:
            last.add(index)
        if node.op_type in PRODUCTS or feeds_product:
            followed.update(node.input)
    return last


def quantisable(model: onnx.ModelProto) -> list[str]:
    """Weights of the products that may multiply in int8, in the order of the graph."""
    fixed = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT}
    last = last_products(model)
    away = away_from_features(model)
    return [node.input[1] for index, node in enumerate(model.graph.node)
            if node.op_type in ("Conv", "Gemm", "MatMul") and away[index] is None and index not in last
            and node.input[1] in fixed and node.input[0] not in fixed]


def quantise(model: onnx.ModelProto, largest: dict[str, float], weights: Collection[str]) -> onnx.ModelProto:
    """A copy of a float32 graph in which the products with `weights` multiply in int8.

    Args:
        largest: the largest absolute value of each float value inside the graph (`largest_values`).
        weights: some or all of `quantisable`.
    """
    return _Writer(model, largest).run(set(weights))


def count_products(model: onnx.ModelProto, weights: Collection[str]) -> dict[str, int]:
    """Count the nodes of each operator that multiply with `weights`."""
    return dict(Counter(node.op_type for node in model.graph.node
                        if len(node.input) > 1 and node.input[1] in weights))


class _Writer:
    """Writes the nodes anew; a value that several products read is quantised once."""

    def __init__(self, model: onnx.ModelProto, largest: dict[str, float]) -> None:
        self.model, self.largest = model, largest
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = [numpy_helper.from_array(np.array(0, np.int8), _ZERO)]
        self.quantised: dict[str, str] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def run(self, chosen: set[str]) -> onnx.ModelProto:
        tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.model.graph.node:
            copied = copy.deepcopy(node)
            if len(node.input) < 2 or node.input[1] not in chosen:
                self.nodes.append(copied)
                continue
            taken, weight, given = node.input[0], node.input[1], node.output[0]
            if taken not in self.quantised:
                self.quantised[taken] = self._pair(taken, f"{taken}_int8", self.largest[taken])
            if weight not in self.quantised:
                self.quantised[weight] = self._weight(tensors[weight], _channel_axis(node, tensors[weight]))
            copied.input[0], copied.input[1] = self.quantised[taken], self.quantised[weight]
            copied.output[0] = f"{given}_product"
            self.nodes.append(copied)
            self._pair(copied.output[0], given, self.largest[self._what_is_read(given)])
        read = {name for node in self.nodes for name in node.input}  # chosen weights may be read in float32 too
        fixed = [tensor for name, tensor in tensors.items() if name not in chosen or name in read]
        return rebuilt(self.model, self.nodes, [*fixed, *self.constants])

    def _what_is_read(self, name: str) -> str:
        """The value whose range counts: that of a ReLU or ReLU6, where it alone reads `name`."""
        readers = self.readers.get(name, [])
        return readers[0].output[0] if len(readers) == 1 and readers[0].op_type in ("Relu", "Clip") else name

    def _pair(self, name: str, to: str, size: float) -> str:
        scale = f"{to}_scale"
        self.constants.append(numpy_helper.from_array(np.array(_scale(np.float64(size)), np.float32), scale))
        self.nodes.append(helper.make_node("QuantizeLinear", [name, scale, _ZERO], [f"{to}_q"], name=f"quantise_{to}"))
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{to}_q", scale, _ZERO], [to],
                                           name=f"dequantise_{to}"))
        return to

    def _weight(self, tensor: TensorProto, axis: int) -> str:
        name = tensor.name
        values = numpy_helper.to_array(tensor).astype(np.float64)
        others = tuple(index for index in range(values.ndim) if index != axis)
        scales = _scale(np.abs(values).max(axis=others))  # (channels,)
        steps = np.rint(values / np.expand_dims(scales, others)).astype(np.int8)
        self.constants += [numpy_helper.from_array(steps, f"{name}_q"),
                           numpy_helper.from_array(scales.astype(np.float32), f"{name}_scale"),
                           numpy_helper.from_array(np.zeros(scales.shape, np.int8), f"{name}_zero")]
        self.nodes.append(helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_scale", f"{name}_zero"],
                                           [f"{name}_int8"], name=f"dequantise_{name}", axis=axis))
        return f"{name}_int8"


def _scale(sizes: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """Value of one step of int8; 1 for values that are 0 throughout or too small for a float32 scale."""
    scales = np.asarray(sizes / MOST)
    return np.where(scales > np.finfo(np.float32).tiny, scales, 1.0)


def _channel_axis(node: onnx.NodeProto, weight: TensorProto) -> int:
    """The axis of the weights that counts output channels."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else len(weight.dims) - 1
