"""Building blocks that several nets share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.exchange.live import upsampled_conv


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3×3 convolution without bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class BasicBlock(nn.Module):
    """Residual block of two 3×3 convolutions (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                            nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(out + shortcut, inplace=True)


class UpProjection(nn.Module):
    """Bilinear upsampling to a given size, then a residual pair of branches (Laina et al., 3DV 2016).

    ReLU( BN(3×3(ReLU(BN(5×5(x))))) + BN(5×5(x)) ), convolutions without bias. `align_corners` is True for weights
    trained with torch 0.3, whose bilinear interpolation was so.
    """

    exchange = False
    """Set by `exchanging`."""

    def __init__(self, inputs: int, outputs: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
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
        """Both 5×5 convolutions of the resized map, each (B, O, height, width)."""
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
