"""The nets of Hu, Zhang, Okatani (ICCV 2019) and monodepth2's, layer by layer as released, so that state dicts load.

`HuDepthNet`, target net [14] of the paper: Hu, Ozay, Zhang, Okatani, Revisiting Single Image Depth Estimation (WACV
2019). Encoder E (ResNet-50, DenseNet-161 or SENet-154, four maps at 1/4 … 1/32), decoder D (1×1 convolution and four
up-projections to 1/2), multi-scale fusion MFF (each map up-projected to 1/2 with 16 channels, fused by a 5×5
convolution) and refinement R (three 5×5 convolutions on both). Depth in metres at half the input's size.
Deviation: `align_corners` can be False, which nets trained afresh use.

`LainaResNet50`, target net [16]: Laina, Rupprecht, Belagiannis, Tombari, Navab, Deeper Depth Prediction (3DV 2016).
ResNet-50, a 1×1 convolution to 1024 channels, four up-projections to 64, dropout, a 3×3 convolution; 63,563,009
parameters, trained with l1 of depth by Hu et al. An up-projection unpools (every second row and column is zero) and
adds a 5×5 convolution to a 5×5 and a 3×3 one; unpooling and 5×5 convolution are computed at once by four small
convolutions (sec. 3.3). Deviations: each unpooled map is cut to the size of the encoder's map, so that the output is
half the input's size exactly; the last ReLU is left to the lower bound that every depth has here.

`Monodepth2`: the ResNet encoder-decoder of Godard, Mac Aodha, Firman, Brostow (ICCV 2019), for driving. Skips from five
encoder maps, nearest upsampling, reflection padding, ELU, and a sigmoid d at full size that stands for inverse depth:
1/depth = 0.01 + 9.99·d, depth from 0.1 to 100 of the release's units. Nets trained on stereo pairs took the baseline of
0.54 m for 0.1, so a unit is 5.4 m and they predict 1/metres. Nets trained on one camera's video have no unit: they are
relative. Module names, put together, are those of the release's two files, encoder.pth and depth.pth.

`DrnMaskNet`, the paper's mask net (sec. 4.1), 25,259,761 parameters: encoder DRN-D-22 (Yu, Koltun, Funkhouser, Dilated
Residual Networks, CVPR 2017), 512 channels at 1/8 of the input; decoder 512 -> 256 -> 128 -> 64 by up-projections to
the sizes of the encoder's stages at 1/4, 1/2 and 1/1, no skips; 3×3 convolution, sigmoid. Module names follow the
released state dicts: `E.base.0..8`, `D.up1..3`, `D.conv`. Deviation: `align_corners` can be False here too.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import BasicBlock, DepthDescription, DepthNet, MaskDescription, MaskNet, conv_bn_relu
from depthcue.nets.checkpoint import State, load_strict
from depthcue.nets.encoders import DenseNetEncoder, Encoder, Pyramid, ResNetEncoder, SENetEncoder
from depthcue.nets.upsampling import ResidualPair, UpProjection, unpooled_conv, unpooled_kernels

# monodepth2
MIN_DEPTH_UNITS, MAX_DEPTH_UNITS = 0.1, 100.0
STEREO_UNIT_M = 5.4
MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
"""The release of monodepth2 normalises so, whatever its encoder was pre-trained with."""
MULTIPLE = 32
_WIDTHS = (16, 32, 64, 128, 256)
_SCALES = 4


class _HuDecoder(nn.Module):
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
        self.D = _HuDecoder(deepest, align_corners)
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


class UpProjectionUnpooled(ResidualPair):
    """Unpooling, then a residual pair of branches, cut to a given size after the 5×5 convolutions."""

    def _both(self, x: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        # both convolutions see the same map: one pass for the two
        kernels = unpooled_kernels(torch.cat([self.conv1.weight, self.conv2.weight]))
        main, shortcut = unpooled_conv(F.pad(x, (1, 1, 1, 1)), kernels)[:, :, :height, :width].chunk(2, dim=1)
        return main, shortcut


class _LainaDecoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels // 2)
        self.up1 = UpProjectionUnpooled(channels // 2, channels // 4)
        self.up2 = UpProjectionUnpooled(channels // 4, channels // 8)
        self.up3 = UpProjectionUnpooled(channels // 8, channels // 16)
        self.up4 = UpProjectionUnpooled(channels // 16, channels // 32)
        self.dropout = nn.Dropout(0.5)
        self.predict = nn.Conv2d(channels // 32, 1, 3, padding=1)


class LainaResNet50(DepthNet):
    """`laina-resnet50`: depth in metres, (B, 1, H/2, W/2)."""

    def __init__(self, description: DepthDescription) -> None:
        super().__init__(description)
        self.E = ResNetEncoder()
        self.D = _LainaDecoder(self.E.channels[-1])

    def forward(self, normalised: Tensor) -> Tensor:
        stem = self.E.stem(normalised)
        first, second, third, fourth = self.E.stages(stem)
        decoder = self.D
        x = decoder.bn(decoder.conv(fourth))
        x = decoder.up1(x, third.shape[2], third.shape[3])
        x = decoder.up2(x, second.shape[2], second.shape[3])
        x = decoder.up3(x, first.shape[2], first.shape[3])
        x = decoder.up4(x, stem.shape[2], stem.shape[3])
        return decoder.predict(decoder.dropout(x))  # (B, 1, H/2, W/2)

    def load_backbone(self, state: State, source: str) -> None:
        """Take the encoder's weights from a ResNet-50 classifier's state dict."""
        self.E.load_classifier(state, source)


class _Conv3x3(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))


class _ConvElu(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = _Conv3x3(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.conv(x), inplace=True)


def _decoder(skips: tuple[int, ...]) -> nn.ModuleList:
    """Convolutions in the order of the release: two a level from 1/32 up, then one prediction a scale."""
    layers: list[nn.Module] = []
    below = skips[-1]
    for level in reversed(range(len(_WIDTHS))):
        width = _WIDTHS[level]
        layers.append(_ConvElu(below, width))
        layers.append(_ConvElu(width + (skips[level - 1] if level else 0), width))
        below = width
    finest, *coarser = [_Conv3x3(_WIDTHS[scale], 1) for scale in range(_SCALES)]
    for prediction in coarser:
        # for the release's loss over scales: kept so that its files fit, frozen because nothing uses them
        prediction.requires_grad_(False)
    return nn.ModuleList([*layers, finest, *coarser])


class Monodepth2(DepthNet):
    """Inverse depth (B, 1, H, W), in 1/metres where `unit_m` is known; the subclasses name the encoder."""

    layers: int

    def __init__(self, description: DepthDescription, unit_m: float = STEREO_UNIT_M) -> None:
        """`unit_m`: metres to the unit of the release's depth; 1 for a relative net, which has none."""
        super().__init__(description)
        self.config = {"unit_m": unit_m}
        self.unit_m = unit_m
        self.encoder = ResNetEncoder(self.layers)
        self.decoder = _decoder((64, *self.encoder.channels))

    def forward(self, normalised: Tensor) -> Tensor:
        stem = self.encoder.stem(normalised)
        skips = [stem, *self.encoder.stages(stem)]
        x = skips.pop()
        levels = len(_WIDTHS)
        for step in range(levels):
            x = F.interpolate(self.decoder[2 * step](x), scale_factor=2.0, mode="nearest")
            if skips:
                x = torch.cat([x, skips.pop()], 1)
            x = self.decoder[2 * step + 1](x)
        disparity = torch.sigmoid(self.decoder[2 * levels](x).float())  # (B, 1, H, W)
        nearest, farthest = 1 / MIN_DEPTH_UNITS, 1 / MAX_DEPTH_UNITS
        return (farthest + (nearest - farthest) * disparity) / self.unit_m

    def load_backbone(self, state: State, source: str) -> None:
        """Take the encoder's weights from a ResNet classifier's state dict."""
        self.encoder.load_classifier(state, source)


class Monodepth2ResNet18(Monodepth2):
    """`monodepth2-resnet18`."""

    layers = 18


class Monodepth2ResNet50(Monodepth2):
    """`monodepth2-resnet50`."""

    layers = 50


class _DilatedEncoder(nn.Module):
    """DRN-D-22 without its pooling and classifier."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 16, 7, padding=3, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.base = nn.Sequential(
            stem,
            conv_bn_relu(16, 16),
            conv_bn_relu(16, 32, stride=2),
            nn.Sequential(BasicBlock(32, 64, stride=2), BasicBlock(64, 64)),
            nn.Sequential(BasicBlock(64, 128, stride=2), BasicBlock(128, 128)),
            nn.Sequential(BasicBlock(128, 256, dilation=2), BasicBlock(256, 256, dilation=2)),
            nn.Sequential(BasicBlock(256, 512, dilation=4), BasicBlock(512, 512, dilation=4)),
            conv_bn_relu(512, 512, dilation=2),
            conv_bn_relu(512, 512),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
        """(B, 3, H, W) to (B, 512, H/8, W/8), and the (height, width) of the stages at 1/1, 1/2 and 1/4."""
        sizes = []
        for stage, layer in enumerate(self.base):
            x = layer(x)
            if stage in (1, 2, 3):
                sizes.append((x.shape[2], x.shape[3]))
        return x, sizes


class _DrnDecoder(nn.Module):
    def __init__(self, align_corners: bool) -> None:
        super().__init__()
        self.up1 = UpProjection(512, 256, align_corners)
        self.up2 = UpProjection(256, 128, align_corners)
        self.up3 = UpProjection(128, 64, align_corners)
        self.conv = nn.Conv2d(64, 1, 3, padding=1)

    def forward(self, x: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        full, half, quarter = sizes
        x = self.up1(x, *quarter)  # (B, 256, H/4, W/4)
        x = self.up2(x, *half)  # (B, 128, H/2, W/2)
        x = self.up3(x, *full)  # (B, 64, H, W)
        return torch.sigmoid(self.conv(x))


class DrnMaskNet(MaskNet):
    """`drn22`: the mask net of Hu et al. 2019, for the one λ it was trained with."""

    def __init__(self, description: MaskDescription, align_corners: bool = False) -> None:
        super().__init__(description)
        self.config = {"align_corners": align_corners}
        self.E = _DilatedEncoder()
        self.D = _DrnDecoder(align_corners)

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        features, sizes = self.E(normalised)
        return self.D(features, sizes)

    def load_backbone(self, state: State, source: str) -> None:
        """Take the encoder's weights from a DRN-D-22 classifier's state dict (`layer0.0.weight`, …, `fc.*`)."""
        kept = {key.replace("layer", "base.", 1): value for key, value in state.items() if not key.startswith("fc.")}
        load_strict(self.E, kept, source)
