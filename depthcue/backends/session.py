"""The contract of a session, which every backend keeps for masks and depths, and how far its answers may differ.

A session is a context manager. Making one opens no device; entering it loads the net onto its device, leaving it frees
that again. Where a device runs out of memory, `halving` tries smaller batches.

`TOLERANCES` says how far each precision may be from the net in torch. fp32 computes as torch does and only sums in
another order, so its limits are those of rounding. The others change the answers, and their limits say which change
still leaves the same mask and the same depth. They were set on rendered scenes and on pictures of NYU-v2 with the
shipped nets and with the paper's, trained, at two to three times the worst that was measured. A mask's largest
difference says little: one pixel at the edge of the kept region changes by 0.03 in fp16 and by 0.06 in bf16 where
means, sides and depths are a tenth of the limit. Masks of a share are compared as they are used, pixels kept or hidden,
under which a depth net reacts to single pixels. Their limits are twice the differences of a lite0 net after 300 steps,
whose scores are flat and change places more easily than those of a net that was trained to its end.
"""

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.errors import DepthcueError, first_line, must_be_one_of
from depthcue.nets import DepthDescription, MaskDescription
from depthcue.nets.exported import described_net, dial_input

FP32, FP16, BF16, INT8 = "fp32", "fp16", "bf16", "int8"
PRECISIONS = (FP32, FP16, BF16, INT8)
SIXTEEN_BIT = (FP16, BF16)
_PHRASES = ("out of memory", "outofmemory", "out_of_memory", "failed to allocate memory", "alloc_failed",
            "can't allocate memory", "not enough memory", "could not be allocated", "bad_alloc")
"""Phrases of messages about a lack of memory: of torch, cuDNN and cuBLAS (…_ALLOC_FAILED), ONNX Runtime's arenas,
TensorRT, C++ itself. Only torch has a class for it, and raises it only where its own allocator failed."""

Frames = NDArray[np.uint8]
"""uint8 RGB (B, H, W, 3)."""
Maps = NDArray[np.float32]
"""float32: masks (B, H, W) in [0, 1]; or depths (B, h, w) in metres, of a relative net in units of its own."""

log = logging.getLogger(__name__)


class Session(ABC):
    """A net opened by one backend: frames in, masks or depths out, from any number of threads."""

    def __init__(self, name: str, device: str, identity: str, description: MaskDescription | DepthDescription,
                 dial: float | None) -> None:
        """
        Args:
            name: library, device and precision, as `torch cpu fp32` or `onnx cpu`.
            identity: `net_identity` of the net.
            dial: of a mask net, the share to keep or λ, whichever it takes; None for its own default.

        Raises:
            DepthcueError: a share or λ that the net does not take.
        """
        self.name = name
        self.device = device
        self.identity = identity
        self.description = description
        self.dial = self._checked(dial)
        """Default dial of a mask net; None for a depth net."""
        self._entered = False

    def __enter__(self) -> Self:
        self._open()
        self._entered = True
        return self

    def __exit__(self, *error: object) -> None:
        self._entered = False
        self._close()

    def run(self, frames: Frames, dial: float | None = None) -> Maps:
        """The maps of `frames` uint8 (B, H, W, 3), an array of the caller's own: masks (B, H, W) or depths (B, h, w).

        Args:
            dial: the share to keep or λ for this call; None for what the session was made with.

        Raises:
            ValueError: another type or shape, or sides that are no multiples of the description's.
            RuntimeError: outside the context.
            OutOfDeviceMemory: a smaller batch may fit.
            DepthcueError: a share or λ that the net does not take.
        """
        self._check_entered()
        check_frames(frames, self.description.multiple)
        dial = self.dial if dial is None else self._checked(dial)
        with catch_out_of_memory():
            return self._run(frames, dial)

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; the function returned runs the net on them there, and returns when it is done."""
        self._check_entered()
        check_frames(frames, self.description.multiple)
        with catch_out_of_memory():
            return self._staged(frames)

    @abstractmethod
    def _open(self) -> None:
        """Load the net onto the device."""

    @abstractmethod
    def _close(self) -> None:
        """Free what `_open` took."""

    @abstractmethod
    def _run(self, frames: Frames, dial: float | None) -> Maps:
        """As `run`, of frames and a dial that have been checked."""

    def _staged(self, frames: Frames) -> Callable[[], None]:
        def run() -> None:
            self._run(frames, self.dial)

        return run

    def _check_entered(self) -> None:
        if not self._entered:
            raise RuntimeError("the session is not entered")

    def _checked(self, dial: float | None) -> float | None:
        return self.description.check_dial(dial) if isinstance(self.description, MaskDescription) else None


class FileSession(Session):
    """A session of an exported graph or an engine, whose card lies beside it."""

    def __init__(self, path: str | Path, card: dict[str, Any], name: str, device: str, dial: float | None) -> None:
        self.path = Path(path)
        self._dial_input = dial_input(card)
        super().__init__(name, device, card["net_identity"], described_net(card), dial)


def check_frames(frames: Frames, multiple: int) -> None:
    """Refuse an array that is no batch of frames: a mistake of the calling code, not of the user."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.shape[0] == 0:
        raise ValueError(f"frames must be uint8 (B, H, W, 3) with B > 0, not {frames.dtype} {frames.shape}")
    if frames.shape[1] % multiple or frames.shape[2] % multiple or min(frames.shape[1:3]) < 1:
        raise ValueError(f"frames of {frames.shape[2]}x{frames.shape[1]} pixels: both sides must be multiples of "
                         f"{multiple}")


class OutOfDeviceMemory(RuntimeError):
    """A batch does not fit into the session's device memory; a smaller one may."""


@contextmanager
def catch_out_of_memory() -> Iterator[None]:
    """Context in which an error that a library raises when memory runs out becomes `OutOfDeviceMemory`."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and not any(words in str(error).lower() for words in _PHRASES):
            raise
        raise OutOfDeviceMemory(first_line(error)) from error


def halving(infer: Callable[[Frames], Sequence[Maps]], device: str) -> Callable[[Frames], Sequence[Maps]]:
    """`infer` with batches halved as long as it raises `OutOfDeviceMemory`; may be called by several threads.

    The number of frames that fit depends on the GPU, on other work on it and on the size of the frames, so it is only
    known after a batch has failed. Such a batch is run in halves, and no later batch is larger than one that did
    fit. Batches inferred at the same time share the memory, so from the first failure on they take turns.

    Args:
        infer: frames uint8 (B, H, W, 3) to arrays (B, …).
        device: what to call it in messages.

    Raises:
        DepthcueError: by the function returned, where not even one frame fits.
    """
    fitting = _Fitting(device)

    def infer_what_fits(frames: Frames) -> Sequence[Maps]:
        done: list[Sequence[Maps]] = []
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
                fitting.report()
        return done[0] if len(done) == 1 else [np.concatenate(maps) for maps in zip(*done, strict=True)]

    return infer_what_fits


class _Fitting:
    """Number of frames known to fit into the device's memory. The threads that infer share it."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._left = threading.Condition()
        self._running = 0
        self._limit: int | None = None
        self._reported: int | None = None

    @contextmanager
    def turn(self) -> Iterator[int | None]:
        """Wait for the calling thread's turn; yields the most frames to try, or None while nothing has failed.

        Until a batch fails, all run at the same time; with a limit, one after the other.
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
            # another thread may have found a lower limit meanwhile
            self._limit = min((len(part) + 1) // 2, self._limit or len(part))

    def report(self) -> None:
        """Log the batch size that is used from now on, once for each limit."""
        with self._left:
            if self._limit == self._reported:
                return
            self._reported = self._limit
        log.warning("%s is out of memory: going on with batches of %d frame%s", self._device, self._reported,
                    "" if self._reported == 1 else "s")


@dataclass(frozen=True)
class Tolerance:
    """Largest allowed differences of an exported graph from torch; by default in fp32."""

    max_abs: float = 2e-3
    """Largest difference of a mask (0 to 1)."""
    max_share: float = 2e-3
    """Largest difference of a depth, as a share of the depth (of 1 m where it is less)."""
    mean_abs: float = 1e-4
    """Mean difference of a mask."""
    mean_share: float = 1e-4
    """Mean difference of a depth, as a share of the depth."""
    changed_side: float = 1e-3
    """Share of the pixels of real frames that change side at the threshold."""
    task_rmse_m: float = 2e-3
    """RMSE between N's depths under the two masks, or between the two N's depths; in metres for a range of 10 m."""
    task_change_m: float = 1e-3
    """Largest change of the RMSE between N's depth of the whole picture and under the mask; likewise."""
    kept_abs: float = 2e-3
    """Limit in place of `max_abs` for masks of a share, of whose pixels exactly that share is kept. They are steep: in
    few bits a pixel close to the threshold may take any value, and the number of those that change side counts."""
    kept_mean: float = 1e-4
    """Limit in place of `mean_abs` for such masks: about half of the pixels' share that may change side."""
    kept_side: float = 1e-3
    """Limit in place of `changed_side` for such masks."""
    kept_rmse_m: float = 2e-2
    """Limit in place of `task_rmse_m` for such masks: a pixel that changes side is shown wholly or not at all."""
    kept_change_m: float = 5e-3
    """Limit in place of `task_change_m` for such masks."""
    on_noise: bool = True
    """Whether random frames count too. Below fp32 they are run for their shapes and for NaN alone: a net's answers to
    noise are far outside of the range that its numbers were chosen for."""

    def for_depths(self) -> "Tolerance":
        """The tolerance where depths and not masks are compared."""
        return replace(self, max_abs=self.max_share, mean_abs=self.mean_share)

    def for_shares(self) -> "Tolerance":
        """The tolerance for masks of a share, which count as the pixels that they keep."""
        return replace(self, max_abs=self.kept_abs, mean_abs=self.kept_mean, changed_side=self.kept_side,
                       task_rmse_m=self.kept_rmse_m, task_change_m=self.kept_change_m)

    def for_range(self, range_m: float) -> "Tolerance":
        """The tolerance for a depth net of another range: what is in metres grows with it."""
        times = range_m / 10
        return replace(self, task_rmse_m=self.task_rmse_m * times, task_change_m=self.task_change_m * times)


TOLERANCES = {
    FP32: Tolerance(),
    FP16: Tolerance(max_abs=0.1, max_share=2e-2, mean_abs=5e-4, mean_share=2e-3, changed_side=1e-3, task_rmse_m=1e-2,
                    task_change_m=1e-3, kept_abs=0.3, kept_mean=1e-3, kept_side=2e-3, kept_rmse_m=0.15,
                    kept_change_m=3e-2, on_noise=False),
    BF16: Tolerance(max_abs=0.15, max_share=5e-2, mean_abs=2e-3, mean_share=8e-3, changed_side=3e-3, task_rmse_m=3e-2,
                    task_change_m=5e-3, kept_abs=1.0, kept_mean=1e-2, kept_side=2e-2, kept_rmse_m=0.3,
                    kept_change_m=5e-2, on_noise=False),
    INT8: Tolerance(max_abs=0.5, max_share=0.5, mean_abs=5e-3, mean_share=3e-2, changed_side=1.5e-2, task_rmse_m=0.1,
                    task_change_m=1.5e-2, kept_abs=1.0, kept_mean=3e-3, kept_side=5e-3, kept_rmse_m=0.4,
                    kept_change_m=5e-2, on_noise=False),
}


def check_precision(precision: str) -> str:
    """The precision given, once it is known to be one.

    Raises:
        DepthcueError: it is none.
    """
    if precision not in PRECISIONS:
        raise must_be_one_of("--precision", PRECISIONS, precision)
    return precision
