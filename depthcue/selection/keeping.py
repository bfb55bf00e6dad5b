"""From scores to kept pixels: exactly as many as asked for, fairly among equals; thresholds and soft maps.

M' = M > 0.025 is the binary mask of Hu et al. (ICCV 2019).
"""

import torch
from torch import Tensor

THRESHOLD = 0.025
"""What separates kept from hidden pixels in a soft mask (Hu et al., M')."""


def rank_pixels(scores: Tensor, seed: int = 0) -> Tensor:
    """The rank of every pixel of its own picture, 0 for the highest score.

    Equal scores are ranked in a random order that hangs on `seed` and the size alone: a flat region yields scattered
    pixels, not its first rows.

    Args:
        scores: (B, 1, H, W), no NaN.

    Returns:
        int64 (B, 1, H, W), each picture a permutation of 0 .. H*W - 1.
    """
    if torch.isnan(scores).any():
        raise ValueError("a score is not a number")
    flat = scores.flatten(1)  # (B, H*W)
    count = flat.shape[1]
    # drawn on the CPU, so that a GPU breaks ties as a CPU does
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).to(scores.device)
    order = shuffled[torch.argsort(flat[:, shuffled], dim=1, descending=True, stable=True)]
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(count, device=scores.device).expand_as(order))
    return ranks.view_as(scores)


def keep_first(ranks: Tensor, share: float) -> Tensor:
    """Keep exactly round(share * H * W) pixels of every picture, the first by rank.

    Args:
        ranks: (B, 1, H, W) from `rank_pixels`.
        share: of the pixels to keep, in [0, 1].

    Returns:
        bool (B, 1, H, W), True where the pixel is kept.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of pixels lies between 0 and 1, not at {share}")
    return ranks < round(share * ranks.shape[-2] * ranks.shape[-1])


def keep_top(scores: Tensor, share: float, seed: int = 0) -> Tensor:
    """Keep exactly round(share * H * W) pixels of every picture, those with the highest scores.

    Args:
        scores: (B, 1, H, W), no NaN.
        share: of the pixels to keep, in [0, 1].
        seed: of the order among equal scores.

    Returns:
        bool (B, 1, H, W), True where the pixel is kept.
    """
    return keep_first(rank_pixels(scores, seed), share)


def binarise(mask: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """M' = M > threshold: bool of the shape of `mask`, True where the pixel is kept."""
    return mask > threshold


def sparseness(mask: Tensor) -> Tensor:
    """The share of non-zero pixels of every picture: (B, ...) -> (B,) in [0, 1], of a binary mask (see `binarise`)."""
    return (mask != 0).flatten(1).float().mean(dim=1)


def scale_to_mean(scores: Tensor, mean: Tensor) -> Tensor:
    """Multiply every picture's scores by one factor and cut them at 1, such that their mean is what is asked for.

    A soft edge map is thus made to hide as much as a soft mask does.

    Args:
        scores: (B, 1, H, W) in [0, 1].
        mean: (B,) wanted, in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1]. A mean above the share of non-zero scores cannot be reached; the nearest is given.
    """
    low, high = torch.zeros_like(mean), torch.full_like(mean, 40.0)
    for _ in range(40):
        # bisected in log2, because the factor may have to be 2 or 2^20
        middle = (low + high) / 2
        reached = (scores * torch.exp2(middle - 10).view(-1, 1, 1, 1)).clamp(max=1).mean(dim=(1, 2, 3))
        low = torch.where(reached < mean, middle, low)
        high = torch.where(reached < mean, high, middle)
    return (scores * torch.exp2(high - 10).view(-1, 1, 1, 1)).clamp(max=1)
