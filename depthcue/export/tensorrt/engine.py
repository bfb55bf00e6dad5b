"""An exported graph as an engine file with its card; where a GPU can run it, compared before it gets its name."""

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from depthcue.atomic import atomic_path
from depthcue.cache import cache_folder
from depthcue.errors import DepthcueError
from depthcue.export.cuda_lane import CudaLane
from depthcue.export.tensorrt.build import build_engine
from depthcue.export.tensorrt.engine_card import SUFFIX, Making
from depthcue.export.tensorrt.library import Gpu, Library, choose_library, find_gpu, has_gpu, plain
from depthcue.export.tensorrt.session import EngineSession
from depthcue.export.tensorrt.shapes import Shapes, Size, plan_shapes
from depthcue.nets.checkpoint import card_path
from depthcue.nets.graph_card import dial_input, file_sha256
from depthcue.progress import Progress, Silent
from depthcue.record import revision, write_json

Compare = Callable[[EngineSession], dict[str, Any]]
"""Compares an engine, entered, with what it was exported from; gives what goes into the card as `parity`.

Raises DepthcueError where they do not agree."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineOptions:
    """How an engine is built; the defaults are the command's."""

    library: str = "auto"
    batch: tuple[int, int, int] = (1, 8, 32)
    """Frames per batch: least, best, most."""
    sizes: tuple[Size, ...] = ()
    """(height, width): one, or least, best and most; none: any picture of about the area of `around`."""
    around: Size | None = None
    """(height, width) to be best at where no `sizes` are given; None: the net's working size."""
    workspace_mib: int | None = None
    targets: tuple[str, ...] = ()
    """Compute capabilities, for `tensorrt-rtx`."""
    device: str = "cuda"
    """The GPU to build on and for, where there is one."""


def write_engine(graph: Path, graph_card: Mapping[str, Any], path: Path, options: EngineOptions,
                 compare: Compare | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Build the engine of an exported graph at `path` (.engine), write its card beside it, and return the card.

    Args:
        graph_card: of the graph; what it says of inputs, outputs and net is said of the engine too.
        compare: run where a GPU is here that can run the engine; without one the card says `"parity": null` and why.

    Raises:
        DepthcueError: no library, options beyond it, an engine that does not agree, or a file that cannot be written.
    """
    check_engine_path(path)
    library = choose_library(options.library)
    gpu = find_gpu(options.device) if has_gpu() else None
    shapes = plan_shapes(graph_card, options.batch, options.sizes, options.around)
    # the builder takes the calling thread's GPU
    with CudaLane(gpu.device).active() if gpu else nullcontext():
        content = build_engine(graph, shapes, library, gpu, progress or Silent(), workspace_mib=options.workspace_mib,
                               targets=options.targets, timing_cache=_timing_cache(library, gpu))
    making = making_of(graph_card, shapes, library, gpu, options.targets)
    with atomic_path(path) as partial:
        partial.write_bytes(content)
        parity, unchecked = _compared(partial, making, graph_card, library, gpu, compare)
        card = {**graph_card, "sha256": file_sha256(partial), "bytes": len(content), "engine": making.as_json(),
                "parity": parity, "unchecked": unchecked, "graph_parity": graph_card.get("parity"),
                "versions": {**graph_card.get("versions", {}), library.name: library.version,
                             "cuda": torch.version.cuda},
                "revision": revision()}
    write_json(card_path(path), card)
    return card


def check_engine_path(path: Path) -> None:
    """Refuse names that an engine cannot have.

    Raises:
        DepthcueError: another suffix, or a name whose card would be that of another file.
    """
    if path.suffix != SUFFIX:
        raise DepthcueError(f"{path} does not end in {SUFFIX}", f"Write --out {path.with_suffix(SUFFIX)}.")
    for suffix in (".onnx", ".safetensors"):
        other = path.with_suffix(suffix)
        if other.exists() and card_path(path).exists():
            raise DepthcueError(f"{card_path(path)} is the card of {other.name}, and would be that of {path.name} too",
                                f"Choose another name, as {path.with_stem(path.stem + '-engine').name}.")


def making_of(graph_card: Mapping[str, Any], shapes: Shapes, library: Library, gpu: Gpu | None,
              targets: tuple[str, ...] = ()) -> Making:
    """What an engine of this graph would be built by and for."""
    tied_to = None if library.compiles_where_it_runs else gpu
    return Making(library.name, library.version, tied_to.name if tied_to else None,
                  tied_to.capability if tied_to else None, targets, graph_card["sha256"], shapes,
                  graph_card.get("precision", "fp32"))


def _timing_cache(library: Library, gpu: Gpu | None) -> Path | None:
    if gpu is None or library.compiles_where_it_runs:
        return None
    return cache_folder() / "timing" / f"{library.name}-{library.version}-{plain(gpu.name)}.cache"


def _compared(engine: Path, making: Making, card: Mapping[str, Any], library: Library, gpu: Gpu | None,
              compare: Compare | None) -> tuple[dict[str, Any] | None, str | None]:
    """What the comparison says, or why there is none."""
    if gpu is None:
        return None, "no GPU was there to run it"
    misfits = making.misfits(library, gpu)
    if misfits:
        return None, "; ".join(misfits)
    if compare is None:
        return None, "it was not asked for"
    with EngineSession(engine, making, gpu.device, dial_input=dial_input(card)) as session:
        return compare(session), None
