"""Graphs drawn by hand, small enough to compute by hand too."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SIZE = (4, 6)


def picture_graph(*nodes, weights, output, shape=(1, 1, *SIZE)):
    """A float32 graph: bytes `frames` (1, 4, 6, 3) become `picture` (1, 3, 4, 6) in [0, 1], then `nodes`."""
    scale = {"scale": np.float32(255)}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in (scale | weights).items()]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["frames"], ["cast"], to=TensorProto.FLOAT),
         helper.make_node("Transpose", ["cast"], ["turned"], perm=(0, 3, 1, 2)),
         helper.make_node("Div", ["turned", "scale"], ["picture"]), *nodes],
        "hand_drawn", [helper.make_tensor_value_info("frames", TensorProto.UINT8, (1, *SIZE, 3))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def conv(taken, weight, given, **attributes):
    return helper.make_node("Conv", [taken, weight], [given], **attributes)


def node(kind, taken, given, **attributes):
    return helper.make_node(kind, [taken] if isinstance(taken, str) else taken, [given], **attributes)


def run(model, frames):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"frames": frames})[0]


def frames(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)


def weight_types(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def operators_of(model, kind):
    """The operators whose first output has this element type."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    return [each.op_type for each in model.graph.node if each.op_type != "Cast" and types.get(each.output[0]) == kind]
