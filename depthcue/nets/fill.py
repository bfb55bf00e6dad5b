"""What a hidden pixel shows instead of itself: the mean colour, black, the picture blurred, or noise.

Hu et al. (ICCV 2019) multiply the normalised picture by the mask, Eq. (2), which hides pixels under the mean colour.
No colour is nothing: a net may take a flat region for a wall. An answer that hangs on the fill is about the fill.
"""

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet

FILLS = ("mean", "black", "blur", "noise")
BLUR_CELL_PX = 16
"""Side of the cells that the blurred picture averages over."""


def check_fill(fill: str) -> str:
    """The name itself.

    Raises:
        DepthcueError: there is no such fill.
    """
    if fill not in FILLS:
        raise DepthcueError(f"there is no fill {fill!r}", f"Hidden pixels can show {', '.join(FILLS)}.")
    return fill


def background(fill: str, net: DepthNet, normalised: Tensor, seed: int = 0) -> Tensor | None:
    """What hidden pixels of normalised pictures (B, 3, H, W) show, in the normalised units of `net`.

    Args:
        fill: `mean`, the colour that becomes 0; `black`; `blur`, the picture itself without detail smaller than
            BLUR_CELL_PX, which still tells what is roughly where; `noise`, independent for every pixel and channel with
            the deviation of the normalisation, the same for every picture.
        seed: of the noise.

    Returns:
        Something that broadcasts to (B, 3, H, W); None for `mean`, where a product is all it takes.
    """
    check_fill(fill)
    if fill == "mean":
        return None
    if fill == "black":
        return net.normalise(normalised.new_zeros(1, 3, 1, 1))
    size = normalised.shape[-2:]
    if fill == "blur":
        cells = [max(side // BLUR_CELL_PX, 1) for side in size]
        small = functional.interpolate(normalised, size=cells, mode="bilinear", antialias=True)
        return functional.interpolate(small, size=size, mode="bilinear")
    # drawn on the CPU, so that a GPU shows what a CPU does
    return torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(seed)).to(normalised)


def hide(normalised: Tensor, mask: Tensor, shown: Tensor | None = None) -> Tensor:
    """Pictures (B, 3, H, W) seen through masks (B, 1, H, W) in [0, 1], `shown` from `background` where they hide."""
    if shown is None:
        return normalised * mask
    return normalised * mask + shown * (1 - mask)
