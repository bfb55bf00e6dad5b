"""The scorers by the name they have on the command line."""

from collections.abc import Callable

import torch
from torch import Tensor

from depthcue.errors import DepthcueError, did_you_mean
from depthcue.scorers import attribution
from depthcue.scorers.attribution import depth_net_of, rollout
from depthcue.scorers.edges import canny_edges, hed, nearness, sobel_edges
from depthcue.scorers.keeping import Pictures, Scorer, ScorerInputs, centre_scores, grid_scores, random_scores
from depthcue.scorers.oracles import depth_edge_scores, object_boundary_scores, optimise_masks

PAPER_LAMBDA = 5.0
"""Lambda of Hu et al. for their analyses: λ of `direct` where there is no mask net to take it from."""
ORACLES = ("object-boundaries", "depth-edges")
"""Scorers that need ground truth; the others work on any picture."""


def build_scorer(name: str, inputs: ScorerInputs) -> Scorer:
    """Build the scorer called `name` in SCORERS.

    Raises:
        DepthcueError: there is no such scorer, or what it needs is not installed. The scorer itself raises one for
            pictures without the truth that it needs.
    """
    if name not in SCORERS:
        raise DepthcueError(f"there is no scorer called {name!r}",
                            f"{did_you_mean(name, SCORERS)}There are: {', '.join(SCORERS)}.")
    return SCORERS[name](inputs)


def _mask(inputs: ScorerInputs) -> Scorer:
    net = inputs.mask_net
    if net is None:
        raise ValueError("the scorer mask needs a mask net")
    dial = net.dial_value(inputs.keep, inputs.lam if inputs.keep is None else None)

    def score(pictures: Pictures) -> Tensor:
        dials = torch.full((len(pictures.rgb),), dial, device=pictures.rgb.device)
        mask: Tensor = net(net.normalise(pictures.rgb), dials)
        return mask

    return score


def _direct(inputs: ScorerInputs) -> Scorer:
    net = depth_net_of(inputs, "direct")
    lam = inputs.lam
    if lam is None:
        lam = PAPER_LAMBDA if inputs.mask_net is None else inputs.mask_net.description.default_lambda
    return lambda pictures: optimise_masks(net, pictures, lam, inputs.direct)


def _sobel(inputs: ScorerInputs) -> Scorer:
    return lambda pictures: sobel_edges(pictures.rgb)


def _canny(inputs: ScorerInputs) -> Scorer:
    # its lines are few pixels; where more are kept, those nearest to a line come next
    return lambda pictures: nearness(canny_edges(pictures.rgb))


def _contrast(inputs: ScorerInputs) -> Scorer:
    """Distance of a pixel's colour from the mean colour, which hidden pixels show."""
    net = depth_net_of(inputs)

    def score(pictures: Pictures) -> Tensor:
        # normalised, the mean colour is 0
        distance = torch.linalg.vector_norm(net.normalise(pictures.rgb), dim=1, keepdim=True)
        return distance / distance.amax(dim=(2, 3), keepdim=True).clamp_min(torch.finfo(distance.dtype).tiny)

    return score


def _random(inputs: ScorerInputs) -> Scorer:
    def score(pictures: Pictures) -> Tensor:
        height, width = pictures.rgb.shape[-2:]
        return random_scores(pictures.indices, height, width, inputs.seed).to(pictures.rgb.device)

    return score


def _same_for_all(layout: Callable[[int, int], Tensor]) -> Callable[[ScorerInputs], Scorer]:
    def build(inputs: ScorerInputs) -> Scorer:
        def score(pictures: Pictures) -> Tensor:
            count, _, height, width = pictures.rgb.shape
            return layout(height, width).to(pictures.rgb.device).expand(count, -1, -1, -1)

        return score

    return build


SCORERS: dict[str, Callable[[ScorerInputs], Scorer]] = {
    "mask": _mask, "direct": _direct,
    "sobel": _sobel, "canny": _canny, "hed": hed, "contrast": _contrast,
    "random": _random, "grid": _same_for_all(grid_scores), "centre": _same_for_all(centre_scores),
    "object-boundaries": lambda inputs: object_boundary_scores, "depth-edges": lambda inputs: depth_edge_scores,
    "gradient": attribution.gradient, "smoothgrad": attribution.smoothgrad,
    "integrated-gradients": attribution.integrated_gradients, "occlusion": attribution.occlusion,
    "rollout": rollout,
}
"""Scorers by the name they have on the command line."""

