"""Weights on disk: safetensors with a JSON card beside it; pickles of tensors are read, never run.

A card says what the file is: kind, architecture and its configuration, description, sha256 of the weights, and whatever
the maker adds (training data, command, revision, seed, results, licence). Loading is strict.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as pack_safetensors
from torch import Tensor, nn

from depthcue.atomic import write_bytes
from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthNet, MaskNet
from depthcue.nets.recognise import recognise
from depthcue.record import revision, write_json

CARD_SCHEMA = 1
State = dict[str, Tensor]
log = logging.getLogger(__name__)
_WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "params_ema", "ema", "state_dict",
             "model_state_dict", "model_state", "model", "net", "network", "params", "weights")
"""Names under which a training script keeps the state dict; of two, averaged weights are the ones to use."""
_WRAPPING = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""Names that torch.compile, DataParallel and the like put before a module's own, and before its parts'."""
_DEEPEST = 8
"""Dictionaries within dictionaries that are looked into."""
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
"""Bytes that no text holds; every file of weights has some in its first kilobyte."""
_COUNTS = ("n_averaged",)
"""Tensors that wrappers keep beside the net's: how often torch's AveragedModel has averaged."""
_HARMLESS: list[Any] = [argparse.Namespace, np.dtype, (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
                        np.float64(0).__reduce__()[0], *(type(np.dtype(kind)) for kind in (
                            np.float16, np.float32, np.float64, np.int32, np.int64, np.bool_))]
"""Plain data that checkpoints hold beside tensors, options and numbers, and that no code is run to make."""
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.(\d)")
_FEW = 5
"""Tensors that a message names where naming all would say no more."""


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
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DepthcueError(f"{weights} has no card: {path} is missing",
                            "Keep the .json beside the .safetensors, or name the architecture: "
                            "hu-resnet50:PATH, drn22:PATH, compact:PATH, ….") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DepthcueError(f"{path} is not a card: {error}") from error
    if not isinstance(card, dict) or card.get("schema") != CARD_SCHEMA or "architecture" not in card:
        raise DepthcueError(f"{path} is not a card of schema {CARD_SCHEMA}",
                            "It may come from another version of depthcue.")
    return card


def read_state(path: str | Path) -> State:
    """The tensors of a .safetensors file or of a pickled state dict, read without running any code in it.

    Nested `{"state_dict": …}`, `{"model": …}` and the like are opened; keys come in today's spelling (see
    `modern_keys`).

    Raises:
        DepthcueError: no such file, not a file of weights, or a pickle that holds anything but tensors.
    """
    return tensors_of(read_entries(path), path)


def read_entries(path: str | Path) -> dict[str, Any]:
    """As `read_state`, but plain numbers may stand beside the tensors, and keys are as they are in the file."""
    path = Path(path)
    if not path.is_file():
        raise DepthcueError(f"no weights at {path}", "Give the path of a .safetensors file or of a state dict.")
    check_downloaded(path)
    return _unwrapped(_read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path), path)


def check_downloaded(path: Path) -> None:
    """Refuse what stands in the place of a binary file after a download that went wrong.

    Raises:
        DepthcueError: it is empty, or text: a git-lfs pointer, a web page, a server's complaint; says which.
    """
    with path.open("rb") as stream:
        head = stream.read(1024)
    if _BINARY.search(head):
        return
    text = " ".join(head.decode("utf-8", "replace").lstrip("\ufeff").split())
    again = "Download it again, by the link of the file itself: on GitHub raw and on Hugging Face resolve, not blob."
    if not text:
        raise DepthcueError(f"{path} is empty", again)
    if text.startswith("version https://git-lfs"):
        raise DepthcueError(f"{path} is a git-lfs pointer: it names the file, which was not downloaded",
                            "Run git lfs pull in the repository it came from, or download the file by itself.")
    what = "a web page (html)" if text.startswith("<") else "JSON" if text[0] in "{[" else "plain text"
    raise DepthcueError(f"{path} is {what} where weights are wanted; it begins {text[:60]!r}", again)


def _unwrapped(entries: dict[str, Any], path: Path, depth: int = 0) -> dict[str, Any]:
    """The entries that hold tensors, out of the dictionaries in which a training script kept them."""
    if depth > _DEEPEST or any(isinstance(value, Tensor) and value.ndim for value in entries.values()):
        return entries
    within = {}
    for key, value in entries.items():
        inner = _unwrapped(dict(value), path, depth + 1) if isinstance(value, Mapping) else {}
        if any(isinstance(each, Tensor) for each in inner.values()) and "optim" not in str(key):
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
    """Keys without what DataParallel, torch.compile and averaging add, and DenseNet's `denselayer1.norm.1` of torch
    0.3 without its last dot."""
    return {_OLD_DENSENET.sub(r"\1\2", _WRAPPING.sub("", str(key))): value for key, value in state.items()
            if key not in _COUNTS}


def load_strict(net: nn.Module, state: State, source: str | Path) -> None:
    """Load `state` into `net`, floating-point tensors as float32.

    `num_batches_tracked` may be absent: batch norm before torch 0.4.1 had none.

    Raises:
        DepthcueError: names every missing, unexpected and wrongly shaped tensor; of weights that belong to another
            architecture a few, and that architecture. Or weights that are not finite, as a training that diverged
            leaves them.
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


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        return load_safetensors(path.read_bytes())
    except SafetensorError as error:
        raise DepthcueError(f"{path} is not a whole safetensors file: {error}",
                            "Copy or download it again.") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DepthcueError(f"{path} holds more than tensors, or is no state dict; it was not run",
                            "Save net.state_dict() alone, or as safetensors.") from error
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError) as error:
        packed = zipfile.is_zipfile(path) and not any(name.endswith("data.pkl") for name in zipfile.ZipFile(
            path).namelist())
        raise DepthcueError(f"{path} {'is a zip archive' if packed else f'cannot be read as weights: {error}'}",
                            "Unpack it, and give the file or folder in it." if packed else
                            "Copy or download it again.") from error
    if not isinstance(state, dict):
        raise DepthcueError(f"{path} holds a {type(state).__name__}, not a state dict")
    return state
