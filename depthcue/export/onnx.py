"""Writing a net as one ONNX file that takes raw frames of any size and batch, and its card.

The file appears under its name after it was checked by `onnx.checker` and found to agree with torch (`parity.py`);
until then there is no file. The card is a JSON file with the graph's name (`NAME.onnx`, `NAME.json`). Nothing that
depthcue needs is in the graph file alone, so other tools may rewrite that file, and the sha256 shows when they have.
"""

import copy
import dataclasses
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

from depthcue import scenes
from depthcue.backends.onnx_backend import CPU_PROVIDER
from depthcue.backends.session import (
    BF16,
    FP16,
    FP32,
    INT8,
    SIXTEEN_BIT,
    TOLERANCES,
    Frames,
    Maps,
    Tolerance,
    check_precision,
)
from depthcue.data import open_data
from depthcue.documents import GRAPH_SCHEMA
from depthcue.errors import DepthcueError
from depthcue.export.parity import Exported, Parity, measure_parity
from depthcue.export.versions import LEAST_CALIBRATION, Version, versions
from depthcue.files import atomic_path, revision, write_json
from depthcue.nets import (
    DepthDescription,
    DepthNet,
    MaskDescription,
    MaskNet,
    NetOnFrames,
    load_depth_net,
    load_mask_net,
    load_target_of,
)
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import Kind, file_sha256, net_identity, open_on_cpu
from depthcue.nets.rewriting import rewritten
from depthcue.scenes.api import SCENES_PER_KIND, rendered_pictures

OPSET = 18
"""The opset that torch's exporter writes without converting, and that ONNX Runtime and TensorRT of the last years
read."""
MAX_BATCH = 1024
MAX_SIDE = 8192
DIALS = {"keep": "share of the pixels to keep, above 0 and below 1; the net was trained for",
         "lambda": "weight of sparseness,"}
PICTURES = 16
"""Number of pictures of --data for the comparison."""
CALIBRATION = 32
"""Number of further pictures that int8 is calibrated on."""
Picture = NDArray[np.uint8]
"""uint8 (H, W, 3)."""

log = logging.getLogger(__name__)


def export_onnx(net: MaskNet | DepthNet, path: str | os.PathLike[str], pictures: Sequence[Picture],
                depth_net: DepthNet | None = None, tolerance: Tolerance | None = None, *, precision: str = FP32,
                calibration: Sequence[Picture] | None = None) -> dict[str, Any]:
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
    # in int8 products are cheap and what lies between them is not
    own, rewriting = rewritten(module.net, polyphase=precision != INT8)
    graph = NetOnFrames(own).eval()
    with atomic_path(path) as partial:
        # inside: a folder that cannot be written is an error before the seconds that tracing takes
        traced = _traced(graph)
        for version in versions(traced, precision, description, calibration):
            onnx.save_model(version.model, str(partial), save_as_external_data=False)
            onnx.checker.check_model(str(partial), full_check=True)
            checks = {runner: measure_parity(module, run, pictures, depth_net, tolerance)
                      for runner, run in _runners(version, partial, precision, description).items()}
            if all(parity.holds() for parity in checks.values()):
                break
        else:
            raise _too_far(precision, checks)
        (runner, parity), runs_here = list(checks.items())[-1], CPU_PROVIDER in checks
        log.info("%s agrees with torch: largest difference %.2g, mean %.2g", path, parity.max_abs, parity.mean_abs)
        card = graph_card(
            "mask" if isinstance(module.net, MaskNet) else "depth", description,
            one_size=getattr(module.net, "fixed", False), opset=version.model.opset_import[0].version,
            sha256=file_sha256(partial), bytes=partial.stat().st_size,
            precision=precision, lowering=version.facts, runs_in_onnxruntime_on_cpu=runs_here,
            weights_sha256=net.card.get("sha256"), net_identity=net_identity(net), rewriting=rewriting.as_json(),
            parity={"provider": runner, **parity.as_json()},
            versions={"torch": torch.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__},
            revision=revision(),
        )
    write_json(card_path(path), card)
    return card


def _runners(version: Version, path: Path, precision: str,
             description: DepthDescription | MaskDescription) -> dict[str, Exported]:
    """Functions that compute the file: ONNX Runtime here and, for 16 bit, an emulation of 16-bit hardware."""
    runners: dict[str, Exported] = {}
    try:
        runners[CPU_PROVIDER] = in_onnxruntime(open_on_cpu(str(path)), description)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        # it has no bfloat16 kernels on a CPU; a file in any other precision that does not load is of no use
        if precision != BF16:
            raise DepthcueError(f"ONNX Runtime cannot load the graph of {description.name}: {error}",
                                "Nothing was written.") from error
    if version.emulated is not None:
        emulated = open_on_cpu(version.emulated.SerializeToString())
        runners[f"{CPU_PROVIDER}, each result rounded to {precision}"] = in_onnxruntime(emulated, description)
    return runners


def _too_far(precision: str, checks: dict[str, Parity]) -> DepthcueError:
    lines = [f"{runner}:\n" + "\n".join(parity.lines()) for runner, parity in checks.items()]
    other = {INT8: " Use --precision fp16, or calibrate on more pictures.",
             FP16: " Use --precision bf16 or fp32.", BF16: " Use --precision fp16 or fp32."}.get(precision, "")
    return DepthcueError(f"the graph in {precision} does not agree with torch.\n" + "\n".join(lines),
                         f"Nothing was written.{other}")


def graph_module(net: MaskNet | DepthNet) -> NetOnFrames:
    """The net with its preprocessing as it was trained: what the file is compared with."""
    return NetOnFrames(copy.deepcopy(net.for_export())).cpu().requires_grad_(False).eval()


def _traced(module: NetOnFrames) -> onnx.ModelProto:
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
    if isinstance(description, MaskDescription) and (dial := description.dial_name) is not None:
        args += (torch.full((2,), description.default_dial),)
        shapes += ({0: batch},)
        names.append(dial)
    output = "mask" if isinstance(description, MaskDescription) else "depth"
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
    """Remove what describes the machine of the export, and name the dimensions as the card does."""
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
    """Let the cast alone read the frames: nodes that need their shape get it from the cast, which comes first."""
    frames = graph.input[0].name
    readers = [node for node in graph.node if frames in node.input]
    cast = next(node for node in readers if node.op_type == "Cast")
    for node in readers:
        if node.op_type == "Shape":
            node.input[0] = cast.output[0]
    first = copy.deepcopy(cast)
    graph.node.remove(cast)
    graph.node.insert(0, first)


def in_onnxruntime(graph: onnxruntime.InferenceSession, description: DepthDescription | MaskDescription) -> Exported:
    """Runs an exported graph to compare it.

    Raises:
        DepthcueError: by the function returned, where ONNX Runtime cannot run the graph.
    """
    def run(frames: Frames, dial: float | None) -> Maps:
        feeds: dict[str, Any] = {"frames": frames}
        if description.dial_name is not None:
            feeds[description.dial_name] = np.full(len(frames), dial, np.float32)
        try:
            return graph.run(None, feeds)[0]
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot run the graph of {description.name} on frames "
                                f"{frames.shape}: {error}",
                                "torch wrote a graph that does not hold for every size and batch. Nothing was "
                                "written.") from error

    return run


def graph_card(kind: Kind, description: MaskDescription | DepthDescription, **fields: Any) -> dict[str, Any]:
    """A card: inputs and outputs with their names, types, shapes and ranges, then `fields` as they are."""
    dial = description.dial_name
    lambda_range: Any = getattr(description, "lambda_range", None)
    keep_range: Any = getattr(description, "keep_range", None)
    inputs = [{"name": "frames", "dtype": "uint8", "shape": ["batch", "height", "width", 3],
               "meaning": "RGB, upright; mean and deviation are applied inside"}]
    if dial is not None:
        low, high = lambda_range if keep_range is None else keep_range
        inputs.append({"name": dial, "dtype": "float32", "shape": ["batch"],
                       "meaning": f"{DIALS[dial]} {low:g} to {high:g}"})
    if kind == "mask":
        output = {"name": "mask", "dtype": "float32", "shape": ["batch", "height", "width"],
                  "meaning": "share of each pixel kept, 0 to 1" + ("; its mean is keep" if dial == "keep" else "")}
    else:
        output = {"name": "depth", "dtype": "float32", "shape": ["batch", "depth_height", "depth_width"],
                  "meaning": _depth_unit(description)}
    return {
        "graph_schema": GRAPH_SCHEMA,
        "kind": kind,
        "name": description.name,
        "inputs": inputs,
        "outputs": [output],
        "height_and_width_are_multiples_of": description.multiple,
        "working_size": {"height": description.height, "width": description.width},
        "keep_range": None if keep_range is None else list(keep_range),
        "default_keep": None if keep_range is None else getattr(description, "default_keep", None),
        "lambda_range": None if lambda_range is None else list(lambda_range),
        "default_lambda": getattr(description, "default_lambda", None),
        "target": getattr(description, "target", None),
        "licence": description.licence,
        "source": description.source,
        "description": dataclasses.asdict(description),
        **fields,
    }


def _depth_unit(description: MaskDescription | DepthDescription) -> str:
    if not getattr(description, "relative", False):
        return "metres"
    assert isinstance(description, DepthDescription)
    unknown = "a scale and a shift" if description.shift_unknown else "a scale"
    return f"{description.predicts} up to {unknown}, as the net predicts it"


def export_spec(weights: str | None, target: str | None, path: Path, data: str | None = None,
                precision: str = FP32) -> dict[str, Any]:
    """Export the mask net `weights` or the depth net `target` to `path` (.onnx); return its card.

    Args:
        data: a data spec with pictures to compare on and, for int8, others to calibrate on; None renders rooms and
            roads.
        precision: one of `PRECISIONS`.

    Raises:
        DepthcueError: not exactly one of the two, a wrong spec, too few pictures, or a graph that does not agree with
            torch.
    """
    if (weights is None) == (target is None):
        raise DepthcueError("export takes one net", "Give --weights W for a mask net or --target NET for a depth net.")
    check_precision(precision)
    pictures, calibration = _pictures(data, precision)
    if target is not None:
        return export_onnx(load_depth_net(target), path, pictures, precision=precision, calibration=calibration)
    assert weights is not None
    net = load_mask_net(weights)
    return export_onnx(net, path, pictures, depth_net_of(net.description, weights), precision=precision,
                       calibration=calibration)


def _pictures(data: str | None, precision: str) -> tuple[list[Picture], list[Picture] | None]:
    """Pictures to compare on and, for int8, others to calibrate on (None: ranges may come from those compared on)."""
    if precision != INT8:
        return rendered_pictures() if data is None else stored_pictures(data, PICTURES), None
    if data is None:
        log.warning("int8 is calibrated on rendered rooms and roads; give --data with pictures like those that the net "
                    "will see")
        return rendered_pictures(), rendered_pictures(CALIBRATION // len(scenes.KINDS), first=SCENES_PER_KIND)
    stored = stored_pictures(data, PICTURES + CALIBRATION)
    least = LEAST_CALIBRATION + LEAST_CALIBRATION // 2
    if len(stored) < least:
        raise DepthcueError(f"{data} holds {len(stored)} picture{'' if len(stored) == 1 else 's'}; int8 needs at least "
                            f"{least}, two thirds to calibrate on and the others to compare on",
                            "Give --data more pictures, of the kind that the net will see.")
    return stored[::3], [picture for index, picture in enumerate(stored) if index % 3]


def stored_pictures(data: str, count: int) -> list[Picture]:
    """Up to `count` pictures of a data spec, uint8 (H, W, 3)."""
    opened = open_data(data, limit=count)
    frames = opened.frames(range(min(count, len(opened))), "cpu")
    return list(frames.rgb.permute(0, 2, 3, 1).contiguous().numpy())


def depth_net_of(description: MaskDescription, source: str) -> DepthNet | None:
    """The depth net a mask net was trained for; None, with a warning, where it is not at hand.

    `source` is the file that the description comes from.
    """
    try:
        return load_target_of(description, source)
    except DepthcueError as error:
        # the graph can still be compared in numbers; the card then says that the task error was not measured
        log.warning("the depth net %r could not be loaded; its error under the mask is not compared: %s",
                    description.target, " ".join(str(error).splitlines()))
        return None
