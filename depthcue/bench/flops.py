"""The arithmetic of a net: floating-point operations a frame, a multiplication and an addition counting as two."""

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from depthcue.bench.torch_graph import dial_tensor, graph_of
from depthcue.nets import DepthNet, MaskNet


def flops_per_frame(net: MaskNet | DepthNet, size: tuple[int, int], *, rewrite: bool) -> int | None:
    """Operations of convolutions and matrix products for one frame, as given or rewritten; None if uncountable.

    Counted on shapes alone, without computing. What is done to single numbers (normalisation, activations, resizing)
    is left out, as it is everywhere else where FLOPs are stated: it costs time by the memory that it moves.

    Args:
        size: (height, width) of the frame.
    """
    dial = net.dial_value() if isinstance(net, MaskNet) else None
    frames = torch.zeros(1, *size, 3, dtype=torch.uint8, device="meta")
    try:
        graph = copy.deepcopy(graph_of(net, rewrite=rewrite)).to("meta")
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            graph(frames, *dial_tensor(dial, frames))
    except Exception:  # a net of others may leave torch, or ask for values, in whatever way it likes
        return None
    return int(counter.get_total_flops()) or None
