"""Nets by spec: the registries of architectures, loading, building fresh nets, and converting released checkpoints.

A spec is the name of a shipped net (`compact-indoor`), `NAME:PATH` (a checkpoint of that architecture) or a path: of a
.safetensors file with a card, or of a checkpoint that others released, whose keys and shapes tell what it is. Its name
does not: some copies of the released files hold N under the mask net's name. Other depth nets: see `foreign`.
"""

import dataclasses
import logging
import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from depthcue.errors import DepthcueError, did_you_mean
from depthcue.nets.base import INVERSE_DEPTH, DepthDescription, DepthNet, MaskDescription, MaskNet, description_from
from depthcue.nets.checkpoint import DEPTH, MASK, card_path, load_strict, read_card, read_with_card, save_net
from depthcue.nets.compact import MULTIPLE, CompactDepthNet, CompactMaskNet
from depthcue.nets.encoders import load_backbone
from depthcue.nets.exported import ExportedMaskNet
from depthcue.nets.foreign import KINDS, SPECS, is_foreign, open_foreign
from depthcue.nets.foreign.adapter import split_spec
from depthcue.nets.guard import check_depth_net
from depthcue.nets.lite import MULTIPLE as LITE_MULTIPLE
from depthcue.nets.lite import SCALES, LiteDepthNet, LiteMaskNet
from depthcue.nets.published import (
    MEAN,
    STD,
    DrnMaskNet,
    HuDenseNet161,
    HuResNet50,
    HuSENet154,
    LainaResNet50,
    Monodepth2ResNet18,
    Monodepth2ResNet50,
)
from depthcue.nets.published import MULTIPLE as MONODEPTH2_MULTIPLE
from depthcue.nets.released import (
    FORM,
    WEIGHTS,
    Released,
    digest,
    fetch_mask_net,
    files_of,
    is_published,
    read_released,
)

log = logging.getLogger(__name__)

SHIPPED = ("compact-indoor", "compact-road")
"""Each names a depth net (as a target) and its mask net (as weights)."""

GENERAL = "general"
"""The shipped mask net that trainings start from; a first guess for a depth net without a mask net of its own."""

EXPLAINED = ("fastdepth", "pydnet-kitti")
"""Mask nets among the shipped weights for depth nets of others, whose files come from their publishers."""

DEPTH_NETS: dict[str, Callable[..., DepthNet]] = {
    **{size: partial(LiteDepthNet, size=size) for size in SCALES}, "compact": CompactDepthNet,
    "hu-resnet50": HuResNet50, "hu-densenet161": HuDenseNet161, "hu-senet154": HuSENet154,
    "laina-resnet50": LainaResNet50,
    "monodepth2-resnet18": Monodepth2ResNet18, "monodepth2-resnet50": Monodepth2ResNet50,
}
MASK_NETS: dict[str, Callable[..., MaskNet]] = {
    **{size: partial(LiteMaskNet, size=size) for size in SCALES}, "compact": CompactMaskNet, "drn22": DrnMaskNet}

_PREFIX = re.compile(r"\s*([A-Za-z][\w+.-]+):")
"""Text before the first colon of a spec; a single letter is a drive."""
_PAPER = "Hu, Zhang, Okatani, ICCV 2019"
DEPTH_DEFAULTS = {
    **{size: DepthDescription(size, 192, 256, LITE_MULTIPLE, licence="MIT", source="depthcue") for size in SCALES},
    "compact": DepthDescription("compact", 144, 192, MULTIPLE, licence="MIT", source="depthcue"),
    **{name: DepthDescription(name, 228, 304, 4, source="Hu et al., WACV 2019")
       for name in ("hu-resnet50", "hu-densenet161", "hu-senet154")},
    "laina-resnet50": DepthDescription("laina-resnet50", 228, 304, 4, source="Laina et al., 3DV 2016"),
    **{name: DepthDescription(name, 192, 640, MONODEPTH2_MULTIPLE, predicts=INVERSE_DEPTH, max_depth_m=80.0, mean=MEAN,
                              std=STD, source="Godard et al., ICCV 2019")
       for name in ("monodepth2-resnet18", "monodepth2-resnet50")},
}
MASK_DEFAULTS = {
    **{size: MaskDescription(size, "", 192, 256, LITE_MULTIPLE, default_lambda=2.0, licence="MIT", source="depthcue")
       for size in SCALES},
    "compact": MaskDescription("compact", "", 144, 192, MULTIPLE, default_lambda=2.0, licence="MIT",
                               source="depthcue"),
    "drn22": MaskDescription("drn22", "hu-resnet50", 228, 304, 4, default_lambda=5.0, source=_PAPER),
}


def weights_folder() -> Path:
    """Folder of the shipped weights: inside an installed package, beside the package in a source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"


def load_depth_net(spec: str, device: str | torch.device = "cpu") -> DepthNet:
    """Load a depth net N in eval mode. A net that others made is tried out first (`guard`).

    The graph that a shipped mask net explains is known by its bytes: what a user leaves unsaid of it, its card says.

    Raises:
        DepthcueError: unknown name, missing file, weights that do not fit, a mask net, a net of others that fails or
            gives no depth map.
    """
    if is_foreign(spec):
        explained = _explained(spec)
        if explained is not None:
            given = split_spec(spec)[1]
            known = split_spec(str(_shipped_card(explained)["description"]["target"]))[1]
            spec += "".join(f",{key}={value}" for key, value in known.items() if key not in given)
        foreign = open_foreign(spec).to(device).eval()
        check_depth_net(foreign, spec)
        return foreign
    name, path = _resolve(spec, "depth", DEPTH_NETS)
    net = _load(name, path, "depth", DEPTH_NETS, DepthDescription)
    assert isinstance(net, DepthNet)
    return net.to(device).eval()


def spec_from_file(spec: str, source: str) -> str:
    """The spec of a depth net that a file names, once it is clear that opening it only reads data.

    Cards, graphs' cards, results and run folders come from anyone. They may name a shipped net, `NAME:PATH`,
    `onnx:FILE` or a path. All other kinds run code, or fetch from the network, and the user has to type them.

    Args:
        source: the file, or what it belongs to, for the message.

    Raises:
        DepthcueError: the spec is of a kind that the user has to type; the hint is the option to type.
    """
    prefix = _PREFIX.match(spec)
    if prefix is None or prefix[1] in ("onnx", *DEPTH_NETS, *MASK_NETS):  # opening a mask net fails with a message
        return spec
    raise DepthcueError(f"{source} names {spec} as its depth net; a file may name shipped nets and data files alone, "
                        f"and {prefix[1]}: is neither: it may run code or use the network",
                        f"Where you trust it, give --target {shlex.quote(spec)} yourself.")


def load_target_of(description: MaskDescription, source: str, device: str | torch.device = "cpu") -> DepthNet:
    """Load the depth net that a mask net's card names, as `load_depth_net`.

    Args:
        source: the file that the description comes from, for messages.

    Raises:
        DepthcueError: besides, none is named, or one that the user has to type (see `spec_from_file`).
    """
    if not description.target:
        raise DepthcueError(f"{source} does not say for which depth net it is", "Name it with --target.")
    if description.target.startswith("onnx:PATH"):  # as cards name a file that does not come with them
        raise DepthcueError(f"{source} explains a network whose file is not here",
                            f"Name it with --target {description.target.replace('PATH', 'FILE')}.")
    return load_depth_net(spec_from_file(description.target, source), device)


def warn_of_other_target(description: MaskDescription, weights: str, target: str) -> None:
    """Log a warning where a mask net is used with a depth net that it was not trained for.

    Args:
        weights: spec of the mask net, which `description` is of.
        target: spec of the depth net.
    """
    trained_for = description.target
    if not trained_for or weights == GENERAL or trained_for == target or description.name == mask_net_for(target):
        return
    if Path(trained_for).exists() and Path(target).exists() and Path(trained_for).samefile(target):
        return
    own = mask_net_for(target)
    remedy = (f"Train one for {target}: depthcue train --target {shlex.quote(target)} --data folder:PICTURES"
              if own == GENERAL else f"{target} has a mask net of its own: --weights {own}.")
    log.warning("the mask net %s was trained for the depth net %s, not for %s: these masks say what %s looks at. %s",
                weights, trained_for, target, trained_for, remedy)


def mask_net_for(target: str | None) -> str:
    """The spec of the mask net for a depth net where none is named: its own of the shipped ones, else the general one.

    A graph of others has a mask net of its own where its file is, byte by byte, the one that a shipped mask net was
    trained for.

    Args:
        target: spec of the depth net; the shipped net for rooms where None.
    """
    if target is None:
        return SHIPPED[0]
    if target in SHIPPED:
        return target
    return (_explained(target) if is_foreign(target) else None) or GENERAL


def _explained(spec: str) -> str | None:
    """Name of the shipped mask net that explains the graph of a foreign spec; None where none does."""
    graph = Path(split_spec(spec)[0].removeprefix("onnx:"))
    if graph.suffix != ".onnx" or not graph.is_file():
        return None
    sha256 = digest(graph)
    return next((name for name in EXPLAINED if _shipped_card(name).get("target_sha256") == sha256), None)


def _shipped_card(name: str) -> dict[str, Any]:
    return read_card(weights_folder() / f"{name}-mask.safetensors")


def load_mask_net(spec: str, device: str | torch.device = "cpu") -> MaskNet:
    """Load a mask net G in eval mode; an exported graph is one too, a black box without weights.

    A run folder stands for its mask.safetensors; `hub:OWNER/NAME` is fetched from the Hugging Face hub (see
    `released`).

    Raises:
        DepthcueError: unknown name, missing file, weights that do not fit, a depth net, nothing on the hub.
    """
    if is_published(spec):
        spec = str(fetch_mask_net(spec))
    if spec.endswith(".onnx"):
        return ExportedMaskNet(Path(spec)).to(device).eval()
    folder = Path(spec)
    if (folder / WEIGHTS).is_file():
        spec = str(folder / WEIGHTS)
    elif (folder / "config.json").is_file() and (folder / "metrics.jsonl").is_file():
        raise DepthcueError(f"{spec} is a training that is not finished: it holds no {WEIGHTS}",
                            f"Go on with depthcue train --resume --out {shlex.quote(spec)}, with the same options.")
    name, path = _resolve(spec, "mask", MASK_NETS)
    net = _load(name, path, "mask", MASK_NETS, MaskDescription)
    assert isinstance(net, MaskNet)
    return net.to(device).eval()


def build_depth_net(architecture: str, *, backbone: str = "none", seed: int = 0,
                    config: dict[str, Any] | None = None, **description: Any) -> DepthNet:
    """A fresh depth net; `description` replaces fields of the architecture's defaults.

    `backbone` is `none`, `imagenet` (downloaded by its publisher's loader) or the path of the state dict of a
    classifier or of a net with this encoder.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _known(architecture, DEPTH_NETS, "depth net")(
            dataclasses.replace(DEPTH_DEFAULTS[architecture], **description), **config or {})
    load_backbone(net, architecture, backbone)
    return net


def build_mask_net(architecture: str, *, backbone: str = "none", seed: int = 0,
                   config: dict[str, Any] | None = None, **description: Any) -> MaskNet:
    """A fresh mask net; `description` replaces fields of the architecture's defaults. `backbone` as above."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _known(architecture, MASK_NETS, "mask net")(
            dataclasses.replace(MASK_DEFAULTS[architecture], **description), **config or {})
    load_backbone(net, architecture, backbone)
    return net


def _known(name: str, registry: dict[str, Any], what: str) -> Any:
    if name not in registry:
        raise DepthcueError(f"there is no {what} called {name!r}",
                            f"{did_you_mean(name, registry)}Known: {', '.join(registry)}.")
    return registry[name]


def _resolve(spec: str, kind: str, registry: dict[str, Any]) -> tuple[str | None, Path]:
    """The architecture (None: that of the card) and the file that a spec names."""
    if spec in SHIPPED:
        return None, weights_folder() / f"{spec}-{kind}.safetensors"
    if kind == "mask" and spec in (GENERAL, *EXPLAINED):
        return None, weights_folder() / f"{spec}-mask.safetensors"
    if is_foreign(spec):
        raise DepthcueError(f"{spec} is the spec of a depth net; a {kind} net is wanted here",
                            "Give a .safetensors file, or an .onnx that depthcue export wrote.")
    if spec.endswith(".engine"):
        raise DepthcueError(f"{spec} is an engine, which masks pictures and nothing else; this needs the net itself",
                            "Give the .safetensors, or the .onnx.")
    name, colon, rest = spec.partition(":")
    if colon and name in registry:
        return name, Path(rest)
    if spec.endswith(".safetensors"):
        return None, Path(spec)
    if name in registry:
        raise DepthcueError(f"{name} comes without weights", f"Give a checkpoint: {name}:PATH.")
    if name in DEPTH_NETS or name in MASK_NETS:
        raise DepthcueError(f"{name} is a {MASK if kind == DEPTH else DEPTH} net; a {kind} net is wanted here",
                            "--target takes a depth net, --weights a mask net.")
    if Path(spec).exists():
        return None, Path(spec)
    if colon and (near := did_you_mean(name, [*registry, *KINDS])):  # a typing mistake before the colon
        raise DepthcueError(f"{spec!r} names no {kind} net: there is no {name}", near.strip())
    alone = (GENERAL, *EXPLAINED) if kind == "mask" else ()
    known = [*SHIPPED, *alone, *(f"{name}:PATH" for name in registry), SPECS if kind == "depth" else FORM]
    near = did_you_mean(spec, [*SHIPPED, *alone, *registry, *(str(each) for each in _beside(Path(spec)))])
    raise DepthcueError(f"{spec!r} names no {kind} net, and there is no such file",
                        f"{near}Give {', '.join(known)}, or the path of a checkpoint.")


def _beside(path: Path) -> list[Path]:
    """Files of nets in the folder of a path."""
    try:
        return [each for each in path.parent.iterdir() if each.suffix in (".safetensors", ".onnx", ".pth", ".pt")]
    except OSError:
        return []


def _load(name: str | None, path: Path, kind: str, registry: dict[str, Callable[..., Any]],
          description_type: type[Any]) -> DepthNet | MaskNet:
    if path.suffix == ".safetensors" and (name is None or card_path(path).exists()):
        state, card = read_with_card(path)
        if card.get("kind") != kind:
            raise DepthcueError(f"{path} is a {card.get('kind')} net; a {kind} net is wanted here",
                                "--target takes a depth net, --weights a mask net.")
        if name is not None and card["architecture"] != name:
            raise DepthcueError(f"{path} is a {card['architecture']}, not a {name}",
                                f"Give {card['architecture']}:{path}.")
        build = _known(card["architecture"], registry, f"{kind} net")
        try:
            net = build(description_from(description_type, card["description"]), **card.get("config", {}))
        except Exception as error:  # an architecture may raise anything where the numbers do not fit together
            raise DepthcueError(f"the config in {card_path(path)} builds no {card['architecture']}: {error}",
                                "Keep the card that was written with the weights.") from error
        net.card = card
    else:
        return net_of(read_released(path, kind, name), path)
    load_strict(net, state, path)
    return net


def net_of(released: Released, path: Path) -> DepthNet | MaskNet:
    """The net that a checkpoint without a card belongs to, with its weights.

    Raises:
        DepthcueError: there is no such architecture, or the weights do not fit it.
    """
    name = released.architecture
    depth = released.kind == DEPTH
    build = _known(name, DEPTH_NETS if depth else MASK_NETS, f"{released.kind} net")
    default: Any = (DEPTH_DEFAULTS if depth else MASK_DEFAULTS)[name]
    net: DepthNet | MaskNet = build(dataclasses.replace(default, **released.description), **released.config)
    load_strict(net, released.state, path)
    net.card = {"kind": released.kind, "architecture": name, "config": released.config, "source_file": str(path),
                "sha256": digest(path)}
    return net


def convert(checkpoint: str, out: Path, *, name: str | None = None, licence: str | None = None,
            target: str | None = None, lam: float | None = None, half: bool = False) -> dict[str, Any]:
    """Write a checkpoint to `out` (.safetensors) with a card beside it; return the card.

    Args:
        checkpoint: a file or a folder of monodepth2, `NAME:PATH` where its keys do not tell the architecture.
        name: what the card calls the net; the architecture where None.
        licence: of the weights; `unknown` where None.
        target: of a mask net, the spec of the depth net it explains.
        lam: of a mask net, the λ it was trained for.
        half: store the weights in 16 bit.

    Raises:
        DepthcueError: no such checkpoint, an unknown or another architecture, a file that has its card already, an
            `out` of another suffix or equal to the checkpoint, a target or λ for a depth net.
    """
    architecture, path = _parted(checkpoint)
    wanted = [kind for kind, registry in (("depth", DEPTH_NETS), ("mask", MASK_NETS)) if architecture in registry]
    if out.suffix != ".safetensors":
        raise DepthcueError(f"{out} does not end in .safetensors", f"Give --out {out.with_suffix('.safetensors')}.")
    if out.resolve() == path.resolve():
        raise DepthcueError(f"{out} is the checkpoint itself", "Give another --out.")
    if path.suffix == ".safetensors" and card_path(path).exists():
        raise DepthcueError(f"{path} has its card already", f"Use it as it is: {path}.")
    net = net_of(read_released(path, wanted[0] if len(wanted) == 1 else None, architecture), path)
    kind, architecture = net.card["kind"], net.card["architecture"]
    fields: dict[str, Any] = {"licence": licence, "target": target, "default_lambda": lam}
    if kind == "depth" and (target is not None or lam is not None):
        raise DepthcueError(f"{path} holds a depth net ({architecture})", "--target and --lambda are for mask nets.")
    known = {key: value for key, value in fields.items() if value is not None}
    net.description = dataclasses.replace(net.description, name=name or architecture, **known)
    sources = [{"file": file.name, "sha256": digest(file)} for file in files_of(path)]
    return save_net(net, out, architecture=architecture, half=half, converted_from=sources)


def _parted(checkpoint: str) -> tuple[str | None, Path]:
    name, colon, rest = checkpoint.partition(":")
    if colon and (name in DEPTH_NETS or name in MASK_NETS):
        return name, Path(rest)
    return None, Path(checkpoint)
