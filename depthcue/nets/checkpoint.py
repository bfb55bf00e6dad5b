"""Weights on disk: safetensors with a JSON card beside it; pickles of tensors are read, never run.

A card says what the file is: kind, architecture and its configuration, description, sha256 of the weights, and whatever
the maker adds (training data, command, revision, seed, results, licence). Loading is strict.
"""

import dataclasses
import hashlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

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


def with_tuples(value: Any) -> Any:
    """A value of a JSON document with tuples for its lists."""
    return tuple(with_tuples(item) for item in value) if isinstance(value, list) else value


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

    Nested `{"state_dict": …}` is opened; keys come in today's spelling (see `modern_keys`).

    Raises:
        DepthcueError: no such file, not a file of weights, or a pickle that holds anything but tensors.
    """
    return tensors_of(read_entries(path), path)


def read_entries(path: str | Path) -> dict[str, Any]:
    """As `read_state`, but plain numbers may stand beside the tensors, and keys are as they are in the file."""
    path = Path(path)
    if not path.is_file():
        raise DepthcueError(f"no weights at {path}", "Give the path of a .safetensors file or of a state dict.")
    entries = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    nested = entries.get("state_dict")
    return nested if isinstance(nested, dict) else entries


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
    """Keys without the `module.` of DataParallel, and DenseNet's `denselayer1.norm.1` of torch 0.3 without the dot."""
    return {_OLD_DENSENET.sub(r"\1\2", str(key).removeprefix("module.")): value for key, value in state.items()}


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
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DepthcueError(f"{path} holds more than tensors, or is no state dict; it was not run",
                            "Save net.state_dict() alone, or as safetensors.") from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise DepthcueError(f"{path} cannot be read as weights: {error}") from error
    if not isinstance(state, dict):
        raise DepthcueError(f"{path} holds a {type(state).__name__}, not a state dict")
    return state
