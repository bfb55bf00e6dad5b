"""What every way of running a mask net has in common, so that one can stand for another.

A runner is a context manager. Making one opens no device; entering it loads the net onto its device, leaving it frees
that again. The dial, a share or λ, is fixed when it is made.

A device out of memory: halve the batch, say so, go on.

How many frames fit is known only once they did not: it depends on the GPU, on what else runs on it and on the frames'
size. So batches are tried as they come. One that does not fit is done in halves, and no later one is larger than what
did fit. Batches inferred at the same time share the memory, so from the first failure on they take turns.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.nets import MaskDescription, MaskNet

Frames = NDArray[np.uint8]
"""uint8 RGB (B, H, W, 3)."""
Masks = NDArray[np.float32]
"""float32 (B, H, W) in [0, 1]."""


@runtime_checkable
class Runner(Protocol):
    """Frames in, masks out."""

    name: str
    """What runs and where, as `torch cpu fp32` or `onnx cpu`."""
    device: str
    identity: str
    """What tells the net from every other: `net_identity`."""
    description: MaskDescription
    dial: float
    """What the net is set to: see `Dial.value`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None: ...

    def infer(self, frames: Frames) -> Masks:
        """The masks of `frames` uint8 (B, H, W, 3): float32 (B, H, W) in [0, 1], an array of the caller's own.

        Raises:
            ValueError: another type or shape, or sides that are no multiples of the description's.
            RuntimeError: outside the context.
        """


def check_frames(frames: Frames, multiple: int) -> None:
    """Refuse what is no batch of frames: a mistake of the calling code, not of the user."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.shape[0] == 0:
        raise ValueError(f"frames must be uint8 (B, H, W, 3) with B > 0, not {frames.dtype} {frames.shape}")
    if frames.shape[1] % multiple or frames.shape[2] % multiple or min(frames.shape[1:3]) < 1:
        raise ValueError(f"frames of {frames.shape[2]}x{frames.shape[1]} pixels: both sides must be multiples of "
                         f"{multiple}")


@dataclass(frozen=True)
class Dial:
    """What a mask net is set to."""

    value: float
    """What the net takes: the share to keep, or λ; of a net that takes neither, its own λ."""
    keep: float | None
    """The share of pixels that is kept, exactly; None where λ decides how many are."""
    lam: float | None
    """λ of Eq. (4); of a net that takes shares the one that its share answers to, None where its card says none."""

    @classmethod
    def of(cls, description: MaskDescription, keep: float | None = None, lam: float | None = None) -> Self:
        """The setting for a share or for λ; for the net's own default where both are None.

        Raises:
            DepthcueError: both are given, or one is outside of what the net takes.
        """
        net = MaskNet(description)
        value = net.dial_value(keep, lam)
        if not net.keeps_shares:
            return cls(value, keep, value)
        return cls(value, value, net.lambda_at(value) if lam is None else lam)


def check_dial(description: MaskDescription, dial: float | None) -> float:
    """What to set a net to that is known by its description alone: `dial`, or its own default where None.

    Raises:
        DepthcueError: the net takes no such share or λ.
    """
    net = MaskNet(description)
    return net.dial_value(keep=dial) if net.keeps_shares else net.check_lambda(dial)


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
