"""Up-projections, and exact forms of resizing and convolution that do the arithmetic at the low resolution.

Three identities of real numbers. In float64 each agrees with the plain form to 1e-12 of its range.

Unpooling, then a 5×5 convolution (`unpooled_conv`). Unpooling puts x[i, j] at [2i, 2j] and zeros elsewhere. An output
pixel meets every second row and column of the kernel, by the parity of its own: four phases, small convolutions of 3×3,
3×2, 2×3 and 2×2 (Laina et al., 3DV 2016, sec. 3.3).

Bilinear doubling (align_corners=False), then a 5×5 convolution (`doubled_conv`). Doubling is unpooling followed by a
fixed filter B = (1, 3, 3, 1)/4 in each direction, and convolutions commute: W∗(B∗↑x) = B∗(W∗↑x). W∗↑x needs no products
with the zeros: 25 for the 2×2 outputs of a low pixel and each pair of channels, where the plain form takes 100. B costs
little for each output channel, whatever the number of inputs. At the border the interpolation repeats the border pixel,
and the convolution pads with zeros. The exchanged form repeats it for the convolution too; what that adds to the
outermost rows and columns is computed apart and taken away. Forms with a part of B in the weights take 36 or 64
products (`benchmarks/rewriting.py` times them); those of the Toom-Cook kind need 36 too, and lose a digit in every
precision (`benchmarks/toom_cook.py`).

Bilinear resizing to any size, then a convolution (`resized_conv`). A convolution is a sum over its taps of a 1×1
convolution that is shifted: W∗(A x) = Σ_k S_k A (w_k x), with A the interpolation and S_k the shift by tap k with zeros
beyond the border. S_k A acts on rows and columns apart, so all taps are two matrix products. The channels are
multiplied k² times for each *low* pixel; the two products cost about k·(5·h·w/W + w) for each output, whatever the
number of input channels. That holds for every ratio of sizes and both conventions of align_corners.

`UpProjection` uses these forms in training too (`exchanging`). Kernels are then made anew from the weights in every
pass, which costs nothing beside the convolution, and gradients go through it. On two cores, forward and backward, the
fusion blocks of the paper's depth net run up to a hundred times faster, its decoder and the mask net's twice.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AFTER_UNPOOLED = (0.25, 0.75, 0.75, 0.25, 0.0)
"""Row n of the output is made of rows n − 2 … n + 1; the fifth tap makes the size come out without a cut."""
MATRICES_AT_MOST = 0.25
"""Largest share of a doubling's products in the matrices of `resized_conv` up to which that is the faster form."""
WORTH = 0.8
"""Share of the plain form's products below which `resized_conv` is used: its small matrices run slower."""


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
    source_index = output + torch.arange(size, device=like.device)[None, :] - size // 2  # (high, size)
    if align_corners:
        denominator = max(high - 1, 1)
        position = source_index * (low - 1)
    else:
        denominator = 2 * high
        position = (2 * source_index + 1) * low - high
    # the position in low pixels, in units of 1/denominator, kept within the map: the border pixel is repeated
    position = position.clamp(min=0).minimum(torch.full_like(position, (low - 1) * denominator))
    pixel = torch.arange(low, device=like.device) * denominator
    shares = (denominator - (position[:, :, None] - pixel).abs()).clamp(min=0)  # (high, size, low)
    inside = (source_index >= 0) & (source_index < high)
    return ((shares * inside[:, :, None]).to(like.dtype) / denominator).flatten(1)


def products(inputs: int, outputs: int, size: int, low: tuple[int, int], high: tuple[int, int]) -> int:
    """Multiplications of `resized_conv` for one picture; of the plain form, inputs·outputs·size² for every output."""
    (low_height, low_width), (height, width) = low, high
    taps = inputs * outputs * size * size * low_height * low_width
    rows = outputs * size * height * low_width * size * low_height
    columns = outputs * height * width * size * low_width
    return taps + rows + columns


def unpooled_kernels(weight: Tensor) -> list[Tensor]:
    """The kernels of the four phases, row parity first, cut out of `weight` (O, C, 5, 5)."""
    size = weight.shape[2]
    if tuple(weight.shape[2:]) != (5, 5):
        raise ValueError(f"a kernel of {tuple(weight.shape[2:])} is not 5x5")
    taps = [_taps(size, parity) for parity in (0, 1)]
    return [weight[:, :, rows][:, :, :, columns] for rows in taps for columns in taps]


def unpooled_conv(bordered: Tensor, kernels: Sequence[Tensor], bias: Tensor | None = None) -> Tensor:
    """5×5 convolution of the unpooled map, for cells of 2×2 outputs: (B, C, h + 2, w + 2) to (B, O, 2h, 2w).

    Args:
        bordered: one more pixel on each side than there are cells, such as the zeros of a zero-padded convolution.
        kernels: of `unpooled_kernels`.
        bias: (O,).
    """
    size = kernels[0].shape[2] + kernels[2].shape[2]  # the rows of both parities
    # the first and last low pixel that a phase reads, counted from its cell
    reach = [(_offset(size, own[0], parity), _offset(size, own[-1], parity))
             for parity in (0, 1) for own in (_taps(size, parity),)]
    cells = []
    for number, kernel in enumerate(kernels):
        (top, bottom), (left, right) = reach[number // 2], reach[number % 2]
        rows = slice(1 + top, bordered.shape[2] - 1 + bottom)
        columns = slice(1 + left, bordered.shape[3] - 1 + right)
        cells.append(F.conv2d(bordered[:, :, rows, columns], kernel, bias))
    return _shuffled(cells) if torch.compiler.is_exporting() else _interleaved(cells)


def _interleaved(cells: list[Tensor]) -> Tensor:
    """The four phases (B, O, h, w) side by side in cells of 2×2, written once, in the order of memory they have."""
    batch, channels, height, width = cells[0].shape
    last = cells[0].is_contiguous(memory_format=torch.channels_last) and not cells[0].is_contiguous()
    whole = torch.empty((batch, channels, 2 * height, 2 * width), dtype=cells[0].dtype, device=cells[0].device,
                        memory_format=torch.channels_last if last else torch.contiguous_format)
    for number, cell in enumerate(cells):
        whole[:, :, number // 2::2, number % 2::2] = cell
    return whole


def _shuffled(cells: list[Tensor]) -> Tensor:
    """As `_interleaved`, for graphs, which cannot write into a part of a tensor."""
    return F.pixel_shuffle(torch.stack(cells, dim=2).flatten(1, 2), 2)


def _taps(size: int, parity: int) -> list[int]:
    """The kernel's rows that meet an output row of this parity: those on even rows of the unpooled map."""
    return [tap for tap in range(size) if (parity + tap - size // 2) % 2 == 0]


def _offset(size: int, tap: int, parity: int) -> int:
    """Low pixel that a tap reads, counted from the output's own cell."""
    return (parity + tap - size // 2) // 2


class DoubledKernels(NamedTuple):
    """Kernels of `doubled_conv`, all linear in the weights they were made from."""

    phases: list[Tensor]
    """Kernels of the first step: four, as `unpooled_kernels` cuts them."""
    filter: Tensor
    """(O, 1, taps, taps): what is left of the interpolation."""
    rows: Tensor
    """Kernels for the contributions to the outermost rows from beyond the border, both in one grouped convolution:
    (2·O·reach, C, 1, k), nearest the start first."""
    columns: Tensor
    """The same of columns: (2·O·reach, C, k, 1)."""


def doubled_kernels(weight: Tensor) -> DoubledKernels:
    """Kernels of a doubling and a convolution with `weight` (O, C, 5, 5)."""
    size, phases = weight.shape[2], unpooled_kernels(weight)
    line = torch.tensor(AFTER_UNPOOLED, dtype=weight.dtype, device=weight.device)
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
    """Bilinear doubling (align_corners=False), then a 5×5 convolution with zero padding 2.

    (B, C, h, w) to (B, O, 2h, 2w). In float64 equal to the plain form to 1e-12 of its range.
    """
    reach = kernels.rows.shape[3] // 2
    bordered = F.pad(x, (reach,) * 4, mode="replicate")
    y = unpooled_conv(bordered, kernels.phases)
    y = F.conv2d(y, kernels.filter, bias, groups=len(kernels.filter))  # (B, O, 2h, 2w)
    first, last = _beyond_rows(x, kernels.rows, reach)
    left, right = _beyond_columns(x, kernels.columns, reach)
    take = _joined if torch.compiler.is_exporting() else _subtracted
    return take(y, first, last, left, right, reach)


def _beyond_rows(x: Tensor, kernel: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Contributions from beyond the border to the first and the last rows, each (B, O, reach, 2w)."""
    lines = torch.cat([x[:, :, :1], x[:, :, -1:]], 1)  # (B, 2·C, 1, w)
    lines = F.interpolate(lines, scale_factor=(1.0, 2.0), mode="bilinear", align_corners=False)
    strips = F.conv2d(lines, kernel, padding=(0, reach), groups=2)  # (B, 2·O·reach, 1, 2w)
    strips = strips.unflatten(1, (-1, reach)).flatten(2, 3)
    first, last = strips.chunk(2, dim=1)
    return first, last


def _beyond_columns(x: Tensor, kernel: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """The same for the first and last columns, each (B, O, 2h, reach), with the rows beyond the border."""
    lines = torch.cat([x[..., :1], x[..., -1:]], 1)  # (B, 2·C, h, 1)
    lines = F.interpolate(lines, scale_factor=(2.0, 1.0), mode="bilinear", align_corners=False)
    lines = F.pad(lines, (0, 0, reach, reach), mode="replicate")
    strips = F.conv2d(lines, kernel, groups=2)  # (B, 2·O·reach, 2h, 1)
    strips = strips.unflatten(1, (-1, reach)).squeeze(-1).transpose(2, 3)
    left, right = strips.chunk(2, dim=1)
    return left, right


def _strip(taps: list[Tensor]) -> Tensor:
    """A kernel (O, C, k) for each of the outermost lines to one (O·lines, C, k)."""
    return torch.stack(taps, dim=1).flatten(0, 1)


def _subtracted(y: Tensor, first: Tensor, last: Tensor, left: Tensor, right: Tensor, reach: int) -> Tensor:
    """`y` without the strips at its borders; changes it in place."""
    y[:, :, :reach] -= first
    y[:, :, -reach:] -= last
    y[..., :reach] -= left
    y[..., -reach:] -= right
    return y


def _joined(y: Tensor, first: Tensor, last: Tensor, left: Tensor, right: Tensor, reach: int) -> Tensor:
    """As `_subtracted`, for graphs, which cannot write into a part of a tensor; for maps of 2·reach or more."""
    y = torch.cat([y[:, :, :reach] - first, y[:, :, reach:-reach], y[:, :, -reach:] - last], 2)
    return torch.cat([y[..., :reach] - left, y[..., reach:-reach], y[..., -reach:] - right], 3)


def upsampled_conv(x: Tensor, weight: Tensor, height: int, width: int, *, align_corners: bool) -> Tensor:
    """Bilinear resizing to a given size, then a convolution with zero padding: (B, C, h, w) to (B, O, height, width).

    Args:
        weight: (O, C, 5, 5).
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


class ResidualPair(nn.Module):
    """Residual pair of branches: ReLU( BN(3×3(ReLU(BN(5×5(x))))) + BN(5×5(x)) ), convolutions without bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv1_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1_2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        main, shortcut = self._both(x, height, width)
        main = F.relu(self.bn1(main), inplace=True)
        main = self.bn1_2(self.conv1_2(main))
        return F.relu(main + self.bn2(shortcut), inplace=True)

    def _both(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Both 5×5 convolutions of the enlarged map, each (B, O, height, width)."""
        raise NotImplementedError


class UpProjection(ResidualPair):
    """Bilinear upsampling to a given size, then a residual pair of branches (Laina et al., 3DV 2016).

    `align_corners` is True for weights trained with torch 0.3, whose bilinear interpolation was so.
    """

    exchange = False
    """Set by `exchanging`."""

    def __init__(self, inputs: int, outputs: int, align_corners: bool) -> None:
        super().__init__(inputs, outputs)
        self.align_corners = align_corners

    def _both(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        if self.exchange:
            weight = torch.cat([self.conv1.weight, self.conv2.weight])
            main, shortcut = upsampled_conv(x, weight, height, width, align_corners=self.align_corners).chunk(2, dim=1)
            return main, shortcut
        x = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=self.align_corners)
        return self.conv1(x), self.conv2(x)


@contextmanager
def exchanging(net: nn.Module) -> Iterator[None]:
    """Context in which the up-projections of `net` convolve before they upsample: same answers, less arithmetic."""
    blocks = [module for module in net.modules() if isinstance(module, UpProjection)]
    before = [block.exchange for block in blocks]
    try:
        for block in blocks:
            block.exchange = True
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            block.exchange = own
