"""Nets run by torch, on any device it has: rewritten, behind their preprocessing, channels last, in a precision.

On an NVIDIA GPU frames go through pinned memory, and each shape is recorded once as a CUDA graph. Launching sixty small
kernels from Python is slow; a CUDA graph launches all of them, and the copies, at once. Threads have streams of their
own, so that one's copies run while another computes.
"""

import copy
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from depthcue.backends.device import CudaLane, SlotPool, recorded
from depthcue.backends.session import Frames, Maps, Session, catch_out_of_memory
from depthcue.errors import DepthcueError, first_line, must_be_one_of
from depthcue.nets import DepthNet, MaskNet, NetOnFrames
from depthcue.nets.exported import net_identity
from depthcue.nets.rewriting import rewritten

log = logging.getLogger(__name__)

Module = Callable[[Tensor, Tensor | None], Tensor]
"""Frames uint8 (B, H, W, 3), and the dial (1,) of a mask net, to maps float32 (B, h, w)."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_COMPILING: dict[str, dict[str, Any]] = {
    # freezing lays the weights out for the CPU's kernels once, instead of at every call
    "cpu": {"options": {"freezing": True}},
    "cuda": {},
    "mps": {},
}


class ModuleOnGpu:
    """Runs a module from frames to maps, from any number of threads."""

    def __init__(self, module: Module, device: str, lane: Callable[[str], Any] = CudaLane) -> None:
        """
        Args:
            module: on the device.
            lane: makes the lane of a slot for a device.
        """
        self._make_slot: Callable[[tuple[int, ...]], _ModuleSlot] = (
            lambda shape: _ModuleSlot(module, shape, lane(device)))
        self._slots = SlotPool(self._make_slot)
        self._largest = 0
        self._lock = threading.Lock()

    def run(self, frames: Frames, dial: float | None = None) -> Maps:
        """The maps of frames uint8 (B, H, W, 3), the caller's own.

        Raises:
            RuntimeError: out of memory, after what other shapes had taken was given back.
        """
        try:
            return self._run(frames, dial)
        except torch.OutOfMemoryError:
            # recordings hold memory: that of other shapes may be what is missing
            if not self._slots.clear():
                self._largest = 0  # so that the next, smaller batch is not rounded up again
                raise
        return self._run(frames, dial)

    def _run(self, frames: Frames, dial: float | None) -> Maps:
        with self._slots.taken((self._rounded(len(frames)), *frames.shape[1:])) as slot:
            return slot.run(frames, dial)

    def staged(self, frames: Frames, dial: float | None = None) -> Callable[[], None]:
        """As `Session.staged`."""
        return self._make_slot(frames.shape).staged(frames, dial)

    def _rounded(self, count: int) -> int:
        """The batch to run `count` frames in: a power of two, or the largest that has come.

        A reader that falls behind sends batches of every size. Recording each size would cost more than computing a
        few frames whose maps are thrown away.
        """
        with self._lock:
            self._largest = max(self._largest, count)
            return min(1 << (count - 1).bit_length(), self._largest)


class _ModuleSlot:
    """Buffers with which one thread runs batches of one shape."""

    def __init__(self, module: Module, shape: tuple[int, ...], lane: Any) -> None:
        self._name = f"frames {shape}"
        self._module = module
        self._lane = lane
        self._runs = 0
        self._replay: Callable[[], None] | None = None
        with lane.active():
            self._frames = lane.host(shape, torch.uint8), lane.device(shape, torch.uint8)
            self._dial: tuple[Tensor, Tensor] | None = (lane.host((1,), torch.float32),
                                                        lane.device((1,), torch.float32))
        self._maps: tuple[Tensor, Tensor] | None = None
        """Made by the first run, which shows how large they are."""
        self._frames[0].zero_()  # smaller batches do not fill the buffer

    def run(self, frames: Frames, dial: float | None) -> Maps:
        """Copy in, run, copy out, wait; fewer frames than the slot holds run together with old content."""
        self._frames[0].numpy()[:len(frames)] = frames
        if dial is None:
            self._dial = None
        elif self._dial is not None:
            self._dial[0].fill_(dial)
        with self._lane.active(), torch.inference_mode():
            (self._replay or self._all)()
            self._lane.wait()
            # A shape that comes once is not worth recording. The work must have been run before in this very thread:
            # cuDNN keeps the best algorithm for each thread, and its trials cannot be recorded.
            if self._runs == 1:
                self._replay = recorded(self._lane, self._all, self._name)
        self._runs += 1
        assert self._maps is not None
        return self._maps[0][:len(frames)].numpy().copy()

    def staged(self, frames: Frames, dial: float | None) -> Callable[[], None]:
        """As `ModuleOnGpu.staged`."""
        self.run(frames, dial)  # chooses algorithms
        with self._lane.active(), torch.inference_mode():
            replay = recorded(self._lane, self._compute, self._name) or self._compute

        def compute() -> None:
            with self._lane.active(), torch.inference_mode():
                replay()
                self._lane.wait()

        return compute

    def _all(self) -> None:
        self._frames[1].copy_(self._frames[0], non_blocking=True)
        if self._dial is not None:
            self._dial[1].copy_(self._dial[0], non_blocking=True)
        self._compute()
        assert self._maps is not None
        self._maps[0].copy_(self._maps[1], non_blocking=True)

    def _compute(self) -> None:
        maps = self._module(self._frames[1], None if self._dial is None else self._dial[1])
        if self._maps is None:
            self._maps = self._lane.host(maps.shape, torch.float32), self._lane.device(maps.shape, torch.float32)
        self._maps[1].copy_(maps)


class _InFloat32(nn.Module):
    """A convolution in float32 for any input: in 16 bit, too many of the scores that order pixels are equal."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv.float()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv(x.float())
        return scores


class _Autocast(nn.Module):
    """A net under autocast: its convolutions run in 16 bit."""

    def __init__(self, module: NetOnFrames, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, frames: Tensor, dial: Tensor | None = None) -> Tensor:
        with torch.autocast(frames.device.type, self.dtype, cache_enabled=False):
            maps: Tensor = self.module(frames, dial)
        return maps


def prepared(net: MaskNet | DepthNet, precision: str = "fp32", *, as_given: bool = False) -> nn.Module:
    """A copy of the net behind its preprocessing, in eval mode, as a `TorchSession` runs it; the net is left as it is.

    Raises:
        DepthcueError: weights too large for fp16.
    """
    dtype = DTYPES[precision]
    if as_given:
        module = NetOnFrames(copy.deepcopy(net)).eval().requires_grad_(False)
        return module if precision == "fp32" else _Autocast(module, dtype)
    own, rewriting = rewritten(net)
    log.debug("%s in torch: %s", net.description.name, "; ".join(rewriting.applied) or "as it was given")
    module = NetOnFrames(own)
    if isinstance(own, MaskNet) and precision != "fp32":
        _to_sixteen_bit(module, dtype)
    module = module.to(memory_format=torch.channels_last)
    return _Autocast(module, dtype) if isinstance(own, DepthNet) and precision != "fp32" else module


def _to_sixteen_bit(module: NetOnFrames, dtype: torch.dtype) -> None:
    """Make the weights themselves 16 bit wide, in place, so that no call has to cast them, as autocast does.

    torch accumulates sums and means in float32.
    """
    net = module.net
    exact = {name: net.get_buffer(name) for name in ("_mean", "_std")}
    net.to(dtype)
    for name, value in exact.items():
        net.register_buffer(name, value, persistent=False)
    module.dtype = dtype
    if net.description.dial_name == "keep" and isinstance(head := getattr(net, "head", None), nn.Conv2d):
        net.set_submodule("head", _InFloat32(head))
    for name, value in net.state_dict().items():
        if dtype == torch.float16 and value.isinf().any():
            raise DepthcueError(f"{net.description.name} does not fit into fp16: {name} holds weights that are too "
                                "large for it", "Use --precision bf16, which has the range of fp32, or fp32.")


class TorchSession(Session):
    """Runs a mask net or a depth net in torch; the net given is copied and stays as it is."""

    def __init__(self, net: MaskNet | DepthNet, dial: float | None = None, device: str = "cpu",
                 precision: str = "fp32", *, compiled: bool = False, as_given: bool = False) -> None:
        """
        Args:
            dial: see `Session`.
            device: `cpu`, `cuda`, `cuda:N` or `mps`.
            precision: `fp32`; `bf16` or, on a GPU, `fp16` for convolutions in it.
            compiled: let torch's compiler write the kernels when the first batch of a size comes: half a minute and
                more, and a C++ compiler on a CPU.
            as_given: run the plain net, neither rewritten nor recorded.

        Raises:
            DepthcueError: a share or λ that the net does not take, or no such precision.
        """
        if precision not in DTYPES:
            raise must_be_one_of("--precision", DTYPES, precision, "These are what torch runs.")
        if precision == "fp16" and device == "cpu":
            raise DepthcueError("fp16 is for GPUs; few CPUs compute in it", "Use --precision bf16 or fp32.")
        super().__init__(f"torch {device} {precision}" + (" compiled" if compiled else "")
                         + (" as given" if as_given else ""), device, net_identity(net), net.description, dial)
        self.precision = precision
        self._net = net
        self._compiled = compiled
        self._as_given = as_given
        self._module: Module | None = None
        self._on_gpu: ModuleOnGpu | None = None
        self._benchmark_before = False

    def _open(self) -> None:
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise DepthcueError(f"torch sees no GPU for --device {self.device}",
                                "Use --device cpu, or see depthcue doctor.")
        module = prepared(self._net, self.precision, as_given=self._as_given)
        try:
            with catch_out_of_memory():
                module = module.to(device)
        except RuntimeError as error:
            raise DepthcueError(f"torch cannot use --device {self.device}: {error}", "See depthcue doctor.") from error
        self._module = torch.compile(module, **_COMPILING[device.type]) if self._compiled else module
        if device.type == "cuda" and not self._as_given:
            self._on_gpu = ModuleOnGpu(self._module, self.device)
            # let cuDNN try which algorithm is fastest for each shape
            self._benchmark_before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True

    def _close(self) -> None:
        if self._on_gpu is not None:
            torch.backends.cudnn.benchmark = self._benchmark_before
        self._module = self._on_gpu = None

    def _run(self, frames: Frames, dial: float | None) -> Maps:
        assert self._module is not None
        try:
            if self._on_gpu is not None:
                maps = self._on_gpu.run(frames, dial)
            else:
                with torch.inference_mode():
                    maps = self._module(*self._inputs(frames, dial)).cpu().numpy()
        except torch._dynamo.exc.TorchDynamoException as error:
            raise DepthcueError(f"torch cannot compile the net here: {first_line(error)}",
                                "Leave --compile out.") from error
        if np.isnan(maps.min()):
            raise DepthcueError(f"{self.description.name} computes NaN in {self.precision}",
                                "Its numbers are too large for it. Use --precision bf16, or fp32.")
        return maps

    def _staged(self, frames: Frames) -> Callable[[], None]:
        if self._on_gpu is not None:
            return self._on_gpu.staged(frames, self.dial)
        module, inputs = self._module, self._inputs(frames, self.dial)
        assert module is not None

        def run() -> None:
            with torch.inference_mode():
                module(*inputs)[:, :1].cpu()  # waits until the values are computed

        return run

    def _inputs(self, frames: Frames, dial: float | None) -> tuple[Tensor, Tensor | None]:
        # torch takes neither mirrored nor read-only arrays
        batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)
        # one value for all frames, so that what depends on it alone is computed once and not for each frame
        return batch, None if dial is None else torch.full((1,), dial, device=self.device)

