"""An exported graph as an engine file with its card; where a GPU can run it, compared before it gets its name.

The comparison is needed because TensorRT chooses the kernels, and may choose wrong ones. `export_engine` makes a
checked engine of a spec or an exported graph, for `depthcue export --format tensorrt`. `try_library` builds a tiny
engine, and runs it where there is a GPU, to find out whether a TensorRT library works here.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from depthcue.backends.device import CudaLane
from depthcue.backends.session import FP32, TOLERANCES
from depthcue.backends.tensorrt_backend import TensorRtEngine
from depthcue.backends.tensorrt_library import (
    SUFFIX,
    Gpu,
    Library,
    Making,
    Shapes,
    Size,
    choose_library,
    find_gpu,
    has_gpu,
    load_library,
    plain,
    plan_shapes,
)
from depthcue.errors import DepthcueError
from depthcue.export.onnx import PICTURES, depth_net_of, export_spec, graph_module, in_onnxruntime, stored_pictures
from depthcue.export.parity import Exported, measure_parity
from depthcue.export.tensorrt_build import build_engine
from depthcue.files import atomic_path, cache_folder, revision, write_json
from depthcue.nets import DepthNet, MaskDescription, MaskNet, NetOnFrames, load_depth_net, load_mask_net
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import Kind, described_net, dial_input, file_sha256, open_on_cpu, read_graph_card
from depthcue.progress import Progress, Silent
from depthcue.scenes.api import rendered_pictures

Compare = Callable[[TensorRtEngine], dict[str, Any]]
"""Compares an engine, entered, with what it was exported from; gives what goes into the card as `parity`.

Raises DepthcueError where they do not agree."""
Pictures = Callable[[], Sequence[NDArray[np.uint8]]]
"""Gives pictures uint8 (H, W, 3) to compare on; called where there is something to compare."""
SIDE = 16
"""Side of the pictures of `try_library`."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineOptions:
    """Options of an engine's building; the defaults are the command's."""

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
        graph_card: of the graph; its inputs, outputs and net are the engine's too.
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
    """Record of the making of an engine of this graph."""
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
    """Result of the comparison, or the reason why there is none."""
    if gpu is None:
        return None, "no GPU was there to run it"
    misfits = making.misfits(library, gpu)
    if misfits:
        return None, "; ".join(misfits)
    if compare is None:
        return None, "it was not asked for"
    with TensorRtEngine(engine, making, gpu.device, dial_input=dial_input(card)) as session:
        return compare(session), None


def comparing_with_net(net: MaskNet | DepthNet, pictures: Pictures) -> Compare:
    """Compare engines with the net in torch, by the limits of the engine's precision."""
    def compare(engine: TensorRtEngine) -> dict[str, Any]:
        depth_net = depth_net_of(net.description, net.description.name) if isinstance(net, MaskNet) else None
        return _measured(engine, graph_module(net), None, pictures(), depth_net)

    return compare


def comparing_with_graph(graph: Path, card: Mapping[str, Any], pictures: Pictures) -> Compare | None:
    """Compare engines with the exported graph in ONNX Runtime on the CPU; None where that cannot run the graph."""
    if not card.get("runs_in_onnxruntime_on_cpu", True):
        return None

    def compare(engine: TensorRtEngine) -> dict[str, Any]:
        # a net without weights: only its description is used
        description = described_net(dict(card))
        depth_net = None
        if isinstance(description, MaskDescription):
            described = NetOnFrames(MaskNet(description))
            depth_net = depth_net_of(description, str(graph))
        else:
            described = NetOnFrames(DepthNet(description))
        return _measured(engine, described, in_onnxruntime(open_on_cpu(graph), description), pictures(), depth_net)

    return compare


def _measured(engine: TensorRtEngine, module: NetOnFrames, reference: Exported | None,
              pictures: Sequence[NDArray[np.uint8]], depth_net: DepthNet | None) -> dict[str, Any]:
    making = engine.making
    parity = measure_parity(module, engine.run, pictures, depth_net, TOLERANCES[making.precision],
                            reference=reference, nearest=making.shapes.nearest)
    if not parity.holds():
        raise DepthcueError(f"the engine of {making.library} {making.version} in {making.precision} does not agree "
                            f"with {'torch' if reference is None else 'its graph'}:\n" + "\n".join(parity.lines()),
                            "Nothing was written. Try another --precision, or another version of the library.")
    return {"provider": f"{making.library} {making.version}", **parity.as_json()}


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
        compare = comparing_with_graph(graph, card, pictures)
        card = write_engine(graph, card, path, options, compare, progress)
    else:
        net = load_mask_net(spec) if kind == "mask" else load_depth_net(spec)
        with TemporaryDirectory() as folder:
            progress.start("exporting the graph")
            graph = Path(folder) / f"{path.stem}.onnx"
            graph_card = export_spec(weights, target, graph, data, precision)
            compare = comparing_with_net(net, pictures)
            card = write_engine(graph, graph_card, path, options, compare, progress)
    if card["unchecked"] is not None:
        log.warning("%s was not compared with %s: %s", path, spec, card["unchecked"])
    return card


def _check_own_precision(card: dict[str, Any], precision: str, graph: Path) -> None:
    own = card.get("precision", FP32)
    if precision not in (FP32, own):
        raise DepthcueError(f"{graph} computes in {own}; --precision {precision} was asked for",
                            "Leave --precision out, or export the net itself.")


def try_library(name: str) -> str:
    """Short report on what `tensorrt` or `tensorrt-rtx` can do here.

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
        with TensorRtEngine(engine, Making.of(card), dial_input=None) as session:
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
