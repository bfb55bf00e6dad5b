"""The paper's target net [14]: Hu, Ozay, Zhang, Okatani, Revisiting Single Image Depth Estimation (WACV 2019).

Encoder E (ResNet-50, four blocks at 1/4 … 1/32), decoder D (1×1 convolution and four up-projections to 1/2),
multi-scale fusion MFF (each block up-projected to 1/2 with 16 channels, fused by a 5×5 convolution) and refinement R
(three 5×5 convolutions on both). 67,569,473 parameters; depth in metres at half the input's size. Module names follow
the released state dicts. Deviation: `align_corners` can be False, which nets trained afresh use.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import DepthDescription, DepthNet
from depthcue.nets.blocks import UpProjection

Blocks = tuple[Tensor, Tensor, Tensor, Tensor]


class _ResNetEncoder(nn.Module):
    """torchvision's ResNet-50 without its pooling and classifier."""

    channels = (256, 512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        resnet = resnet50(weights=None)
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)

    def forward(self, x: Tensor) -> Blocks:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


class _Decoder(nn.Module):
    def __init__(self, channels: int, align_corners: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels // 2)
        self.up1 = UpProjection(channels // 2, channels // 4, align_corners)
        self.up2 = UpProjection(channels // 4, channels // 8, align_corners)
        self.up3 = UpProjection(channels // 8, channels // 16, align_corners)
        self.up4 = UpProjection(channels // 16, channels // 32, align_corners)

    def forward(self, blocks: Blocks) -> Tensor:
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

    def forward(self, blocks: Blocks, height: int, width: int) -> Tensor:
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
    """`hu-resnet50`: depth in metres, (B, 1, H/2, W/2)."""

    def __init__(self, description: DepthDescription, align_corners: bool = False) -> None:
        super().__init__(description)
        self.config = {"align_corners": align_corners}
        self.E = _ResNetEncoder()
        deepest = self.E.channels[-1]
        self.D = _Decoder(deepest, align_corners)
        self.MFF = _Fusion(self.E.channels, align_corners)
        self.R = _Refinement(deepest // 32 + 64)

    def forward(self, normalised: Tensor) -> Tensor:
        blocks = self.E(normalised)
        decoded = self.D(blocks)
        fused = self.MFF(blocks, decoded.shape[2], decoded.shape[3])
        return self.R(torch.cat([decoded, fused], 1))

    def load_backbone(self, state: dict[str, Tensor]) -> None:
        """Take the encoder's weights from a ResNet-50 classifier's state dict."""
        self.E.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")})
