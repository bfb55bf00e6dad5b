"""Ways to choose pixels at a given sparseness, behind one interface.

A method gives every pixel of a picture a score; the same number of best pixels is then kept for every method, so that
what is compared is which pixels, never how many. Methods: the mask M = G(I) of Hu et al. (ICCV 2019, Eq. (4)), the
Sobel edge map that their Fig. 5 puts in its place, and random pixels. M' = M > 0.025 is their binary mask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.nets import MaskNet

THRESHOLD = 0.025
"""What separates kept from hidden pixels in a soft mask (Hu et al., M')."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the gray picture (ITU-R BT.601)."""


@dataclass(frozen=True)
class Pictures:
    """A batch at the nets' working size, as any method may want to see it.

    Attributes:
        rgb: (B, 3, H, W) in [0, 1].
        places: the place of each picture in its data set; chance hangs on it, so that a picture gets the same random
            pixels whatever the batch it comes in.
    """

    rgb: Tensor
    places: Sequence[int]


@dataclass(frozen=True)
class Means:
    """What methods may draw on: the mask net with its lambda (None: the net's own), and the seed of chance."""

    mask_net: MaskNet
    lam: float | None = None
    seed: int = 0


Score = Callable[[Pictures], Tensor]
"""Gives (B, 1, H, W) in [0, 1]; a pixel with a higher score is kept earlier."""


def build_method(name: str, means: Means) -> Score:
    """The scoring function called `name` in METHODS.

    Raises:
        DepthcueError: there is no such method.
    """
    if name not in METHODS:
        raise DepthcueError(f"there is no way to choose pixels called {name!r}", f"There are: {', '.join(METHODS)}.")
    return METHODS[name](means)


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


def sobel_edges(rgb: Tensor) -> Tensor:
    """The Sobel edge map: the gradient magnitude of the gray picture, scaled so that its strongest edge is 1.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1]; all 0 for a picture without any edge.
    """
    gray = (rgb * rgb.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)  # (B, 1, H, W)
    kernel = rgb.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([kernel, kernel.T]).unsqueeze(1)  # (2, 1, 3, 3)
    # the frame of the picture is no edge: its border pixels are repeated outwards
    gradient = functional.conv2d(functional.pad(gray, (1, 1, 1, 1), mode="replicate"), kernels)
    magnitude = gradient.square().sum(dim=1, keepdim=True).sqrt()  # (B, 1, H, W)
    strongest = magnitude.amax(dim=(2, 3), keepdim=True)
    # float32 leaves gradients of 1e-7 where there are none; they must neither be blown up nor decide between pixels
    return torch.where(magnitude > 1e-5, magnitude / strongest.clamp_min(1e-5), torch.zeros_like(magnitude))


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


def _mask(means: Means) -> Score:
    net = means.mask_net
    lam = net.check_lambda(means.lam)

    def score(pictures: Pictures) -> Tensor:
        lams = torch.full((len(pictures.rgb),), lam, device=pictures.rgb.device)
        mask: Tensor = net(net.normalise(pictures.rgb), lams)
        return mask

    return score


def _sobel(means: Means) -> Score:
    return lambda pictures: sobel_edges(pictures.rgb)


def _random(means: Means) -> Score:
    def score(pictures: Pictures) -> Tensor:
        height, width = pictures.rgb.shape[-2:]
        draws = [
            torch.rand(1, height, width, generator=torch.Generator().manual_seed(means.seed * 1_000_003 + place))
            for place in pictures.places
        ]
        return torch.stack(draws).to(pictures.rgb.device)  # (B, 1, H, W)

    return score


METHODS: dict[str, Callable[[Means], Score]] = {"mask": _mask, "sobel": _sobel, "random": _random}
"""The ways to choose pixels, by the name they have on the command line."""
