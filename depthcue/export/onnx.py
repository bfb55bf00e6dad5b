"""Writing a net as one ONNX file that takes raw frames of any size and batch, and its card.

The file appears under its name after it was checked by `onnx.checker` and found by ONNX Runtime to agree with torch
(`parity.py`); until then there is no file.
"""

import copy
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from depthcue.atomic import atomic_path
from depthcue.errors import DepthcueError
from depthcue.export.card import graph_card, net_identity
from depthcue.export.module import DepthGraph, MaskGraph
from depthcue.export.parity import Exported, Frames, Maps, Tolerance, check_parity
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.checkpoint import card_path
from depthcue.nets.graph_card import file_sha256
from depthcue.record import revision, write_json

OPSET = 18
"""What torch's exporter writes without converting, and old enough for ONNX Runtime and TensorRT of the last years."""
PROVIDER = "CPUExecutionProvider"
"""What the graph is compared on: it is everywhere, and computes in float32 throughout."""
MAX_BATCH = 1024
MAX_SIDE = 8192

log = logging.getLogger(__name__)


def export_onnx(net: MaskNet | DepthNet, path: str | os.PathLike[str], pictures: Sequence[NDArray[np.uint8]],
                depth_net: DepthNet | None = None, tolerance: Tolerance | None = None) -> dict[str, Any]:
    """Write `net` to `path` (.onnx, weights inside) and its card beside it; return the card.

    Args:
        net: left as it is.
        pictures: real pictures uint8 (H, W, 3) to compare on.
        depth_net: for a mask net, the depth net its masks are for: the change of its error is part of the gate.

    Raises:
        DepthcueError: the graph does not agree with torch, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise DepthcueError(f"{path} does not end in .onnx", f"Write --out {path.with_suffix('.onnx')}.")
    module = _graph_module(net)
    with atomic_path(path) as partial:
        _write_graph(module, partial)
        session = onnxruntime.InferenceSession(partial, providers=[PROVIDER])
        parity = check_parity(module, _runner(session, module.net.description.name), pictures, depth_net, tolerance)
        log.info("%s agrees with torch: largest difference %.2g, mean %.2g", path, parity.max_abs, parity.mean_abs)
        card = graph_card(
            "mask" if isinstance(module, MaskGraph) else "depth", module.net.description,
            one_size=getattr(module.net, "fixed", False), opset=OPSET,
            sha256=file_sha256(partial), bytes=partial.stat().st_size,
            weights_sha256=net.card.get("sha256"), net_identity=net_identity(net),
            parity={"provider": PROVIDER, **parity.as_json()},
            versions={"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
            revision=revision(),
        )
    write_json(card_path(path), card)
    return card


def _graph_module(net: MaskNet | DepthNet) -> MaskGraph | DepthGraph:
    own = copy.deepcopy(net.for_export() if isinstance(net, DepthNet) else net).cpu().eval()
    module = MaskGraph(own) if isinstance(own, MaskNet) else DepthGraph(own)
    return module.requires_grad_(False).eval()


def _write_graph(module: MaskGraph | DepthGraph, path: Path) -> None:
    description = module.net.description
    multiple = description.multiple
    # an example batch of one would be taken for a constant
    frames = torch.zeros(2, description.height, description.width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    sides = {1: _side("height", multiple), 2: _side("width", multiple)}
    args: tuple[torch.Tensor, ...] = (frames,)
    shapes: tuple[Any, ...] = ({0: batch, **sides},)
    names = ["frames"]
    if isinstance(module, MaskGraph) and module.net.description.lambda_range is not None:
        args += (torch.full((2,), module.net.description.default_lambda),)
        shapes += ({0: batch},)
        names.append("lambda")
    output = "mask" if isinstance(module, MaskGraph) else "depth"
    with warnings.catch_warnings():
        # about dimension names it did not need, and about its own use of deprecated parts of torch
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(module, args, None, dynamo=True, input_names=names, output_names=[output],
                                        dynamic_shapes=shapes, opset_version=OPSET, verbose=False)
        except Exception as error:  # whatever the code of a net raises when it is traced, wrapped by the exporter
            raise _untraceable(description.name, error) from error
    assert program is not None
    model = program.model_proto
    _tidy(model, output)
    onnx.save_model(model, str(path), save_as_external_data=False)
    onnx.checker.check_model(str(path), full_check=True)


def _untraceable(name: str, error: BaseException) -> DepthcueError:
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    first = (str(cause).strip().splitlines() or [""])[0]
    return DepthcueError(f"torch cannot write {name} as a graph: {type(cause).__name__}: {first}",
                         "Its code does something that a graph cannot hold, or not for every size and batch. "
                         "Nothing was written.")


def _side(name: str, multiple: int) -> Any:
    # two multiples at least: with one, a net's coarsest features are one pixel and torch specialises on it
    if multiple == 1:
        return torch.export.Dim(name, min=2, max=MAX_SIDE)
    return multiple * torch.export.Dim(f"{name}_blocks", min=2, max=MAX_SIDE // multiple)


def _tidy(model: onnx.ModelProto, output: str) -> None:
    """Take out what describes the machine of the export, and name the dimensions as the card does."""
    graph = model.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph, model):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    del graph.value_info[:]  # intermediate shapes, spelled in the exporter's own symbols
    height, width = ("height", "width") if output == "mask" else ("depth_height", "depth_width")
    for value, dimensions in ((graph.input[0], ("batch", "height", "width")),
                              (graph.output[0], ("batch", height, width))):
        for dimension, name in zip(value.type.tensor_type.shape.dim, dimensions, strict=False):
            dimension.dim_param = name
    graph.name = f"depthcue_{output}"
    model.producer_name, model.producer_version = "depthcue", ""


def _runner(session: onnxruntime.InferenceSession, name: str) -> Exported:
    def run(frames: Frames, lam: float | None) -> Maps:
        feeds: dict[str, Any] = {"frames": frames}
        if lam is not None:
            feeds["lambda"] = np.full(len(frames), lam, np.float32)
        try:
            return session.run(None, feeds)[0]
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot run the graph of {name} on frames {frames.shape}: {error}",
                                "torch wrote a graph that does not hold for every size and batch. Nothing was "
                                "written.") from error

    return run

