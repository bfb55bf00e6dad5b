"""Sharpening soft masks within training, so that a mask net learns which pixels to give up first.

A mask net trained by Eq. (4) alone leaves N a faint copy of much of the picture: M is low there, but not 0, and what
its best pixels show N without the rest was never asked. Nor would a search over λ ask it at every sparseness: what
binary masks lose with each pixel is not convex, so that some sparsenesses are best at no λ. Here N sees some masks
nearly binary, at a sparseness drawn by chance: they teach the order of the pixels, Eq. (4) their level.
"""

import math

import torch
from torch import Tensor

from depthcue.nets.shares import threshold

TEMPERATURES = (0.03, 0.6)
SHARES = (0.05, 0.75)


def sharpen(mask: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some masks of a batch, drawn by chance, made nearly binary.

    A mask becomes sigmoid((logit M - τ) / T): for T to 0 the binary mask of its highest pixels. T is drawn
    log-uniformly from TEMPERATURES and the mean of the new mask evenly from SHARES; τ follows from them, in the
    gradient too: raising all of M changes nothing, raising a pixel lowers others.

    Args:
        mask: M in [0, 1], (B, 1, H, W).
        share: how likely each mask is sharpened.

    Returns:
        The masks for N to see, (B, 1, H, W) in [0, 1], and which of them were sharpened, bool (B,).
    """
    if not share:
        return mask, torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
    chance = torch.rand(3, len(mask), 1, 1, 1, generator=generator).to(mask.device)
    sharpened = chance[0] < share  # (B, 1, 1, 1)
    low, high = (math.log(end) for end in TEMPERATURES)
    temperature = (low + (high - low) * chance[1]).exp()
    mean = SHARES[0] + (SHARES[1] - SHARES[0]) * chance[2]
    logits = torch.logit(mask.float(), eps=1e-6)
    steep = torch.sigmoid((logits - threshold(logits, mean, temperature)) / temperature)
    return torch.where(sharpened, steep.to(mask.dtype), mask), sharpened.flatten()
