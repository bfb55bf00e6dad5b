"""A mask net or a depth net in torch, as it was given or rewritten, with its frames on the device or not.

As given, in float32, it is what every other way of running it is compared with, in answers and in time. A runner of
`runtime` is tuned; this one does what whoever has the network and torch would write down first.
"""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.export.module import DepthGraph, MaskGraph
from depthcue.export.rewrites import exchange_pays_in_torch, rewritten
from depthcue.nets import DepthNet, MaskNet
from depthcue.runtime.runner import Frames, Masks, check_dial

_LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("fp32", *_LOW)


class TorchGraph:
    """Frames in, masks or depths out; a context manager as runners are. The net given is copied."""

    def __init__(self, net: MaskNet | DepthNet, dial: float | None = None, device: str = "cpu",
                 precision: str = "fp32", *, rewrite: bool = False) -> None:
        """
        Args:
            dial: the share or λ that a mask net is set to; None for its own.
            precision: `fp32`; `bf16` or `fp16` for convolutions in it, by autocast.
            rewrite: whether to run it rewritten to less arithmetic, in channels-last order.

        Raises:
            DepthcueError: no such precision, or a share or λ that the net does not take.
        """
        if precision not in PRECISIONS:
            raise DepthcueError(f"torch runs no precision {precision!r} here", f"Choose {', '.join(PRECISIONS)}.")
        self.name = f"torch {device} {precision}" + ("" if rewrite else " as given")
        self.device = device
        self._net = net
        self._dial = check_dial(net.description, dial) if isinstance(net, MaskNet) else None
        self._low = _LOW.get(precision)
        self._rewrite = rewrite
        self._module: MaskGraph | DepthGraph | None = None

    def __enter__(self) -> Self:
        self._module = graph_of(self._net, rewrite=self._rewrite).to(self.device)
        if self._rewrite:
            self._module = self._module.to(memory_format=torch.channels_last)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._module = None

    def infer(self, frames: Frames) -> Masks:
        """Masks or depths float32 (B, h, w) of frames uint8 (B, H, W, 3)."""
        # torch takes neither mirrored nor read-only arrays
        batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)
        maps: Masks = self._run(batch).cpu().numpy()
        return maps

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)

        def run() -> None:
            self._run(batch)
            if batch.is_cuda:
                torch.cuda.synchronize(batch.device)

        return run

    def _run(self, batch: Tensor) -> Tensor:
        if self._module is None:
            raise RuntimeError("the graph is not entered")
        low: AbstractContextManager[object] = nullcontext()
        if self._low is not None:
            low = torch.autocast(batch.device.type, self._low)
        with torch.inference_mode(), low:
            maps: Tensor = self._module(batch, *dial_tensor(self._dial, batch))
        return maps


def graph_of(net: MaskNet | DepthNet, *, rewrite: bool) -> MaskGraph | DepthGraph:
    """A copy of the net behind its preprocessing, in eval mode, as given or rewritten."""
    exchange = exchange_pays_in_torch(net)
    graph: MaskGraph | DepthGraph
    if isinstance(net, MaskNet):
        graph = MaskGraph(rewritten(net, polyphase=exchange)[0] if rewrite else copy.deepcopy(net))
    else:
        graph = DepthGraph(rewritten(net, polyphase=exchange)[0] if rewrite else copy.deepcopy(net))
    return graph.eval().requires_grad_(False)


def dial_tensor(dial: float | None, batch: Tensor) -> tuple[Tensor, ...]:
    """What a graph takes beside `batch` (B, H, W, 3): the share or λ of each frame, or nothing."""
    return () if dial is None else (torch.full((len(batch),), dial, device=batch.device),)
