"""Scorers that know the truth, and the search for the mask of one picture by Eq. (3) without a mask net.

Oracles rank pixels by the outlines of objects, or by the bends and breaks of depth. They need ground truth, and show
how good a choice by edges could be if edges were known without error.

The search is Eq. (3) of Hu, Zhang, Okatani (ICCV 2019):

    minimise  l_dif(N(I), N(I M)) + λ‖M‖₁/n   over M in [0, 1], for each picture alone      Eq. (3)

by Adam on θ with M = sigmoid(θ). The paper reports that the maps found so are noisy (its Fig. 3b), because every pixel
is free, and learns a mask net instead, Eq. (4). Two options test that argument: a weight on the total variation of M,
and M as a Gaussian blur of sigmoid(θ), both of which forbid single-pixel noise. Deviations: the paper does not state
its optimiser; of all masks on the path the best is given, and not the last.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, depth_from, require_gradients, resize, whole_depth
from depthcue.nets.units import Units
from depthcue.objective import l_dif, mask_objective, to_reference_range, total_variation
from depthcue.progress import Progress, Silent
from depthcue.scorers.attribution import gradients_through
from depthcue.scorers.edges import gaussian_blur, nearness
from depthcue.scorers.keeping import DirectSettings, Pictures

LEAST_KNOWN = 0.25
"""Share of the pixels whose neighbours' depths are known too, below which depth has no edges to speak of."""
START = 0.0
"""θ at the start: a mask of one half, where the sigmoid is steepest. A fuller mask takes many more steps to empty."""
SPREAD = 1.0
"""Deviation of θ around START in every start but the first, which is flat."""


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
    """Deviation of inverse depth from linear, from each pixel's left to its right and from above to below.

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
    bends, measured = torch.zeros_like(inverse), torch.zeros_like(known)
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
        measured.narrow(dim, 1, count).logical_or_(all_known)
    return bends, measured


@dataclass(frozen=True)
class Judgement:
    """Terms of Eq. (3) for masks: each (B,), with objective = difference + λ · mean."""

    objective: Tensor
    difference: Tensor
    mean: Tensor


def judge(net: DepthNet, pictures: Pictures, mask: Tensor, lam: float) -> Judgement:
    """The objective of Eq. (3), which is that of Eq. (4), for any masks (B, 1, H, W) in [0, 1] of some pictures."""
    with torch.no_grad():
        normalised = net.normalise(pictures.rgb)
        whole, units = _whole(net, normalised)
        objective, difference = _objective(_depth_through(net, normalised, mask, units), whole, mask, lam)
    return Judgement(objective, difference, mask.mean(dim=(1, 2, 3)))


def optimise_masks(net: DepthNet, pictures: Pictures, lam: float, settings: DirectSettings | None = None,
                   progress: Progress | None = None) -> Tensor:
    """Minimise Eq. (3) for every picture of a batch, each on its own.

    Args:
        net: N, on the pictures' device.
        pictures: (B, 3, H, W) at the net's working size. Their indices seed the further starts, so that a picture gets
            the same mask in any batch, up to rounding.
        lam: λ, at least 0.
        progress: advanced by the number of pictures at every step.

    Returns:
        M (B, 1, H, W) in [0, 1], detached: of all starts and steps the one with the least objective.

    Raises:
        DepthcueError: settings that make no sense, or a net that passes no gradients on.
    """
    settings = (settings or DirectSettings()).check()
    require_gradients(net, "Eq. (3)")
    progress = progress or Silent()
    batch, _, height, width = pictures.rgb.shape
    with gradients_through(net, pictures.rgb) as normalised:
        with torch.no_grad():
            whole, units = _whole(net, normalised)
        best = torch.full((batch,), math.inf, device=normalised.device)
        best_mask = normalised.new_ones(batch, 1, height, width)
        for start in range(settings.restarts):
            theta = _start(pictures, start, settings.seed).to(normalised).requires_grad_()
            adam = torch.optim.Adam([theta], lr=settings.learning_rate)
            for step in range(settings.steps + 1):
                mask = gaussian_blur(torch.sigmoid(theta), settings.blur_px)
                objective, _ = _objective(_depth_through(net, normalised, mask, units), whole, mask, lam)
                if settings.variation:
                    objective = objective + settings.variation * total_variation(mask)
                better = objective.detach() < best
                best = torch.where(better, objective.detach(), best)
                best_mask = torch.where(better.view(-1, 1, 1, 1), mask.detach(), best_mask)
                if step == settings.steps:
                    break
                # a sum, so that no picture's step depends on how many others there are
                theta.grad, = torch.autograd.grad(objective.sum(), theta)
                adam.step()
                progress.advance(batch, objective=float(objective.detach().mean()))
    return best_mask


def _objective(answer: Tensor, whole: Tensor, mask: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Eq. (3) and its l_dif for each picture: (B,) twice. `objective` knows them for whole batches."""
    rows = range(len(mask))
    differences = [l_dif(answer[row:row + 1], whole[row:row + 1]) for row in rows]
    objectives = [mask_objective(differences[row], mask[row:row + 1], lam) for row in rows]
    return torch.stack(objectives), torch.stack(differences)


def _whole(net: DepthNet, normalised: Tensor) -> tuple[Tensor, Units | None]:
    """N(I), (B, 1, h, w), in the range that the losses are made for, and the units for masked pictures."""
    depth, units = whole_depth(net, normalised)
    return to_reference_range(depth, net.description.depth_range), units


def _depth_through(net: DepthNet, normalised: Tensor, mask: Tensor, units: Units | None) -> Tensor:
    """N(I ⊗ M), (B, 1, h, w), likewise."""
    return to_reference_range(depth_from(net, normalised, mask, units=units), net.description.depth_range)


def _start(pictures: Pictures, start: int, seed: int) -> Tensor:
    """θ that a start begins from, (B, 1, H, W)."""
    height, width = pictures.rgb.shape[-2:]
    if start == 0:
        return torch.full((len(pictures.rgb), 1, height, width), START)
    draws = [torch.randn(1, height, width, generator=torch.Generator().manual_seed(
        (seed * 1_000_003 + index) * 1_009 + start)) for index in pictures.indices]
    return START + SPREAD * torch.stack(draws)
