"""A depth net for driving: the ResNet encoder-decoder of Godard, Mac Aodha, Firman, Brostow (monodepth2, ICCV 2019).

Skips from five encoder maps, nearest upsampling, reflection padding, ELU, and a sigmoid d at full size that stands for
inverse depth: 1/depth = 0.01 + 9.99·d, depth from 0.1 to 100 of the release's units. Nets trained on stereo pairs took
the baseline of 0.54 m for 0.1, so a unit is 5.4 m: they predict 1/metres. Nets trained on one camera's video know no
unit: they are relative. Module names, put together, are those of the release's two files, encoder.pth and depth.pth.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import DepthDescription, DepthNet
from depthcue.nets.checkpoint import State
from depthcue.nets.encoders import ResNetEncoder

MIN_DEPTH_UNITS, MAX_DEPTH_UNITS = 0.1, 100.0
STEREO_UNIT_M = 5.4
MEAN, STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
"""The release normalises so, whatever its encoder was pre-trained with."""
MULTIPLE = 32
_WIDTHS = (16, 32, 64, 128, 256)
_SCALES = 4


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
        # they served the release's loss over scales; kept so that its files fit, frozen because nothing asks them
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
