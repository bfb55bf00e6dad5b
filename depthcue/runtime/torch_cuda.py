"""A torch module on an NVIDIA GPU: frames through pinned memory, each shape recorded once as a CUDA graph.

A net of some sixty small kernels waits for Python at every one of them; recorded, they are started in one call, copies
included. Threads have streams of their own, so that one's copies run while another computes.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from depthcue.export.cuda_lane import CudaLane
from depthcue.export.seats import Seats
from depthcue.runtime.runner import Frames, Masks

log = logging.getLogger(__name__)

Module = Callable[[Tensor], Tensor]


class OnGpu:
    """Runs a module from frames to masks, from any number of threads."""

    def __init__(self, module: nn.Module | Module, device: str, lane: Callable[[str], Any] = CudaLane) -> None:
        """
        Args:
            module: on the device; frames uint8 (B, H, W, 3) to masks float32 (B, H, W).
            lane: what the work goes through.
        """
        self._make_seat: Callable[[tuple[int, ...]], _Seat] = lambda shape: _Seat(module, shape, lane(device))
        self._seats = Seats(self._make_seat)
        self._largest = 0
        self._lock = threading.Lock()

    def run(self, frames: Frames) -> Masks:
        """The masks of frames uint8 (B, H, W, 3), the caller's own.

        Raises:
            RuntimeError: out of memory, after what other shapes had taken was given back.
        """
        try:
            return self._run(frames)
        except torch.OutOfMemoryError:
            # what is recorded holds its memory; another shape may have what this one lacks
            if not self._seats.clear():
                self._largest = 0  # so that the next, smaller batch is not rounded up again
                raise
        return self._run(frames)

    def _run(self, frames: Frames) -> Masks:
        with self._seats.taken((self._rounded(len(frames)), *frames.shape[1:])) as seat:
            return seat.run(frames)

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the module on them there, and returns when it is done."""
        return self._make_seat(frames.shape).staged(frames)

    def _rounded(self, count: int) -> int:
        """The batch to run `count` frames in: a power of two, or the largest that has come.

        A reader that falls behind sends batches of every size. To record each would cost more than the few frames that
        are computed for nothing, while the GPU waits anyway.
        """
        with self._lock:
            self._largest = max(self._largest, count)
            return min(1 << (count - 1).bit_length(), self._largest)


class _Seat:
    """What one thread needs to run batches of one shape."""

    def __init__(self, module: Module, shape: tuple[int, ...], lane: Any) -> None:
        self.shape = shape
        self._module = module
        self._lane = lane
        self._runs = 0
        self._replay: Callable[[], None] | None = None
        with lane.active():
            self._frames = lane.host(shape, torch.uint8), lane.device(shape, torch.uint8)
            self._masks = lane.host(shape[:3], torch.float32), lane.device(shape[:3], torch.float32)
        self._frames[0].zero_()  # a batch may leave its end as it is

    def run(self, frames: Frames) -> Masks:
        """Copy in, run, copy out, wait; fewer frames than there is room for are run with whatever was there before."""
        self._frames[0].numpy()[:len(frames)] = frames
        with self._lane.active(), torch.inference_mode():
            (self._replay or self._all)()
            self._lane.wait()
            # A shape that comes once is not worth it. What is recorded must have been run before, and by this very
            # thread: cuDNN remembers for each thread which algorithm is best, and trying them cannot be recorded.
            if self._runs == 1:
                self._replay = self._recorded(self._all)
        self._runs += 1
        return self._masks[0][:len(frames)].numpy().copy()

    def staged(self, frames: Frames) -> Callable[[], None]:
        """As `OnGpu.staged`."""
        self.run(frames)  # chooses algorithms
        with self._lane.active(), torch.inference_mode():
            replay = self._recorded(self._compute) or self._compute

        def compute() -> None:
            with self._lane.active(), torch.inference_mode():
                replay()
                self._lane.wait()

        return compute

    def _recorded(self, work: Callable[[], None]) -> Callable[[], None] | None:
        try:
            recorded: Callable[[], None] = self._lane.record(work)
            return recorded
        except RuntimeError as error:
            # also where memory is short: a recording holds its own, and the work fits without
            log.debug("frames %s are run without a CUDA graph: %s", self.shape, error)
            return None

    def _all(self) -> None:
        self._frames[1].copy_(self._frames[0], non_blocking=True)
        self._compute()
        self._masks[0].copy_(self._masks[1], non_blocking=True)

    def _compute(self) -> None:
        self._masks[1].copy_(self._module(self._frames[1]))
