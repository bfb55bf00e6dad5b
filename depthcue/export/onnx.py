"""Writing a net as one ONNX file that takes raw frames of any size and batch, and its card.

The file appears under its name after it was checked by `onnx.checker` and found to agree with torch (`parity.py`);
until then there is no file.
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

from depthcue.backends.onnx_backend import CPU_PROVIDER, open_cpu_session
from depthcue.backends.precision import BF16, FP16, FP32, INT8, SIXTEEN_BIT, TOLERANCES, Tolerance, check_precision
from depthcue.errors import DepthcueError
from depthcue.export.graph_module import DepthGraph, MaskGraph, graph_card
from depthcue.export.parity import Exported, Frames, Maps, Parity, measure_parity
from depthcue.export.versions import Version, versions
from depthcue.files import atomic_path, revision, write_json
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import file_sha256, net_identity
from depthcue.nets.rewriting import Rewriting, rewritten

OPSET = 18
"""What torch's exporter writes without converting, and old enough for ONNX Runtime and TensorRT of the last years."""
MAX_BATCH = 1024
MAX_SIDE = 8192

log = logging.getLogger(__name__)


def export_onnx(net: MaskNet | DepthNet, path: str | os.PathLike[str], pictures: Sequence[NDArray[np.uint8]],
                depth_net: DepthNet | None = None, tolerance: Tolerance | None = None, *, precision: str = FP32,
                calibration: Sequence[NDArray[np.uint8]] | None = None) -> dict[str, Any]:
    """Write `net` to `path` (.onnx, weights inside) and its card beside it; return the card.

    Args:
        net: left as it is.
        pictures: real pictures uint8 (H, W, 3) to compare on.
        depth_net: for a mask net, the depth net its masks are for: the change of its error is part of the gate.
        tolerance: by default that of the precision.
        precision: one of `PRECISIONS`. Inputs and outputs have the same types in each.
        calibration: other real pictures, to choose what fits in fewer bits by; for 16 bit by default `pictures`.

    Raises:
        DepthcueError: the graph does not agree with torch, or the file cannot be written; for int8, too few calibration
            pictures.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise DepthcueError(f"{path} does not end in .onnx", f"Write --out {path.with_suffix('.onnx')}.")
    check_precision(precision)
    tolerance = tolerance or TOLERANCES[precision]
    if calibration is None:
        calibration = pictures if precision in SIXTEEN_BIT else []
    module = graph_module(net)
    description = module.net.description
    graph, rewriting = _rewritten_graph(module, precision)
    with atomic_path(path) as partial:
        # inside: a folder that cannot be written is told before the seconds that this takes
        traced = _traced(graph)
        for version in versions(traced, precision, description, calibration):
            onnx.save_model(version.model, str(partial), save_as_external_data=False)
            onnx.checker.check_model(str(partial), full_check=True)
            checks = {way: measure_parity(module, run, pictures, depth_net, tolerance)
                      for way, run in _ways_to_run(version, partial, precision, description).items()}
            if all(parity.holds() for parity in checks.values()):
                break
        else:
            raise _too_far(precision, checks)
        (way, parity), runs_here = list(checks.items())[-1], CPU_PROVIDER in checks
        log.info("%s agrees with torch: largest difference %.2g, mean %.2g", path, parity.max_abs, parity.mean_abs)
        card = graph_card(
            "mask" if isinstance(module, MaskGraph) else "depth", description,
            one_size=getattr(module.net, "fixed", False), opset=version.model.opset_import[0].version,
            sha256=file_sha256(partial), bytes=partial.stat().st_size,
            precision=precision, lowering=version.facts, runs_in_onnxruntime_on_cpu=runs_here,
            weights_sha256=net.card.get("sha256"), net_identity=net_identity(net), rewriting=rewriting.as_json(),
            parity={"provider": way, **parity.as_json()},
            versions={"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
            revision=revision(),
        )
    write_json(card_path(path), card)
    return card


def _ways_to_run(version: Version, path: Path, precision: str,
                 description: DepthDescription | MaskDescription) -> dict[str, Exported]:
    """What the file computes: as ONNX Runtime runs it here, and, for 16 bit, as hardware for 16 bit does."""
    ways: dict[str, Exported] = {}
    try:
        ways[CPU_PROVIDER] = _runner(open_cpu_session(str(path)), description)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        # it has no bfloat16 kernels on a CPU; a file in any other precision that does not load is of no use
        if precision != BF16:
            raise DepthcueError(f"ONNX Runtime cannot load the graph of {description.name}: {error}",
                                "Nothing was written.") from error
    if version.emulated is not None:
        emulated = open_cpu_session(version.emulated.SerializeToString())
        ways[f"{CPU_PROVIDER}, each result rounded to {precision}"] = _runner(emulated, description)
    return ways


def _too_far(precision: str, checks: dict[str, Parity]) -> DepthcueError:
    lines = [f"{way}:\n" + "\n".join(parity.lines()) for way, parity in checks.items()]
    other = {INT8: " Use --precision fp16, or calibrate on more pictures.",
             FP16: " Use --precision bf16 or fp32.", BF16: " Use --precision fp16 or fp32."}.get(precision, "")
    return DepthcueError(f"the graph in {precision} does not agree with torch.\n" + "\n".join(lines),
                         f"Nothing was written.{other}")


def graph_module(net: MaskNet | DepthNet) -> MaskGraph | DepthGraph:
    """The net with its preprocessing as it was trained: what the file is compared with."""
    own = copy.deepcopy(net.for_export()).cpu().eval()
    module = MaskGraph(own) if isinstance(own, MaskNet) else DepthGraph(own)
    return module.requires_grad_(False).eval()


def _rewritten_graph(module: MaskGraph | DepthGraph, precision: str) -> tuple[MaskGraph | DepthGraph, Rewriting]:
    """The same with the net rewritten to less arithmetic: what is written."""
    # in int8 products are cheap and what lies between them is not
    polyphase = precision != INT8
    if isinstance(module, MaskGraph):
        mask_net, rewriting = rewritten(module.net, polyphase=polyphase)
        return MaskGraph(mask_net).eval(), rewriting
    depth_net, rewriting = rewritten(module.net, polyphase=polyphase)
    return DepthGraph(depth_net).eval(), rewriting


def _traced(module: MaskGraph | DepthGraph) -> onnx.ModelProto:
    """The graph in float32."""
    description = module.net.description
    multiple = description.multiple
    # an example batch of one would be taken for a constant
    frames = torch.zeros(2, description.height, description.width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    sides = {1: _side("height", multiple), 2: _side("width", multiple)}
    args: tuple[torch.Tensor, ...] = (frames,)
    shapes: tuple[Any, ...] = ({0: batch, **sides},)
    names = ["frames"]
    if isinstance(module, MaskGraph) and (dial := module.net.description.dial_name) is not None:
        args += (torch.full((2,), module.net.description.default_dial),)
        shapes += ({0: batch},)
        names.append(dial)
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
    return model


def _untraceable(name: str, error: BaseException) -> DepthcueError:
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, DepthcueError):
        cause = cause.__cause__
    if isinstance(cause, DepthcueError):
        return cause.within(f"torch cannot write {name} as a graph", "Nothing was written.")
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
    _read_frames_once(graph)
    graph.name = f"depthcue_{output}"
    model.producer_name, model.producer_version = "depthcue", ""


def _read_frames_once(graph: onnx.GraphProto) -> None:
    """Let the cast alone read the frames: whoever asks for their shape gets it from the cast, which comes first."""
    frames = graph.input[0].name
    readers = [node for node in graph.node if frames in node.input]
    cast = next(node for node in readers if node.op_type == "Cast")
    for node in readers:
        if node.op_type == "Shape":
            node.input[0] = cast.output[0]
    first = onnx.NodeProto()
    first.CopyFrom(cast)
    graph.node.remove(cast)
    graph.node.insert(0, first)


def _runner(session: onnxruntime.InferenceSession, description: DepthDescription | MaskDescription) -> Exported:
    def run(frames: Frames, dial: float | None) -> Maps:
        feeds: dict[str, Any] = {"frames": frames}
        if description.dial_name is not None:
            feeds[description.dial_name] = np.full(len(frames), dial, np.float32)
        try:
            return session.run(None, feeds)[0]
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot run the graph of {description.name} on frames "
                                f"{frames.shape}: {error}",
                                "torch wrote a graph that does not hold for every size and batch. Nothing was "
                                "written.") from error

    return run

