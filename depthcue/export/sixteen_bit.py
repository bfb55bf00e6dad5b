"""A float32 graph rewritten to compute in fp16 or bf16, with float32 kept where the range asks for it.

Every type is said in the graph (a Cast wherever it changes, weights stored in 16 bit), which is what strongly typed
TensorRT wants and what every other reader takes as it is. A node computes in 16 bit if all of this holds; else it stays
in float32 and the reason is kept for the card:

- its operator multiplies, adds, compares or moves values (`LOWERED`). Exponentials, logarithms, divisions, roots, the
  sigmoid and reductions over whole pictures are not among them.
- it works on features: something before it has been through a convolution or matrix product with the picture. So the
  normalisation of bytes stays in float32, and so does what depends on the share or λ alone.
- a convolution or matrix product follows it or it is one. What only shapes the output (adding the mean logarithm of a
  depth, for one) costs nothing and would round the answer.
- it is not the last product of a mask net that takes shares: its scores order the pixels, and in 16 bit many are equal.
- in fp16: its inputs, its weights and its output, measured on pictures, are within the range of fp16 with `HEADROOM`
  to spare, and not so small that fp16 has lost their digits. bf16 has the range of float32.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from depthcue.backends.precision import BF16, FP16
from depthcue.export.quantise import PRODUCTS, away_from_features, last_products, value_types

LOWERED = PRODUCTS | {
    "Add", "Sub", "Mul", "Neg", "Relu", "LeakyRelu", "PRelu", "Clip", "Max", "Min", "MaxPool", "AveragePool", "Resize",
    "Concat", "Split", "Slice", "Pad", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Gather",
    "DepthToSpace", "SpaceToDepth", "Identity", "Where",
}
BF16_OPSET = 22
"""The first in which convolutions take bfloat16."""
HEADROOM = 4.0
"""How many times larger than on the pictures measured a value may become before fp16 overflows."""

_TYPES: dict[str, tuple[int, Any]] = {FP16: (TensorProto.FLOAT16, np.float16),
                                      BF16: (TensorProto.BFLOAT16, ml_dtypes.bfloat16)}
_LARGEST = float(np.finfo(np.float16).max) / HEADROOM
_SMALLEST = 2 * float(np.finfo(np.float16).smallest_normal)
"""A tensor that is smaller throughout has fewer digits in fp16 than the 11 of its other values."""


@dataclass(frozen=True)
class Lowering:
    """What was done to a graph."""

    precision: str
    lowered: dict[str, int]
    """How many nodes of each operator compute in 16 bit."""
    kept: dict[str, dict[str, int]]
    """Why others stay in float32, and how many of each operator."""

    def as_json(self) -> dict[str, Any]:
        """For the card."""
        return {"computes_in": self.precision, "nodes": self.lowered, "kept_in_fp32": self.kept}


def lower(model: onnx.ModelProto, precision: str, largest: dict[str, float], *,
          gives_scores: bool = False) -> tuple[onnx.ModelProto, Lowering]:
    """A copy of a float32 graph that computes in `precision`; inputs and outputs keep their types.

    Args:
        precision: fp16 or bf16.
        largest: the largest absolute value of each float value inside the graph (`ranges.largest_values`).
        gives_scores: whether the last product gives what pixels are ordered by.
    """
    if precision == BF16:
        model = onnx.version_converter.convert_version(model, BF16_OPSET)
    reasons = _reasons_to_stay(model, precision, largest, last_products(model) if gives_scores else set())
    result = _Rewriter(model, precision, {index for index, reason in enumerate(reasons) if reason is None}).run()
    lowered = Counter(node.op_type for node, reason in zip(model.graph.node, reasons, strict=True) if reason is None)
    kept: dict[str, Counter[str]] = {}
    for node, reason in zip(model.graph.node, reasons, strict=True):
        if reason is not None:
            kept.setdefault(reason, Counter())[node.op_type] += 1
    return result, Lowering(precision, dict(lowered), {reason: dict(count) for reason, count in kept.items()})


def _reasons_to_stay(model: onnx.ModelProto, precision: str, largest: dict[str, float],
                     scores: set[int]) -> list[str | None]:
    """For every node why it stays as it is; None for one that computes in 16 bit."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    types = value_types(model)

    def reason(index: int, node: onnx.NodeProto, away: str | None) -> str | None:
        if away is not None:
            return away
        if index in scores:
            return "its scores order the pixels"
        if types.get(node.output[0]) != TensorProto.FLOAT:
            return "no float"
        if node.op_type not in LOWERED:
            return "operator wants range or digits"
        if precision == FP16 and not _fits(node, types, weights, largest):
            return "values outside the range of fp16"
        return None

    return [reason(index, node, away)
            for index, (node, away) in enumerate(zip(model.graph.node, away_from_features(model), strict=True))]


def _fits(node: onnx.NodeProto, types: dict[str, int], weights: dict[str, TensorProto],
          largest: dict[str, float]) -> bool:
    """Whether everything a node takes and gives has its place in fp16."""
    for name in (*_typed_inputs(node), node.output[0]):
        if types.get(name) != TensorProto.FLOAT:
            continue
        if name in weights:
            values = numpy_helper.to_array(weights[name])
            size = float(np.abs(values).max()) if values.size else 0.0
        else:
            size = largest.get(name, 0.0)
        if not (size == 0.0 or _SMALLEST <= size <= _LARGEST):
            return False
    return True


def _typed_inputs(node: onnx.NodeProto) -> list[str]:
    """The inputs that must have the type of the node's output, as the operator's schema has it."""
    schema = onnx.defs.get_schema(node.op_type, domain=node.domain)
    kind = schema.outputs[0].type_str
    formal = schema.inputs
    # a last input that can be given several times stands for all that follow
    return [name for index, name in enumerate(node.input)
            if name and formal[min(index, len(formal) - 1)].type_str == kind]


class _Rewriter:
    """Writes the nodes anew. A value keeps its name in float32 and has a second one in 16 bit; casts are made once."""

    def __init__(self, model: onnx.ModelProto, precision: str, lowered: set[int]) -> None:
        self.model, self.precision, self.lowered = model, precision, lowered
        self.kind, self.dtype = _TYPES[precision]
        self.types = value_types(model)
        self.weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.new_weights: dict[str, TensorProto] = {}
        self.there: set[str] = set()
        """16-bit values made so far."""

    def run(self) -> onnx.ModelProto:
        in_float32 = self._wanted_in_float32()
        for index, node in enumerate(self.model.graph.node):
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            if index in self.lowered:
                typed = set(_typed_inputs(node))
                del copied.input[:]
                copied.input.extend(self._in_16_bit(name) if name in typed else name for name in node.input)
                floats = [name for name in node.output if name and self.types.get(name) == TensorProto.FLOAT]
                del copied.output[:]
                copied.output.extend(self._low(name) if name in floats else name for name in node.output)
                self.nodes.append(copied)
                self.there.update(self._low(name) for name in floats)
                for name in floats:
                    if name in in_float32:
                        self._cast(self._low(name), name, TensorProto.FLOAT)
            else:
                self.nodes.append(copied)
        return self._assembled()

    def _wanted_in_float32(self) -> set[str]:
        """Names that some node, subgraph or output takes as they are."""
        wanted = {output.name for output in self.model.graph.output}
        for index, node in enumerate(self.model.graph.node):
            typed = set(_typed_inputs(node)) if index in self.lowered else set()
            wanted.update(name for name in node.input if name not in typed)
            wanted.update(_captured(node))
        return wanted

    def _in_16_bit(self, name: str) -> str:
        low = self._low(name)
        if low in self.there:
            return low
        self.there.add(low)
        if name in self.weights:
            values = numpy_helper.to_array(self.weights[name]).astype(self.dtype)
            self.new_weights[low] = numpy_helper.from_array(values, low)
        else:
            self._cast(name, low, self.kind)
        return low

    def _low(self, name: str) -> str:
        return f"{name}_{self.precision}"

    def _cast(self, name: str, to: str, kind: int) -> None:
        self.nodes.append(helper.make_node("Cast", [name], [to], name=f"cast_{to}", to=kind))

    def _assembled(self) -> onnx.ModelProto:
        result = onnx.ModelProto()
        result.CopyFrom(self.model)
        graph = result.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in (*node.input, *_captured(node))}
        used.update(output.name for output in graph.output)
        graph.initializer.extend(tensor for tensor in (*self.weights.values(), *self.new_weights.values())
                                 if tensor.name in used)
        return result


def _captured(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the subgraphs of a node may take from the graph around them."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from inner.input
                yield from _captured(inner)
