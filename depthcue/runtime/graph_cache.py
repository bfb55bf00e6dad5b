"""Exported graphs of nets, kept in the user's cache folder so that `--backend onnx` exports a net once.

A graph is found again by what made it: the net's tensors and description, the precision and the versions of the
rewrites and of the libraries. Anything else is another file, so nothing stale is ever run.
"""

import json
import logging
from pathlib import Path

import onnx
import onnxruntime
import torch

from depthcue.cache import cache_folder, cached_file
from depthcue.errors import DepthcueError
from depthcue.export.card import net_identity
from depthcue.export.job import depth_net_of, rendered_pictures
from depthcue.export.onnx import OPSET, export_onnx
from depthcue.export.precision import FP32, INT8
from depthcue.export.rewrites import VERSION
from depthcue.nets import DepthNet, MaskNet

log = logging.getLogger(__name__)


def graph_path(net: MaskNet | DepthNet, precision: str = FP32) -> Path:
    """Where the graph of this very net in this precision is or would be."""
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
