"""How far TensorRT's builder has come, as one number that only grows; and Ctrl-C while it builds.

The builder reports phases within phases, each with its number of steps, from several threads. What is done of a phase
is its finished steps and the share of the step under way that its own phases have done.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from depthcue.progress import Progress

TICKS = 1000
"""Steps of the bar."""


@dataclass
class _Phase:
    steps: int
    done: int = 0
    inner: dict[str, "_Phase"] = field(default_factory=dict)

    def share(self) -> float:
        under_way = max((phase.share() for phase in self.inner.values()), default=0.0)
        return min((self.done + under_way) / self.steps, 1.0)


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
    """Let Ctrl-C end the build at its next step and be raised behind it.

    Raised at once it would go through the C++ of the builder, out of one of the calls above, and end the process.
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
