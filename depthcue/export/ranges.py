"""How large the values inside a graph become: measured on pictures, for choosing what fits in fewer bits."""

from collections.abc import Iterable

import numpy as np
import onnx

from depthcue.export.running import Feeds, open_session


def largest_values(model: onnx.ModelProto, runs: Iterable[Feeds]) -> dict[str, float]:
    """The largest absolute value that every float32 value inside the graph takes over `runs`."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    names = [name for name, kind in value_types(model).items() if kind == onnx.TensorProto.FLOAT]
    made = {output for node in graph.node for output in node.output}
    names = [name for name in names if name in made]
    for number, name in enumerate(names):
        graph.node.append(onnx.helper.make_node("Abs", [name], [f"depthcue_abs_{number}"]))
        graph.node.append(onnx.helper.make_node("ReduceMax", [f"depthcue_abs_{number}"], [f"depthcue_max_{number}"],
                                                keepdims=0))
        graph.output.append(onnx.helper.make_tensor_value_info(f"depthcue_max_{number}", onnx.TensorProto.FLOAT, []))
    session = open_session(watched.SerializeToString())
    wanted = [f"depthcue_max_{number}" for number in range(len(names))]
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
