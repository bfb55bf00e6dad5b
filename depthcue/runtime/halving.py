"""A device out of memory: halve the batch, say so, go on.

How many frames fit is known only once they did not: it depends on the GPU, on what else runs on it and on the frames'
size. So batches are tried as they come. One that does not fit is done in halves, and no later one is larger than what
did fit. Batches inferred at the same time share the memory, so from the first failure on they take turns.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.runtime.runner import Frames, Masks, Runner

log = logging.getLogger(__name__)

Maps = Sequence[NDArray[np.float32]]
"""What inference gives, each (B, …)."""

_TELLING = ("out of memory", "outofmemory", "out_of_memory", "failed to allocate memory", "alloc_failed",
            "can't allocate memory", "not enough memory", "could not be allocated", "bad_alloc")
"""What libraries say: torch, cuDNN and cuBLAS (…_ALLOC_FAILED), ONNX Runtime's arenas, TensorRT, C++ itself. None has a
class for it but torch, and torch raises it only where its own allocator failed."""


class OutOfDeviceMemory(RuntimeError):
    """What a runner raises where a batch does not fit into its device's memory; a smaller one may."""


@contextmanager
def telling_out_of_memory() -> Iterator[None]:
    """Raise what a library raises when memory runs out, in whatever class and words, as `OutOfDeviceMemory`."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and not any(words in str(error).lower() for words in _TELLING):
            raise
        raise OutOfDeviceMemory((str(error).strip().splitlines() or ["out of memory"])[0]) from error


class Halving:
    """A runner around another that goes on with smaller batches when the device runs out of memory."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.name = runner.name
        self.device = runner.device
        self.identity = runner.identity
        self.description = runner.description
        self.dial = runner.dial
        self._infer = halving(lambda frames: (runner.infer(frames),), runner.device)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._runner.__exit__(kind, error, traceback)

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`.

        Raises:
            DepthcueError: not even one frame fits.
        """
        masks: Masks = self._infer(frames)[0]
        return masks


def halving(infer: Callable[[Frames], Maps], device: str) -> Callable[[Frames], Maps]:
    """`infer` with batches halved as long as it raises `OutOfDeviceMemory`; may be called by several threads.

    Args:
        infer: frames uint8 (B, H, W, 3) to arrays (B, …).
        device: what to call it in messages.

    Raises:
        DepthcueError: by the function returned, where not even one frame fits.
    """
    fitting = _Fitting(device)

    def infer_what_fits(frames: Frames) -> Maps:
        done: list[Maps] = []
        start = 0
        while start < len(frames):
            reason = None
            with fitting.turn() as limit:
                part = frames[start:start + (limit or len(frames))]
                try:
                    done.append(infer(part))
                except OutOfDeviceMemory as error:
                    # the error itself would hold on to the tensors that fill the memory
                    reason = str(error)
            if reason is not None:
                fitting.does_not_fit(part, limit, reason)
                continue
            start += len(part)
            if limit is not None:
                fitting.tell()
        return done[0] if len(done) == 1 else [np.concatenate(maps) for maps in zip(*done, strict=True)]

    return infer_what_fits


class _Fitting:
    """How many frames fit into the device's memory, as far as is known; shared by the threads that infer."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._left = threading.Condition()
        self._running = 0
        self._limit: int | None = None
        self._told: int | None = None

    @contextmanager
    def turn(self) -> Iterator[int | None]:
        """Wait for one's turn; gives the most frames to try, None where nothing has failed yet.

        As long as nothing has, all run at the same time; with a limit, one after the other.
        """
        with self._left:
            self._left.wait_for(lambda: self._limit is None or self._running == 0)
            self._running += 1
            limit = self._limit
        try:
            yield limit
        finally:
            with self._left:
                self._running -= 1
                self._left.notify_all()

    def does_not_fit(self, part: Frames, limit: int | None, reason: str) -> None:
        """Lower the limit after `part` failed under `limit`.

        Raises:
            DepthcueError: it was one frame, and had the device for itself.
        """
        if len(part) == 1 and limit is not None:
            height, width = part.shape[1:3]
            raise DepthcueError(f"not even one frame of {width}x{height} pixels fits into the memory of "
                                f"{self._device}: {reason}",
                                "Choose a smaller --size, close what else uses the device, or use --device cpu.")
        with self._left:
            # another thread may have found a lower one meanwhile
            self._limit = min((len(part) + 1) // 2, self._limit or len(part))

    def tell(self) -> None:
        """Say what it goes on with, once for each limit."""
        with self._left:
            if self._limit == self._told:
                return
            self._told = self._limit
        log.warning("%s is out of memory: going on with batches of %d frame%s", self._device, self._told,
                    "" if self._told == 1 else "s")
