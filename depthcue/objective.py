"""The losses of Hu et al., as printed and as their released code computes them.

l_dif = l_depth + l_grad + l_normal (ICCV 2019, sec. 4.1, after Hu et al., WACV 2019), with F(e) = ln(e + 0.5):
l_depth is the mean F of |y - y'|; l_grad the mean F of the difference of the Sobel gradients, in x plus in y; l_normal
the mean 1 - cos of the angle between the surface normals (-d/dx, -d/dy, 1). Eq. (4) trains a mask net to keep l_dif
small with few pixels, Eq. (5) large. The smallest l_dif is 3 ln 0.5 = -2.079, not 0.

`l_log`, for depth nets that see far, is not theirs.

Where paper and released code differ, this follows the code: Sobel filters run on each zero-padded map, then the
difference is taken.
Deviations: `valid` leaves pixels without a measured depth out (and, for gradients and normals, their neighbours); maps
of nets that see farther or less far than 10 m are brought to that range first (`to_reference_range`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("depth", "depth+grad", "depth+grad+normal", "l1", "log")
EQUATIONS = ("4", "5")
_OFFSET = 0.5
_LEAST_M = 0.01
_LOG_SCALES = (1, 2, 4, 8)
REFERENCE_RANGE_M = 10.0
"""The range of NYU-v2's depth, for which the losses' 0.5 was chosen."""


def l_depth(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean ln(|prediction - target| + 0.5); maps (B, 1, H, W) in metres, `valid` boolean of the same shape."""
    return _mean(((prediction - target).abs() + _OFFSET).log(), valid)


def l_log(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Mean |e| + half the mean |gradient of e| at each of four scales, with e the difference of the logarithms.

    Errors count in proportion to the distance, so that a car at 8 m weighs as much as a house at 60 m. The gradients
    (Li, Snavely, MegaDepth, CVPR 2018) keep the edges of depth sharp; at scale s they are of every s-th pixel. Maps
    (B, 1, H, W) in metres, from 1 cm on.
    """
    error = prediction.clamp_min(_LEAST_M).log() - target.clamp_min(_LEAST_M).log()
    total = _mean(error.abs(), valid)
    for step in _LOG_SCALES:
        coarse = error[..., ::step, ::step]
        known = None if valid is None else valid[..., ::step, ::step]
        for dim in (-1, -2):
            length = coarse.shape[dim] - 1
            both = None if known is None else known.narrow(dim, 1, length) & known.narrow(dim, 0, length)
            if length:
                total = total + 0.5 * _mean(coarse.diff(dim=dim).abs(), both)
    return total


def l_dif(prediction: Tensor, target: Tensor, valid: Tensor | None = None, loss: str = "depth+grad+normal") -> Tensor:
    """The difference of two depth maps (B, 1, H, W) in metres as one number; `loss` is one of LOSSES."""
    if loss == "l1":
        return _mean((prediction - target).abs(), valid)
    if loss == "log":
        return l_log(prediction, target, valid)
    total = l_depth(prediction, target, valid)
    if loss == "depth":
        return total
    slopes, target_slopes, inner = sobel(prediction), sobel(target), _inner(valid)
    total = total + _l_grad(slopes, target_slopes, inner)
    if loss == "depth+grad":
        return total
    if loss == "depth+grad+normal":
        return total + _l_normal(slopes, target_slopes, inner)
    raise ValueError(f"unknown loss {loss!r}; one of {LOSSES}")


def mask_objective(difference: Tensor, mask: Tensor, lam: Tensor | float, equation: str = "4") -> Tensor:
    """Eq. (4), l_dif + λ‖M‖₁/n, or Eq. (5), -l_dif + λ‖1 - M‖₁/n, of Hu et al. 2019.

    Args:
        difference: l_dif of the batch, a scalar.
        mask: M in [0, 1], (B, 1, H, W).
        lam: λ, one number or one a picture (B,).
        equation: "4" or "5".
    """
    share = mask.mean(dim=(1, 2, 3))  # (B,)
    if equation == "4":
        return difference + (lam * share).mean()
    if equation == "5":
        return -difference + (lam * (1 - share)).mean()
    raise ValueError(f"unknown equation {equation!r}; one of {EQUATIONS}")


def total_variation(mask: Tensor) -> Tensor:
    """Total variation of each mask (B, 1, H, W), (B,): the sum of |differences| of all horizontal and vertical
    neighbours over the number of pixels."""
    across = (mask[..., :, 1:] - mask[..., :, :-1]).abs().sum(dim=(1, 2, 3))
    down = (mask[..., 1:, :] - mask[..., :-1, :]).abs().sum(dim=(1, 2, 3))
    return (across + down) / (mask.shape[-2] * mask.shape[-1])


def to_reference_range(depth_m: Tensor, max_depth_m: float) -> Tensor:
    """Scale depth so that the range of the net becomes 10 m, which indoor nets have already.

    ln(|e| + 0.5) is not scale-free: without this, λ would mean another sparseness for a net that sees 80 m.
    """
    return depth_m * (REFERENCE_RANGE_M / max_depth_m)


def sobel(maps: Tensor, padding: int = 1) -> Tensor:
    """Sobel gradients of (B, 1, H, W), to the right and up, as (B, 2, H, W); kernel weights sum to 4 a side.

    Args:
        padding: zeros around the maps; 0 for gradients of the inner pixels alone, (B, 2, H - 2, W - 2).
    """
    kernel = maps.new_tensor([[[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
                              [[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]]])
    return F.conv2d(maps, kernel[:, None], padding=padding)


def _l_grad(slopes: Tensor, target_slopes: Tensor, valid: Tensor | None) -> Tensor:
    error = ((slopes - target_slopes).abs() + _OFFSET).log()
    return _mean(error[:, :1], valid) + _mean(error[:, 1:], valid)


def _l_normal(slopes: Tensor, target_slopes: Tensor, valid: Tensor | None) -> Tensor:
    # cosine of (-dx, -dy, 1) and (-dx', -dy', 1), without building the third channel
    product = (slopes * target_slopes).sum(1, keepdim=True) + 1
    lengths = (slopes.square().sum(1, keepdim=True) + 1) * (target_slopes.square().sum(1, keepdim=True) + 1)
    return _mean(1 - product * lengths.rsqrt(), valid)


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return values.mean()
    # a sum over chosen pixels, not an index: shapes stay fixed for compiled and captured steps
    return torch.where(valid, values, 0.0).sum() / valid.sum().clamp_min(1)


def _inner(valid: Tensor | None) -> Tensor | None:
    """Pixels whose whole 3×3 neighbourhood is valid, the border counting as valid."""
    if valid is None:
        return None
    return F.max_pool2d((~valid).float(), 3, stride=1, padding=1) == 0

