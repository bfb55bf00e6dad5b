"""The paper's mask net: a DRN-D-22 encoder and three up-projections, 25,259,761 parameters.

Encoder of Yu, Koltun, Funkhouser (Dilated Residual Networks, CVPR 2017): 512 channels at 1/8 of the input. Decoder
512 -> 256 -> 128 -> 64 to the sizes of the encoder's stages at 1/4, 1/2 and 1/1, no skips, 3×3 convolution, sigmoid
(Hu, Zhang, Okatani, ICCV 2019, sec. 4.1). Module names follow the released state dicts: `E.base.0..8`, `D.up1..3`,
`D.conv`. Deviation: `align_corners` can be False, which nets trained afresh use.
"""

import torch
from torch import Tensor, nn

from depthcue.nets.base import MaskDescription, MaskNet
from depthcue.nets.blocks import BasicBlock, UpProjection, conv_bn_relu
from depthcue.nets.checkpoint import State, load_strict


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


class _Decoder(nn.Module):
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
        self.D = _Decoder(align_corners)

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        features, sizes = self.E(normalised)
        return self.D(features, sizes)

    def load_backbone(self, state: State, source: str) -> None:
        """Take the encoder's weights from a DRN-D-22 classifier's state dict (`layer0.0.weight`, …, `fc.*`)."""
        kept = {key.replace("layer", "base.", 1): value for key, value in state.items() if not key.startswith("fc.")}
        load_strict(self.E, kept, source)
