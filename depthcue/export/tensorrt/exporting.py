"""What `depthcue export --format tensorrt` does: a spec, or an exported graph, to a checked engine."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.export.job import PICTURES, depth_net_of, export_spec, rendered_pictures, stored_pictures
from depthcue.export.precision import FP32
from depthcue.export.tensorrt.agreement import comparing_with_graph, comparing_with_net
from depthcue.export.tensorrt.engine import EngineOptions, check_engine_path, write_engine
from depthcue.export.tensorrt.library import choose_library
from depthcue.nets import load_depth_net, load_mask_net
from depthcue.nets.graph_card import Kind, read_graph_card
from depthcue.progress import Progress, Silent

log = logging.getLogger(__name__)


def export_engine(weights: str | None, target: str | None, path: Path, data: str | None = None, precision: str = FP32,
                  options: EngineOptions | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Build an engine of the mask net `weights` or the depth net `target` at `path` (.engine); return its card.

    A graph that was exported before, as FILE.onnx, is a net here too: its precision is its own. Where no GPU can run
    the engine, it is not compared, and the card says so.

    Args:
        data, precision: as `export_spec`.

    Raises:
        DepthcueError: not exactly one net, no TensorRT, options beyond it, or an engine that does not agree.
    """
    options, progress = options or EngineOptions(), progress or Silent()
    spec = weights if target is None else target
    if spec is None or (weights is not None and target is not None):
        raise DepthcueError("export takes one net", "Give --weights W for a mask net or --target NET for a depth net.")
    kind: Kind = "mask" if target is None else "depth"
    # before minutes go into a graph
    check_engine_path(path)
    choose_library(options.library)

    def pictures() -> list[NDArray[np.uint8]]:
        return rendered_pictures() if data is None else stored_pictures(data, PICTURES)

    if spec.endswith(".onnx"):
        graph = Path(spec)
        card = read_graph_card(graph, kind)
        _check_own_precision(card, precision, graph)
        compare = comparing_with_graph(graph, card, pictures, depth_net_of)
        card = write_engine(graph, card, path, options, compare, progress)
    else:
        net = load_mask_net(spec) if kind == "mask" else load_depth_net(spec)
        with TemporaryDirectory() as folder:
            progress.start("exporting the graph")
            graph = Path(folder) / f"{path.stem}.onnx"
            graph_card = export_spec(weights, target, graph, data, precision)
            compare = comparing_with_net(net, pictures, depth_net_of)
            card = write_engine(graph, graph_card, path, options, compare, progress)
    if card["unchecked"] is not None:
        log.warning("%s was not compared with %s: %s", path, spec, card["unchecked"])
    return card


def _check_own_precision(card: dict[str, Any], precision: str, graph: Path) -> None:
    own = card.get("precision", FP32)
    if precision not in (FP32, own):
        raise DepthcueError(f"{graph} computes in {own}; --precision {precision} was asked for",
                            "Leave --precision out, or export the net itself.")
