"""Bilinear doubling and the convolution after it, exchanged: the arithmetic is done at the low resolution.

Doubling by bilinear interpolation (align_corners=False) is unpooling, zeros between the pixels, followed by a fixed
filter B = (1, 3, 3, 1)/4 in each direction. Convolutions commute, W∗(B∗↑x) = B∗(W∗↑x), and W∗↑x needs no products with
the zeros. B costs little, and costs it for each output channel whatever the number of inputs. As B is
(1, 1)∗(1, 2, 1)/4, a part of it can be multiplied into the weights beforehand. Products for the 2×2 outputs of a low
pixel, for each pair of channels:

                                                      5×5   3×3
    plain form                                        100    36
    polyphase, all of B in the weights                 64    36
    pixels doubled, (1, 1) in the weights              36    16    one convolution of 3×3 or 2×2 taps, four phases
    unpooled, none of B in the weights                 25     9    four convolutions, one a phase

Taken are the last for 5×5 kernels and the last but one for 3×3, which work on fewer channels: four convolutions and a
filter of 5×5 taps cost more there than they save (`benchmarks/rewriting.py` times all of them).

Forms of the Toom-Cook kind. Two outputs at a time need 6 products in each direction and no fewer (the pencil of the
four by five coefficients of W∗(B∗↑x) is L₁ ⊕ J₃(1), of rank 2 + 3 + 1), so 36 for 2×2: more than the 25 that neighbours
share. F(4, 3) on the four phases needs 9, and writes and reads more than two numbers for each output between its steps.
It pays in float32 from 256 or 512 channels on, and loses a digit in every precision (`benchmarks/toom_cook.py` times it
in every runner); of the paper's mask net one layer in three is that wide: by estimate it gains a tenth. Libraries
have such forms for 3×3 inside one kernel, where nothing is written between the steps.

Borders. The interpolation repeats the border pixel, the convolution pads what was interpolated with zeros. The
exchanged form repeats it for the convolution too; what that adds to the outermost rows and columns, products of the
kernel's outer taps with the border line, is computed apart and taken away.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from depthcue.nets.exchange.unpooled import unpooled_conv, unpooled_kernels

AFTER_UNPOOLED = (0.25, 0.75, 0.75, 0.25, 0.0)
"""Row n of the output is made of rows n − 2 … n + 1; the fifth tap makes the size come out without a cut."""
AFTER_DOUBLED_PIXELS = (0.25, 0.5, 0.25)


class DoubledKernels(NamedTuple):
    """What `doubled_conv` multiplies with, all linear in the weights it was made from."""

    phases: list[Tensor]
    """Of the first step: four kernels after unpooling (5×5 weights), or one for doubled pixels (3×3)."""
    filter: Tensor
    """(O, 1, taps, taps): what is left of the interpolation."""
    rows: Tensor
    """What the outermost rows get from beyond the border, both borders in one grouped convolution:
    (2·O·reach, C, 1, k), nearest the start first."""
    columns: Tensor
    """The same of columns: (2·O·reach, C, k, 1)."""


def doubled_kernels(weight: Tensor) -> DoubledKernels:
    """For a convolution with `weight` (O, C, k, k), k 3 or 5."""
    size = weight.shape[2]
    phases = [_doubled_pixels(weight)] if size == 3 else unpooled_kernels(weight)
    taps = AFTER_UNPOOLED if size == 5 else AFTER_DOUBLED_PIXELS
    line = torch.tensor(taps, dtype=weight.dtype, device=weight.device)
    reach = range(size // 2)
    first = [weight[:, :, :size // 2 - row].sum(2) for row in reach]
    last = [weight[:, :, size // 2 + 1 + row:].sum(2) for row in reversed(reach)]
    left = [weight[:, :, :, :size // 2 - column].sum(3) for column in reach]
    right = [weight[:, :, :, size // 2 + 1 + column:].sum(3) for column in reversed(reach)]
    return DoubledKernels(
        phases, (line[:, None] * line)[None, None].repeat(len(weight), 1, 1, 1),
        torch.cat([_strip(first), _strip(last)])[:, :, None, :],
        torch.cat([_strip(left), _strip(right)])[:, :, :, None])


def doubled_conv(x: Tensor, kernels: DoubledKernels, bias: Tensor | None = None) -> Tensor:
    """Bilinear doubling (align_corners=False), then a k×k convolution with zero padding k // 2.

    (B, C, h, w) to (B, O, 2h, 2w). In float64 equal to the plain form to 1e-12 of its range.
    """
    reach = kernels.rows.shape[3] // 2
    bordered = F.pad(x, (reach,) * 4, mode="replicate")
    if len(kernels.phases) == 1:  # the rows and columns −1 … 2h, 2w: one more on each side
        y = F.pixel_shuffle(F.conv2d(bordered, kernels.phases[0]), 2)
    else:
        y = unpooled_conv(bordered, kernels.phases)
    y = F.conv2d(y, kernels.filter, bias, groups=len(kernels.filter))  # (B, O, 2h, 2w)
    first, last = _beyond_rows(x, kernels.rows, reach)
    left, right = _beyond_columns(x, kernels.columns, reach)
    take = _joined if torch.compiler.is_exporting() else _subtracted
    return take(y, first, last, left, right, reach)


def _doubled_pixels(weight: Tensor) -> Tensor:
    """(O, C, 3, 3) to (O·4, C, 2, 2): its four phases over a map with every pixel twice in each direction."""
    # an output row meets two low rows, and both parities meet the same two: the odd one twice the first of them
    meets = torch.tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]], dtype=weight.dtype,
                         device=weight.device)  # (parity, low row, tap)
    return torch.einsum("pak,qbl,ockl->opqcab", meets, meets, weight).flatten(0, 2)


def _beyond_rows(x: Tensor, kernel: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """What the first and the last rows got from beyond the border, each (B, O, reach, 2w)."""
    lines = torch.cat([x[:, :, :1], x[:, :, -1:]], 1)  # (B, 2·C, 1, w)
    lines = F.interpolate(lines, scale_factor=(1.0, 2.0), mode="bilinear", align_corners=False)
    strips = F.conv2d(lines, kernel, padding=(0, reach), groups=2)  # (B, 2·O·reach, 1, 2w)
    if reach > 1:  # one line is in its order already, and a graph is spared the arithmetic of shapes
        strips = strips.unflatten(1, (-1, reach)).flatten(2, 3)
    first, last = strips.chunk(2, dim=1)
    return first, last


def _beyond_columns(x: Tensor, kernel: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """The same of the first and last columns, each (B, O, 2h, reach); the rows beyond the border were in it too."""
    lines = torch.cat([x[..., :1], x[..., -1:]], 1)  # (B, 2·C, h, 1)
    lines = F.interpolate(lines, scale_factor=(2.0, 1.0), mode="bilinear", align_corners=False)
    lines = F.pad(lines, (0, 0, reach, reach), mode="replicate")
    strips = F.conv2d(lines, kernel, groups=2)  # (B, 2·O·reach, 2h, 1)
    if reach > 1:
        strips = strips.unflatten(1, (-1, reach)).squeeze(-1).transpose(2, 3)
    left, right = strips.chunk(2, dim=1)
    return left, right


def _strip(taps: list[Tensor]) -> Tensor:
    """A kernel (O, C, k) for each of the outermost lines to one (O·lines, C, k)."""
    return torch.stack(taps, dim=1).flatten(0, 1)


def _subtracted(y: Tensor, first: Tensor, last: Tensor, left: Tensor, right: Tensor, reach: int) -> Tensor:
    """The strips taken from the borders of `y`, in place: nothing else holds it."""
    y[:, :, :reach] -= first
    y[:, :, -reach:] -= last
    y[..., :reach] -= left
    y[..., -reach:] -= right
    return y


def _joined(y: Tensor, first: Tensor, last: Tensor, left: Tensor, right: Tensor, reach: int) -> Tensor:
    """The same as graphs have it, which cannot write into a part of a tensor; for maps of 2·reach or more."""
    y = torch.cat([y[:, :, :reach] - first, y[:, :, reach:-reach], y[:, :, -reach:] - last], 2)
    return torch.cat([y[..., :reach] - left, y[..., reach:-reach], y[..., -reach:] - right], 3)
