"""The paper's target nets [14]: Hu, Ozay, Zhang, Okatani, Revisiting Single Image Depth Estimation (WACV 2019).

Encoder E (ResNet-50, DenseNet-161 or SENet-154, four maps at 1/4 … 1/32), decoder D (1×1 convolution and four
up-projections to 1/2), multi-scale fusion MFF (each map up-projected to 1/2 with 16 channels, fused by a 5×5
convolution) and refinement R (three 5×5 convolutions on both). Depth in metres at half the input's size. Module names
follow the released state dicts. Deviation: `align_corners` can be False, which nets trained afresh use.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import DepthDescription, DepthNet
from depthcue.nets.blocks import UpProjection
from depthcue.nets.checkpoint import State
from depthcue.nets.encoders import DenseNetEncoder, Encoder, Pyramid, ResNetEncoder, SENetEncoder


class _Decoder(nn.Module):
    def __init__(self, channels: int, align_corners: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels // 2)
        self.up1 = UpProjection(channels // 2, channels // 4, align_corners)
        self.up2 = UpProjection(channels // 4, channels // 8, align_corners)
        self.up3 = UpProjection(channels // 8, channels // 16, align_corners)
        self.up4 = UpProjection(channels // 16, channels // 32, align_corners)

    def forward(self, blocks: Pyramid) -> Tensor:
        first, second, third, fourth = blocks
        x = F.relu(self.bn(self.conv(fourth)))
        x = self.up1(x, third.shape[2], third.shape[3])
        x = self.up2(x, second.shape[2], second.shape[3])
        x = self.up3(x, first.shape[2], first.shape[3])
        return self.up4(x, 2 * first.shape[2], 2 * first.shape[3])  # (B, 64, H/2, W/2)


class _Fusion(nn.Module):
    def __init__(self, channels: tuple[int, int, int, int], align_corners: bool) -> None:
        super().__init__()
        self.up1, self.up2, self.up3, self.up4 = (UpProjection(width, 16, align_corners) for width in channels)
        self.conv = nn.Conv2d(64, 64, 5, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(64)

    def forward(self, blocks: Pyramid, height: int, width: int) -> Tensor:
        ups = (self.up1, self.up2, self.up3, self.up4)
        raised = [up(block, height, width) for up, block in zip(ups, blocks, strict=True)]
        return F.relu(self.bn(self.conv(torch.cat(raised, 1))))


class _Refinement(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(channels, channels, 5, padding=2, bias=False)
        self.bn0 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 1, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn0(self.conv0(x)))
        x = F.relu(self.bn1(self.conv1(x)))
        return self.conv2(x)


class HuDepthNet(DepthNet):
    """Depth in metres, (B, 1, H/2, W/2); the subclasses name the encoder."""

    encoder: ClassVar[type[Encoder]]

    def __init__(self, description: DepthDescription, align_corners: bool = False) -> None:
        super().__init__(description)
        self.config = {"align_corners": align_corners}
        self.E = self.encoder()
        deepest = self.E.channels[-1]
        self.D = _Decoder(deepest, align_corners)
        self.MFF = _Fusion(self.E.channels, align_corners)
        self.R = _Refinement(deepest // 32 + 64)

    def forward(self, normalised: Tensor) -> Tensor:
        blocks = self.E(normalised)
        decoded = self.D(blocks)
        fused = self.MFF(blocks, decoded.shape[2], decoded.shape[3])
        return self.R(torch.cat([decoded, fused], 1))

    def load_backbone(self, state: State, source: str) -> None:
        """Take the encoder's weights from a classifier's state dict."""
        self.E.load_classifier(state, source)


class HuResNet50(HuDepthNet):
    """`hu-resnet50`: 67,569,473 parameters."""

    encoder = ResNetEncoder


class HuDenseNet161(HuDepthNet):
    """`hu-densenet161`: 77,101,151 parameters."""

    encoder = DenseNetEncoder


class HuSENet154(HuDepthNet):
    """`hu-senet154`: 157,101,425 parameters."""

    encoder = SENetEncoder
