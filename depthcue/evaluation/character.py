"""What kind of pixels a mask keeps: on surfaces, on small objects, along straight edges (Fig. 8 of Hu et al. 2019).

And what kind of selection it is: whether its values are near 0 and 1, whether its border is as bright as the rest, and
whether the pixels of a smaller share lie among those of a larger one.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.evaluation.findings.attention import edge_strength
from depthcue.evaluation.findings.objects import DEPTH_JUMP, IMAGE_EDGE, SMALL, object_sizes, widened
from depthcue.objective import sobel
from depthcue.scorers import Pictures, keep_top
from depthcue.scorers.edges import gaussian_blur
from depthcue.scorers.oracles import LEAST_KNOWN, depth_bends

REACH_PX = 3.0
"""Deviation of the window in which a piece of edge is called straight or not, in pixels of the working size."""
UNDECIDED = (0.05, 0.95)
"""Between these values a mask neither keeps a pixel nor hides it."""
BORDER_PX = 2
NESTED = ((0.05, 0.1), (0.1, 0.2), (0.2, 0.5))
"""Shares of which the pixels of the first should lie among those of the second."""

Size = tuple[int, int]


def surfaces(pictures: Pictures) -> Tensor:
    """Where a picture shows smooth surface: more than a pixel away from every edge, bool (B, 1, H, W).

    Edges are strong slopes of the picture's brightness and, where depth is known densely, places where inverse depth
    bends, with the thresholds of the findings. On data with sparse depth or none the picture alone decides.
    """
    size = _size(pictures)
    edges = edge_strength(pictures.rgb) >= IMAGE_EDGE
    if pictures.depth_m is not None and pictures.valid is not None:
        bends, known = depth_bends(pictures.depth_m, pictures.valid)
        dense = known.float().mean(dim=(1, 2, 3), keepdim=True) >= LEAST_KNOWN
        edges = edges | (functional.adaptive_max_pool2d(((bends > DEPTH_JUMP) & dense).float(), size) > 0)
    return ~widened(edges)


def small_objects(pictures: Pictures) -> Tensor | None:
    """Where a picture shows an object that covers less than SMALL of it, bool (B, 1, H, W).

    None where the data does not say what is an object: depth alone does not tell an object from what it stands on.
    """
    if pictures.object_id is None:
        return None
    # nearest: between objects 3 and 5 there is no object 4
    objects = functional.interpolate(pictures.object_id.double(), size=_size(pictures), mode="nearest-exact").long()
    sizes, _ = object_sizes(objects)
    return (objects >= 0) & (sizes < SMALL)


def share_within(kept: Tensor, region: Tensor) -> Tensor:
    """The share of the kept pixels that lie in a region: bool (B, 1, H, W) twice -> (B,); 0 where none is kept."""
    return (kept & region).flatten(1).sum(dim=1) / kept.flatten(1).sum(dim=1).clamp_min(1)


def undecided(mask: Tensor) -> Tensor:
    """The share of values strictly between those of UNDECIDED, (B, 1, H, W) -> (B,)."""
    low, high = UNDECIDED
    return ((mask > low) & (mask < high)).flatten(1).double().mean(dim=1)


def border_and_rest(mask: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the outer BORDER_PX pixels and that of all others, (B, 1, H, W) -> (B,) twice."""
    inner = torch.zeros(mask.shape[-2:], dtype=torch.bool, device=mask.device)
    inner[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    values = mask.double()
    return values[..., ~inner].mean(dim=(1, 2)), values[..., inner].mean(dim=(1, 2))


def nesting(mask_at: Callable[[float], Tensor], smaller: float, larger: float, seed: int = 0) -> Tensor:
    """The share of the pixels kept at one share that are also kept at a larger one: (B,) in [0, 1].

    Args:
        mask_at: from a share to the scores (B, 1, H, W) that choose its pixels.
        seed: of the order among equal scores.
    """
    return share_within(keep_top(mask_at(smaller), smaller, seed), keep_top(mask_at(larger), larger, seed))


def straightness(mask: Tensor, reach_px: float = REACH_PX) -> Tensor:
    """How straight the edges of a mask are: 1 for straight lines and borders, 0 for shapes alike in all directions.

    The coherence of the structure tensor (Bigün and Granlund 1987), (l1 - l2) / (l1 + l2) of its eigenvalues, each
    place counting by how steep the mask is around it: flat regions have no say.

    Args:
        mask: (B, 1, H, W) in [0, 1].
        reach_px: deviation of the Gaussian window over which directions are gathered.

    Returns:
        (B,) in [0, 1]; 0 for a mask that is the same everywhere.
    """
    across, down = sobel(functional.pad(mask, (1, 1, 1, 1), mode="replicate")).double().split(1, dim=1)
    # what the filter saw beyond the repeated border is cut off again
    across, down = across[..., 1:-1, 1:-1], down[..., 1:-1, 1:-1]
    xx, yy, xy = (gaussian_blur(product, reach_px) for product in (across * across, down * down, across * down))
    anisotropy = ((xx - yy).square() + 4 * xy.square()).sqrt()  # l1 - l2, (B, 1, H, W)
    total = (xx + yy).sum(dim=(1, 2, 3))
    return torch.where(total > 1e-9, anisotropy.sum(dim=(1, 2, 3)) / total.clamp_min(1e-9), torch.zeros_like(total))


def _size(pictures: Pictures) -> Size:
    return pictures.rgb.shape[-2], pictures.rgb.shape[-1]
