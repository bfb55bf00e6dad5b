"""Cutting soft masks to binary ones within training, so that a mask net learns what its best pixels alone are worth."""

import torch
from torch import Tensor


def harden(mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Some masks of a batch, drawn by chance, made binary: M > t for a threshold t drawn evenly from [0, 1).

    Over thresholds the binary masks have the mean M, so that what λ weighs stays what is shown; and a mask net that has
    to do well at every threshold must put its pixels in order. The gradient of a binary mask is handed to the soft one
    as it is (straight-through: Bengio, Léonard and Courville, 2013).

    Args:
        mask: M in [0, 1], (B, 1, H, W).
        share: how likely each mask is cut.

    Returns:
        (B, 1, H, W), of 0 and 1 where it is cut.
    """
    if not share:
        return mask
    chosen, threshold = torch.rand(2, len(mask), 1, 1, 1, generator=generator).to(mask.device)  # (B, 1, 1, 1) each
    binary = (mask.detach() > threshold).to(mask.dtype)
    return torch.where(chosen < share, binary + (mask - mask.detach()), mask)
