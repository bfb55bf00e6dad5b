"""Names of nets, and how a spec becomes a net.

A spec is the name of a shipped net (`compact-indoor`), `NAME:PATH` (a checkpoint of that architecture) or the path of a
.safetensors file whose card says what it is.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthDescription, DepthNet, MaskDescription, MaskNet
from depthcue.nets.checkpoint import State, load_strict, read_card, read_state
from depthcue.nets.compact import MULTIPLE, CompactDepthNet, CompactMaskNet
from depthcue.nets.drn import DRN_D_22_URL, DrnMaskNet
from depthcue.nets.hu2019 import HuDepthNet

SHIPPED = ("compact-indoor", "compact-road")
"""Each names a depth net (as a target) and its mask net (as weights)."""

DEPTH_NETS: dict[str, Callable[..., DepthNet]] = {"compact": CompactDepthNet, "hu-resnet50": HuDepthNet}
MASK_NETS: dict[str, Callable[..., MaskNet]] = {"compact": CompactMaskNet, "drn22": DrnMaskNet}

_PAPER = "Hu, Zhang, Okatani, ICCV 2019"
DEPTH_DEFAULTS = {
    "compact": DepthDescription("compact", 144, 192, MULTIPLE, licence="MIT", source="depthcue"),
    "hu-resnet50": DepthDescription("hu-resnet50", 228, 304, 4, source="Hu et al., WACV 2019"),
}
MASK_DEFAULTS = {
    "compact": MaskDescription("compact", "", 144, 192, MULTIPLE, default_lambda=2.0, licence="MIT",
                               source="depthcue"),
    "drn22": MaskDescription("drn22", "hu-resnet50", 228, 304, 4, default_lambda=5.0, source=_PAPER),
}


def weights_folder() -> Path:
    """Where the shipped weights lie: inside an installed package, beside the package in a source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def load_depth_net(spec: str, device: str | torch.device = "cpu") -> DepthNet:
    """Load a depth net N in eval mode.

    Raises:
        DepthcueError: unknown name, missing file, weights that do not fit, a mask net.
    """
    name, path = _resolve(spec, "depth", DEPTH_NETS)
    net = _load(name, path, "depth", DEPTH_NETS, DEPTH_DEFAULTS, DepthDescription)
    assert isinstance(net, DepthNet)
    return net.to(device).eval()


def load_mask_net(spec: str, device: str | torch.device = "cpu") -> MaskNet:
    """Load a mask net G in eval mode.

    Raises:
        DepthcueError: unknown name, missing file, weights that do not fit, a depth net.
    """
    name, path = _resolve(spec, "mask", MASK_NETS)
    net = _load(name, path, "mask", MASK_NETS, MASK_DEFAULTS, MaskDescription)
    assert isinstance(net, MaskNet)
    return net.to(device).eval()


def build_depth_net(architecture: str, *, backbone: str = "none", seed: int = 0,
                    config: dict[str, Any] | None = None, **description: Any) -> DepthNet:
    """A fresh depth net; `description` replaces fields of the architecture's defaults.

    `backbone` is `none`, `imagenet` (downloaded by torchvision's loader) or the path of a classifier's state dict.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _known(architecture, DEPTH_NETS, "depth net")(
            dataclasses.replace(DEPTH_DEFAULTS[architecture], **description), **config or {})
    _load_backbone(net, architecture, backbone)
    return net


def build_mask_net(architecture: str, *, backbone: str = "none", seed: int = 0,
                   config: dict[str, Any] | None = None, **description: Any) -> MaskNet:
    """A fresh mask net; `description` replaces fields of the architecture's defaults. `backbone` as above."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _known(architecture, MASK_NETS, "mask net")(
            dataclasses.replace(MASK_DEFAULTS[architecture], **description), **config or {})
    _load_backbone(net, architecture, backbone)
    return net


def _known(name: str, registry: dict[str, Any], what: str) -> Any:
    if name not in registry:
        raise DepthcueError(f"there is no {what} called {name!r}", f"Known: {', '.join(registry)}.")
    return registry[name]


def _resolve(spec: str, kind: str, registry: dict[str, Any]) -> tuple[str | None, Path]:
    """The architecture (None: the card says it) and the file a spec names."""
    if spec in SHIPPED:
        return None, weights_folder() / f"{spec}-{kind}.safetensors"
    if spec.endswith(".onnx"):
        raise DepthcueError(f"{spec} is an exported graph; this needs the net itself",
                            "Give the .safetensors it was exported from.")
    name, colon, rest = spec.partition(":")
    if colon and name in registry:
        return name, Path(rest)
    if spec.endswith(".safetensors"):
        return None, Path(spec)
    if name in registry:
        raise DepthcueError(f"{name} comes without weights", f"Give a checkpoint: {name}:PATH.")
    raise DepthcueError(
        f"{spec!r} names no {kind} net",
        f"Give {', '.join(SHIPPED)}, {', '.join(f'{known}:PATH' for known in registry)}, or a .safetensors file.")


def _load(name: str | None, path: Path, kind: str, registry: dict[str, Callable[..., Any]],
          defaults: dict[str, Any], description_type: type) -> DepthNet | MaskNet:
    state = read_state(path)
    if path.suffix == ".safetensors":
        card = read_card(path)
        if card.get("kind") != kind:
            raise DepthcueError(f"{path} is a {card.get('kind')} net; a {kind} net is wanted here",
                                "--target takes a depth net, --weights a mask net.")
        if name is not None and card["architecture"] != name:
            raise DepthcueError(f"{path} is a {card['architecture']}, not a {name}",
                                f"Give {card['architecture']}:{path}.")
        build = _known(card["architecture"], registry, f"{kind} net")
        net = build(description_type(**_fields(card["description"])), **card.get("config", {}))
        net.card = card
    else:
        # a released state dict has no card; those nets were trained with torch 0.3's bilinear upsampling
        assert name is not None
        config = {} if name == "compact" else {"align_corners": True}
        net = registry[name](defaults[name], **config)
        net.card = {"kind": kind, "architecture": name, "config": config, "source_file": str(path)}
    load_strict(net, state, path)
    return net


def _fields(description: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the dataclass has tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in description.items()}


def _load_backbone(net: DepthNet | MaskNet, architecture: str, backbone: str) -> None:
    if backbone == "none":
        return
    load: Callable[[State], None] | None = getattr(net, "load_backbone", None)
    if load is None:
        raise DepthcueError(f"{architecture} has no pre-trained backbone", "Leave --backbone out.")
    load(_imagenet_state(architecture) if backbone == "imagenet" else read_state(backbone))


def _imagenet_state(architecture: str) -> State:
    """Download ImageNet weights through their publishers' loaders; needs internet once, then a cache."""
    try:
        if architecture == "drn22":
            return torch.hub.load_state_dict_from_url(DRN_D_22_URL, map_location="cpu", weights_only=True)
        from torchvision.models import ResNet50_Weights

        return ResNet50_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
    except OSError as error:
        raise DepthcueError(f"the ImageNet weights for {architecture} could not be downloaded: {error}",
                            "Give --backbone FILE with a state dict you have, or --backbone none.") from error
