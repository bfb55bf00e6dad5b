"""Mask nets run by torch, on any device it has.

A torch module on an NVIDIA GPU: frames through pinned memory, each shape recorded once as a CUDA graph.

A net of some sixty small kernels waits for Python at every one of them; recorded, they are started in one call, copies
included. Threads have streams of their own, so that one's copies run while another computes.

A mask net made ready for torch: rewritten, behind its preprocessing, channels last, in the precision asked for.
"""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from depthcue.backends.device_memory import CudaLane, Seats
from depthcue.backends.session import Frames, Masks, check_dial, check_frames, telling_out_of_memory
from depthcue.errors import DepthcueError
from depthcue.nets import MaskNet
from depthcue.nets.exported import net_identity
from depthcue.nets.rewriting import rewritten

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


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class _InFloat32(nn.Module):
    """A convolution in float32, whatever it takes: of scores that order pixels, too many are equal in 16 bit."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv.float()

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv(x.float())
        return scores


class MaskModule(nn.Module):
    """`frames` uint8 (B, H, W, 3) RGB to mask float32 (B, H, W), for one share or λ.

    Below float32 the weights themselves are 16 bit wide, so that no call has to cast them, as autocast does. Bytes are
    brought to [0, 1] and normalised in float32, where their digits are needed; what sums and means accumulate in is
    float32 by torch's own choice.
    """

    dial: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, net: MaskNet, dial: float, precision: str) -> None:
        """
        Args:
            net: left as it is; a copy is rewritten.
            dial: the share to keep or λ, whichever the net takes.
            precision: `fp32`, `bf16` or `fp16`.

        Raises:
            DepthcueError: weights too large for fp16.
        """
        super().__init__()
        self.dtype = DTYPES[precision]
        self.net, rewriting = rewritten(net)
        log.debug("%s in torch: %s", net.description.name, "; ".join(rewriting.applied) or "as it was given")
        description = net.description
        # one for all frames: what is computed from it is computed once, not for each frame
        self.register_buffer("dial", torch.tensor([dial]))
        self.register_buffer("mean", torch.tensor(description.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(description.std).view(1, 3, 1, 1))
        self.net.to(self.dtype)
        self.net.sees_normalised = True  # see `forward`
        if self.net.keeps_shares and isinstance(head := getattr(self.net, "head", None), nn.Conv2d):
            self.net.set_submodule("head", _InFloat32(head))
        for name, value in self.net.state_dict().items():
            if precision == "fp16" and value.isinf().any():
                raise DepthcueError(f"{description.name} does not fit into {precision}: {name} holds weights that are "
                                    "too large for it", "Use --precision bf16, which has the range of fp32, or fp32.")
        self.to(memory_format=torch.channels_last)

    def forward(self, frames: Tensor) -> Tensor:
        # what arrives in channels-last order stays so: this moves nothing
        rgb = frames.permute(0, 3, 1, 2).float() / 255.0  # (B, 3, H, W)
        normalised = ((rgb - self.mean) / self.std).to(self.dtype)
        mask: Tensor = self.net(normalised, self.dial)
        return mask[:, 0].float()  # (B, H, W)


PRECISIONS = tuple(DTYPES)


class TorchRunner:
    """Runs a mask net in torch; the net given is copied and stays as it is."""

    def __init__(self, net: MaskNet, dial: float | None = None, device: str = "cpu", precision: str = "fp32", *,
                 compiled: bool = False) -> None:
        """
        Args:
            dial: the share to keep or λ, whichever the net takes; None for its own default.
            device: `cpu`, `cuda`, `cuda:N` or `mps`.
            precision: `fp32`; `bf16` or, on a GPU, `fp16` for weights and features in it.
            compiled: let torch's compiler write the kernels when the first batch of a size comes: half a minute and
                more, and a C++ compiler on a CPU.

        Raises:
            DepthcueError: a share or λ that the net does not take, or no such precision.
        """
        if precision not in PRECISIONS:
            raise DepthcueError(f"torch runs no precision {precision!r} here", f"Choose {', '.join(PRECISIONS)}.")
        if precision == "fp16" and device == "cpu":
            raise DepthcueError("fp16 is for GPUs; few CPUs compute in it", "Use --precision bf16 or fp32.")
        self.description = net.description
        self.dial = check_dial(net.description, dial)
        self.device = device
        self.precision = precision
        self.identity = net_identity(net)
        self.name = f"torch {device} {precision}" + (" compiled" if compiled else "")
        self._net = net
        self._compiled = compiled
        self._module: Callable[[Tensor], Tensor] | None = None
        self._on_gpu: OnGpu | None = None
        self._benchmark_before = False

    def __enter__(self) -> Self:
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise DepthcueError(f"torch sees no GPU for --device {self.device}",
                                "Use --device cpu, or see depthcue doctor.")
        module = MaskModule(self._net, self.dial, self.precision)
        try:
            with telling_out_of_memory():
                module = module.to(device)
        except RuntimeError as error:
            raise DepthcueError(f"torch cannot use --device {self.device}: {error}", "See depthcue doctor.") from error
        self._module = torch.compile(module, **_COMPILING[device.type]) if self._compiled else module
        if device.type == "cuda":
            self._on_gpu = OnGpu(self._module, self.device)
            # let cuDNN try which algorithm is fastest for each shape
            self._benchmark_before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self._on_gpu is not None:
            torch.backends.cudnn.benchmark = self._benchmark_before
        self._module = self._on_gpu = None

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`.

        Raises:
            OutOfDeviceMemory: a smaller batch may fit.
            DepthcueError: the net computes what is no number in this precision.
        """
        module = self._entered()
        check_frames(frames, self.description.multiple)
        with telling_out_of_memory():
            try:
                masks = self._on_gpu.run(frames) if self._on_gpu is not None else self._run(module, frames)
            except torch._dynamo.exc.TorchDynamoException as error:
                raise _uncompilable(error) from error
        if np.isnan(masks.min()):
            raise DepthcueError(f"{self.description.name} computes NaN in {self.precision}",
                                "Its numbers are too large for it. Use --precision bf16, or fp32.")
        return masks

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        module = self._entered()
        if self._on_gpu is not None:
            return self._on_gpu.staged(frames)
        batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)

        def run() -> None:
            with torch.inference_mode():
                module(batch)[:, :1].cpu()  # a value that is asked for has been computed

        return run

    def _entered(self) -> Callable[[Tensor], Tensor]:
        if self._module is None:
            raise RuntimeError("the runner is not entered")
        return self._module

    def _run(self, module: Callable[[Tensor], Tensor], frames: Frames) -> Masks:
        with torch.inference_mode():
            # torch takes neither mirrored nor read-only arrays
            batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)
            masks: Masks = module(batch).cpu().numpy()
        return masks


_COMPILING: dict[str, dict[str, Any]] = {
    # freezing lays the weights out for the CPU's kernels once, instead of at every call
    "cpu": {"options": {"freezing": True}},
    "cuda": {},
    "mps": {},
}


def _uncompilable(error: BaseException) -> DepthcueError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DepthcueError(f"torch cannot compile the net here: {first}", "Leave --compile out.")
