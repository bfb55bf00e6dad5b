"""Devices: the one that `--device` names, and the memory of an NVIDIA GPU that the work of a backend goes through.

Work runs in lanes, one CUDA stream each. torch allocates all GPU memory, so its statistics include it. A slot holds the
buffers of one thread for batches of one shape, and is kept for the next batch of that shape.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from depthcue.errors import DepthcueError

Shape = tuple[int, ...]
Slot = TypeVar("Slot")

KEPT = 8
"""Number of slots kept. Two threads on a video take two or four; pictures of many sizes take many in turn."""

log = logging.getLogger(__name__)


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where torch sees a GPU, else `cpu`; the device itself is not touched.

    Raises:
        DepthcueError: not the name of a device.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise DepthcueError(f"--device {device} names no device", "Choose auto, cpu, cuda, cuda:N or mps.")
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_device(device: str) -> torch.device:
    """The device to compute on now, tried out.

    Raises:
        DepthcueError: no such device here.
    """
    picked = torch.device(resolve_device(device))
    try:
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        raise DepthcueError(f"torch cannot use --device {device}: {error}",
                            "Use auto or cpu, or see depthcue doctor.") from error
    return picked


class CudaLane:
    """A CUDA stream: work queued while it is active runs in order, beside that of other lanes. One thread at a time."""

    def __init__(self, device: str) -> None:
        self._stream = torch.cuda.Stream(torch.device(device))

    @property
    def handle(self) -> int:
        """The stream as other libraries take it, a `cudaStream_t`."""
        return int(self._stream.cuda_stream)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Context in which the calling thread works on this stream and its GPU."""
        with torch.cuda.stream(self._stream):
            yield

    def host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Pinned memory of the CPU, which the GPU copies from and to while others work."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def device(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the GPU; in the active lane.

        Raises:
            torch.OutOfMemoryError: there is too little left.
        """
        return torch.empty(tuple(shape), dtype=dtype, device=self._stream.device)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work that `work` queues as a CUDA graph, without running it; the function returned runs it.

        Raises:
            RuntimeError: some of it cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        # other lanes go on meanwhile, and may allocate
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            work()
        finally:
            graph.capture_end()
        return graph.replay

    def wait(self) -> None:
        """Wait until all queued work is done."""
        self._stream.synchronize()


def recorded(lane: Any, work: Callable[[], None], name: str) -> Callable[[], None] | None:
    """Function that replays `work` in one call (`CudaLane.record`); None, with a line in the log, where that fails.

    A recording holds memory of its own: where that is short, the work itself may still fit.

    Args:
        lane: active, and `work` has run in it before, in this thread.
        name: the frames that it is for, in the log.
    """
    try:
        replay: Callable[[], None] = lane.record(work)
        return replay
    except RuntimeError as error:
        log.debug("%s are run without a CUDA graph: %s", name, error)
        return None


class SlotPool(Generic[Slot]):
    """Slots of buffers on a device, each used by one thread for one batch at a time; new ones replace the oldest."""

    def __init__(self, make: Callable[[Shape], Slot], kept: int = KEPT) -> None:
        """
        Args:
            make: a new slot for a shape; takes memory on the device.
        """
        self._make = make
        self._kept = kept
        self._lock = threading.Lock()
        self._free: list[tuple[Shape, Slot]] = []

    @contextmanager
    def taken(self, shape: Shape) -> Iterator[Slot]:
        """Context with a slot for this shape. After an error in it the slot is not used again: its state is unknown."""
        slot = self._find(shape) or self._new(shape)
        yield slot
        with self._lock:
            self._free.append((shape, slot))
            del self._free[:-self._kept]

    def clear(self) -> int:
        """Drop the free slots; returns their number."""
        with self._lock:
            count = len(self._free)
            self._free.clear()
            return count

    def _find(self, shape: Shape) -> Slot | None:
        with self._lock:
            for index, (of, slot) in enumerate(self._free):
                if of == shape:
                    del self._free[index]
                    return slot
        return None

    def _new(self, shape: Shape) -> Slot:
        try:
            return self._make(shape)
        except RuntimeError:
            # the slots of other shapes may hold the missing memory
            if not self.clear():
                raise
        return self._make(shape)
