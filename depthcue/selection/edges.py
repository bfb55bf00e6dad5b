"""Edges of the picture, found by its brightness alone: Sobel."""

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the gray picture (ITU-R BT.601)."""


def sobel_edges(rgb: Tensor) -> Tensor:
    """The Sobel edge map: the gradient magnitude of the gray picture, scaled so that its strongest edge is 1.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1]; all 0 for a picture without any edge.
    """
    gray = (rgb * rgb.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)  # (B, 1, H, W)
    kernel = rgb.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([kernel, kernel.T]).unsqueeze(1)  # (2, 1, 3, 3)
    # the frame of the picture is no edge: its border pixels are repeated outwards
    gradient = functional.conv2d(functional.pad(gray, (1, 1, 1, 1), mode="replicate"), kernels)
    magnitude = gradient.square().sum(dim=1, keepdim=True).sqrt()  # (B, 1, H, W)
    strongest = magnitude.amax(dim=(2, 3), keepdim=True)
    # float32 leaves gradients of 1e-7 where there are none; they must neither be blown up nor decide between pixels
    return torch.where(magnitude > 1e-5, magnitude / strongest.clamp_min(1e-5), torch.zeros_like(magnitude))
