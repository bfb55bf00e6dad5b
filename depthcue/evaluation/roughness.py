"""How noisy a mask is, whatever it keeps."""

import torch
from torch import Tensor

from depthcue.objective import total_variation


def roughness(mask: Tensor) -> Tensor:
    """The total variation of each mask as a share of what the same values would have in random order.

    1 is noise in which no pixel knows of its neighbours, 0 a flat map; a checkerboard is above 1. Unlike the total
    variation itself, it does not grow with how much a mask keeps or how hard it is.

    Args:
        mask: (B, 1, H, W), at least two pixels.

    Returns:
        (B,); 0 where all values are equal.
    """
    values = mask.flatten(1).double().sort(dim=1).values  # (B, n)
    count = values.shape[1]
    # the mean |a - b| over all pairs of different pixels, from the sorted values: Gini's mean difference
    weights = 2 * torch.arange(count, device=mask.device, dtype=values.dtype) - count + 1
    expected = 2 * (weights * values).sum(dim=1) / (count * (count - 1))
    height, width = mask.shape[-2:]
    pairs = height * (width - 1) + (height - 1) * width
    shuffled = expected * pairs / count
    return (total_variation(mask.double()) / shuffled.clamp_min(torch.finfo(values.dtype).tiny)).to(mask.dtype)
