"""What threads need to run batches of one shape, kept for the next batch of that shape."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Shape = tuple[int, ...]
Seat = TypeVar("Seat")

KEPT = 8
"""How many are kept. Two threads on a video take two or four; pictures of many sizes take many in turn."""


class Seats(Generic[Seat]):
    """Seats on a device. A thread has one for itself as long as it runs a batch; the oldest are given up for new ones.
    """

    def __init__(self, make: Callable[[Shape], Seat], kept: int = KEPT) -> None:
        """
        Args:
            make: a new seat for a shape; takes memory on the device.
        """
        self._make = make
        self._kept = kept
        self._lock = threading.Lock()
        self._free: list[tuple[Shape, Seat]] = []

    @contextmanager
    def taken(self, shape: Shape) -> Iterator[Seat]:
        """A seat for this shape. One under which something fails is not used again: its state is unknown.

        Raises:
            Exception: what making one raises.
        """
        seat = self._find(shape) or self._new(shape)
        yield seat
        with self._lock:
            self._free.append((shape, seat))
            del self._free[:-self._kept]

    def clear(self) -> int:
        """Give up those that are free; how many there were."""
        with self._lock:
            count = len(self._free)
            self._free.clear()
            return count

    def _find(self, shape: Shape) -> Seat | None:
        with self._lock:
            for index, (of, seat) in enumerate(self._free):
                if of == shape:
                    del self._free[index]
                    return seat
        return None

    def _new(self, shape: Shape) -> Seat:
        try:
            return self._make(shape)
        except RuntimeError:
            # what other shapes hold may be the memory that is missing
            if not self.clear():
                raise
        return self._make(shape)
