"""Sharpening soft masks within training, so that a mask net learns what its best pixels alone are worth.

A mask net trained by Eq. (4) alone leaves N a faint copy of much of the picture: M is low there, but not 0, and what
its best pixels show N without the rest was never asked. Here N sees some masks nearly binary.
"""

import math

import torch
from torch import Tensor

TEMPERATURES = (0.03, 0.6)
_CERTAIN = 16.0
"""The logit beyond which a pixel of a mask is as good as 0 or 1."""


def sharpen(mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Some masks of a batch, drawn by chance, made steeper at the same mean.

    A mask becomes sigmoid((logit M - τ) / T): for T to 0 the binary mask of its highest pixels, as many as M has mean.
    T is drawn log-uniformly from TEMPERATURES for each mask, and τ found such that the mean stays, so that what λ
    weighs is the share of pixels shown. Unlike cutting a mask, this has a true gradient (τ counts as given).

    Args:
        mask: M in [0, 1], (B, 1, H, W).
        share: how likely each mask is sharpened.

    Returns:
        (B, 1, H, W) in [0, 1].
    """
    if not share:
        return mask
    chosen, place = torch.rand(2, len(mask), 1, 1, 1, generator=generator).to(mask.device)  # (B, 1, 1, 1) each
    low, high = (math.log(end) for end in TEMPERATURES)
    temperature = (low + (high - low) * place).exp()
    logits = torch.logit(mask.float(), eps=1e-6)
    steep = torch.sigmoid((logits - _threshold(logits.detach(), mask.detach(), temperature)) / temperature)
    return torch.where(chosen < share, steep.to(mask.dtype), mask)


def _threshold(logits: Tensor, mask: Tensor, temperature: Tensor) -> Tensor:
    """τ of each mask, (B, 1, 1, 1), by bisection."""
    wanted = mask.mean(dim=(1, 2, 3), keepdim=True)
    low, high = torch.full_like(wanted, -_CERTAIN), torch.full_like(wanted, _CERTAIN)
    for _ in range(20):
        middle = (low + high) / 2
        above = torch.sigmoid((logits - middle) / temperature).mean(dim=(1, 2, 3), keepdim=True) > wanted
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return (low + high) / 2
