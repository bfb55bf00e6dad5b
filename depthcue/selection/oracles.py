"""Choices that know the truth: where objects end, where depth bends or breaks.

They need ground truth, and show what a choice by edges could reach at best if edges were known without error.
"""

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.nets import resize
from depthcue.selection.contract import Pictures
from depthcue.selection.edges import nearness

LEAST_KNOWN = 0.25
"""Share of the pixels whose neighbours' depths are known too, below which depth has no edges to speak of."""


def object_boundary_scores(pictures: Pictures) -> Tensor:
    """Bands around the outlines of objects, (B, 1, H, W) in [0, 1]: 1 at pixels beside another object (or the sky).

    Raises:
        DepthcueError: the data does not say which pixel shows which object.
    """
    if pictures.object_id is None:
        raise DepthcueError("object-boundaries needs to know which pixel shows which object; this data does not say",
                            "Rendered scenes do: scenes:indoor, scenes:road. With depth alone, use depth-edges.")
    # nearest: between objects 3 and 5 there is no object 4
    objects = functional.interpolate(pictures.object_id.double(), size=pictures.rgb.shape[-2:], mode="nearest-exact")
    return nearness(object_boundaries(objects))


def depth_edge_scores(pictures: Pictures) -> Tensor:
    """The strength of depth edges, (B, 1, H, W) in [0, 1], see `depth_bends`.

    Raises:
        DepthcueError: the data has no depth, or too sparse depth to tell neighbours apart.
    """
    if pictures.depth_m is None or pictures.valid is None:
        raise DepthcueError("depth-edges needs ground truth, and this data has no depth",
                            "Take data with depth: scenes:indoor, scenes:road, nyu:PATH.")
    bends, known = depth_bends(pictures.depth_m, pictures.valid)
    share = float(known.float().mean())
    if share < LEAST_KNOWN:
        raise DepthcueError(f"the depth of this data is too sparse for depth-edges: {share:.0%} of the pixels have "
                            "neighbours of known depth", "Take dense depth: scenes:indoor, scenes:road, nyu:PATH.")
    return resize(bends, (pictures.rgb.shape[-2], pictures.rgb.shape[-1])).clamp(0, 1)


def object_boundaries(objects: Tensor) -> Tensor:
    """Pixels with another object above, below, left or right: (B, 1, H, W) of object numbers -> bool."""
    found = torch.zeros_like(objects, dtype=torch.bool)
    across = objects[..., :, 1:] != objects[..., :, :-1]
    down = objects[..., 1:, :] != objects[..., :-1, :]
    found[..., :, 1:] |= across
    found[..., :, :-1] |= across
    found[..., 1:, :] |= down
    found[..., :-1, :] |= down
    return found


def depth_bends(depth_m: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """How far inverse depth is from linear, from each pixel's left to its right and from above to below.

    In a perspective picture the inverse depth of any plane is a linear function of the image point, so this is 0 on
    floors and walls however slanted, and large where depth jumps (on both sides) or a surface has a crease.

    Args:
        depth_m: (B, 1, h, w); where not valid, inf for beyond the range (counted as infinitely far), 0 for unknown.
        valid: bool (B, 1, h, w).

    Returns:
        (B, 1, h, w) in [0, 1], the larger of the two directions of |a - 2b + c| / 2 max(a, b, c), 0 where neither is
        known; and bool (B, 1, h, w), where one is.
    """
    far = torch.isinf(depth_m)
    known = valid | far
    inverse = torch.where(valid, 1 / torch.where(valid, depth_m, 1.0), 0.0)
    bends, told = torch.zeros_like(inverse), torch.zeros_like(known)
    for dim in (2, 3):
        count = inverse.shape[dim] - 2
        if count < 1:
            continue
        before, middle, after = (inverse.narrow(dim, start, count) for start in range(3))
        all_known = known.narrow(dim, 0, count) & known.narrow(dim, 1, count) & known.narrow(dim, 2, count)
        nearest = torch.maximum(torch.maximum(before, middle), after)
        bend = (before - 2 * middle + after).abs() / (2 * nearest.clamp_min(1e-6))
        inner = bends.narrow(dim, 1, count)
        inner.copy_(torch.maximum(inner, torch.where(all_known, bend, 0.0)))
        told.narrow(dim, 1, count).logical_or_(all_known)
    return bends, told
