"""Edges of the picture, found by its brightness alone: Sobel, Canny.

Canny: J. Canny, A Computational Approach to Edge Detection, PAMI 1986: blur by a Gaussian, take gradients, keep the
pixels that are the strongest across the edge they lie on, then of these the strong ones and the weaker ones connected
to them. Thresholds are shares of each picture's strongest gradient, so that pale pictures have edges too.
"""

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.selection.blur import gaussian_blur

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the gray picture (ITU-R BT.601)."""

BLUR_PX = 1.4
LOW, HIGH = 0.08, 0.2
"""Canny's thresholds as shares of the strongest gradient of the picture."""
REACH_PX = 16
"""Farther from a line than this, a pixel has nothing to do with it."""
NO_GRADIENT = 1e-5
"""float32 leaves gradients of 1e-7 where there are none; they must neither be blown up nor decide between pixels."""
_TAN_22_5 = 2**0.5 - 1


def sobel_edges(rgb: Tensor) -> Tensor:
    """The Sobel edge map: the gradient magnitude of the gray picture, scaled so that its strongest edge is 1.

    Args:
        rgb: (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1]; all 0 for a picture without any edge.
    """
    return relative_magnitude(gray_gradient(gray(rgb)))


def canny_edges(rgb: Tensor, blur_px: float = BLUR_PX, low: float = LOW, high: float = HIGH) -> Tensor:
    """Canny's edges, one pixel wide.

    Args:
        rgb: (B, 3, H, W) in [0, 1].
        blur_px: deviation of the Gaussian.
        low, high: thresholds as shares of the strongest gradient; an edge has a pixel above `high` and goes on above
            `low`.

    Returns:
        bool (B, 1, H, W).
    """
    gradient = gray_gradient(gaussian_blur(gray(rgb), blur_px))
    magnitude = relative_magnitude(gradient)
    thin = thinned(gradient, magnitude)
    return connected(thin & (magnitude > high), thin & (magnitude > low))


def nearness(marks: Tensor, reach_px: int = REACH_PX) -> Tensor:
    """1 at marked pixels, 1/2 beside them, 1/3 one farther, …: scores that widen lines into bands.

    Args:
        marks: bool (B, 1, H, W).
        reach_px: how far the bands go.

    Returns:
        (B, 1, H, W) in [0, 1]: 1 / (1 + distance to the nearest mark), distances counted in steps to any of the eight
        neighbours; 0 beyond the reach of all marks.
    """
    reached, scores = marks, marks.float()
    for distance in range(1, reach_px + 1):
        grown = functional.max_pool2d(reached.float(), 3, stride=1, padding=1) > 0
        fresh = grown & ~reached
        scores = torch.where(fresh, 1.0 / (1 + distance), scores)
        reached = grown
    return scores


def gray(rgb: Tensor) -> Tensor:
    """The brightness of pictures (B, 3, H, W): (B, 1, H, W)."""
    return (rgb * rgb.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def gray_gradient(brightness: Tensor) -> Tensor:
    """Sobel gradients in x and y (down), (B, 1, H, W) -> (B, 2, H, W)."""
    kernel = brightness.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([kernel, kernel.T]).unsqueeze(1)  # (2, 1, 3, 3)
    # the frame of the picture is no edge: its border pixels are repeated outwards
    return functional.conv2d(functional.pad(brightness, (1, 1, 1, 1), mode="replicate"), kernels)


def relative_magnitude(gradient: Tensor) -> Tensor:
    """The length of gradients (B, 2, H, W) as a share of each picture's longest: (B, 1, H, W) in [0, 1]."""
    magnitude = gradient.square().sum(dim=1, keepdim=True).sqrt()
    strongest = magnitude.amax(dim=(2, 3), keepdim=True)
    return torch.where(magnitude > NO_GRADIENT, magnitude / strongest.clamp_min(NO_GRADIENT),
                       torch.zeros_like(magnitude))


def thinned(gradient: Tensor, magnitude: Tensor) -> Tensor:
    """Where an edge is strongest across itself: bool (B, 1, H, W).

    A pixel is compared with its two neighbours along the gradient, whose direction is rounded to 45 degrees. Of two
    equal neighbours the one on the left, or above, stays.
    """
    x, y = gradient[:, :1], gradient[:, 1:]
    level = y.abs() <= _TAN_22_5 * x.abs()
    upright = x.abs() <= _TAN_22_5 * y.abs()
    falling = x * y > 0  # towards the lower right, or from there
    # as many zeros around as a neighbour may lie outside
    height, width = magnitude.shape[-2:]
    padded = functional.pad(magnitude, (1, 1, 1, 1))

    def neighbour(down: int, right: int) -> Tensor:
        return padded[..., 1 + down:1 + down + height, 1 + right:1 + right + width]

    def peak(down: int, right: int) -> Tensor:
        return (magnitude > neighbour(-down, -right)) & (magnitude >= neighbour(down, right))

    oblique = torch.where(falling, peak(1, 1), peak(1, -1))
    return (magnitude > 0) & torch.where(level, peak(0, 1), torch.where(upright, peak(1, 0), oblique))


def connected(seeds: Tensor, allowed: Tensor) -> Tensor:
    """Allowed pixels that a chain of allowed neighbours (of eight) joins to a seed: bool (B, 1, H, W) twice -> once."""
    reached = seeds & allowed
    while True:
        grown = (functional.max_pool2d(reached.float(), 3, stride=1, padding=1) > 0) & allowed
        if torch.equal(grown, reached):
            return reached
        reached = grown
