"""What passes between the pipeline's threads: jobs under way, batches, results, and the queues they wait in."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.runtime.jobs import Job, Maps, Outcome, Prepared


@dataclass(slots=True, eq=False)
class Ticket:
    """A job under way, shared by the threads that handle it."""

    job: Job
    outcome: Outcome
    writer: int
    lane: Any
    """What its frames share batches with: those of an equal lane. Pictures are one lane, live jobs are one, and each
    video is its own."""
    position: int | None = None
    """Of a picture among the pictures."""
    early_bytes: int = 0
    """What a picture held before its turn to join a batch."""
    started: float = field(default_factory=time.perf_counter)
    abandoned: bool = False
    """Its results cannot be written: the rest of it need not be read."""
    on_its_way: bool = False
    """A live job's last frame has not come to its writer yet."""


Arrival = Prepared | DepthcueError | OSError | None
"""What a reader passes on: a frame; or a job's end, with the error that ended it if there was one."""


@dataclass(slots=True, eq=False)
class Batch:
    waiting: list[tuple[Ticket, Arrival]]
    """Frames of one size, and ends of jobs behind their last frames."""
    frames: int = 0
    outputs: Sequence[NDArray[np.float32]] | None = None
    """None until inferred."""


@dataclass(slots=True, eq=False)
class Result:
    """A frame's maps, or a job's end, on the way to its writer."""

    ticket: Ticket
    item: Arrival
    maps: Maps
    taken: bool = False
    """Someone renders it, or has."""
    ready: bool = False
    """It is rendered, or that failed."""
    rendered: Any = None
    error: DepthcueError | OSError | None = None

    def render(self) -> None:
        """Once, by whoever has taken it."""
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
        """How many threads may still put something in."""
        self.filled = filled or threading.Condition(lock)
        """Told when an item is there, and when there will be no more."""
        self.emptied = threading.Condition(lock)
        """Told when there is room again."""

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
