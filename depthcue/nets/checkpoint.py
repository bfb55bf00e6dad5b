"""Weights on disk: safetensors with a JSON card beside it; pickles of tensors are read, never run.

A card holds kind, architecture and its configuration, description, sha256 of the weights, and fields that the maker
adds (training data, command, revision, seed, results, licence). Loading is strict. `recognise` tells the architecture
of a state dict without a card.
"""

import argparse
import dataclasses
import hashlib
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as pack_safetensors
from torch import Tensor, nn

from depthcue import documents
from depthcue.documents import CARD_SCHEMA, refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.files import revision, write_bytes, write_json
from depthcue.nets.base import DepthNet, MaskNet

State = dict[str, Tensor]
log = logging.getLogger(__name__)
_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "params_ema", "ema", "state_dict",
             "model_state_dict", "model_state", "model", "net", "network", "params", "weights")
"""Names under which a training script keeps the state dict; averaged weights come first."""
_WRAPPING = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Names that torch.compile, DataParallel and the like put before a module's own, and before its parts'."""
_DEEPEST = 8
"""Dictionaries within dictionaries that are looked into."""
_COUNTS = ("n_averaged",)
"""Tensors that wrappers keep beside the net's: how often torch's AveragedModel has averaged."""
_HARMLESS: list[Any] = [argparse.Namespace, np.dtype, (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
                        np.float64(0).__reduce__()[0], *(type(np.dtype(kind)) for kind in (
                            np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_))]
"""Plain data that checkpoints hold beside tensors, options and numbers; making it runs no code."""
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")
_PREFIXES = ("model.", "net.", "network.")
_KEEP = "Keep the card that was written with the weights; it may come from another version of depthcue."
_FEW = 5
"""Largest number of tensors that a message names where all would tell no more."""
DEPTH, MASK, OTHER = "depth", "mask", "other"
Marks = dict[str, tuple[int, ...] | None]
_RESNET_18, _RESNET_50 = (64, 64, 3, 3), (64, 64, 1, 1)  # of layer1's first convolution
_FUSION: Marks = {"MFF.conv.weight": (64, 64, 5, 5)}
_AS_BACKBONE = "An encoder can start from it: --backbone FILE."
_AS_FOLDER = "Give the folder that holds both encoder.pth and depth.pth."
_LITE_LAST = "encoder.stages.6.0.project.0.weight"
_LITE_DEEPER = "encoder.stages.1.2.project.0.weight"
"""Lite1 and lite2 repeat stages more often than lite0; lite2 is wider."""


def save_net(net: DepthNet | MaskNet, path: str | Path, *, architecture: str, half: bool = False,
             **fields: Any) -> dict[str, Any]:
    """Write a net's weights to `path` (.safetensors) and its card beside it; return the card.

    `half` stores floating-point tensors in 16 bit, which halves the file; they are float32 again when loaded.
    `fields` go into the card as they are.
    """
    path = Path(path)
    state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    if half:
        state = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    data = pack_safetensors(state)
    card = {
        "schema": CARD_SCHEMA,
        "kind": "depth" if isinstance(net, DepthNet) else "mask",
        "architecture": architecture,
        "config": net.config,
        "description": dataclasses.asdict(net.description),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "sha256": hashlib.sha256(data).hexdigest(),
        "revision": revision(),
        **fields,
    }
    write_bytes(path, data)
    write_json(card_path(path), card)
    return card


def card_path(weights: str | Path) -> Path:
    """The card that belongs to a weights file."""
    return Path(weights).with_suffix(".json")


def read_card(weights: str | Path) -> dict[str, Any]:
    """The card of a weights file.

    Raises:
        DepthcueError: there is none, or it is not a card.
    """
    path = card_path(weights)
    try:
        card = documents.read_document(path, f"a card of schema {CARD_SCHEMA}", documents.Card, _KEEP)
    except FileNotFoundError:
        raise DepthcueError(f"{weights} has no card: {path} is missing",
                            "Keep the .json beside the .safetensors, or name the architecture: "
                            "hu-resnet50:PATH, drn22:PATH, compact:PATH, ….") from None
    return card


def read_with_card(weights: str | Path) -> tuple[State, dict[str, Any]]:
    """The tensors of a .safetensors file as `read_state` has them, and its card.

    Raises:
        DepthcueError: besides, the card was written for another file.
    """
    path = Path(weights)
    if not path.is_file():
        raise _no_weights(path)
    refuse_placeholder(path)
    card, data = read_card(path), path.read_bytes()
    state = tensors_of(_read_safetensors(data, path), path)
    written_for = card.get("sha256")  # cards of old have none
    if written_for is not None and written_for != hashlib.sha256(data).hexdigest():
        raise DepthcueError(f"{path} is not the file its card was written for: the sha256 differs",
                            "Copy or download both again; of weights that were changed on purpose, take the sha256 out "
                            f"of {card_path(path)}.")
    return state, card


def read_state(path: str | Path) -> State:
    """The tensors of a .safetensors file or of a pickled state dict, read without running any code in it.

    Nested `{"state_dict": …}`, `{"model": …}` and the like are opened; keys come in today's spelling (see
    `modern_keys`).

    Raises:
        DepthcueError: no such file, not a file of weights, or a pickle that holds anything but tensors.
    """
    return tensors_of(read_entries(path), path)


def read_entries(path: str | Path) -> dict[str, Any]:
    """Entries of a checkpoint as of `read_state`, but also plain numbers, and with the keys of the file."""
    path = Path(path)
    if not path.is_file():
        raise _no_weights(path)
    refuse_placeholder(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path.read_bytes(), path)
    return _unwrapped(_read_pickle(path), path, set())


def _no_weights(path: Path) -> DepthcueError:
    return DepthcueError(f"no weights at {path}", "Give the path of a .safetensors file or of a state dict.")


def _unwrapped(entries: dict[str, Any], path: Path, visited: set[int], depth: int = 0) -> dict[str, Any]:
    """The entries that hold tensors, from the dictionaries in which a training script keeps them.

    Args:
        visited: ids of dictionaries that were searched: a file may hold one many times, also in itself.
    """
    if depth > _DEEPEST or any(isinstance(value, Tensor) and value.ndim for value in entries.values()):
        return entries
    within = {}
    for key, value in entries.items():
        if not isinstance(value, Mapping) or "optim" in str(key) or id(value) in visited:
            continue
        visited.add(id(value))
        inner = _unwrapped(dict(value), path, visited, depth + 1)
        if any(isinstance(each, Tensor) for each in inner.values()):
            within[str(key)] = inner
    named = [name for name in _WRAPPERS if name in within] or list(within)
    several = len(named) > 1 and named[0] not in _WRAPPERS
    if not named or (several and depth):
        return entries
    if several:
        raise DepthcueError(f"{path} holds several state dicts: {', '.join(named)}", "Save the one of the net alone.")
    if len(named) > 1:
        log.info("%s holds %s; %s is taken", path, " and ".join(named), named[0])
    return within[named[0]]


def tensors_of(entries: dict[str, Any], source: str | Path) -> State:
    """The entries of a file as a state dict in today's spelling (see `modern_keys`).

    Raises:
        DepthcueError: there are none, or some are not tensors; names those.
    """
    if not entries:
        raise DepthcueError(f"{source} is not a state dict: it is empty")
    strange = [str(key) for key, value in entries.items() if not isinstance(value, Tensor)]
    if strange:
        raise DepthcueError(f"{source} is not a state dict; not tensors: {', '.join(strange[:_FEW])}"
                            f"{', …' if len(strange) > _FEW else ''}", "Save net.state_dict() alone.")
    return modern_keys(entries)


def modern_keys(state: dict[str, Any]) -> dict[str, Any]:
    """Keys without the names that wrappers add, and DenseNet's `denselayer1.norm.1` of torch 0.3 without the dot.

    Wrappers are DataParallel (`module.`), torch.compile (`_orig_mod.`) and sharding, also of parts; averaging, which
    keeps a count; and modules that hold the net as `model.` or `net.`, where all keys begin so.
    """
    state = {_WRAPPING.sub("", str(key)): value for key, value in state.items() if key not in _COUNTS}
    while prefix := next((each for each in _PREFIXES if state and all(key.startswith(each) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {_OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}


def load_strict(net: nn.Module, state: State, source: str | Path) -> None:
    """Load `state` into `net`, floating-point tensors as float32.

    `num_batches_tracked` may be absent: batch norm before torch 0.4.1 had none.

    Raises:
        DepthcueError: missing, unexpected or wrongly shaped tensors, with their names; of another architecture's
            weights a few names, and that architecture. Or weights that are not finite, as of a diverged training.
    """
    wanted = net.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in wanted]
    shapes = [f"{key} {tuple(state[key].shape)} for {tuple(wanted[key].shape)}"
              for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or unexpected or shapes:
        ours, theirs = recognise(wanted), recognise(state)
        another = theirs is not None and theirs is not ours
        lines = [f"{source} does not fit {ours.name if ours else type(net).__name__}:"]
        for title, keys in (("missing", missing), ("unexpected", unexpected), ("other shape", shapes)):
            if keys:
                shown = keys[:_FEW] if another else keys
                rest = f" and {len(keys) - len(shown)} more" if len(shown) < len(keys) else ""
                lines.append(f"  {title} ({len(keys)}): {', '.join(shown)}{rest}")
        hint = f"It looks like {theirs.words}. {theirs.advice}".strip() if another and theirs is not None else \
            "Name the architecture these weights belong to, or give other weights."
        raise DepthcueError("\n".join(lines), hint)
    # a tensor on the meta device has a shape and no values
    broken = [key for key, value in state.items() if not value.is_meta and not torch.isfinite(value).all()]
    if broken:
        rest = f" and {len(broken) - _FEW} more" if len(broken) > _FEW else ""
        raise DepthcueError(f"{source} holds NaN or infinity in {', '.join(broken[:_FEW])}{rest}",
                            "The training that made it diverged, or the file is damaged; give another checkpoint.")
    net.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()},
                        strict=False)


def tensors_sha256(state: Mapping[str, Tensor], facts: str = "") -> str:
    """Hexadecimal sha256 of `facts` and of tensors by name."""
    digest = hashlib.sha256(facts.encode())
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read_safetensors(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return load_safetensors(data)
    except Exception as error:  # SafetensorError, and what torch says of types and shapes
        raise DepthcueError(f"{path} is not a whole safetensors file: {error}",
                            "Copy or download it again.") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DepthcueError(f"{path} holds more than tensors, or is no state dict; it was not run",
                            "Save net.state_dict() alone, or as safetensors; for a depth net of yours a function can "
                            "return the net: python:MODULE:FUNCTION.") from error
    except Exception as error:  # damaged files make the reader raise nearly anything
        if _is_archive(path):
            raise DepthcueError(f"{path} is a zip archive", "Unpack it, and give the file or folder in it.") from error
        raise DepthcueError(f"{path} cannot be read as weights: {error or type(error).__name__}",
                            "It is damaged or cut off, or no file of weights. Copy or download it again.") from error
    if not isinstance(state, dict):
        raise DepthcueError(f"{path} holds a {type(state).__name__}, not a state dict")
    return state


def _is_archive(path: Path) -> bool:
    """Whether it is a whole zip archive of other things than torch saves."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not any(name.endswith("data.pkl") for name in archive.namelist())
    except Exception:  # damaged ones make this reader, too, raise nearly anything
        return False


@dataclass(frozen=True)
class Layout:
    """Tensors that tell one kind of file from all others."""

    name: str
    """The architecture as specs name it; for files that are no net of ours, a description."""
    kind: str
    """`depth`, `mask`, or `other` for what is neither."""
    marks: Marks
    """Tensors it must have, with their shapes; None takes any shape."""
    lacks: tuple[str, ...] = ()
    """Tensors that it must not have."""
    advice: str = ""
    """Hint on such a file, where it is no net of ours."""

    @property
    def words(self) -> str:
        """Description in messages."""
        return self.name if self.kind == OTHER else f"{self.name}, a {self.kind} net"

    def fits(self, state: Mapping[str, Tensor]) -> bool:
        """Whether a state dict has these marks."""
        return all(key in state and shape in (None, tuple(state[key].shape)) for key, shape in self.marks.items()) \
            and not any(key in state for key in self.lacks)


def _lite() -> tuple[Layout, ...]:
    sizes: dict[str, tuple[Marks, tuple[str, ...]]] = {
        "lite0": ({_LITE_LAST: (320, 1152, 1, 1)}, (_LITE_DEEPER,)),
        "lite1": ({_LITE_LAST: (320, 1152, 1, 1), _LITE_DEEPER: None}, ()),
        "lite2": ({_LITE_LAST: (352, 1248, 1, 1), _LITE_DEEPER: None}, ())}
    full = "up1.coarse.0.weight"  # of the mask nets alone
    return tuple(layout for name, (marks, lacks) in sizes.items() for layout in (
        Layout(name, DEPTH, {**marks, "up2.coarse.0.weight": None}, (*lacks, full)),
        Layout(name, MASK, {**marks, full: None}, lacks)))


LAYOUTS = (
    *_lite(),
    Layout("hu-resnet50", DEPTH, {**_FUSION, "E.layer1.0.conv1.weight": _RESNET_50}),
    Layout("hu-densenet161", DEPTH, {**_FUSION, "E.features.conv0.weight": (96, 3, 7, 7)}),
    Layout("hu-senet154", DEPTH, {**_FUSION, "E.base.0.conv1.weight": (64, 3, 3, 3)}),
    Layout("laina-resnet50", DEPTH, {"E.layer1.0.conv1.weight": _RESNET_50, "D.predict.weight": (1, 64, 3, 3)}),
    Layout("drn22", MASK, {"E.base.0.0.weight": (16, 3, 7, 7), "D.conv.weight": (1, 64, 3, 3)}),
    Layout("compact", DEPTH, {"encoder.whole.weight": None, "up8.0.weight": None, "head.weight": None}),
    Layout("compact", MASK, {"encoder.whole.weight": None, "up8.modulation.weight": None, "head.weight": None}),
    Layout("monodepth2-resnet18", DEPTH, {"encoder.layer1.0.conv1.weight": _RESNET_18,
                                          "decoder.0.conv.conv.weight": (256, 512, 3, 3)}),
    Layout("monodepth2-resnet50", DEPTH, {"encoder.layer1.0.conv1.weight": _RESNET_50,
                                          "decoder.0.conv.conv.weight": (256, 2048, 3, 3)}),
    Layout("the encoder of a monodepth2 net", OTHER, {"encoder.layer1.0.conv1.weight": None},
           ("decoder.0.conv.conv.weight",), _AS_FOLDER),
    Layout("the decoder of a monodepth2 net", OTHER, {"decoder.0.conv.conv.weight": None},
           ("encoder.conv1.weight",), _AS_FOLDER),
    Layout("a ResNet-18 classifier", OTHER, {"layer1.0.conv1.weight": _RESNET_18, "layer4.1.conv2.weight": None},
           ("layer3.2.conv1.weight", "layer0.conv1.weight"), _AS_BACKBONE),
    Layout("a ResNet-50 classifier", OTHER, {"layer1.0.conv1.weight": _RESNET_50, "layer3.5.conv1.weight": None},
           ("layer3.6.conv1.weight",), _AS_BACKBONE),
    Layout("a DenseNet-161 classifier", OTHER, {"features.conv0.weight": (96, 3, 7, 7)}, advice=_AS_BACKBONE),
    Layout("a SENet-154 classifier", OTHER, {"layer0.conv1.weight": (64, 3, 3, 3), "layer3.35.conv1.weight": None},
           advice=_AS_BACKBONE),
    Layout("a DRN-D-22 classifier", OTHER, {"layer0.0.weight": (16, 3, 7, 7), "layer8.0.weight": None},
           advice=_AS_BACKBONE),
    Layout("a depth model of transformers", OTHER, {"neck.reassemble_stage.layers.0.projection.weight": None},
           advice="Give the folder with its config.json: hf:FOLDER."),
)


def recognise(state: Mapping[str, Tensor]) -> Layout | None:
    """The layout of a state dict whose keys are in today's spelling (see `read_state`); None where it is unknown."""
    return next((layout for layout in LAYOUTS if layout.fits(state)), None)
