"""The mask of one picture found directly, without a mask net: Eq. (3) of Hu, Zhang, Okatani (ICCV 2019).

    minimise  l_dif(N(I), N(I M)) + λ‖M‖₁/n   over M in [0, 1], for each picture alone      Eq. (3)

by Adam on θ with M = sigmoid(θ). The paper reports that the maps found so are noisy (its Fig. 3b), because every pixel
is free, and learns a mask net instead, Eq. (4). Two options let that argument be checked: a weight on the total
variation of M, and M as a Gaussian blur of sigmoid(θ), both of which forbid single-pixel noise. Deviations: the paper
does not say how it optimised; of all masks on the way, the best is given and not the last.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from depthcue.nets import DepthNet, depth_from, require_gradients, see_whole
from depthcue.nets.units import Units
from depthcue.objective import l_dif, mask_objective, to_reference_range, total_variation
from depthcue.progress import Progress, Silent
from depthcue.selection.blur import gaussian_blur
from depthcue.selection.contract import DirectSettings, Pictures
from depthcue.selection.gradients import gradients_through

START = 0.0
"""θ at the start: a mask of one half, where the sigmoid is steepest. A fuller mask takes many more steps to empty."""
SPREAD = 1.0
"""Deviation of θ around START in every start but the first, which is flat."""


@dataclass(frozen=True)
class Judgement:
    """What Eq. (3) says of masks: each (B,), with objective = difference + λ · mean."""

    objective: Tensor
    difference: Tensor
    mean: Tensor


def judge(net: DepthNet, pictures: Pictures, mask: Tensor, lam: float) -> Judgement:
    """The objective of Eq. (3), which is that of Eq. (4), for any masks (B, 1, H, W) in [0, 1] of some pictures."""
    with torch.no_grad():
        normalised = net.normalise(pictures.rgb)
        whole, units = _whole(net, normalised)
        objective, difference = _objective(_seen(net, normalised, mask, units), whole, mask, lam)
    return Judgement(objective, difference, mask.mean(dim=(1, 2, 3)))


def optimise_masks(net: DepthNet, pictures: Pictures, lam: float, settings: DirectSettings | None = None,
                   progress: Progress | None = None) -> Tensor:
    """Minimise Eq. (3) for every picture of a batch, each on its own.

    Args:
        net: N, on the pictures' device.
        pictures: (B, 3, H, W) at the net's working size. Their places decide what chance gives in further starts, so
            that a picture gets the same mask whatever batch it comes in, up to rounding.
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
                objective, _ = _objective(_seen(net, normalised, mask, units), whole, mask, lam)
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


def _objective(seen: Tensor, whole: Tensor, mask: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Eq. (3) and its l_dif for each picture: (B,) twice. `objective` knows them for whole batches."""
    rows = range(len(mask))
    differences = [l_dif(seen[row:row + 1], whole[row:row + 1]) for row in rows]
    objectives = [mask_objective(differences[row], mask[row:row + 1], lam) for row in rows]
    return torch.stack(objectives), torch.stack(differences)


def _whole(net: DepthNet, normalised: Tensor) -> tuple[Tensor, Units | None]:
    """N(I), (B, 1, h, w), in the range that the losses are made for, and the units to see masked pictures in."""
    depth, units = see_whole(net, normalised)
    return to_reference_range(depth, net.description.depth_range), units


def _seen(net: DepthNet, normalised: Tensor, mask: Tensor, units: Units | None) -> Tensor:
    """N(I ⊗ M), (B, 1, h, w), likewise."""
    return to_reference_range(depth_from(net, normalised, mask, units=units), net.description.depth_range)


def _start(pictures: Pictures, start: int, seed: int) -> Tensor:
    """θ that a start begins from, (B, 1, H, W)."""
    height, width = pictures.rgb.shape[-2:]
    if start == 0:
        return torch.full((len(pictures.rgb), 1, height, width), START)
    draws = [torch.randn(1, height, width, generator=torch.Generator().manual_seed(
        (seed * 1_000_003 + place) * 1_009 + start)) for place in pictures.places]
    return START + SPREAD * torch.stack(draws)
