"""The paper's target net [16]: Laina, Rupprecht, Belagiannis, Tombari, Navab, Deeper Depth Prediction (3DV 2016).

ResNet-50, a 1×1 convolution to 1024 channels, four up-projections to 64, dropout, a 3×3 convolution; 63,563,009
parameters, trained with l1 of depth by Hu et al. An up-projection unpools (every second row and column zero) and adds
a 5×5 convolution to a 5×5 and a 3×3 one. Unpooling and 5×5 convolution are computed at once by four small convolutions,
as in the paper's section 3.3. Deviations: each unpooled map is cut to the size of the encoder's map there, so that the
output is half the input's size exactly; the last ReLU is left to the bound from below that every depth has here.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets.base import DepthDescription, DepthNet
from depthcue.nets.checkpoint import State
from depthcue.nets.encoders import ResNetEncoder

DROPOUT = 0.5


def conv_of_unpooled(x: Tensor, weight: Tensor) -> Tensor:
    """5×5 convolution (zero padding 2) of the unpooled map: (B, C, h, w) to (B, O, 2h, 2w).

    Unpooling puts x[i, j] at [2i, 2j] and zeros elsewhere. An even output row meets only the kernel's rows 0, 2, 4, an
    odd one only rows 1, 3; columns likewise.

    Args:
        weight: (O, C, 5, 5).
    """
    rows = []
    for row in (0, 1):
        # pad is left, right, top, bottom: three taps reach one cell back and one ahead, two taps one ahead
        cells = [F.conv2d(F.pad(x, (1 - column, 1, 1 - row, 1)), weight[:, :, row::2, column::2])
                 for column in (0, 1)]
        rows.append(torch.stack(cells, dim=-1).flatten(-2))  # (B, O, h, 2w)
    return torch.stack(rows, dim=-2).flatten(-3, -2)  # (B, O, 2h, 2w)


class UpProjectionUnpooled(nn.Module):
    """Unpooling, then ReLU( BN(3×3(ReLU(BN(5×5(x))))) + BN(5×5(x)) ), cut to a given size after the 5×5s."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv1_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1_2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        # both 5×5 convolutions see the same map: one pass for the two
        both = conv_of_unpooled(x, torch.cat([self.conv1.weight, self.conv2.weight]))[:, :, :height, :width]
        main, shortcut = both.chunk(2, dim=1)
        main = self.bn1_2(self.conv1_2(F.relu(self.bn1(main), inplace=True)))
        return F.relu(main + self.bn2(shortcut), inplace=True)


class _Decoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels // 2)
        self.up1 = UpProjectionUnpooled(channels // 2, channels // 4)
        self.up2 = UpProjectionUnpooled(channels // 4, channels // 8)
        self.up3 = UpProjectionUnpooled(channels // 8, channels // 16)
        self.up4 = UpProjectionUnpooled(channels // 16, channels // 32)
        self.dropout = nn.Dropout(DROPOUT)
        self.predict = nn.Conv2d(channels // 32, 1, 3, padding=1)


class LainaResNet50(DepthNet):
    """`laina-resnet50`: depth in metres, (B, 1, H/2, W/2)."""

    def __init__(self, description: DepthDescription) -> None:
        super().__init__(description)
        self.E = ResNetEncoder()
        self.D = _Decoder(self.E.channels[-1])

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
