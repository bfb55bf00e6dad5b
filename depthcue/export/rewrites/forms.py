"""The exchanged forms (`depthcue.nets.exchange`) as modules with frozen kernels."""

import torch
from torch import Tensor, nn

from depthcue.export.rewrites.batch_norm import frozen
from depthcue.nets.exchange.any_size import resized_conv, tap_rows
from depthcue.nets.exchange.doubled import DoubledKernels, doubled_conv, doubled_kernels
from depthcue.nets.exchange.unpooled import unpooled_conv, unpooled_kernels


class UnpooledConv(nn.Module):
    """`unpooled_conv`: (B, C, h + 2, w + 2) to (B, O, 2h, 2w)."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """
        Args:
            weight: (O, C, k, k), k 3 or 5.
            bias: (O,).
        """
        super().__init__()
        self.phases = nn.ParameterList(frozen(phase) for phase in unpooled_kernels(weight))
        self.bias = None if bias is None else frozen(bias)

    def forward(self, bordered: Tensor) -> Tensor:
        return unpooled_conv(bordered, list(self.phases), self.bias)


class DoubledConv(nn.Module):
    """`doubled_conv`: (B, C, h, w) to (B, O, 2h, 2w)."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """
        Args:
            weight: (O, C, k, k), k 3 or 5.
            bias: (O,).
        """
        super().__init__()
        kernels = doubled_kernels(weight)
        self.phases = nn.ParameterList(frozen(phase) for phase in kernels.phases)
        self.filter, self.rows, self.columns = frozen(kernels.filter), frozen(kernels.rows), frozen(kernels.columns)
        self.bias = None if bias is None else frozen(bias)

    def forward(self, x: Tensor, height: int | None = None, width: int | None = None) -> Tensor:
        """`height` and `width`, where given, are what the caller takes the output's size for.

        Raises:
            ValueError: they are not twice the input's.
        """
        # a graph for every size cannot ask; whoever builds this form knows that sizes double
        if height is not None and not torch.compiler.is_exporting() \
                and (height, width) != (2 * x.shape[2], 2 * x.shape[3]):
            raise ValueError(f"{tuple(x.shape[2:])} was to become ({height}, {width}), which is not twice as large")
        return doubled_conv(x, DoubledKernels(list(self.phases), self.filter, self.rows, self.columns), self.bias)


class ResizedConv(nn.Module):
    """`resized_conv`: (B, C, h, w) to (B, O, H, W)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, align_corners: bool) -> None:
        """
        Args:
            weight: (O, C, k, k), k odd.
            bias: (O,).
        """
        super().__init__()
        self.kernel, self.align_corners = weight.shape[2], align_corners
        self.taps = frozen(tap_rows(weight))
        self.bias = None if bias is None else frozen(bias.view(-1, 1, 1))

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return resized_conv(x, self.taps, self.bias, height, width, kernel=self.kernel,
                            align_corners=self.align_corners)
