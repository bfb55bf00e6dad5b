"""Choices that do not look at the picture: random, a uniform grid, the centre."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def random_scores(places: Sequence[int], height: int, width: int, seed: int) -> Tensor:
    """Uniform noise (B, 1, H, W) in [0, 1); that of a picture hangs on the seed and its place alone."""
    draws = [torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed * 1_000_003 + place))
             for place in places]
    return torch.stack(draws)


def grid_scores(height: int, width: int) -> Tensor:
    """Scores (1, 1, H, W) in (0, 1], all different, whose first pixels form a uniform grid at every sparseness.

    Every step to a quarter more pixels fills the middle of the coarsest gaps, which is the order of thresholds in
    ordered dithering (B. E. Bayer, 1973). At shares of 1/4, 1/16, … the grid is regular; between them it is on its way
    from one to the next.
    """
    bits = max(math.ceil(math.log2(max(height, width))), 1)
    rank = torch.zeros(1, 1, dtype=torch.int64)
    for _ in range(bits):
        # each quarter of the doubled grid is the grid itself, four times as fine, with its own turn
        rank = torch.cat([torch.cat([4 * rank, 4 * rank + 2], 1), torch.cat([4 * rank + 3, 4 * rank + 1], 1)])
    cut = rank[:height, :width]
    # cutting leaves holes among the ranks of a square; only their order counts
    return (1 - cut / 4.0**bits).view(1, 1, height, width)


def centre_scores(height: int, width: int) -> Tensor:
    """Scores (1, 1, H, W) in [0, 1] that fall from the middle outwards, along ellipses of the picture's shape."""
    down = (torch.arange(height) + 0.5) / height * 2 - 1
    right = (torch.arange(width) + 0.5) / width * 2 - 1
    return (1 - torch.hypot(down[:, None], right[None, :]) / math.sqrt(2)).view(1, 1, height, width)
