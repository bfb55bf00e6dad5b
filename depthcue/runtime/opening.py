"""From a weights spec and a backend's name to a runner.

Which of several runners is the fastest here, found by a short trial of all on frames like those to come.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from depthcue.backends.onnx_backend import OnnxRunner
from depthcue.backends.openvino_backend import OpenVinoRunner, has_openvino, require_openvino
from depthcue.backends.precision import INT8, check_precision
from depthcue.backends.session import Dial, Frames, OutOfDeviceMemory, Runner
from depthcue.backends.tensorrt_backend import TensorRtRunner
from depthcue.backends.tensorrt_library import SUFFIX as ENGINE_SUFFIX
from depthcue.backends.tensorrt_library import choose_library, find_gpu, read_engine_card
from depthcue.backends.torch_backend import TorchRunner
from depthcue.device import resolve_device
from depthcue.errors import DepthcueError
from depthcue.export.tensorrt_engine import EngineOptions
from depthcue.nets import MaskDescription, MaskNet, load_mask_net
from depthcue.nets.exported import described_mask_net, read_graph_card
from depthcue.runtime.compiled_cache import cached_engine, cached_graph, has_graph
from depthcue.text import did_you_mean

ROUNDS = 5
LONGEST_S = 3.0
"""After so long no further round is begun: what takes longer is told apart by one."""
HOPELESS = 2.0
"""Times the best's time from which a runner is not tried again."""
FASTER = 0.95
"""Share of another's time a runner must need to be called faster: less is noise."""

log = logging.getLogger(__name__)


def fastest(makes: Sequence[Callable[[], Runner]], frames: Frames) -> Runner:
    """The fastest of the runners that work here, not entered; of those about as fast, the first.

    Args:
        makes: each makes a runner; one alone is made and not tried.
        frames: uint8 (B, H, W, 3).

    Raises:
        DepthcueError: none works; what the first says.
    """
    if len(makes) == 1:
        return makes[0]()
    runners, taken_s = _times(makes, frames)
    chosen = 0
    for number in range(1, len(runners)):
        if taken_s[number] < FASTER * taken_s[chosen]:
            chosen = number
    log.info("%s; taking %s", ", ".join(f"{runner.name}: {1e3 * seconds / len(frames):.1f} ms a frame"
                                        for runner, seconds in zip(runners, taken_s, strict=True)),
             runners[chosen].name)
    return runners[chosen]


def _times(makes: Sequence[Callable[[], Runner]], frames: Frames) -> tuple[list[Runner], list[float]]:
    """The runners that work and the median seconds that each takes for `frames`.

    They run in turns, so that what disturbs one disturbs all.
    """
    runners: list[Runner] = []
    times: list[list[float]] = []
    errors: list[DepthcueError | OutOfDeviceMemory] = []
    with ExitStack() as stack:
        start = time.perf_counter()
        for make in makes:
            try:
                runner = make()
                stack.enter_context(runner)
                runner.infer(frames)  # the first call allocates and chooses algorithms
            except (DepthcueError, OutOfDeviceMemory) as error:
                log.info("left out: %s", error)
                errors.append(error)
                continue
            runners.append(runner)
            times.append([])
        if not runners:
            raise errors[0]
        in_it = list(range(len(runners)))
        for _ in range(ROUNDS):
            for number in in_it:
                begun = time.perf_counter()
                runners[number].infer(frames)
                times[number].append(time.perf_counter() - begun)
            best_s = min(min(times[number]) for number in in_it)
            in_it = [number for number in in_it if min(times[number]) < HOPELESS * best_s]
            if len(in_it) == 1 or time.perf_counter() - start > LONGEST_S:
                break
    return runners, [median(each) for each in times]


BACKENDS = ("auto", "torch", "onnx", "openvino", "tensorrt")
WORTH_A_TRIAL = 50
"""Frames from which `auto` takes the seconds that a trial lasts."""
WORTH_EXPORTING = 500
"""Frames from which `auto` takes the seconds to export a net that is not in the cache yet."""

_WORTH_TRYING = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16"), "mps": ("fp32", "fp16")}
"""Precisions that `auto` chooses from: of two that are as fast, the one with more digits alone."""



def open_runner(weights: str, *, backend: str = "auto", device: str = "auto", precision: str = "fp32",
                keep: float | None = None, lam: float | None = None, batch_size: int = 2,
                size: tuple[int, int] | None = None, frames: int = WORTH_EXPORTING, threads: int | None = None,
                compiled: bool = False, cpu_fallback: bool = False) -> Runner:
    """A runner, not entered yet, for a mask net spec, an exported .onnx file or an .engine file.

    Args:
        backend: `auto` takes torch on a GPU, and on a CPU the one that a short trial finds fastest of those installed.
        precision: of a net fp32, bf16, fp16 (GPUs) or auto, which takes a lower one where a short trial finds it
            faster. A file computes in its own, which auto and fp32 leave as it is.
        keep, lam: the share of pixels to keep, or λ; None for the net's own.
        batch_size, size: (height, width) of the frames to come, for trials and engines; by default the net's working
            size.
        frames: about how many are to come. For few there is no trial: they are done before it would be.
        threads: CPU threads of one call of an exported net; those of torch are set for the process, by `torch_threads`.
        compiled: let torch compile the net.
        cpu_fallback: where ONNX Runtime has no CUDA that loads, let it go on with the CPU.

    Raises:
        DepthcueError: a wrong spec, backend, device or precision; a share or λ out of range; what the backend
            needs is not here.
    """
    if backend not in BACKENDS:
        raise DepthcueError(f"there is no backend {backend!r}",
                            f"{did_you_mean(backend, BACKENDS)}Choose {', '.join(BACKENDS)}.")
    if precision != "auto":
        check_precision(precision)
    if compiled and (backend not in ("auto", "torch") or weights.endswith((".onnx", ENGINE_SUFFIX))):
        raise DepthcueError("only nets run by torch are compiled", "Leave --compile out, or use --backend torch.")
    wish = _Wish(resolve_device(device), precision, keep, lam, batch_size, size, frames, threads, compiled,
                 cpu_fallback)
    if weights.endswith(ENGINE_SUFFIX):
        if backend not in ("auto", "tensorrt"):
            raise DepthcueError(f"{weights} is an engine; {backend} cannot run it",
                                "Leave --backend out, or give the .onnx or .safetensors.")
        described = described_mask_net(read_engine_card(weights, "mask")[0])
        return TensorRtRunner(weights, wish.dial(described), wish.device)
    if weights.endswith(".onnx"):
        return _open_graph(weights, backend, wish)
    return _open_net(load_mask_net(weights), backend, wish)


@dataclass(frozen=True)
class _Wish:
    """What `open_runner` was asked for."""

    device: str
    precision: str
    keep: float | None
    lam: float | None
    batch_size: int
    size: tuple[int, int] | None
    frames: int
    threads: int | None
    compiled: bool
    cpu_fallback: bool

    @property
    def kind(self) -> str:
        return self.device.partition(":")[0]

    def dial(self, description: MaskDescription) -> float:
        """What to set a net to.

        Raises:
            DepthcueError: it takes no such share or λ.
        """
        return Dial.of(description, self.keep, self.lam).value

    def trial(self, height: int, width: int) -> np.ndarray:
        """Frames like those to come, of a net that works at (height, width)."""
        shape = (self.batch_size, *(self.size or (height, width)), 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _open_net(net: MaskNet, backend: str, wish: _Wish) -> Runner:
    wish.dial(net.description)  # before seconds go into an export
    if wish.precision == INT8 and backend != "torch":
        cached_graph(net, INT8)  # which says how a graph in int8 is made
    precisions = _WORTH_TRYING[wish.kind] if wish.precision == "auto" else (wish.precision,)
    if wish.frames < WORTH_A_TRIAL:
        precisions = precisions[:1]
    if backend != "auto":
        return _fastest([_way(net, backend, precision, wish) for precision in precisions], net, wish)
    ways = [_way(net, "torch", precision, wish) for precision in precisions]
    if wish.frames < WORTH_A_TRIAL:
        log.info("backend torch: for %d frames a trial would not pay", wish.frames)
    elif wish.kind == "cpu" and not wish.compiled:
        if "fp32" in precisions and _worth_a_graph(net, wish):
            ways.append(_way(net, "onnx", "fp32", wish))
        if has_openvino() and _worth_a_graph(net, wish):
            ways += [_way(net, "openvino", precision, wish) for precision in precisions]
    return _fastest(ways, net, wish)


def _worth_a_graph(net: MaskNet, wish: _Wish) -> bool:
    return wish.frames >= WORTH_EXPORTING or has_graph(net)


def _way(net: MaskNet, backend: str, precision: str, wish: _Wish) -> Callable[[], Runner]:
    """Makes the runner of a net by one backend in one precision."""
    def make() -> Runner:
        dial = wish.dial(net.description)
        if backend == "torch":
            return TorchRunner(net, dial, wish.device, precision, compiled=wish.compiled)
        if backend == "onnx":
            return OnnxRunner(cached_graph(net, precision), dial, wish.device, wish.threads, wish.cpu_fallback)
        if backend == "openvino":
            require_openvino(precision, wish.device)
            return OpenVinoRunner(cached_graph(net), dial, wish.threads, precision)
        return _tensorrt(lambda: cached_graph(net, precision), net, dial, wish)

    return make


def _open_graph(graph: str, backend: str, wish: _Wish) -> Runner:
    """A runner of an exported file; of backends on a CPU, those that compute as the file says."""
    card = read_graph_card(graph, "mask")
    own = card.get("precision", "fp32")
    if backend == "torch":
        raise DepthcueError(f"{graph} is an exported graph; torch cannot run it",
                            "Use --backend onnx, or give the .safetensors it was exported from.")
    if wish.precision not in ("auto", "fp32", own):
        raise DepthcueError(f"{graph} computes in {own}; {wish.precision} was asked for",
                            f"Leave --precision out, or export it with --precision {wish.precision}.")
    dial = wish.dial(described_mask_net(card))
    if backend == "tensorrt":
        return _tensorrt(lambda: Path(graph), None, dial, wish)

    def in_openvino() -> Runner:
        require_openvino("fp32", wish.device)
        return OpenVinoRunner(graph, dial, wish.threads)

    def in_onnxruntime() -> Runner:
        return OnnxRunner(graph, dial, wish.device, wish.threads, wish.cpu_fallback)

    if backend == "openvino":
        return in_openvino()
    if backend == "onnx" or wish.kind != "cpu" or wish.frames < WORTH_A_TRIAL or not has_openvino():
        return in_onnxruntime()
    size = card["working_size"]
    return fastest([in_onnxruntime, in_openvino], wish.trial(size["height"], size["width"]))


def _tensorrt(graph: Callable[[], Path], net: MaskNet | None, dial: float, wish: _Wish) -> Runner:
    # what is missing is told before a graph is exported for it
    choose_library()
    find_gpu(wish.device)
    options = EngineOptions(batch=(1, wish.batch_size, wish.batch_size), around=wish.size, device=wish.device)
    return TensorRtRunner(cached_engine(graph(), options, net), dial, wish.device)


def _fastest(ways: list[Callable[[], Runner]], net: MaskNet, wish: _Wish) -> Runner:
    return fastest(ways, wish.trial(net.description.height, net.description.width))


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let every operation of torch use `count` CPU threads (None: as many as before) inside the context."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
