"""The units of a relative net's depth, and the fills that hidden pixels show.

Units. A relative net is right only up to a scale and a shift, in the space it predicts (depth, or inverse depth for the
nets trained as in Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2022). Both are found once for a
picture, from the whole picture's prediction Y = N(I), and hold for every masked prediction N(I M) of that picture. If
each prediction had a scale of its own, a mask under which the net takes the room for twice as large would count as
right. Inverse depth is then inverted, and depth is cut off at a far end.

    own units      from Y alone: its median and mean absolute deviation become those of an average picture of NYU-v2.
                   The losses of Hu et al. take ln(|e| + 0.5), which is not scale-free: in these units their 0.5, and
                   λ, weigh about what they weigh for a metric net indoors. Errors without ground truth are in them.
    aligned        Y is brought nearest to ground truth, by least squares over valid pixels in the space the net
                   predicts. Errors against ground truth are in these metres.

Fills. Hu et al. (ICCV 2019) multiply the normalised picture by the mask, Eq. (2), which hides pixels under the mean
colour. No colour is neutral: a net may take a flat region for a wall, and a mask net that is trained with one fill
alone learns to keep pixels that differ from it. So a hidden pixel can also show another colour, the picture blurred, or
noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.nets.base import METRIC_DEPTH, MIN_DEPTH_M, DepthDescription, DepthNet

OWN_MEDIAN, OWN_DEVIATION = 2.7, 0.8
"""Mean median depth of NYU-v2's training pictures in metres, and mean of their mean |depth - median|."""
OWN_FAR = 10.0
"""Far end of own units, the same as of NYU-v2's depth."""
_ROUNDING = 1e-6
"""Share of the largest value below which differences are rounding of float32."""
FILLS = ("mean", "black", "own-mean", "colour", "blur", "noise")
BLUR_CELL_PX = 16
"""Side of the cells that the blurred picture averages over."""


@dataclass(frozen=True)
class Units:
    """Conversion of a batch's predictions to depth.

    Attributes:
        origin, scale, shift: (B, 1, 1, 1); `scale * (prediction - origin) + shift` is depth, or inverse depth. An
            origin amid the predictions saves the digits that large values lack.
        inverse: whether it is inverse depth.
        far: depth is cut off here.
    """

    origin: Tensor
    scale: Tensor
    shift: Tensor
    inverse: bool
    far: float

    def of(self, rows: list[int]) -> "Units":
        """The units of these pictures of the batch."""
        return replace(self, origin=self.origin[rows], scale=self.scale[rows], shift=self.shift[rows])

    def to_depth(self, prediction: Tensor) -> Tensor:
        """Predictions (B, 1, h, w) of the same pictures as depth: in metres where aligned, else in own units."""
        values = self.scale * (prediction.float() - self.origin) + self.shift
        if self.inverse:
            return 1 / values.clamp(1 / self.far, 1 / MIN_DEPTH_M)
        return values.clamp(MIN_DEPTH_M, self.far)


def own_units(description: DepthDescription, whole: Tensor) -> Units:
    """The units of each picture from the prediction of the whole picture (B, 1, h, w) alone; see above.

    A prediction that is the same everywhere up to rounding stays as good as flat.
    """
    inverse = description.predicts != METRIC_DEPTH
    # for inverse depth, the deviation that equals that of depth to first order
    median, wanted = (1 / OWN_MEDIAN, OWN_DEVIATION / OWN_MEDIAN**2) if inverse else (OWN_MEDIAN, OWN_DEVIATION)
    flat = whole.detach().float().flatten(1)
    middle = flat.median(dim=1, keepdim=True).values  # (B, 1)
    rounding = _ROUNDING * flat.abs().amax(dim=1, keepdim=True).clamp_min(_ROUNDING)
    scale = wanted / (flat - middle).abs().mean(dim=1, keepdim=True).clamp_min(rounding)
    return Units(_column(middle), _column(scale), torch.full_like(_column(scale), median), inverse, OWN_FAR)


def aligned_units(description: DepthDescription, whole: Tensor, depth_m: Tensor, valid: Tensor | None,
                  far_m: float) -> Units:
    """The units in which the prediction of each whole picture is nearest to its ground truth, by least squares.

    The scale is never negative: a net that sees near for far is not put right. A net whose shift is known gets a scale
    alone. A picture without any valid depth, which has no error against it, keeps its own units.

    Args:
        whole: N(I), (B, 1, h, w); brought to the size of `depth_m` bilinearly, as errors are measured.
        depth_m: (B, 1, H, W) metres, positive where valid.
        valid: bool (B, 1, H, W); None where every pixel is.
        far_m: range of the data, where depth is cut off.
    """
    inverse = description.predicts != METRIC_DEPTH
    sized = functional.interpolate(whole.detach().float(), size=depth_m.shape[-2:], mode="bilinear",
                                   align_corners=False)
    known = torch.isfinite(depth_m) & (depth_m > 0)
    keep = (known if valid is None else known & valid).flatten(1)
    prediction = sized.flatten(1).double()
    wanted = torch.where(keep, depth_m.flatten(1).double(), 1.0)
    truth = 1 / wanted if inverse else wanted
    weight = keep.double() / keep.sum(dim=1, keepdim=True).clamp_min(1)

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum(dim=1, keepdim=True)  # (B, 1)

    # products of differences from the means: sums of large squares would lose the digits that matter
    centre, truth_centre = mean(prediction), mean(truth)
    if not description.shift_unknown:
        centre, truth_centre = torch.zeros_like(centre), torch.zeros_like(truth_centre)
    variance = mean((prediction - centre).square())
    covariance = mean((prediction - centre) * (truth - truth_centre))
    scale = (covariance / variance.clamp_min(torch.finfo(torch.float64).tiny)).clamp_min(0)
    own, decided = own_units(description, whole), _column(keep.any(dim=1))
    origin, scale, shift = (torch.where(decided, _column(found.float()), otherwise) for found, otherwise in (
        (centre, own.origin), (scale, own.scale), (truth_centre, own.shift)))
    return Units(origin, scale, shift, inverse, far_m)


def _column(values: Tensor) -> Tensor:
    """(B,) or (B, 1) as (B, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)


def check_fill(fill: str) -> str:
    """Return the name of a fill.

    Raises:
        DepthcueError: there is no such fill.
    """
    if fill not in FILLS:
        raise must_be_one_of("--fill", FILLS, fill, "Leave it out for the mean colour.")
    return fill


def background(fill: str, net: DepthNet, normalised: Tensor, seed: int = 0,
               indices: Sequence[int] | None = None) -> Tensor | None:
    """Values of hidden pixels in normalised pictures (B, 3, H, W), in the normalised units of `net`.

    Args:
        fill: `mean`, the colour that becomes 0; `black`; `own-mean`, the mean colour of the picture itself; `colour`,
            one drawn for each picture, uniform in RGB; `blur`, the picture itself without detail smaller than
            BLUR_CELL_PX, which keeps its rough layout; `noise`, independent for every pixel and channel with
            the deviation of the normalisation, the same for every picture.
        seed: of the noise and the colours.
        indices: index of each picture in its data set, which decides its `colour`, whatever batch it comes in;
            their numbers in the batch where None.

    Returns:
        A tensor that broadcasts to (B, 3, H, W); None for `mean`, where a product with the mask is enough.
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
        draws = [torch.rand(3, 1, 1, generator=torch.Generator().manual_seed(seed * 1_000_003 + index))
                 for index in (range(len(normalised)) if indices is None else indices)]
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
    """Return the shares of fills.

    Raises:
        DepthcueError: they name an unknown fill, or are not chances that sum to 1.
    """
    for fill in shares:
        check_fill(fill)
    if not all(0 <= share <= 1 for share in shares.values()) or not math.isclose(sum(shares.values()), 1, abs_tol=1e-6):
        raise DepthcueError(f"the shares of fills must be chances that sum to 1, got {dict(shares)}",
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
