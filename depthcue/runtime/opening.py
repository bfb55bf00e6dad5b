"""Sessions opened from a net, or its spec, and a backend's name, for mask nets and depth nets.

A short trial of all candidates on frames like those to come finds the fastest one here. Graphs and engines of nets are
kept in the user's cache folder (`cached`), so that `--backend onnx` exports a net once and `--backend tensorrt` builds
an engine once. What exports and runs them is imported when it is needed: one picture is masked by torch alone.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from depthcue.backends.device import resolve_device
from depthcue.backends.session import INT8, PRECISIONS, Frames, OutOfDeviceMemory, Session
from depthcue.backends.tensorrt_library import SUFFIX as ENGINE_SUFFIX
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet, load_depth_net, load_mask_net
from depthcue.nets.exported import Kind, described_net, read_graph_card
from depthcue.nets.lite import LiteDepthNet, LiteMaskNet

BACKENDS = ("auto", "torch", "onnx", "openvino", "tensorrt")
WORTH_A_TRIAL = 50
"""Frames from which `auto` takes the seconds that a trial lasts."""
WORTH_REWRITING = 10
"""Frames from which a small net is rewritten on a CPU: it takes half a second, and saves 20 ms of a frame."""
WORTH_EXPORTING = 500
"""Frames from which `auto` takes the seconds to export a net that is not in the cache yet."""
_WORTH_TRYING = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16"), "mps": ("fp32", "fp16")}
"""Precisions that `auto` chooses from. Of two that are equally fast, only the one with more digits is listed."""
ROUNDS = 5
LONGEST_S = 3.0
"""Seconds after which no further round is begun."""
HOPELESS = 2.0
"""Times the best's time from which a session is not tried again."""
FASTER = 0.95
"""Share of another's time a session must need to be called faster: less is noise."""

log = logging.getLogger(__name__)


def fastest(makes: Sequence[Callable[[], Session]], frames: Frames) -> Session:
    """The fastest of the sessions that work here, not entered; the first of several that are about as fast.

    Args:
        makes: each makes a session; one alone is made and not tried.
        frames: uint8 (B, H, W, 3).

    Raises:
        DepthcueError: none works; what the first says.
    """
    if len(makes) == 1:
        return makes[0]()
    sessions, taken_s = _times(makes, frames)
    chosen = 0
    for number in range(1, len(sessions)):
        if taken_s[number] < FASTER * taken_s[chosen]:
            chosen = number
    log.info("%s; taking %s", ", ".join(f"{session.name}: {1e3 * seconds / len(frames):.1f} ms a frame"
                                        for session, seconds in zip(sessions, taken_s, strict=True)),
             sessions[chosen].name)
    return sessions[chosen]


def _times(makes: Sequence[Callable[[], Session]], frames: Frames) -> tuple[list[Session], list[float]]:
    """The sessions that work and the median seconds that each takes for `frames`.

    They run in turns, so that a disturbance of the machine hits all of them.
    """
    sessions: list[Session] = []
    times: list[list[float]] = []
    errors: list[DepthcueError | OutOfDeviceMemory] = []
    with ExitStack() as stack:
        start = time.perf_counter()
        for make in makes:
            try:
                session = make()
                stack.enter_context(session)
                session.run(frames)  # the first call allocates and chooses algorithms
            except (DepthcueError, OutOfDeviceMemory) as error:
                log.info("left out: %s", error)
                errors.append(error)
                continue
            sessions.append(session)
            times.append([])
        if not sessions:
            raise errors[0]
        in_it = list(range(len(sessions)))
        for _ in range(ROUNDS):
            for number in in_it:
                begun = time.perf_counter()
                sessions[number].run(frames)
                times[number].append(time.perf_counter() - begun)
            best_s = min(min(times[number]) for number in in_it)
            in_it = [number for number in in_it if min(times[number]) < HOPELESS * best_s]
            if len(in_it) == 1 or time.perf_counter() - start > LONGEST_S:
                break
    return sessions, [median(each) for each in times]


def open_session(net: str | MaskNet | DepthNet, kind: Kind = "mask", *, backend: str = "auto", device: str = "auto",
                 precision: str = "fp32", keep: float | None = None, lam: float | None = None, batch_size: int = 2,
                 size: tuple[int, int] | None = None, frames: int = WORTH_EXPORTING, threads: int | None = None,
                 compiled: bool = False, cpu_fallback: bool = False) -> Session:
    """A session, not entered yet, of a net, the spec of one, an exported .onnx file or an .engine file.

    Args:
        kind: of what a spec or file names.
        backend: `auto` takes torch on a GPU, and on a CPU the one that a short trial finds fastest of those installed.
        precision: of a net fp32, bf16, fp16 (GPUs) or auto, which takes a lower one where a short trial finds it
            faster. A file computes in its own, which auto and fp32 leave as it is.
        keep, lam: for a mask net the share of pixels to keep, or λ; None for the net's own.
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
        is_device = backend.partition(":")[0] in ("cpu", "cuda", "mps")
        raise must_be_one_of("--backend", BACKENDS, backend,
                             f"For a device give --device {backend}." if is_device else None)
    if precision not in ("auto", *PRECISIONS):
        raise must_be_one_of("--precision", ("auto", *PRECISIONS), precision)
    file = net if isinstance(net, str) and net.endswith((".onnx", ENGINE_SUFFIX)) else None
    if compiled and (backend not in ("auto", "torch") or file is not None):
        raise DepthcueError("only nets run by torch are compiled", "Leave --compile out, or use --backend torch.")
    options = _Options(resolve_device(device), precision, keep, lam, batch_size, size, frames, threads, compiled,
                       cpu_fallback)
    if file is not None:
        return _open_file(file, kind, backend, options)
    if isinstance(net, str):
        net = load_mask_net(net) if kind == "mask" else load_depth_net(net)
    return _open_net(net, backend, options)


@dataclass(frozen=True)
class _Options:
    """Arguments of `open_session`."""

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
    def on_cpu(self) -> bool:
        return self.device == "cpu"

    def dial(self, description: MaskDescription | DepthDescription) -> float | None:
        """Dial of a mask net; None for a depth net.

        Raises:
            DepthcueError: it takes no such share or λ.
        """
        return description.dial_value(self.keep, self.lam) if isinstance(description, MaskDescription) else None

    def fastest(self, makes: Sequence[Callable[[], Session]], description: MaskDescription | DepthDescription
                ) -> Session:
        """The fastest on frames like those to come."""
        shape = (self.batch_size, *(self.size or (description.height, description.width)), 3)
        return fastest(makes, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def _open_net(net: MaskNet | DepthNet, backend: str, options: _Options) -> Session:
    options.dial(net.description)  # before seconds go into an export
    if options.precision == INT8 and backend != "torch":
        from depthcue.runtime.cached import cached_graph

        cached_graph(net, INT8)  # which says how a graph in int8 is made
    precisions: tuple[str, ...] = (options.precision,)
    if options.precision == "auto":
        precisions = _WORTH_TRYING[options.device.partition(":")[0]]
    if options.frames < WORTH_A_TRIAL:
        precisions = precisions[:1]
    candidates = [_candidate(net, "torch" if backend == "auto" else backend, precision, options)
                  for precision in precisions]
    if backend != "auto":
        return options.fastest(candidates, net.description)
    if options.frames < WORTH_A_TRIAL:
        log.info("backend torch: for %d frames a trial would not pay", options.frames)
    elif options.on_cpu and not options.compiled:
        from depthcue.backends.openvino_backend import has_openvino
        from depthcue.runtime.cached import has_graph

        if options.frames >= WORTH_EXPORTING or has_graph(net):
            if "fp32" in precisions:
                candidates.append(_candidate(net, "onnx", "fp32", options))
            if has_openvino():
                candidates += [_candidate(net, "openvino", precision, options) for precision in precisions]
    return options.fastest(candidates, net.description)


def _candidate(net: MaskNet | DepthNet, backend: str, precision: str, options: _Options) -> Callable[[], Session]:
    """Makes the session of a net by one backend in one precision."""
    kind: Kind = "mask" if isinstance(net, MaskNet) else "depth"

    def make() -> Session:
        dial = options.dial(net.description)
        if backend == "torch":
            plain = (options.on_cpu and precision == "fp32" and not options.compiled
                     and options.frames < WORTH_REWRITING and isinstance(net, LiteMaskNet | LiteDepthNet))
            return TorchSession(net, dial, options.device, precision, compiled=options.compiled, as_given=plain)
        from depthcue.runtime.cached import cached_graph

        if backend == "onnx":
            return _in_onnxruntime(cached_graph(net, precision), kind, dial, options)
        if backend == "openvino":
            return _in_openvino(lambda: cached_graph(net), kind, dial, precision, options)
        return _in_tensorrt(lambda: cached_graph(net, precision), net, kind, dial, options)

    return make


def _open_file(file: str, kind: Kind, backend: str, options: _Options) -> Session:
    """A session of an exported file; of backends on a CPU, those that compute as the file says."""
    is_engine = file.endswith(ENGINE_SUFFIX)
    if is_engine and backend not in ("auto", "tensorrt"):
        raise DepthcueError(f"{file} is an engine; {backend} cannot run it",
                            "Leave --backend out, or give the .onnx or .safetensors.")
    card = read_graph_card(file, kind, "engine" if is_engine else "graph")
    description = described_net(card)
    own = card.get("precision", "fp32")
    if backend == "torch":
        raise DepthcueError(f"{file} is an exported graph; torch cannot run it",
                            "Use --backend onnx, or give the .safetensors it was exported from.")
    if not is_engine and options.precision not in ("auto", "fp32", own):
        raise DepthcueError(f"{file} computes in {own}; {options.precision} was asked for",
                            f"Leave --precision out, or export it with --precision {options.precision}.")
    dial = options.dial(description)
    if is_engine:
        from depthcue.backends.tensorrt_backend import TensorRtSession

        return TensorRtSession(file, dial, options.device, kind)
    if backend == "tensorrt":
        return _in_tensorrt(lambda: Path(file), None, kind, dial, options)
    from depthcue.backends.openvino_backend import has_openvino

    in_onnxruntime = partial(_in_onnxruntime, file, kind, dial, options)
    in_openvino = partial(_in_openvino, lambda: file, kind, dial, "fp32", options)
    if backend == "openvino":
        return in_openvino()
    if backend == "onnx" or not options.on_cpu or options.frames < WORTH_A_TRIAL or not has_openvino():
        return in_onnxruntime()
    return options.fastest([in_onnxruntime, in_openvino], description)


def _in_onnxruntime(graph: Path | str, kind: Kind, dial: float | None, options: _Options) -> Session:
    from depthcue.backends.onnx_backend import OnnxSession

    return OnnxSession(graph, dial, options.device, options.threads, options.cpu_fallback, kind)


def _in_openvino(graph: Callable[[], Path | str], kind: Kind, dial: float | None, precision: str,
                 options: _Options) -> Session:
    from depthcue.backends.openvino_backend import OpenVinoSession, require_openvino

    require_openvino(precision, options.device)  # before a graph is exported for it
    return OpenVinoSession(graph(), dial, options.threads, precision, kind)


def _in_tensorrt(graph: Callable[[], Path], net: MaskNet | DepthNet | None, kind: Kind, dial: float | None,
                 options: _Options) -> Session:
    from depthcue.backends.tensorrt_backend import TensorRtSession
    from depthcue.backends.tensorrt_library import choose_library, find_gpu
    from depthcue.export.tensorrt_engine import EngineOptions
    from depthcue.runtime.cached import cached_engine

    # both raise where something is missing, before a graph is exported for it
    choose_library()
    find_gpu(options.device)
    wanted = EngineOptions(batch=(1, options.batch_size, options.batch_size), around=options.size,
                           device=options.device)
    return TensorRtSession(cached_engine(graph(), wanted, net, kind), dial, options.device, kind)


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
