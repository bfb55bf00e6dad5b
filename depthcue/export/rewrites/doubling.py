"""Bilinear doubling and the convolution after it, exchanged: the arithmetic is done at the low resolution.

Doubling by bilinear interpolation (align_corners=False) is unpooling, zeros between the pixels, followed by a fixed
filter B = (1, 3, 3, 1)/4 in each direction. Convolutions commute, W∗(B∗↑x) = B∗(W∗↑x), and W∗↑x needs no products with
the zeros: k² for the 2×2 outputs of a low pixel, 25 for a 5×5 kernel, and B costs 25 for each output channel whatever
the number of inputs. The alternatives, for a 5×5 kernel, products for 2×2 outputs (per pair of channels):

    100  the plain form
     64  polyphase: B multiplied into the weights, 4×4 taps for each phase
     36  half of B in the weights (pixel doubling, then a 1-2-1 blur); or a Toom-Cook form, F(2, 5) in each direction
     25  this one, with the trained weights as they are, so that a lower precision rounds them and nothing else

A Toom-Cook form of the three- and two-tap phases would get to 12.25, and does not pay: it writes and reads transformed
maps 4/2.25 times as large, which at these widths costs more than the products, and libraries do it inside their 3×3
convolutions where it pays. For one with fewer products than 36 that keeps two outputs together there is no room: the
smallest number for W∗(B∗↑x), two outputs at a time, is 6 in each direction (the pencil of its four by five
coefficients is L1 ⊕ J3(1), whose rank is 2 + 3 + 1).

Borders. The interpolation repeats the border pixel, the convolution pads what was interpolated with zeros. The
exchanged form repeats it for the convolution too; what that adds to the outermost rows and columns, products of the
kernel's outer taps with the border line, is computed apart and taken away.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.export.rewrites.batch_norm import frozen
from depthcue.export.rewrites.unpooled import UnpooledConv

BILINEAR = (0.25, 0.75, 0.75, 0.25, 0.0)
"""Output row n is made of the unpooled rows n − 2 … n + 1; the fifth, 0, keeps the filter odd and the size even."""


class DoubledConv(nn.Module):
    """Bilinear doubling (align_corners=False), then a k×k convolution with zero padding k // 2.

    (B, C, h, w) to (B, O, 2h, 2w). In float64 equal to the plain form to 1e-12 of its range.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """
        Args:
            weight: (O, C, k, k), k 3 or 5.
            bias: (O,).
        """
        super().__init__()
        self.unpooled = UnpooledConv(weight)
        line = torch.tensor(BILINEAR, dtype=weight.dtype, device=weight.device)
        self.bilinear = frozen((line[:, None] * line)[None, None].repeat(len(weight), 1, 1, 1))  # (O, 1, 5, 5)
        self.bias = None if bias is None else frozen(bias)
        self.reach = weight.shape[2] // 2
        # what each of the outermost `reach` rows got from beyond the border, nearest row first
        first = [weight[:, :, :self.reach - row].sum(2) for row in range(self.reach)]
        last = [weight[:, :, self.reach + 1 + row:].sum(2) for row in reversed(range(self.reach))]
        left = [weight[:, :, :, :self.reach - column].sum(3) for column in range(self.reach)]
        right = [weight[:, :, :, self.reach + 1 + column:].sum(3) for column in reversed(range(self.reach))]
        self.first, self.last = (frozen(_strip(taps)[:, :, None, :]) for taps in (first, last))
        self.left, self.right = (frozen(_strip(taps)[:, :, :, None]) for taps in (left, right))

    def forward(self, x: Tensor, height: int | None = None, width: int | None = None) -> Tensor:
        """`height` and `width`, where given, are what the caller takes the output's size for.

        Raises:
            ValueError: they are not twice the input's.
        """
        exporting = torch.compiler.is_exporting()
        # a graph for every size cannot ask; whoever builds this form knows that sizes double
        if height is not None and not exporting and (height, width) != (2 * x.shape[2], 2 * x.shape[3]):
            raise ValueError(f"{tuple(x.shape[2:])} was to become ({height}, {width}), which is not twice as large")
        y = F.conv2d(self.unpooled(F.pad(x, (2, 2, 2, 2), mode="replicate")), self.bilinear, self.bias,
                     groups=len(self.bilinear))  # (B, O, 2h, 2w)
        rows = [self._along_rows(x[:, :, :1], self.first), self._along_rows(x[:, :, -1:], self.last)]
        columns = [self._along_columns(x[..., :1], self.left), self._along_columns(x[..., -1:], self.right)]
        return _joined(y, rows, columns, self.reach) if exporting else _subtracted(y, rows, columns, self.reach)

    def _along_rows(self, line: Tensor, kernel: Tensor) -> Tensor:
        """Border row (B, C, 1, w) to what (B, O, reach, 2w) got from its copies beyond the border."""
        line = F.interpolate(line, scale_factor=(1.0, 2.0), mode="bilinear", align_corners=False)
        strip = F.conv2d(line, kernel, padding=(0, self.reach))  # (B, O·reach, 1, 2w)
        return strip.unflatten(1, (-1, self.reach)).flatten(2, 3)

    def _along_columns(self, line: Tensor, kernel: Tensor) -> Tensor:
        """Border column (B, C, h, 1) to what (B, O, 2h, reach) got, the rows beyond the border among it."""
        line = F.interpolate(line, scale_factor=(2.0, 1.0), mode="bilinear", align_corners=False)
        strip = F.conv2d(F.pad(line, (0, 0, self.reach, self.reach), mode="replicate"), kernel)
        return strip.unflatten(1, (-1, self.reach)).squeeze(-1).transpose(2, 3)


def _strip(taps: list[Tensor]) -> Tensor:
    """A kernel (O, C, k) for each of the outermost lines to one (O·lines, C, k)."""
    return torch.stack(taps, dim=1).flatten(0, 1)


def _subtracted(y: Tensor, rows: list[Tensor], columns: list[Tensor], reach: int) -> Tensor:
    """The strips taken from the borders of `y`, in place: nothing else holds it."""
    y[:, :, :reach] -= rows[0]
    y[:, :, -reach:] -= rows[1]
    y[..., :reach] -= columns[0]
    y[..., -reach:] -= columns[1]
    return y


def _joined(y: Tensor, rows: list[Tensor], columns: list[Tensor], reach: int) -> Tensor:
    """The same as graphs have it, which cannot write into a tensor without copying it twice."""
    y = torch.cat([y[:, :, :reach] - rows[0], y[:, :, reach:-reach], y[:, :, -reach:] - rows[1]], 2)
    return torch.cat([y[..., :reach] - columns[0], y[..., reach:-reach], y[..., -reach:] - columns[1]], 3)
