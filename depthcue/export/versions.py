"""A traced float32 graph in a wanted precision: the versions to try, best first, until one passes the gate.

In fp16 and bf16 every type is stated in the graph (a Cast wherever it changes, weights stored in 16 bit), which is what
strongly typed TensorRT needs and every other reader takes. A node computes in 16 bit if all of this holds; else it
stays in float32 and the card has the reason:

- its operator multiplies, adds, compares or moves values (`LOWERED`). Exponentials, logarithms, divisions, roots, the
  sigmoid and reductions over whole pictures are not among them.
- it works on features: something before it has been through a convolution or matrix product with the picture. So the
  normalisation of bytes stays in float32, and so does what depends on the share or λ alone.
- a convolution or matrix product follows it or it is one. A node that only shapes the output (adds the mean logarithm
  of a depth, for one) costs nothing and would round the answer.
- it is not the last product of a mask net that takes shares: its scores order the pixels, and in 16 bit many are equal.
- in fp16: its inputs, its weights and its output, measured on pictures, are within the range of fp16 with `HEADROOM`
  to spare, and not so small that fp16 has lost their digits. bf16 has the range of float32.

In int8 (see `quantise`) every further version leaves more of the products that cost most in float32.
"""

import copy
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthcue.backends.onnx_backend import Feeds, feeds
from depthcue.backends.session import BF16, FP16, FP32, INT8
from depthcue.errors import DepthcueError
from depthcue.export.quantise import (
    PRODUCTS,
    away_from_features,
    count_products,
    largest_values,
    last_products,
    quantisable,
    quantise,
    rebuilt,
    value_types,
)
from depthcue.nets import DepthDescription, MaskDescription
from depthcue.nets.exported import open_on_cpu

LEAST_CALIBRATION = 8
"""Pictures below which ranges say more about the pictures than about the net."""

_RANKED_ON = 4
"""Pictures on which the cost of every single product is measured."""
_MOST_KEPT = 0.5
"""Share of the products that may stay in float32 before int8 is called unsuitable."""
LOWERED = PRODUCTS | {
    "Add", "Sub", "Mul", "Neg", "Relu", "LeakyRelu", "PRelu", "Clip", "Max", "Min", "MaxPool", "AveragePool", "Resize",
    "Concat", "Split", "Slice", "Pad", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Gather",
    "DepthToSpace", "SpaceToDepth", "Identity", "Where",
}
BF16_OPSET = 22
"""The first in which convolutions take bfloat16."""
HEADROOM = 4.0
"""Factor by which a value may exceed those on the measured pictures before fp16 overflows."""
_TYPES: dict[str, tuple[int, Any]] = {FP16: (TensorProto.FLOAT16, np.float16),
                                      BF16: (TensorProto.BFLOAT16, ml_dtypes.bfloat16)}
_LARGEST = float(np.finfo(np.float16).max) / HEADROOM
_SMALLEST = 2 * float(np.finfo(np.float16).smallest_normal)
"""A tensor that is smaller throughout has fewer digits in fp16 than the 11 of its other values."""
_SIXTEEN_BIT = (TensorProto.FLOAT16, TensorProto.BFLOAT16)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Version:
    """One way to write the graph."""

    model: onnx.ModelProto
    """The graph that goes into the file."""
    emulated: onnx.ModelProto | None
    """Graph in float32 that gives what `model` gives where 16 bit is computed in 16 bit; None in other precisions."""
    facts: dict[str, Any] | None
    """Record of the lowering for the card; None in fp32."""


def versions(model: onnx.ModelProto, precision: str, description: MaskDescription | DepthDescription,
             calibration: Sequence[NDArray[np.uint8]]) -> Iterator[Version]:
    """Yield ways to write `model` in `precision`.

    There is one, but for int8: there every further one leaves more of the products that cost most in float32.

    Args:
        calibration: pictures uint8 (H, W, 3) that ranges are measured on; not used in fp32.

    Raises:
        DepthcueError: too few pictures for int8, or nothing that could multiply in int8.
    """
    if precision == FP32:
        yield Version(model, None, None)
        return
    if precision == INT8 and len(calibration) < LEAST_CALIBRATION:
        raise DepthcueError(f"int8 needs at least {LEAST_CALIBRATION} calibration pictures, not {len(calibration)}",
                            "Give --data a folder with more pictures, of the kind that the net will see.")
    runs = list(feeds(description, calibration))
    largest = largest_values(model, runs)
    if precision == INT8:
        yield from _in_int8(model, largest, runs)
        return
    lowered, facts = lower(model, precision, largest, gives_scores=description.dial_name == "keep")
    yield Version(lowered, rounding(lowered), facts)


def _in_int8(model: onnx.ModelProto, largest: dict[str, float], runs: Sequence[Feeds]) -> Iterator[Version]:
    weights = quantisable(model)
    if not weights:
        raise DepthcueError("the net has no convolution that could compute in int8", "Use --precision fp16.")

    def without(kept: Sequence[str]) -> Version:
        chosen = [weight for weight in weights if weight not in kept]
        facts = {"computes_in": INT8, "calibration_pictures": len(runs), "nodes": count_products(model, chosen),
                 "kept_in_fp32": ["the last product and what follows it", *kept]}
        return Version(quantise(model, largest, chosen), None, facts)

    yield without([])
    costliest = _by_cost(model, largest, runs[:_RANKED_ON], weights)
    count = 1
    while count <= _MOST_KEPT * len(weights):
        log.info("int8 costs too much; leaving %d of %d products in float32", count, len(weights))
        yield without(costliest[:count])
        count *= 2


def _by_cost(model: onnx.ModelProto, largest: dict[str, float], runs: Sequence[Feeds],
             weights: Sequence[str]) -> list[str]:
    """The weights, those first that change the answers most when they alone multiply in int8."""
    wanted = _answers(model, runs)
    costs: dict[str, float] = {}
    for weight in weights:
        got = _answers(quantise(model, largest, [weight]), runs)
        costs[weight] = float(np.mean([np.abs(one - other).mean() for one, other in zip(got, wanted, strict=True)]))
    return sorted(weights, key=lambda weight: -costs[weight])


def _answers(model: onnx.ModelProto, runs: Sequence[Feeds]) -> list[NDArray[np.float32]]:
    session = open_on_cpu(model.SerializeToString())
    return [session.run(None, run)[0] for run in runs]


def lower(model: onnx.ModelProto, precision: str, largest: dict[str, float], *,
          gives_scores: bool = False) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A copy of a float32 graph that computes in `precision`; inputs and outputs keep their types.

    Args:
        precision: fp16 or bf16.
        largest: the largest absolute value of each float value inside the graph (`largest_values`).
        gives_scores: whether the last product gives scores that order the pixels.

    Returns:
        The graph, and its record for the card: `computes_in`, the precision; `nodes`, how many of each operator compute
        in it; `kept_in_fp32`, for each reason to stay in float32 how many of each operator stay.
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
    return result, {"computes_in": precision, "nodes": dict(lowered),
                    "kept_in_fp32": {reason: dict(count) for reason, count in kept.items()}}


def _reasons_to_stay(model: onnx.ModelProto, precision: str, largest: dict[str, float],
                     scores: set[int]) -> list[str | None]:
    """Reason for every node that stays as it is; None for one that computes in 16 bit."""
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
    """Whether fp16 can hold every input, weight and output of a node."""
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
        self.made: set[str] = set()
        """16-bit values made so far."""

    def run(self) -> onnx.ModelProto:
        in_float32 = self._wanted_in_float32()
        for index, node in enumerate(self.model.graph.node):
            copied = copy.deepcopy(node)
            if index in self.lowered:
                typed = set(_typed_inputs(node))
                del copied.input[:]
                copied.input.extend(self._in_16_bit(name) if name in typed else name for name in node.input)
                floats = [name for name in node.output if name and self.types.get(name) == TensorProto.FLOAT]
                del copied.output[:]
                copied.output.extend(self._low(name) if name in floats else name for name in node.output)
                self.nodes.append(copied)
                self.made.update(self._low(name) for name in floats)
                for name in floats:
                    if name in in_float32:
                        self._cast(self._low(name), name, TensorProto.FLOAT)
            else:
                self.nodes.append(copied)
        used = {name for node in self.nodes for name in (*node.input, *_captured(node))}
        used.update(output.name for output in self.model.graph.output)
        weights = (*self.weights.values(), *self.new_weights.values())
        return rebuilt(self.model, self.nodes, (tensor for tensor in weights if tensor.name in used))

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
        if low in self.made:
            return low
        self.made.add(low)
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


def _captured(node: onnx.NodeProto) -> Iterator[str]:
    """Names that the subgraphs of a node may take from the graph around them."""
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from inner.input
                yield from _captured(inner)


def rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph with the answers of the 16-bit graph `model`, for ONNX Runtime on a CPU.

    ONNX Runtime's CPU provider has no kernels for bfloat16, and runs fp16 in float32 without rounding between the nodes
    (seen in 1.31: a product of 1e6 passes through), so an overflowing graph would pass its gate. Here every node
    computes in float32 and each 16-bit result is rounded to 16 bit at once, as by tensor cores that multiply in 16 bit
    and add up in float32. Hardware that also adds up in 16 bit rounds more than this.
    """
    types = value_types(model)
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        computed = copy.deepcopy(node)
        nodes.append(computed)
        if node.op_type == "Cast":
            for attribute in computed.attribute:
                if attribute.name == "to" and attribute.i in _SIXTEEN_BIT:
                    attribute.i = TensorProto.FLOAT
        for index, name in enumerate(node.output):
            if types.get(name) in _SIXTEEN_BIT:
                computed.output[index] = f"{name}_exact"
                nodes += [helper.make_node("Cast", [f"{name}_exact"], [f"{name}_rounded"], to=types[name]),
                          helper.make_node("Cast", [f"{name}_rounded"], [name], to=TensorProto.FLOAT)]
    return rebuilt(model, nodes, (
        numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name)
        if tensor.data_type in _SIXTEEN_BIT else tensor for tensor in model.graph.initializer))
