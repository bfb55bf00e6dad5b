"""Nets that start from nothing: a small depth net and a small mask net that takes a share or λ as an input.

Both are U-shaped: a residual encoder to 1/16 of the picture whose last stage is dilated and sees the whole picture
through a pooled vector, and a decoder that adds each encoder stage back. Every upsampling doubles exactly, so H and W
must be multiples of 16. The mask net modulates each decoder stage by a scale and a shift computed from its dial
(feature-wise modulation: Perez et al., FiLM, AAAI 2018), so that one net gives the mask for every share, or that of
Eq. (4) of Hu et al. 2019 for every λ; conditioning one net on its loss's weight follows Dosovitskiy and Djolonga (ICLR
2020).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import BasicBlock, DepthDescription, DepthNet, MaskDescription, conv_bn_relu
from depthcue.nets.lite import ScoredMaskNet

MULTIPLE = 16
DEPTH_WIDTHS = (32, 64, 128, 192, 240)
MASK_WIDTHS = (24, 48, 96, 144, 192)
Widths = tuple[int, int, int, int, int]


class _Encoder(nn.Module):
    """(B, 3, H, W) to features at 1/2, 1/4, 1/8 and 1/16 of the size."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth, context = widths
        self.stem = conv_bn_relu(3, half, stride=2)
        self.stage1 = BasicBlock(half, quarter, stride=2)
        self.stage2 = nn.Sequential(BasicBlock(quarter, eighth, stride=2), BasicBlock(eighth, eighth))
        self.stage3 = nn.Sequential(BasicBlock(eighth, sixteenth, stride=2), BasicBlock(sixteenth, sixteenth))
        self.stage4 = nn.Sequential(BasicBlock(sixteenth, context, dilation=2),
                                    BasicBlock(context, context, dilation=3))
        self.whole = nn.Conv2d(context, context, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = self.stem(x)
        quarter = self.stage1(half)
        eighth = self.stage2(quarter)
        deep = self.stage4(self.stage3(eighth))
        # one vector for the whole picture: the kind of place decides the scale of its depth
        deep = deep + self.whole(deep.mean(dim=(2, 3), keepdim=True))
        return half, quarter, eighth, F.relu(deep)


def double_and_join(x: Tensor, skip: Tensor) -> Tensor:
    """(B, C, h, w) at twice its size, with the encoder's (B, S, 2h, 2w) behind it: (B, C + S, 2h, 2w)."""
    return torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False), skip], 1)


class DoubleStage(nn.Sequential):
    """Doubling, an encoder stage added, then 3×3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, skips: int, outputs: int) -> None:
        super().__init__(*conv_bn_relu(inputs + skips, outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(double_and_join(x, skip))


class CompactDepthNet(DepthNet):
    """`compact`: depth in metres, (B, 1, H/2, W/2), as the exponential of the last convolution."""

    def __init__(self, description: DepthDescription, widths: Widths = DEPTH_WIDTHS,
                 typical_depth_m: float = 2.5) -> None:
        super().__init__(description)
        self.config = {"widths": list(widths), "typical_depth_m": typical_depth_m}
        half, quarter, eighth, sixteenth, context = widths
        self.encoder = _Encoder(widths)
        self.up8 = DoubleStage(context, eighth, eighth)
        self.up4 = DoubleStage(eighth, quarter, quarter)
        self.up2 = DoubleStage(quarter, half, half)
        self.head = nn.Conv2d(half, 1, 3, padding=1)
        self.log_typical = math.log(typical_depth_m)
        self.log_limits = (math.log(0.05), math.log(4 * description.max_depth_m))
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, normalised: Tensor) -> Tensor:
        half, quarter, eighth, deep = self.encoder(normalised)
        x = self.up8(deep, eighth)
        x = self.up4(x, quarter)
        x = self.up2(x, half)
        # the exponential needs float32 whatever the convolutions ran in
        log_depth = self.head(x).float() + self.log_typical
        return log_depth.clamp(*self.log_limits).exp()  # (B, 1, H/2, W/2)


class ModulatedStage(nn.Module):
    """Doubling, an encoder stage added, 3×3 convolution, batch norm, a scale and shift from the condition, ReLU."""

    def __init__(self, inputs: int, skips: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs + skips, outputs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.modulation = nn.Linear(condition, 2 * outputs)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return F.relu(self.bn(self.conv(double_and_join(x, skip))) * (1 + scale) + shift)


class CompactMaskNet(ScoredMaskNet):
    """`compact`: mask (B, 1, H, W) for the share to keep, or the λ, given with each picture."""

    condition_width = 32

    def __init__(self, description: MaskDescription, widths: Widths = MASK_WIDTHS, detail: int = 16) -> None:
        super().__init__(description)
        self.config = {"widths": list(widths), "detail": detail}
        half, quarter, eighth, sixteenth, context = widths
        self.encoder = _Encoder(widths)
        self.condition = nn.Sequential(nn.Linear(1, self.condition_width), nn.ReLU(),
                                       nn.Linear(self.condition_width, self.condition_width), nn.ReLU())
        self.up8 = ModulatedStage(context, eighth, eighth, self.condition_width)
        self.up4 = ModulatedStage(eighth, quarter, quarter, self.condition_width)
        self.up2 = ModulatedStage(quarter, half, half, self.condition_width)
        # thin features at full size, so that the mask can follow single pixels
        self.detail = conv_bn_relu(3, detail)
        self.up1 = ModulatedStage(half, detail, detail, self.condition_width)
        self.head = nn.Conv2d(detail, 1, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        # with λ, start by keeping most of every pixel: from an empty mask there is no gradient to learn from
        nn.init.constant_(self.head.bias, 0.0 if self.keeps_shares else 1.5)  # type: ignore[arg-type]

    def scores(self, normalised: Tensor, dial: Tensor) -> Tensor:
        condition = self.condition(self.dial_feature(dial).to(normalised.dtype)[:, None])  # (B, 32)
        half, quarter, eighth, deep = self.encoder(normalised)
        x = self.up8(deep, eighth, condition)
        x = self.up4(x, quarter, condition)
        x = self.up2(x, half, condition)
        x = self.up1(x, self.detail(normalised), condition)
        return self.head(x).float()
