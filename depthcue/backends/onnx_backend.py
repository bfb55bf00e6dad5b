"""Exported nets run by ONNX Runtime, on a CPU or an NVIDIA GPU.

On a GPU its libraries are found in the installed wheels, and frames go through pinned memory. `feeds` are runs of a
graph while it is made and checked.
"""

import io
import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue.backends.device import CudaLane, SlotPool
from depthcue.backends.session import FileSession, Frames, Maps
from depthcue.errors import DepthcueError
from depthcue.imaging import fit_size, resize_rgb
from depthcue.nets import DepthDescription, MaskDescription
from depthcue.nets.exported import Kind, check_runs_on_cpu, quiet_options, read_graph_card

CUDA_PROVIDER = "CUDAExecutionProvider"
REMEDY = "pip install 'depthcue[cuda]' brings the CUDA libraries that torch does not"
CPU_PROVIDER = "CPUExecutionProvider"
"""The provider that graphs are compared on: available on every machine; computes in float32, or int8 for int8
graphs."""
Feeds = dict[str, NDArray[Any]]
"""Inputs of one run of a graph: `frames`, and `keep` or `lambda` where it takes one."""

log = logging.getLogger(__name__)


@cache
def preload_libraries() -> str:
    """Load the CUDA libraries of the installed wheels, which the provider itself does not find.

    Returns:
        The libraries that do not load, in a few words; empty where all do.
    """
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    # it prints the names of missing libraries, and stdout is for results
    with redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    log.debug("ONNX Runtime, looking for CUDA: %s", printed.getvalue().strip() or "all is there")
    missing = [Path(name).name for name in re.findall(r"^Failed to load ([^:\n]+)", printed.getvalue(), re.MULTILINE)]
    return f"{', '.join(dict.fromkeys(missing))} does not load" if missing else ""


class GraphOnGpu:
    """Runs a graph on a GPU, from any number of threads."""

    def __init__(self, runtime: Any, device: str, dial_input: str | None) -> None:
        where = "cuda", int(device.partition(":")[2] or 0)

        def make(shape: tuple[int, ...]) -> Binding:
            return Binding(runtime, shape, dial_input, CudaLane(device), where)

        self._make = make
        self._slots = SlotPool(make)

    def run(self, frames: Frames, dial: float | None) -> Maps:
        """The maps of frames uint8 (B, H, W, 3), the caller's own."""
        with self._slots.taken(frames.shape) as binding:
            return binding.run(frames, dial)

    def staged(self, frames: Frames, dial: float | None) -> Callable[[], None]:
        """As `Session.staged`."""
        return self._make(frames.shape).staged(frames, dial)


class Binding:
    """Inputs and outputs of one shape, bound to memory where the graph computes."""

    def __init__(self, runtime: Any, shape: tuple[int, ...], dial_input: str | None, lane: Any,
                 where: tuple[str, int]) -> None:
        """
        Args:
            dial_input: name of the graph's input for a share or λ; None where it has none.
            where: ONNX Runtime's name of the device, and its number.
        """
        self._runtime = runtime
        self._lane = lane
        self._where = where
        self._output = runtime.get_outputs()[0].name
        self._binding = runtime.io_binding()
        self._inputs: dict[str, tuple[Tensor, Tensor]] = {}
        wanted: dict[str, tuple[tuple[int, ...], torch.dtype, Any]] = {"frames": (shape, torch.uint8, np.uint8)}
        if dial_input is not None:
            wanted[dial_input] = (shape[:1], torch.float32, np.float32)
        with lane.active():
            for name, (size, dtype, numpy_dtype) in wanted.items():
                self._inputs[name] = lane.host(size, dtype), lane.device(size, dtype)
                self._binding.bind_input(name, *where, numpy_dtype, size, self._inputs[name][1].data_ptr())
        self._maps: tuple[Tensor, Tensor] | None = None
        """Made by the first run, which shows how large they are."""

    def run(self, frames: Frames, dial: float | None) -> Maps:
        """Copy in, run, copy out."""
        with self._lane.active():
            self._bring(frames, dial)
            on_host, on_device = self._compute()
            on_host.copy_(on_device, non_blocking=True)
            self._lane.wait()
        return on_host.numpy().copy()

    def staged(self, frames: Frames, dial: float | None) -> Callable[[], None]:
        """As `GraphOnGpu.staged`."""
        with self._lane.active():
            self._bring(frames, dial)

        def compute() -> None:
            with self._lane.active():
                self._compute()

        return compute

    def _compute(self) -> tuple[Tensor, Tensor]:
        if self._maps is None:
            self._binding.bind_output(self._output, *self._where)
            self._runtime.run_with_iobinding(self._binding)
            size = tuple(self._binding.get_outputs()[0].shape())
            self._maps = self._lane.host(size, torch.float32), self._lane.device(size, torch.float32)
            self._binding.bind_output(self._output, *self._where, np.float32, size, self._maps[1].data_ptr())
        self._runtime.run_with_iobinding(self._binding)
        return self._maps

    def _bring(self, frames: Frames, dial: float | None) -> None:
        """Copy in, and wait: the graph has a stream of its own. It returns when its work is done."""
        for name, (on_host, on_device) in self._inputs.items():
            on_host.numpy()[...] = frames if name == "frames" else dial
            on_device.copy_(on_host, non_blocking=True)
        self._lane.wait()


def open_graph(graph: Path, device: str, threads: int | None) -> Any:
    """A graph in ONNX Runtime on the device; None where ONNX Runtime has no CUDA that loads.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).

    Raises:
        DepthcueError: the graph does not load.
    """
    options = quiet_options()
    if threads is not None:
        options.intra_op_num_threads = threads
    providers: list[tuple[str, dict[str, Any]]] = [(CPU_PROVIDER, {})]
    if device != "cpu":
        if CUDA_PROVIDER not in onnxruntime.get_available_providers():
            return None
        preload_libraries()
        # with TF32, what the graph calls float32 would be multiplied with ten bits of mantissa
        providers.insert(0, (CUDA_PROVIDER, {"device_id": int(device.partition(":")[2] or 0), "use_tf32": 0}))
    # a provider that does not load writes at length to stderr; the message below is one line
    onnxruntime.set_default_logger_severity(4)
    try:
        # without its fallback, which would print to stdout and go on with the CPU
        session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        raise DepthcueError(f"ONNX Runtime cannot load {graph}: {error}",
                            "Export it again, or see depthcue doctor.") from error
    finally:
        onnxruntime.set_default_logger_severity(2)
    # without the GPU's libraries it would go on with the CPU in silence
    return session if providers[0][0] in session.get_providers() else None


def why_no_cuda() -> str:
    """Why ONNX Runtime cannot use CUDA, in a few words."""
    return preload_libraries() or "its libraries or its GPU are not here"


class OnnxSession(FileSession):
    """Runs an exported graph."""

    def __init__(self, graph: str | Path, dial: float | None = None, device: str = "cpu", threads: int | None = None,
                 cpu_fallback: bool = False, kind: Kind = "mask") -> None:
        """
        Args:
            graph: with its card beside it.
            dial: see `Session`.
            device: `cpu`, `cuda` or `cuda:N`.
            threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).
            cpu_fallback: where CUDA does not load, go on with the CPU and say so; else that is an error.
            kind: what the graph must be of.

        Raises:
            DepthcueError: no graph, no card or a foreign one, a share or λ that the net does not take, a device that
                ONNX Runtime has not, a precision that it cannot run there.
        """
        card = read_graph_card(graph, kind)
        if device.partition(":")[0] not in ("cpu", "cuda"):
            raise DepthcueError(f"ONNX Runtime does not run on {device!r} here", "Choose --device cpu or cuda.")
        if device == "cpu":
            check_runs_on_cpu(card, graph)
        self._precision = "" if card.get("precision", "fp32") == "fp32" else f" {card['precision']}"
        super().__init__(graph, card, f"onnx {device}{self._precision}", device, dial)
        self._threads = threads
        self._cpu_fallback = cpu_fallback
        self._on_gpu: GraphOnGpu | None = None
        self._runtime: Any = None

    def _open(self) -> None:
        self._runtime = open_graph(self.path, self.device, self._threads)
        if self._runtime is None:
            if not self._cpu_fallback:
                raise DepthcueError(f"ONNX Runtime cannot use CUDA: {why_no_cuda()}",
                                    f"{REMEDY}; see depthcue doctor. --cpu-fallback goes on with the CPU.")
            log.warning("ONNX Runtime cannot use CUDA (%s); going on with the CPU", why_no_cuda())
            self.device, self.name = "cpu", f"onnx cpu{self._precision}"
            self._runtime = open_graph(self.path, self.device, self._threads)
        if self.device != "cpu":
            self._on_gpu = GraphOnGpu(self._runtime, self.device, self._dial_input)

    def _close(self) -> None:
        # what is bound to the graph before the graph
        self._on_gpu = self._runtime = None

    def _run(self, frames: Frames, dial: float | None) -> Maps:
        if self._on_gpu is not None:
            return self._on_gpu.run(frames, dial)
        feeds: dict[str, Any] = {"frames": np.ascontiguousarray(frames)}
        if self._dial_input is not None:
            feeds[self._dial_input] = np.full(len(frames), dial, np.float32)
        maps: Maps = self._runtime.run(None, feeds)[0]
        return maps

    def _staged(self, frames: Frames) -> Callable[[], None]:
        return super()._staged(frames) if self._on_gpu is None else self._on_gpu.staged(frames, self.dial)


def feeds(description: MaskDescription | DepthDescription, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[Feeds]:
    """One run of a graph for each picture, at the net's working size for it.

    Share or λ take turns from picture to picture: the ends of the range, their geometric mean, and the net's own.
    """
    dials: list[float] = []
    if isinstance(description, MaskDescription) and description.dial_range is not None:
        low, high = description.dial_range
        dials = [low, high, math.sqrt(low * high), description.default_dial]
    for number, picture in enumerate(pictures):
        size = fit_size(picture.shape[0], picture.shape[1], (description.height, description.width),
                        description.multiple)
        run: Feeds = {"frames": resize_rgb(picture, *size)[None]}
        if description.dial_name is not None:
            run[description.dial_name] = np.array([dials[number % len(dials)]], np.float32)
        yield run
