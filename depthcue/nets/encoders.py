"""Encoders of the paper's depth nets: image classifiers without their heads, as pyramids of features.

Module names follow the released state dicts of Hu et al. (`E.layer1…`, `E.features…`, `E.base.0..4`), which are the
classifiers' own. ResNet (He et al., CVPR 2016) and DenseNet-161 (Huang et al., CVPR 2017) are torchvision's; SENet-154
(Hu, Shen, Sun, CVPR 2018), which torchvision lacks, is timm's.
"""

from collections import OrderedDict
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.errors import DepthcueError
from depthcue.nets.checkpoint import State, load_strict

Pyramid = list[Tensor]
RESNET_CHANNELS = {18: (64, 128, 256, 512), 50: (256, 512, 1024, 2048)}


class Encoder(nn.Module):
    """A normalised picture (B, 3, H, W) to four maps of features at about 1/4, 1/8, 1/16 and 1/32 of its size."""

    channels: tuple[int, int, int, int]
    """Of the four maps."""

    def forward(self, normalised: Tensor) -> Pyramid:
        raise NotImplementedError

    def load_classifier(self, state: State, source: str) -> None:
        """Take the weights of an image classifier of this architecture; its head is left out.

        Raises:
            DepthcueError: tensors are missing, unexpected or of another shape.
        """
        load_strict(self, self._without_head(state), source)

    def _without_head(self, state: State) -> State:
        raise NotImplementedError


class ResNetEncoder(Encoder):
    """ResNet of 18 or 50 layers; `stem` gives the map at 1/2 as well, for decoders that want it."""

    def __init__(self, layers: int = 50) -> None:
        super().__init__()
        from torchvision.models import resnet18, resnet50

        resnet = {18: resnet18, 50: resnet50}[layers](weights=None)
        self.channels = RESNET_CHANNELS[layers]
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4)

    def stem(self, normalised: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 64, H/2, W/2)."""
        return F.relu(self.bn1(self.conv1(normalised)), inplace=True)

    def stages(self, stem: Tensor) -> Pyramid:
        """The four maps from the stem's."""
        first = self.layer1(F.max_pool2d(stem, 3, stride=2, padding=1))
        second = self.layer2(first)
        third = self.layer3(second)
        return [first, second, third, self.layer4(third)]

    def forward(self, normalised: Tensor) -> Pyramid:
        return self.stages(self.stem(normalised))

    def _without_head(self, state: State) -> State:
        return {key: value for key, value in state.items() if not key.startswith("fc.")}


class DenseNetEncoder(Encoder):
    """DenseNet-161, tapped after each transition's convolution, before its pooling."""

    channels = (192, 384, 1056, 2208)

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import densenet161

        self.features = densenet161(weights=None).features

    def forward(self, normalised: Tensor) -> Pyramid:
        layers = self.features
        x = layers.pool0(layers.relu0(layers.norm0(layers.conv0(normalised))))
        maps = []
        for block, transition in ((layers.denseblock1, layers.transition1), (layers.denseblock2, layers.transition2),
                                  (layers.denseblock3, layers.transition3)):
            x = transition.conv(transition.relu(transition.norm(block(x))))
            maps.append(x)
            x = transition.pool(x)
        return [*maps, F.relu(layers.norm5(layers.denseblock4(x)), inplace=True)]

    def _without_head(self, state: State) -> State:
        return {key: value for key, value in state.items() if not key.startswith("classifier.")}


class SENetEncoder(Encoder):
    """SENet-154: `base` holds the stem with its pooling, and the four stages."""

    channels = (256, 512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        net: Any = senet154()
        stem = nn.Sequential(OrderedDict([*net.layer0.named_children(), ("pool", net.pool0)]))
        self.base = nn.Sequential(stem, net.layer1, net.layer2, net.layer3, net.layer4)

    def forward(self, normalised: Tensor) -> Pyramid:
        x = self.base[0](normalised)
        maps = []
        for stage in self.base[1:]:
            x = stage(x)
            maps.append(x)
        return maps

    def _without_head(self, state: State) -> State:
        return {key.replace("layer", "base.", 1): value for key, value in state.items()
                if not key.startswith("last_linear.")}


def senet154(pretrained: bool = False) -> nn.Module:
    """timm's SENet-154 classifier, with ImageNet weights (downloaded once) where `pretrained`.

    Raises:
        DepthcueError: timm is not installed.
    """
    try:
        import timm
    except ImportError:
        raise DepthcueError("SENet-154 comes from timm, which is not installed",
                            "Install it: pip install 'depthcue[backbones]'.") from None
    return timm.create_model("legacy_senet154", pretrained=pretrained)
