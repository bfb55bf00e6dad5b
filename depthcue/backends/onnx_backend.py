"""Exported mask nets run by ONNX Runtime, on a CPU or an NVIDIA GPU.

ONNX Runtime on an NVIDIA GPU: its libraries found in the installed wheels, frames through pinned memory.

Exported graphs opened in ONNX Runtime, on a CPU or an NVIDIA GPU, with the settings that all who run them share.

Running a graph on the CPU while it is made and checked: how it is opened, and what it is fed.
"""

import io
import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from depthcue.backends.device_memory import CudaLane, Seats
from depthcue.backends.session import Frames, Masks, check_dial, check_frames, telling_out_of_memory
from depthcue.errors import DepthcueError
from depthcue.imaging import fit_size, resize_rgb
from depthcue.nets import DepthDescription, MaskDescription
from depthcue.nets.exported import check_runs_on_cpu, described_mask_net, dial_input, read_graph_card

CUDA_PROVIDER = "CUDAExecutionProvider"
REMEDY = "pip install 'depthcue[cuda]' brings the CUDA libraries that torch does not"

log = logging.getLogger(__name__)


@cache
def preload_libraries() -> str:
    """Load the CUDA libraries that lie in the installed wheels, where the provider would not look for them.

    Returns what went wrong with it, in a few words, or nothing.
    """
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    # it tells what it misses by printing, and our stdout is for results
    with redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    log.debug("ONNX Runtime, looking for CUDA: %s", printed.getvalue().strip() or "all is there")
    missing = [Path(name).name for name in re.findall(r"^Failed to load ([^:\n]+)", printed.getvalue(), re.MULTILINE)]
    return f"{', '.join(dict.fromkeys(missing))} does not load" if missing else ""


class OnGpu:
    """Runs a session that computes on a GPU, from any number of threads."""

    def __init__(self, session: Any, device: str, dial_input: str | None) -> None:
        place = "cuda", int(device.partition(":")[2] or 0)

        def make(shape: tuple[int, ...]) -> Binding:
            return Binding(session, shape, dial_input, CudaLane(device), place)

        self._make = make
        self._seats = Seats(make)

    def run(self, frames: Frames, dial: float) -> Masks:
        """The masks of frames uint8 (B, H, W, 3), float32 (B, H, W)."""
        with self._seats.taken(frames.shape) as binding:
            return binding.run(frames, dial)

    def staged(self, frames: Frames, dial: float) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        return self._make(frames.shape).staged(frames, dial)


class Binding:
    """Inputs and outputs of one shape, bound to memory where the session computes."""

    def __init__(self, session: Any, shape: tuple[int, ...], dial_input: str | None, lane: Any,
                 place: tuple[str, int]) -> None:
        """
        Args:
            dial_input: what the graph calls its input for a share or λ; None where it has none.
            place: what ONNX Runtime calls the device, and its number.
        """
        self._session = session
        self._lane = lane
        self._binding = session.io_binding()
        with lane.active():
            self._frames = lane.host(shape, torch.uint8), lane.device(shape, torch.uint8)
            self._dial = lane.host(shape[:1], torch.float32), lane.device(shape[:1], torch.float32)
            self._mask = lane.host(shape[:3], torch.float32), lane.device(shape[:3], torch.float32)
        self._binding.bind_input("frames", *place, np.uint8, shape, self._frames[1].data_ptr())
        if dial_input is not None:
            self._binding.bind_input(dial_input, *place, np.float32, shape[:1], self._dial[1].data_ptr())
        self._binding.bind_output("mask", *place, np.float32, shape[:3], self._mask[1].data_ptr())

    def run(self, frames: Frames, dial: float) -> Masks:
        """Copy in, run, copy out."""
        with self._lane.active():
            self._bring(frames, dial)
            self._session.run_with_iobinding(self._binding)
            self._mask[0].copy_(self._mask[1], non_blocking=True)
            self._lane.wait()
        return self._mask[0].numpy().copy()

    def staged(self, frames: Frames, dial: float) -> Callable[[], None]:
        """As `OnGpu.staged`."""
        with self._lane.active():
            self._bring(frames, dial)

        def compute() -> None:
            with self._lane.active():
                self._session.run_with_iobinding(self._binding)

        return compute

    def _bring(self, frames: Frames, dial: float) -> None:
        """Copy in, and wait: the session has a stream of its own. It returns when its work is done."""
        self._frames[0].numpy()[...] = frames
        self._dial[0].fill_(dial)
        for on_host, on_device in (self._frames, self._dial):
            on_device.copy_(on_host, non_blocking=True)
        self._lane.wait()


CPU_PROVIDER = "CPUExecutionProvider"


def open_session(graph: Path, device: str, threads: int | None) -> Any:
    """A session on the device; None where ONNX Runtime has no CUDA that loads.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).

    Raises:
        DepthcueError: the graph does not load.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # threads that spin while they wait take the cores from decoding and encoding beside us
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[tuple[str, dict[str, Any]]] = [(CPU_PROVIDER, {})]
    if device != "cpu":
        if CUDA_PROVIDER not in onnxruntime.get_available_providers():
            return None
        preload_libraries()
        # with TF32, what the graph calls float32 would be multiplied with ten bits of mantissa
        providers.insert(0, (CUDA_PROVIDER, {"device_id": int(device.partition(":")[2] or 0), "use_tf32": 0}))
    # a provider that does not load says so on stderr, in red and at length; we say it in a line
    onnxruntime.set_default_logger_severity(4)
    try:
        # without its fallback, which would print to stdout and go on with the CPU
        session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        raise DepthcueError(f"ONNX Runtime cannot load {graph}: {error}",
                            "Export it again, or see depthcue doctor.") from error
    finally:
        onnxruntime.set_default_logger_severity(2)
    # it goes on with the CPU without a word where a GPU's libraries do not load
    return session if providers[0][0] in session.get_providers() else None


def without_cuda(also: str = "") -> DepthcueError:
    """What to raise where `open_session` gave None; `also` is added to what can be done."""
    return DepthcueError(f"ONNX Runtime cannot use CUDA: {why_no_cuda()}", f"{REMEDY}; see depthcue doctor.{also}")


def why_no_cuda() -> str:
    """In a few words."""
    return preload_libraries() or "its libraries or its GPU are not here"


class OnnxRunner:
    """Runs an exported graph that has its card beside it."""

    def __init__(self, graph: str | Path, dial: float | None = None, device: str = "cpu",
                 threads: int | None = None, cpu_fallback: bool = False) -> None:
        """
        Args:
            dial: the share to keep or λ, whichever the net takes; None for its own default.
            device: `cpu`, `cuda` or `cuda:N`.
            threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).
            cpu_fallback: where CUDA does not load, go on with the CPU and say so; else that is an error.

        Raises:
            DepthcueError: no graph, no card or a foreign one, a share or λ that the net does not take, a device that
                ONNX Runtime has not, a precision that it cannot run there.
        """
        card = read_graph_card(graph, "mask")
        self.graph = Path(graph)
        self.identity = card["net_identity"]
        self.description = described_mask_net(card)
        self.dial = check_dial(self.description, dial)
        if device.partition(":")[0] not in ("cpu", "cuda"):
            raise DepthcueError(f"ONNX Runtime does not run on {device!r} here", "Choose --device cpu or cuda.")
        if device == "cpu":
            check_runs_on_cpu(card, graph)
        self.device = device
        self._threads = threads
        self._cpu_fallback = cpu_fallback
        self._on_gpu: OnGpu | None = None
        self._dial_input = dial_input(card)
        self._session: Any = None
        self._precision = "" if card.get("precision", "fp32") == "fp32" else f" {card['precision']}"
        self.name = f"onnx {device}{self._precision}"

    def __enter__(self) -> Self:
        self._session = open_session(self.graph, self.device, self._threads)
        if self._session is None:
            if not self._cpu_fallback:
                raise without_cuda(" --cpu-fallback goes on with the CPU.")
            log.warning("ONNX Runtime cannot use CUDA (%s); going on with the CPU", why_no_cuda())
            self.device, self.name = "cpu", f"onnx cpu{self._precision}"
            self._session = open_session(self.graph, self.device, self._threads)
        if self.device != "cpu":
            self._on_gpu = OnGpu(self._session, self.device, self._dial_input)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        # what is bound to the session before the session
        self._on_gpu = self._session = None

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`."""
        if self._session is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        with telling_out_of_memory():
            if self._on_gpu is not None:
                return self._on_gpu.run(frames, self.dial)
            feeds: dict[str, Any] = {"frames": np.ascontiguousarray(frames)}
            if self._dial_input is not None:
                feeds[self._dial_input] = np.full(len(frames), self.dial, np.float32)
            masks: Masks = self._session.run(None, feeds)[0]
            return masks

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        check_frames(frames, self.description.multiple)
        if self._on_gpu is not None:
            return self._on_gpu.staged(frames, self.dial)

        def run() -> None:
            self.infer(frames)

        return run


"""What graphs are compared on: it is everywhere, and computes in float32 unless the graph says int8."""

Feeds = dict[str, NDArray[Any]]
"""What one run of a graph takes: `frames`, and `keep` or `lambda` where it takes one."""


def open_cpu_session(graph: bytes | str | os.PathLike[str]) -> onnxruntime.InferenceSession:
    """A graph, or the path of one, ready to run on the CPU, without ONNX Runtime's warnings."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=[CPU_PROVIDER])


def feeds(description: MaskDescription | DepthDescription, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[Feeds]:
    """One run of a graph for each picture, at the size at which the net would see it.

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
