"""An engine's bytes built from an ONNX graph, with one bar of progress that Ctrl-C ends.

The network is strongly typed: each tensor has the type that the graph gives it, so its precision was fixed and checked
at export. The builder chooses the kernels, for the shapes it is given. It reports phases
within phases, each with its number of steps, from several threads. The finished part of a phase is its finished steps
and the share of the current step that its own phases have done.
"""

import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthcue.backends.tensorrt_library import Gpu, Library, Shapes, logged_reason, make_log
from depthcue.errors import DepthcueError
from depthcue.files import write_bytes
from depthcue.nets.exported import DIAL_INPUTS
from depthcue.progress import Progress

TICKS = 1000
"""Steps of the bar."""
MIB = 2**20


@dataclass
class _Phase:
    steps: int
    done: int = 0
    inner: dict[str, "_Phase"] = field(default_factory=dict)

    def share(self) -> float:
        current = max((phase.share() for phase in self.inner.values()), default=0.0)
        return min((self.done + current) / self.steps, 1.0)


class BuildProgress:
    """The phases of one build, passed on to a bar."""

    def __init__(self, progress: Progress) -> None:
        self.cancelled = False
        """Whether Ctrl-C came; the builder then gives nothing back."""
        self._progress = progress
        self._lock = threading.Lock()
        self._outermost: dict[str, _Phase] = {}
        self._open: dict[str, tuple[_Phase, dict[str, _Phase]]] = {}
        self._shown = 0
        progress.start("building the engine", TICKS)

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, within another or on its own."""
        with self._lock:
            siblings = self._open[parent][0].inner if parent in self._open else self._outermost
            phase = siblings[name] = _Phase(max(steps, 1))
            self._open[name] = phase, siblings

    def step(self, name: str, index: int) -> None:
        """Step `index` of a phase, counted from 0, is done."""
        with self._lock:
            if name not in self._open:
                return
            phase = self._open[name][0]
            phase.done = max(phase.done, index + 1)
            self._show(max((each.share() for each in self._outermost.values()), default=0.0))

    def finish(self, name: str) -> None:
        """A phase ends."""
        with self._lock:
            phase, siblings = self._open.pop(name, (None, {}))
            if phase is not None and siblings is not self._outermost:
                siblings.pop(name, None)

    def complete(self) -> None:
        """The engine is there, whatever steps the builder has left out."""
        with self._lock:
            self._show(1.0)

    def _show(self, share: float) -> None:
        ticks = round(share * TICKS) - self._shown
        if ticks > 0:
            self._shown += ticks
            self._progress.advance(ticks)


def make_monitor(api: Any, progress: BuildProgress) -> Any:
    """The object a builder of the module `api` reports to."""

    class Monitor(api.IProgressMonitor):
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            progress.start(name, parent, steps)

        def step_complete(self, name: str, index: int) -> bool:
            progress.step(name, index)
            return not progress.cancelled

        def phase_finish(self, name: str) -> None:
            progress.finish(name)

    return Monitor()


@contextmanager
def interrupting(progress: BuildProgress) -> Iterator[None]:
    """Let Ctrl-C end the build at its next step, and raise KeyboardInterrupt after the build stops.

    An exception raised at once would pass from one of the calls above through the builder's C++ and end the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel(number: int, frame: Any) -> None:
        progress.cancelled = True

    before = signal.signal(signal.SIGINT, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if progress.cancelled:
        raise KeyboardInterrupt


def build_engine(graph: Path, shapes: Shapes, library: Library, gpu: Gpu | None, progress: Progress, *,
                 workspace_mib: int | None = None, targets: Sequence[str] = (),
                 timing_cache: Path | None = None) -> bytes:
    """Build an engine of an exported graph.

    Args:
        gpu: what to build for; None, with `tensorrt-rtx` alone, builds without one.
        workspace_mib: most memory on the GPU that one layer may use for intermediate results; None leaves it open.
        targets: compute capabilities, as `8.9`, with `tensorrt-rtx` alone; none: those that it chooses.
        timing_cache: what kernels took in earlier builds, read and added to; `tensorrt` alone.

    Raises:
        DepthcueError: the graph or the options are beyond this library.
        KeyboardInterrupt: by Ctrl-C while it builds, at the builder's next step.
    """
    if gpu is None and not library.compiles_where_it_runs:
        raise DepthcueError("tensorrt builds an engine on the GPU it is for, and there is none here",
                            "Build on that machine, or with --library tensorrt-rtx, which needs no GPU.")
    if targets and not library.compiles_where_it_runs:
        raise DepthcueError("tensorrt builds for the GPU it finds; it takes no --compute-capability",
                            "Leave it out, or use --library tensorrt-rtx.")
    messages = make_log(library)
    build = BuildProgress(progress)
    # the monitor must outlive what reports to it
    monitor = make_monitor(library.api, build)
    try:
        builder = library.api.Builder(messages)
    except (TypeError, RuntimeError) as error:  # the bindings raise one or the other where the driver is of no use
        raise DepthcueError(f"{library} does not start: {logged_reason(messages, str(error))}",
                            "See depthcue doctor.") from error
    network = _read_graph(graph, builder, library, messages)
    config = builder.create_builder_config()
    config.progress_monitor = monitor
    # TF32 would multiply float32 with ten bits of mantissa, for which there is --precision fp16
    config.clear_flag(library.api.BuilderFlag.TF32)
    if workspace_mib is not None:
        config.set_memory_pool_limit(library.api.MemoryPoolType.WORKSPACE, workspace_mib * MIB)
    _set_targets(config, library, targets)
    _set_profile(config, builder, network, shapes)
    times = None
    if timing_cache is not None and not library.compiles_where_it_runs:
        times = _set_timing_cache(config, timing_cache)
    with interrupting(build):
        engine = builder.build_serialized_network(network, config)
    if engine is None:
        reason = logged_reason(messages, "it does not say why")
        raise DepthcueError(f"{library} cannot build an engine of {graph}: {reason}",
                            "A larger --workspace, a smaller --batch or --size may help; -v says more.")
    build.complete()
    if times is not None and timing_cache is not None:
        # a cache that cannot be written costs the next build some minutes, and is no reason to lose this one
        with suppress(DepthcueError, OSError):
            write_bytes(timing_cache, bytes(times.serialize()))
    return bytes(engine)


def _read_graph(graph: Path, builder: Any, library: Library, messages: Any) -> Any:
    flag = library.api.NetworkDefinitionCreationFlag.STRONGLY_TYPED
    network = builder.create_network(1 << int(flag))
    parser = library.api.OnnxParser(network, messages)
    if not parser.parse_from_file(str(graph)):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        reason = reasons[0] if reasons else logged_reason(messages, "no reason")
        raise DepthcueError(f"{library} does not understand {graph}: {reason}",
                            "Try --precision fp32, or a newer version of the library.")
    names = {network.get_input(index).name for index in range(network.num_inputs)}
    if "frames" not in names or len(names) > 2 or not names <= {"frames", *DIAL_INPUTS}:
        raise DepthcueError(f"{graph} takes {', '.join(sorted(names))}; graphs of depthcue take frames, and keep or "
                            "lambda",
                            "Write one with depthcue export.")
    return network


def _set_profile(config: Any, builder: Any, network: Any, shapes: Shapes) -> None:
    profile = builder.create_optimization_profile()
    corners = [(getattr(shapes.batch, end), getattr(shapes.height, end), getattr(shapes.width, end), 3)
               for end in ("least", "best", "most")]
    for index in range(network.num_inputs):
        name = network.get_input(index).name
        profile.set_shape(name, *(corners if name == "frames" else [corner[:1] for corner in corners]))
    if config.add_optimization_profile(profile) < 0:
        raise DepthcueError(f"no engine can be built for {shapes}", "The graph does not take these sizes.")


def _set_targets(config: Any, library: Library, targets: Sequence[str]) -> None:
    known = {_capability(name): value for name, value in _members(library.api, "ComputeCapability").items()
             if name.startswith("SM")}
    unknown = [target for target in targets if target not in known]
    if unknown:
        raise DepthcueError(f"{library} builds for no compute capability {unknown[0]}",
                            f"Choose from {', '.join(known)}.")
    if targets:
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            config.set_compute_capability(known[target], index)


def _members(api: Any, name: str) -> dict[str, Any]:
    enumeration = getattr(api, name, None)
    return {} if enumeration is None else dict(enumeration.__members__)


def _capability(name: str) -> str:
    """`SM120` as `12.0`."""
    return f"{name[2:-1]}.{name[-1]}"


def _set_timing_cache(config: Any, path: Path) -> Any:
    """Give the builder the times of kernels in earlier builds; those of another GPU or version it measures anew."""
    stored = path.read_bytes() if path.is_file() else b""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for content in (stored, b""):
            times = config.create_timing_cache(content)
            if times is not None and config.set_timing_cache(times, False):
                return times
    return None
