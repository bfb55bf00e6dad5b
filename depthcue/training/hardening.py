"""Cutting soft masks to binary ones within training, so that a mask net learns what its best pixels alone are worth."""

import torch
from torch import Tensor


def harden(mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Some masks of a batch, drawn by chance, made binary: each keeps its round(sum of M) highest pixels.

    The gradient of a binary mask is handed to the soft one as it is (straight-through: Bengio, Léonard and Courville,
    2013). What λ weighs stays the mean of M, which is the share of pixels that its binary mask keeps.

    Args:
        mask: M in [0, 1], (B, 1, H, W).
        share: how likely each mask is cut.

    Returns:
        (B, 1, H, W), of 0 and 1 where it is cut.
    """
    if not share:
        return mask
    chosen = torch.rand(len(mask), generator=generator) < share
    flat = mask.detach().flatten(1)  # (B, H*W)
    ordered = flat.sort(dim=1, descending=True).values
    last = (flat.sum(dim=1).round().long() - 1).clamp_min(0)
    binary = (flat >= ordered.gather(1, last[:, None])).to(mask.dtype).view_as(mask)
    return torch.where(chosen.to(mask.device).view(-1, 1, 1, 1), binary + mask - mask.detach(), mask)
