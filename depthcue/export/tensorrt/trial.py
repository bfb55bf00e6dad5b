"""Whether a TensorRT library works here: it builds a tiny engine, and runs it where there is a GPU."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper

from depthcue.export.tensorrt.engine import EngineOptions, write_engine
from depthcue.export.tensorrt.engine_card import Making
from depthcue.export.tensorrt.library import find_gpu, has_gpu, load_library
from depthcue.export.tensorrt.session import EngineSession
from depthcue.nets.graph_card import file_sha256

SIDE = 16


def try_library(name: str) -> str:
    """What `tensorrt` or `tensorrt-rtx` can do here, in a few words.

    Raises:
        DepthcueError: it does not load, or builds nothing, or nothing that runs on the GPU here.
        RuntimeError: what it builds runs wrongly.
    """
    library = load_library(name)
    if not has_gpu() and not library.compiles_where_it_runs:
        return f"{library.version} loads; it builds and runs engines where there is a GPU, and torch sees none"
    with TemporaryDirectory() as folder:
        graph, engine = Path(folder, "tiny.onnx"), Path(folder, "tiny.engine")
        onnx.save_model(_tiny(), str(graph))
        card = write_engine(graph, {
            "sha256": file_sha256(graph), "height_and_width_are_multiples_of": 1,
            "working_size": {"height": SIDE, "width": SIDE}, "inputs": [],
        }, engine, EngineOptions(library=name, batch=(1, 1, 1), sizes=((SIDE, SIDE),)))
        if not has_gpu():
            return f"{library.version} builds engines; there is no GPU to run them"
        with EngineSession(engine, Making.of(card), dial_input=None) as session:
            maps = session.run(np.full((1, SIDE, SIDE, 3), 100, np.uint8), None)
    if not (maps == 100).all():
        raise RuntimeError("it computes wrongly")
    return f"{library.version} builds engines and runs them on {find_gpu().name}"


def _tiny() -> onnx.ModelProto:
    """The mean of red, green and blue of each pixel."""
    shape = ["batch", "height", "width"]
    axis = helper.make_tensor("axis", TensorProto.INT64, [1], [3])
    return helper.make_model(helper.make_graph(
        [helper.make_node("Cast", ["frames"], ["colours"], to=TensorProto.FLOAT),
         helper.make_node("ReduceMean", ["colours", "axis"], ["mask"], keepdims=0)], "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, shape)], [axis]),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
