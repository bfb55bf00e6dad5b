"""Engines of graphs, kept in the user's cache folder so that `--backend tensorrt` builds one once.

There is one for each graph, kind of GPU, and range of shapes. What may change under it (the library, the driver's
libraries, the file itself) is looked at each time: an engine that no longer fits is built again, and the reason said.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from depthcue.cache import cached_file
from depthcue.errors import DepthcueError
from depthcue.export.job import depth_net_of, rendered_pictures
from depthcue.export.tensorrt import (
    SUFFIX,
    EngineOptions,
    Making,
    choose_library,
    find_gpu,
    making_of,
    plan_shapes,
    read_engine_card,
    write_engine,
)
from depthcue.export.tensorrt.agreement import comparing_with_graph, comparing_with_net
from depthcue.nets import MaskNet
from depthcue.nets.graph_card import Kind, read_graph_card

log = logging.getLogger(__name__)


def cached_engine(graph: Path, options: EngineOptions, net: MaskNet | None = None, kind: Kind = "mask") -> Path:
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
    compare = (comparing_with_graph(graph, card, rendered_pictures, depth_net_of) if net is None
               else comparing_with_net(net, rendered_pictures, depth_net_of))
    try:
        write_engine(graph, card, path, options, compare)
    except DepthcueError as error:
        raise error.within(f"no engine of {card['name']} for {gpu.name}", "Or use another --backend.") from error
    return path


def _engine_path(card: dict[str, Any], wanted: Making, gpu: str) -> Path:
    # what can only change together with the machine is left out: then the old file is found, and the reason told
    facts = [card["net_identity"], wanted.precision, wanted.shapes.as_json(), wanted.library, gpu]
    return cached_file("engines", json.dumps(facts, sort_keys=True), f"{card['name']}-{wanted.precision}", SUFFIX)


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
