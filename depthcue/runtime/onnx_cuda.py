"""ONNX Runtime on an NVIDIA GPU: its libraries found in the installed wheels, frames through pinned memory."""

import io
import logging
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from depthcue.export.cuda_lane import CudaLane
from depthcue.export.seats import Seats
from depthcue.runtime.runner import Frames, Masks

PROVIDER = "CUDAExecutionProvider"
REMEDY = "pip install 'depthcue[cuda]' brings the CUDA libraries that torch does not"

log = logging.getLogger(__name__)


@cache
def preload_libraries() -> str:
    """Load the CUDA libraries that lie in the installed wheels, where the provider would not look for them.

    Returns what went wrong with it, in a few words, or nothing.
    """
    if not hasattr(onnxruntime, "preload_dlls"):
        return ""
    # it tells what it misses by printing, and our stdout is for results
    with redirect_stdout(io.StringIO()) as printed:
        onnxruntime.preload_dlls()
    log.debug("ONNX Runtime, looking for CUDA: %s", printed.getvalue().strip() or "all is there")
    missing = [Path(name).name for name in re.findall(r"^Failed to load ([^:\n]+)", printed.getvalue(), re.MULTILINE)]
    return f"{', '.join(dict.fromkeys(missing))} does not load" if missing else ""


class OnGpu:
    """Runs a session that computes on a GPU, from any number of threads."""

    def __init__(self, session: Any, device: str, dial_input: str | None) -> None:
        place = "cuda", int(device.partition(":")[2] or 0)

        def make(shape: tuple[int, ...]) -> Binding:
            return Binding(session, shape, dial_input, CudaLane(device), place)

        self._make = make
        self._seats = Seats(make)

    def run(self, frames: Frames, dial: float) -> Masks:
        """The masks of frames uint8 (B, H, W, 3), float32 (B, H, W)."""
        with self._seats.taken(frames.shape) as binding:
            return binding.run(frames, dial)

    def staged(self, frames: Frames, dial: float) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        return self._make(frames.shape).staged(frames, dial)


class Binding:
    """Inputs and outputs of one shape, bound to memory where the session computes."""

    def __init__(self, session: Any, shape: tuple[int, ...], dial_input: str | None, lane: Any,
                 place: tuple[str, int]) -> None:
        """
        Args:
            dial_input: what the graph calls its input for a share or λ; None where it has none.
            place: what ONNX Runtime calls the device, and its number.
        """
        self._session = session
        self._lane = lane
        self._binding = session.io_binding()
        with lane.active():
            self._frames = lane.host(shape, torch.uint8), lane.device(shape, torch.uint8)
            self._dial = lane.host(shape[:1], torch.float32), lane.device(shape[:1], torch.float32)
            self._mask = lane.host(shape[:3], torch.float32), lane.device(shape[:3], torch.float32)
        self._binding.bind_input("frames", *place, np.uint8, shape, self._frames[1].data_ptr())
        if dial_input is not None:
            self._binding.bind_input(dial_input, *place, np.float32, shape[:1], self._dial[1].data_ptr())
        self._binding.bind_output("mask", *place, np.float32, shape[:3], self._mask[1].data_ptr())

    def run(self, frames: Frames, dial: float) -> Masks:
        """Copy in, run, copy out."""
        with self._lane.active():
            self._bring(frames, dial)
            self._session.run_with_iobinding(self._binding)
            self._mask[0].copy_(self._mask[1], non_blocking=True)
            self._lane.wait()
        return self._mask[0].numpy().copy()

    def staged(self, frames: Frames, dial: float) -> Callable[[], None]:
        """As `OnGpu.staged`."""
        with self._lane.active():
            self._bring(frames, dial)

        def compute() -> None:
            with self._lane.active():
                self._session.run_with_iobinding(self._binding)

        return compute

    def _bring(self, frames: Frames, dial: float) -> None:
        """Copy in, and wait: the session has a stream of its own. It returns when its work is done."""
        self._frames[0].numpy()[...] = frames
        self._dial[0].fill_(dial)
        for on_host, on_device in (self._frames, self._dial):
            on_device.copy_(on_host, non_blocking=True)
        self._lane.wait()
