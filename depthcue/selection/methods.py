"""The ways to choose pixels, by the name they have on the command line."""

from collections.abc import Callable

import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.selection.contract import Means, Pictures, Score
from depthcue.selection.edges import sobel_edges


def build_method(name: str, means: Means) -> Score:
    """The scoring function called `name` in METHODS.

    Raises:
        DepthcueError: there is no such method.
    """
    if name not in METHODS:
        raise DepthcueError(f"there is no way to choose pixels called {name!r}", f"There are: {', '.join(METHODS)}.")
    return METHODS[name](means)


def _mask(means: Means) -> Score:
    net = means.mask_net
    if net is None:
        raise ValueError("the mask is asked for without a mask net")
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
