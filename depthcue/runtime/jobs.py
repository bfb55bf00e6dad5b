"""Jobs of the pipeline: what a job must do, what passes between the threads, and signals that wait for a good moment.

A `Job` reads one input, renders its results and opens the sink that writes them; its `Outcome` is reported. Jobs in
progress, batches and results pass between the pipeline's threads in queues. `interruptible` turns Ctrl-C and SIGTERM
into exceptions at chosen points, so that nothing is left half done.
"""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError

Small = NDArray[np.uint8]
Maps = tuple[NDArray[np.float32], ...]
"""Maps of one frame from inference, each (h, w)."""
Infer = Callable[[Small, Sequence[Any]], Sequence[NDArray[np.float32]]]
"""Takes frames uint8 (B, h, w, 3) and the job of each, and gives arrays float32 (B, …). Copies that fill up a batch
come last and have no job."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A decoded frame on its way."""

    small: Small
    """The net's input: uint8 (h, w, 3) at its working size."""
    kept: Any
    """Values that the sink needs beside the net's answer."""
    nbytes: int
    """Memory held until it is written."""


class JobSink(Protocol):
    """Sink of a job's results; used by one thread. One of `finish` and `discard` ends it."""

    def write(self, frame: Prepared, rendered: Any) -> None:
        """Take the next frame's results, as the job's `render` made them."""

    def finish(self) -> None:
        """Make the files appear under their names."""

    def discard(self) -> None:
        """Leave nothing half-written behind."""


class Job(Protocol):
    """One input: how it is read and where its results go."""

    is_video: bool
    """It may be long: it has a reader for itself while it is read."""
    is_live: bool
    """Its frames come in their own time, and only the newest matters."""

    def read(self) -> AbstractContextManager[Iterable[Prepared]]:
        """Open the input and prepare its frames; called and iterated by a reader thread.

        Raises:
            DepthcueError: it cannot be read; raised after some frames, those are kept.
        """

    def render(self, frame: Prepared, maps: Maps) -> Any:
        """Make of a frame's maps what the sink writes; called by any thread, for several frames at once, in no order.

        Raises:
            DepthcueError: it cannot be made; ends the job as an error in writing does.
        """

    def open_sink(self) -> JobSink:
        """Called by a writer thread when the first frame's results are there."""


@dataclass(eq=False)
class Outcome:
    """Outcome of a job."""

    job: Any
    frames: int = 0
    """Number of frames written."""
    error: DepthcueError | OSError | None = None
    complete: bool = False
    """The results are under their names; with an error too, where a part of the input could be read."""
    seconds: float = 0.0
    """Time from opening the input to the last file written."""


@dataclass(slots=True, eq=False)
class Ticket:
    """A job under way, shared by the threads that handle it."""

    job: Job
    outcome: Outcome
    writer: int
    lane: Any
    """Key of the jobs whose frames share batches. Pictures are one lane, live jobs are one, and each video is its
    own."""
    position: int | None = None
    """Index of a picture among the pictures."""
    early_bytes: int = 0
    """Bytes that a picture held before its turn to join a batch."""
    started: float = field(default_factory=time.perf_counter)
    abandoned: bool = False
    """Its results cannot be written: the rest of it need not be read."""
    in_transit: bool = False
    """A live job's last frame has not come to its writer yet."""


Arrival = Prepared | DepthcueError | OSError | None
"""What a reader passes on: a frame, or at the end of its job None or the error that ended it."""


@dataclass(slots=True, eq=False)
class Batch:
    """Frames that are inferred together."""

    waiting: list[tuple[Ticket, Arrival]]
    """Frames of one size, and ends of jobs behind their last frames."""
    frames: int = 0
    outputs: Sequence[NDArray[np.float32]] | None = None
    """None until inferred."""


@dataclass(slots=True, eq=False)
class Inferred:
    """A frame's maps, or a job's end, on the way to its writer."""

    ticket: Ticket
    item: Arrival
    maps: Maps
    taken: bool = False
    """A thread renders it, or has."""
    ready: bool = False
    """It is rendered, or that failed."""
    rendered: Any = None
    error: DepthcueError | OSError | None = None

    def render(self) -> None:
        """Render the frame; once, by the thread that has taken it."""
        assert isinstance(self.item, Prepared)
        try:
            self.rendered = self.ticket.job.render(self.item, self.maps)
        except (DepthcueError, OSError) as error:
            self.error = error


class Stopped(Exception):
    """The pipeline stops; seen by its own threads only."""


class Queue:
    """Items between threads; its conditions share the pipeline's one lock."""

    def __init__(self, lock: threading.RLock, capacity: int | None = None, producers: int = 1,
                 filled: threading.Condition | None = None) -> None:
        self.items: deque[Any] = deque()
        self.capacity = capacity
        self.producers = producers
        """Number of threads that may still put something in."""
        self.filled = filled or threading.Condition(lock)
        """Notified when an item is there, and when there will be no more."""
        self.emptied = threading.Condition(lock)
        """Notified when there is room again."""

    def put(self, item: Any) -> None:
        self.items.append(item)
        self.filled.notify()

    def take(self) -> Any:
        item = self.items.popleft()
        self.emptied.notify()
        return item

    def leave(self) -> None:
        self.producers -= 1
        self.filled.notify_all()


@contextmanager
def interruptible(on_signal: Callable[[], None] | None = None) -> Iterator[Callable[[], None]]:
    """Hold signals back inside the context; the function that it gives raises those that have come.

    Args:
        on_signal: for work without an end of its own: called at the first signal, in place of raising it.

    Ctrl-C is raised as KeyboardInterrupt (exit status 130), SIGTERM as SystemExit(143). A second signal is raised at
    once, wherever the program is. Outside the main thread, which alone gets signals, nothing is changed.
    """
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            _raise(number)
        if on_signal is not None:
            on_signal()

    def check() -> None:
        if received and on_signal is None:
            _raise(received[0])

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    # a signal that the parent process chose to ignore stays ignored
    previous = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)
                if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield check
        check()  # one that came after the last call
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _raise(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
