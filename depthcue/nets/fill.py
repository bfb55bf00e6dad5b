"""What a hidden pixel shows instead of itself: one colour or another, the picture blurred, or noise.

Hu et al. (ICCV 2019) multiply the normalised picture by the mask, Eq. (2), which hides pixels under the mean colour.
No colour is nothing: a net may take a flat region for a wall. An answer that hangs on the fill is about the fill, and
a mask net that is trained with one fill alone learns to keep what stands out from it.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet

FILLS = ("mean", "black", "own-mean", "colour", "blur", "noise")
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


def background(fill: str, net: DepthNet, normalised: Tensor, seed: int = 0,
               places: Sequence[int] | None = None) -> Tensor | None:
    """What hidden pixels of normalised pictures (B, 3, H, W) show, in the normalised units of `net`.

    Args:
        fill: `mean`, the colour that becomes 0; `black`; `own-mean`, the mean colour of the picture itself; `colour`,
            one drawn for each picture, uniform in RGB; `blur`, the picture itself without detail smaller than
            BLUR_CELL_PX, which still tells what is roughly where; `noise`, independent for every pixel and channel with
            the deviation of the normalisation, the same for every picture.
        seed: of the noise and the colours.
        places: the place of each picture in its data set, on which its `colour` hangs, whatever batch it comes in;
            their numbers in the batch where None.

    Returns:
        Something that broadcasts to (B, 3, H, W); None for `mean`, where a product is all it takes.
    """
    check_fill(fill)
    if fill == "mean":
        return None
    if fill == "black":
        return net.normalise(normalised.new_zeros(1, 3, 1, 1))
    if fill == "own-mean":
        return normalised.mean(dim=(2, 3), keepdim=True)
    # chance is drawn on the CPU, so that a GPU shows what a CPU does
    if fill == "colour":
        draws = [torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(seed * 1_000_003 + place))
                 for place in (range(len(normalised)) if places is None else places)]
        return net.normalise(torch.stack(draws).to(normalised))
    if fill == "blur":
        return _blurred(normalised)
    return torch.randn(1, 3, *normalised.shape[-2:], generator=torch.Generator().manual_seed(seed)).to(normalised)


def draw_background(normalised: Tensor, net: DepthNet, generator: torch.Generator,
                    shares: Mapping[str, float]) -> Tensor:
    """A background for every picture of a batch (B, 3, H, W), each of a fill drawn for it alone; for training.

    Args:
        normalised: as `net` takes them.
        generator: of all that is drawn: the fill of each picture, and its own colour or noise.
        shares: the chance of each fill, in [0, 1], summing to 1; a fill that is not named has none.

    Returns:
        (B, 3, H, W) in the normalised units of `net`, for `hide`.

    Raises:
        DepthcueError: there is no such fill, or the shares are not chances.

    Example:
        shown = draw_background(normalised, net, generator, {"mean": 0.5, "colour": 0.3, "noise": 0.2})
        seen = net(hide(normalised, mask, shown))
    """
    check_fill_shares(shares)
    fills, count = list(shares), len(normalised)
    ends = torch.tensor([shares[fill] for fill in fills], dtype=torch.float64).cumsum(dim=0)
    at = torch.rand(count, generator=generator, dtype=torch.float64, device=generator.device).cpu()
    # rounding may leave the last end a little below 1; a fill without a chance ends where the one before it does
    drawn = torch.searchsorted(ends / ends[-1], at, right=True).tolist()
    shown = torch.zeros_like(normalised)
    for number, fill in enumerate(fills):
        rows = [row for row, choice in enumerate(drawn) if choice == number]
        if not rows or fill == "mean":
            continue
        if fill == "colour":
            colours = torch.rand(len(rows), 3, 1, 1, generator=generator, device=generator.device)
            shown[rows] = net.normalise(colours.to(normalised)).expand_as(normalised[rows])
        elif fill == "noise":
            noise = torch.randn(len(rows), *normalised.shape[1:], generator=generator, device=generator.device)
            shown[rows] = noise.to(normalised)
        else:
            made = background(fill, net, normalised[rows])
            if made is not None:
                shown[rows] = made.expand_as(normalised[rows])
    return shown


def check_fill_shares(shares: Mapping[str, float]) -> Mapping[str, float]:
    """The shares themselves.

    Raises:
        DepthcueError: they name an unknown fill, or are not chances that sum to 1.
    """
    for fill in shares:
        check_fill(fill)
    if not all(0 <= share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise DepthcueError(f"the shares of fills have to be chances that sum to 1, not {dict(shares)}",
                            "Name each fill with its share, say mean 0.5, colour 0.3, noise 0.2.")
    return shares


def _blurred(normalised: Tensor) -> Tensor:
    size = normalised.shape[-2:]
    cells = [max(side // BLUR_CELL_PX, 1) for side in size]
    small = functional.interpolate(normalised, size=cells, mode="bilinear", antialias=True)
    return functional.interpolate(small, size=size, mode="bilinear")


def hide(normalised: Tensor, mask: Tensor, shown: Tensor | None = None) -> Tensor:
    """Pictures (B, 3, H, W) seen through masks (B, 1, H, W) in [0, 1], `shown` from `background` where they hide."""
    if shown is None:
        return normalised * mask
    return normalised * mask + shown * (1 - mask)
