"""Mask nets run by torch, on any device it has."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.export.card import net_identity
from depthcue.nets import MaskNet
from depthcue.runtime.halving import telling_out_of_memory
from depthcue.runtime.runner import Frames, Masks, check_dial, check_frames
from depthcue.runtime.torch_cuda import OnGpu
from depthcue.runtime.torch_module import DTYPES, MaskModule

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
