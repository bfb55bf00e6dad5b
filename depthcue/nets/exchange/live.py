"""The exchanged forms with weights that are being trained: kernels are made anew from them in every pass.

Making them costs nothing beside the convolution, and gradients go through it to the weights, so a net trains to the
same numbers but for rounding. On two cores, forward and backward together, one of the paper's depth net's fusion
blocks (2048 channels, ×16) runs more than a hundred times faster, its decoder and the mask net's about twice.
"""

import torch.nn.functional as F
from torch import Tensor

from depthcue.nets.exchange.any_size import products, resized_conv, tap_rows
from depthcue.nets.exchange.doubled import doubled_conv, doubled_kernels

MATRICES_AT_MOST = 0.25
"""Of a doubling's products: the share that the matrices of `any_size` may take for it to be the faster form."""
WORTH = 0.8
"""Share of the plain form's products below which `any_size` is taken: its matrices are small and run slower."""


def upsampled_conv(x: Tensor, weight: Tensor, height: int, width: int, *, align_corners: bool) -> Tensor:
    """Bilinear resizing to a given size, then a convolution with zero padding: (B, C, h, w) to (B, O, height, width).

    Args:
        weight: (O, C, k, k), k 3 or 5.
    """
    outputs, inputs, kernel, _ = weight.shape
    low, high = (x.shape[2], x.shape[3]), (height, width)
    taps = outputs * inputs * kernel * kernel
    exchanged = products(inputs, outputs, kernel, low, high)
    doubles = high == (2 * low[0], 2 * low[1]) and not align_corners
    at_low = taps * low[0] * low[1]
    if exchanged - at_low < MATRICES_AT_MOST * at_low or \
            (not doubles and exchanged < WORTH * taps * height * width):
        return resized_conv(x, tap_rows(weight), None, height, width, kernel=kernel, align_corners=align_corners)
    if doubles:
        return doubled_conv(x, doubled_kernels(weight))
    x = F.interpolate(x, size=high, mode="bilinear", align_corners=align_corners)
    return F.conv2d(x, weight, padding=kernel // 2)
