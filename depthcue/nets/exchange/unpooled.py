"""Odd convolutions of a map between whose pixels zeros were put, without touching the zeros.

Unpooling puts x[i, j] at [2i, 2j] of a map twice as large and zeros elsewhere. An output pixel meets only every second
row and column of the kernel, and which ones depends on the parity of its own: four phases, each a small convolution at
the low resolution, together k² products for every low pixel where the plain form needs 4·k². A 5×5 kernel falls into
3×3, 3×2, 2×3 and 2×2 (Laina et al., 3DV 2016, sec. 3.3).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def unpooled_kernels(weight: Tensor) -> list[Tensor]:
    """The kernels of the four phases, row parity first, cut out of `weight` (O, C, k, k), k 3 or 5."""
    size = weight.shape[2]
    if weight.shape[3] != size or size not in (3, 5):
        raise ValueError(f"a kernel of {tuple(weight.shape[2:])} is neither 3x3 nor 5x5")
    taps = [_taps(size, parity) for parity in (0, 1)]
    return [weight[:, :, rows][:, :, :, columns] for rows in taps for columns in taps]


def unpooled_conv(bordered: Tensor, kernels: Sequence[Tensor], bias: Tensor | None = None) -> Tensor:
    """k×k convolution of the unpooled map, for cells of 2×2 outputs: (B, C, h + 2, w + 2) to (B, O, 2h, 2w).

    Args:
        bordered: one more pixel on each side than there are cells. What those pixels hold is the caller's choice:
            zeros for a zero-padded convolution.
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
    """The same as graphs have it, which cannot write into a part of a tensor."""
    return F.pixel_shuffle(torch.stack(cells, dim=2).flatten(1, 2), 2)


def _taps(size: int, parity: int) -> list[int]:
    """The kernel's rows that an output row of this parity meets: those that lie on even rows of the unpooled map."""
    return [tap for tap in range(size) if (parity + tap - size // 2) % 2 == 0]


def _offset(size: int, tap: int, parity: int) -> int:
    """Which low pixel, counted from the output's own cell, a tap reads."""
    return (parity + tap - size // 2) // 2
