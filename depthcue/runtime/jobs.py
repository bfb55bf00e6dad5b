"""What the pipeline asks of a job and what it gives back: inputs that are read, sinks written to, outcomes."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError

Small = NDArray[np.uint8]
Maps = tuple[NDArray[np.float32], ...]
"""What inference gives for one frame, each (h, w)."""
Infer = Callable[[Small], Sequence[NDArray[np.float32]]]
"""Frames uint8 (B, h, w, 3) to arrays float32 (B, …)."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A decoded frame on its way."""

    small: Small
    """What the net sees: uint8 (h, w, 3) at its working size."""
    kept: Any
    """What the sink needs beside the net's answer."""
    nbytes: int
    """Memory held until it is written."""


class JobSink(Protocol):
    """Where a job's results go; used by one thread. One of `finish` and `discard` ends it."""

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
    """What became of a job."""

    job: Any
    frames: int = 0
    """How many were written."""
    error: DepthcueError | OSError | None = None
    complete: bool = False
    """The results are under their names; with an error too, where a part of the input could be read."""
    seconds: float = 0.0
    """From opening the input to the last file written."""
