"""Kept pixels from scores: the interface of scorers, exact shares, and the scorers that ignore the picture.

A scorer takes `Pictures` and gives every pixel a score. `rank_pixels` and `keep_first` keep exactly as many pixels as
are wanted, the highest scores first and a random choice among equal ones; `binarise` is M' = M > 0.025 of Hu et al.
(ICCV 2019). Chance, a uniform grid and the centre are scorers that do not use the picture.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet

THRESHOLD = 0.025
"""Value of a soft mask above which a pixel is kept (Hu et al., M')."""


@dataclass(frozen=True)
class Pictures:
    """A batch of pictures at the nets' working size, with the truth where it is known.

    The truth shows the same view at the data's own size, which may differ from that of the pictures; it is None where
    the data does not have it.

    Attributes:
        rgb: (B, 3, H, W) in [0, 1].
        indices: index of each picture in its data set; it seeds chance, so that a picture gets the same random
            pixels whatever the batch it comes in.
        depth_m: (B, 1, h, w) metres; where not valid, inf for what lies beyond the data's range, 0 for unknown.
        valid: bool (B, 1, h, w), where there is a measured depth.
        edges: bool (B, 1, h, w) by cause: occlusion, crease, texture, shadow (rendered scenes).
        object_id: int64 (B, 1, h, w), which object each pixel shows (rendered scenes).
    """

    rgb: Tensor
    indices: Sequence[int]
    depth_m: Tensor | None = None
    valid: Tensor | None = None
    edges: Mapping[str, Tensor] | None = None
    object_id: Tensor | None = None


@dataclass(frozen=True)
class DirectSettings:
    """Settings of the search by Eq. (3) (see `optimised`)."""

    steps: int = 100
    learning_rate: float = 0.3
    restarts: int = 1
    """Starts; the best end counts."""
    variation: float = 0.0
    """Weight of the total variation of M; 0 is Eq. (3) itself."""
    blur_px: float = 0.0
    """Deviation of the Gaussian that M is blurred by, in pixels; 0 leaves every pixel free."""
    seed: int = 0

    def check(self) -> "DirectSettings":
        """These settings, once they are checked.

        Raises:
            DepthcueError: a number outside its range.
        """
        for option, count in (("--steps", self.steps), ("--restarts", self.restarts)):
            if count < 1:
                raise DepthcueError(f"{option} must be at least 1, got {count}", "Leave it out for the default.")
        if not self.learning_rate > 0:
            raise DepthcueError(f"--learning-rate must be above 0, got {self.learning_rate:g}",
                                "Leave it out for the default.")
        for option, value in (("--tv", self.variation), ("--blur", self.blur_px)):
            if not value >= 0:
                raise DepthcueError(f"{option} must be at least 0, got {value:g}", "0 leaves it out.")
        return self


@dataclass(frozen=True)
class ScorerInputs:
    """Inputs that scorers may use.

    Attributes:
        mask_net: for `mask`.
        lam: weight of sparseness; None takes the mask net's own.
        seed: of all that is drawn by chance.
        depth_net: the N that gradients are taken of, on the pictures' device and in eval mode.
        direct: how `direct` searches.
        keep: the share that a mask net of shares is to keep, instead of `lam`; None takes the net's own.
    """

    mask_net: MaskNet | None = None
    lam: float | None = None
    seed: int = 0
    depth_net: DepthNet | None = None
    direct: DirectSettings = DirectSettings()
    keep: float | None = None


Scorer = Callable[[Pictures], Tensor]
"""Gives (B, 1, H, W) in [0, 1]; a pixel with a higher score is kept earlier."""


def rank_pixels(scores: Tensor, seed: int = 0) -> Tensor:
    """The rank of every pixel of its own picture, 0 for the highest score.

    Equal scores are ranked in a random order that depends on `seed` and the size alone: a flat region yields scattered
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
    """Multiply every picture's scores by one factor and cut them at 1, such that their mean is as wanted.

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


def random_scores(indices: Sequence[int], height: int, width: int, seed: int) -> Tensor:
    """Uniform noise (B, 1, H, W) in [0, 1); that of a picture depends on the seed and its index alone."""
    draws = [torch.rand(1, height, width, generator=torch.Generator().manual_seed(seed * 1_000_003 + index))
             for index in indices]
    return torch.stack(draws)


def grid_scores(height: int, width: int) -> Tensor:
    """Scores (1, 1, H, W) in (0, 1], all different, whose first pixels form a uniform grid at every sparseness.

    Every step to a quarter more pixels fills the middle of the coarsest gaps, which is the order of thresholds in
    ordered dithering (B. E. Bayer, 1973). At shares of 1/4, 1/16, … the grid is regular; between them it fills up
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
