"""Graphs and engines of nets in the user's cache folder: each is made once, and again where it no longer fits.

There is one engine for each graph, kind of GPU, and range of shapes. What may change under it (the library, the
driver's libraries, the file itself) is checked each time: an engine that no longer fits is built again, and the reason
is logged. The name of a graph's file depends on the net's tensors and description, the precision and the versions of
the rewrites and of the libraries, so nothing stale is run.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

from depthcue.backends.session import FP32, INT8
from depthcue.backends.tensorrt_library import SUFFIX as ENGINE_SUFFIX
from depthcue.backends.tensorrt_library import Making, choose_library, find_gpu, plan_shapes, read_engine_card
from depthcue.errors import DepthcueError
from depthcue.export.onnx import OPSET, depth_net_of, export_onnx
from depthcue.export.tensorrt_engine import (
    EngineOptions,
    comparing_with_graph,
    comparing_with_net,
    making_of,
    write_engine,
)
from depthcue.files import cache_folder, cached_file
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.exported import Kind, net_identity, read_graph_card
from depthcue.nets.rewriting import VERSION
from depthcue.scenes.api import rendered_pictures

log = logging.getLogger(__name__)


def cached_engine(graph: Path, options: EngineOptions, net: MaskNet | DepthNet | None = None,
                  kind: Kind = "mask") -> Path:
    """The engine of an exported net for the GPU here, built (and compared) unless there is one that fits.

    Args:
        options: as for `write_engine`; `device` is the GPU it is for.
        net: what the graph was exported from, to compare with; None compares with the graph.

    Raises:
        DepthcueError: no GPU, no TensorRT, the cache folder cannot be written, or the engine does not agree.
    """
    gpu = find_gpu(options.device)
    library = choose_library(options.library)
    options = replace(options, library=library.name)
    card = read_graph_card(graph, kind)
    shapes = plan_shapes(card, options.batch, options.sizes, options.around)
    wanted = making_of(card, shapes, library, gpu)
    path = _engine_path(card, wanted, gpu.name)
    if path.exists():
        reason = _outdated(path, wanted, kind)
        if reason is None:
            return path
        log.warning("building the engine of %s again: %s", card["name"], reason)
    else:
        log.warning("building an engine of %s for %s, once; it is kept in %s", card["name"], gpu.name, path.parent)
    compare = (comparing_with_graph(graph, card, rendered_pictures) if net is None
               else comparing_with_net(net, rendered_pictures))
    try:
        write_engine(graph, card, path, options, compare)
    except DepthcueError as error:
        raise error.within(f"no engine of {card['name']} for {gpu.name}", "Or use another --backend.") from error
    return path


def _engine_path(card: dict[str, Any], wanted: Making, gpu: str) -> Path:
    # what can only change together with the machine is left out: the old file is then found, and the reason logged
    facts = [card["net_identity"], wanted.precision, wanted.shapes.as_json(), wanted.library, gpu]
    return cached_file("engines", json.dumps(facts, sort_keys=True), f"{card['name']}-{wanted.precision}",
                       ENGINE_SUFFIX)


def _outdated(path: Path, wanted: Making, kind: Kind) -> str | None:
    """Why the engine at `path` is not what is wanted; None where it is."""
    try:
        making = read_engine_card(path, kind)[1]
    except DepthcueError as error:
        return error.message
    changed = [f"{what} was {before}, now {now}" for what, before, now in (
        ("the library", making.version, wanted.version),
        ("the GPU's compute capability", making.compute_capability, wanted.compute_capability),
        ("the graph", making.graph_sha256[:12], wanted.graph_sha256[:12]),
    ) if before != now]
    return ", ".join(changed) or None


def graph_path(net: MaskNet | DepthNet, precision: str = FP32) -> Path:
    """Path in the cache of the graph of this very net in this precision, whether it is there or not."""
    facts = json.dumps([net_identity(net), precision, OPSET, VERSION, torch.__version__, onnx.__version__,
                        onnxruntime.__version__])
    return cached_file("graphs", facts, f"{net.description.name}-{precision}", ".onnx")


def has_graph(net: MaskNet | DepthNet, precision: str = FP32) -> bool:
    """Whether the net has been exported in this precision before."""
    path = graph_path(net, precision)
    return path.is_file() and path.with_suffix(".json").is_file()


def cached_graph(net: MaskNet | DepthNet, precision: str = FP32) -> Path:
    """The net's exported graph, written (and compared with torch) if it is not there yet.

    Raises:
        DepthcueError: the cache folder cannot be written, or the graph does not agree with torch; int8, which needs
            pictures that only the user has.
    """
    if precision == INT8:
        raise DepthcueError("int8 is calibrated on pictures like those that the net will see",
                            "Write the graph once with depthcue export --precision int8 --data folder:PATH --out "
                            "FILE.onnx, then give --weights FILE.onnx.")
    path = graph_path(net, precision)
    if has_graph(net, precision):
        return path
    log.info("exporting %s in %s to %s (once)", net.description.name, precision, path)
    try:
        judge = depth_net_of(net.description, net.description.name) if isinstance(net, MaskNet) else None
        export_onnx(net, path, rendered_pictures(), judge, precision=precision)
    except DepthcueError as error:
        raise error.within(f"exporting {net.description.name} for ONNX Runtime failed", "Or use --backend torch; the "
                           f"cache is {cache_folder()} (XDG_CACHE_HOME moves it).") from error
    return path
