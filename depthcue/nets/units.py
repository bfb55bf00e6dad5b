"""One scale for what a relative net sees: its own, for losses, or ground truth's, for errors in metres.

A relative net is right only up to a scale and a shift, in the space it predicts (depth, or inverse depth for the nets
trained as in Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2022). Both are fixed once for a picture,
from the whole picture's prediction Y = N(I), and then hold for every masked prediction N(I M) of that picture: were
each brought to scale by itself, a mask under which the net takes the room for twice as large would count as right.

    own units      from Y alone: its median and mean absolute deviation become those of an average picture of NYU-v2.
                   The losses of Hu et al. take ln(|e| + 0.5), which is not scale-free: in these units their 0.5, and
                   λ, weigh about what they weigh for a metric net indoors. Errors without ground truth are in them.
    aligned        Y comes as near as it can to ground truth, by least squares over valid pixels in the space the net
                   predicts. Errors against ground truth are in metres of this.

Either way inverse depth is then turned round, and depth is cut off at a far end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.nets.base import METRIC_DEPTH, MIN_DEPTH_M, DepthDescription

OWN_MEDIAN, OWN_DEVIATION = 2.7, 0.8
"""Of the depth of NYU-v2's training pictures in metres: mean of the medians, and of the mean |depth - median|."""
OWN_FAR = 10.0
"""Where own units end, as NYU-v2's depth does."""
_ROUNDING = 1e-6
"""Share of the largest value below which differences are float32's rounding, not a shape."""


@dataclass(frozen=True)
class Units:
    """How the predictions of a batch become depth.

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
    # of inverse depth the deviation that is, to first order, the same deviation of depth
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

    # products of differences from the means: the sums of large squares would lose the digits that matter
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
