"""Bilinear resizing to any size and the convolution after it, exchanged: every tap is applied before the resizing.

A convolution is a sum over its taps of a 1×1 convolution that is shifted, and a 1×1 convolution does not care whether
its map was resized before or after: W∗(A x) = Σ_k S_k A (w_k x), with A the interpolation and S_k the shift by tap k
with zeros beyond the border. S_k A acts on rows and columns apart, so all taps are two matrix products. The channels
are multiplied k² times for each *low* pixel; the two products cost k·(5·h·w/W + w) or so for each output, whatever the
number of input channels. That holds for every ratio of sizes, odd ones too, for both conventions of align_corners, and
at the borders, since the matrices hold them. For doubling, `doubled` needs less at large sizes.
"""

import torch
from torch import Tensor


def tap_rows(weight: Tensor) -> Tensor:
    """(O, C, k, k) to (O·k·k, C): for each output channel the taps of a column of the kernel together."""
    return weight.permute(0, 3, 2, 1).reshape(-1, weight.shape[1])


def resized_conv(x: Tensor, taps: Tensor, bias: Tensor | None, height: int, width: int, *, kernel: int,
                 align_corners: bool) -> Tensor:
    """Bilinear resizing to a given size, then a k×k convolution with zero padding k // 2: (B, C, h, w) to (B, O, H, W).

    In float64 equal to the plain form to 1e-12 of its range.

    Args:
        taps: of `tap_rows`.
        bias: (O, 1, 1).
        kernel: k, odd.
    """
    outputs, (low_height, low_width) = len(taps) // kernel**2, x.shape[2:]
    rows = shifted_interpolation(low_height, height, kernel, align_corners, x)  # (H, k·h)
    columns = shifted_interpolation(low_width, width, kernel, align_corners, x)  # (W, k·w)
    # a matrix product and no 1×1 convolution: what follows reads its result in this order
    tapped = taps @ x.flatten(2)  # (B, O·k·k, h·w)
    y = rows @ tapped.reshape(-1, outputs * kernel, kernel * low_height, low_width)  # (B, O·k, H, w), rows summed first
    y = y.unflatten(1, (outputs, kernel)).transpose(2, 3).flatten(3, 4)  # (B, O, H, k·w)
    y = y @ columns.T
    return y if bias is None else y + bias  # (B, O, H, W)


def shifted_interpolation(low: int, high: int, size: int, align_corners: bool, like: Tensor) -> Tensor:
    """The matrix (high, size·low) that interpolates `size` lines of `low` pixels, shifts each by its tap, and sums.

    Column k·low + i is the share of pixel i of line k: of the interpolated line's pixel n + k − size // 2 where that
    exists, else 0. Shares are whole numbers over a common denominator, so they are rounded once, to the type of `like`.
    """
    output = torch.arange(high, device=like.device)[:, None]
    seen = output + torch.arange(size, device=like.device)[None, :] - size // 2  # (high, size)
    if align_corners:
        denominator = max(high - 1, 1)
        position = seen * (low - 1)
    else:
        denominator = 2 * high
        position = (2 * seen + 1) * low - high
    # the position in low pixels, in units of 1/denominator, kept within the map: the border pixel is repeated
    position = position.clamp(min=0).minimum(torch.full_like(position, (low - 1) * denominator))
    pixel = torch.arange(low, device=like.device) * denominator
    shares = (denominator - (position[:, :, None] - pixel).abs()).clamp(min=0)  # (high, size, low)
    inside = (seen >= 0) & (seen < high)
    return ((shares * inside[:, :, None]).to(like.dtype) / denominator).flatten(1)


def products(inputs: int, outputs: int, size: int, low: tuple[int, int], high: tuple[int, int]) -> int:
    """Multiplications of `resized_conv` for one picture; of the plain form, inputs·outputs·size² for every output."""
    (low_height, low_width), (height, width) = low, high
    taps = inputs * outputs * size * size * low_height * low_width
    rows = outputs * size * height * low_width * size * low_height
    columns = outputs * height * width * size * low_width
    return taps + rows + columns
