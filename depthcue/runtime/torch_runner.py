"""Mask nets run by torch, on any device it has."""

import copy
from contextlib import nullcontext
from types import TracebackType
from typing import Self

import numpy as np
import torch

from depthcue.errors import DepthcueError
from depthcue.export.card import net_identity
from depthcue.export.module import MaskGraph
from depthcue.nets import MaskNet
from depthcue.runtime.runner import Frames, Masks, check_frames

PRECISIONS = ("fp32", "bf16")


class TorchRunner:
    """Runs a mask net in torch; the net given is copied and stays as it is."""

    def __init__(self, net: MaskNet, lam: float | None = None, device: str = "cpu", precision: str = "fp32") -> None:
        """
        Args:
            lam: λ; None takes the net's own.
            device: `cpu`, `cuda`, `cuda:N` or `mps`.
            precision: `fp32`, or `bf16` for bfloat16 in the convolutions.

        Raises:
            DepthcueError: λ outside the net's range, or no such precision.
        """
        if precision not in PRECISIONS:
            raise DepthcueError(f"torch runs no precision {precision!r} here", f"Choose {' or '.join(PRECISIONS)}.")
        self.description = net.description
        self.lam = net.check_lambda(lam)
        self.device = device
        self.precision = precision
        self.identity = net_identity(net)
        self.name = f"torch {device} {precision}"
        self._net = net
        self._module: MaskGraph | None = None

    def __enter__(self) -> Self:
        device = torch.device(self.device)
        if device.type == "cuda" and not torch.cuda.is_available():
            raise DepthcueError(f"torch sees no GPU for --device {self.device}",
                                "Use --device cpu, or see depthcue doctor.")
        try:
            # convolutions in channels-last order are what the frames arrive in and what CPUs and tensor cores like
            module = MaskGraph(copy.deepcopy(self._net)).to(device).eval()
            self._module = module.to(memory_format=torch.channels_last)
        except RuntimeError as error:
            raise DepthcueError(f"torch cannot use --device {self.device}: {error}", "See depthcue doctor.") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._module = None

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`."""
        if self._module is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        device = torch.device(self.device)
        low = torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()
        with torch.inference_mode(), low:
            # torch takes neither mirrored nor read-only arrays
            batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(device)
            masks: Masks = self._module(batch, torch.full((len(frames),), self.lam, device=device)).cpu().numpy()
        return masks
