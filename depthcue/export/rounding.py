"""What a 16-bit graph computes on hardware that computes in 16 bit, found out on a CPU that does not.

ONNX Runtime's CPU provider has no kernels for bfloat16, and runs fp16 in float32 without rounding between the nodes
(seen in 1.31: a product of 1e6 passes through), so it would find an overflowing graph sound. Here every node computes
in float32 and each 16-bit result is rounded to 16 bit at once, which is what tensor cores do that multiply in 16 bit
and add up in float32. Hardware that also adds up in 16 bit rounds more than this.
"""

import onnx
from onnx import TensorProto, helper, numpy_helper

from depthcue.export.ranges import value_types

_SIXTEEN_BIT = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 graph with the answers of the 16-bit graph `model`, for ONNX Runtime on a CPU."""
    types = value_types(model)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    for tensor in model.graph.initializer:
        if tensor.data_type in _SIXTEEN_BIT:
            tensor = numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float32"), tensor.name)
        graph.initializer.append(tensor)
    for node in model.graph.node:
        computed = graph.node.add()
        computed.CopyFrom(node)
        if node.op_type == "Cast":
            for attribute in computed.attribute:
                if attribute.name == "to" and attribute.i in _SIXTEEN_BIT:
                    attribute.i = TensorProto.FLOAT
        for place, name in enumerate(node.output):
            if types.get(name) in _SIXTEEN_BIT:
                computed.output[place] = f"{name}_exact"
                graph.node.append(helper.make_node("Cast", [f"{name}_exact"], [f"{name}_rounded"], to=types[name]))
                graph.node.append(helper.make_node("Cast", [f"{name}_rounded"], [name], to=TensorProto.FLOAT))
    return result
