"""The card beside an exported graph: what it takes, what it gives, where it comes from and how well it agrees.

The card is a JSON file with the graph's name (`NAME.onnx`, `NAME.json`). Nothing depthcue needs is hidden in the graph
file itself, so other tools may rewrite that file, and the sha256 tells when they have.
"""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import torch

from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet

GRAPH_SCHEMA = 1
Kind = Literal["mask", "depth"]


def card_path(graph: str | Path) -> Path:
    """The card that belongs to an exported graph."""
    return Path(graph).with_suffix(".json")


def graph_card(kind: Kind, description: MaskDescription | DepthDescription, **fields: Any) -> dict[str, Any]:
    """A card: inputs and outputs with their names, types, shapes and ranges, then `fields` as they are."""
    lambda_range = getattr(description, "lambda_range", None)
    inputs = [{"name": "frames", "dtype": "uint8", "shape": ["batch", "height", "width", 3],
               "meaning": "RGB, upright; mean and deviation are applied inside"}]
    if lambda_range is not None:
        inputs.append({"name": "lambda", "dtype": "float32", "shape": ["batch"],
                       "meaning": f"weight of sparseness, {lambda_range[0]:g} to {lambda_range[1]:g}"})
    if kind == "mask":
        output = {"name": "mask", "dtype": "float32", "shape": ["batch", "height", "width"],
                  "meaning": "share of each pixel kept, 0 to 1"}
    else:
        output = {"name": "depth", "dtype": "float32", "shape": ["batch", "depth_height", "depth_width"],
                  "meaning": "metres" if not description_is_relative(description) else "unknown unit"}
    return {
        "graph_schema": GRAPH_SCHEMA,
        "kind": kind,
        "name": description.name,
        "inputs": inputs,
        "outputs": [output],
        "height_and_width_are_multiples_of": description.multiple,
        "working_size": {"height": description.height, "width": description.width},
        "lambda_range": None if lambda_range is None else list(lambda_range),
        "default_lambda": getattr(description, "default_lambda", None),
        "target": getattr(description, "target", None),
        "licence": description.licence,
        "source": description.source,
        "description": dataclasses.asdict(description),
        **fields,
    }


def description_is_relative(description: MaskDescription | DepthDescription) -> bool:
    """Whether a net's depths have no unit."""
    return bool(getattr(description, "relative", False))


def read_graph_card(graph: str | Path, kind: Kind) -> dict[str, Any]:
    """The card of an exported graph, after checking that it belongs to this very file and is of the `kind` wanted.

    Raises:
        DepthcueError: no graph, no card, not a card, another kind, or the graph has changed since.
    """
    graph = Path(graph)
    path = card_path(graph)
    again = "Export it again with depthcue export, and keep the .json beside the graph."
    if not graph.is_file():
        raise DepthcueError(f"there is no exported graph at {graph}", "Write one with depthcue export.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DepthcueError(f"{graph} has no card: {path} is missing", again) from None
    except (OSError, ValueError) as error:
        raise DepthcueError(f"{path} cannot be read as a card: {error}", again) from error
    if not isinstance(card, dict) or card.get("graph_schema") != GRAPH_SCHEMA:
        raise DepthcueError(f"{path} is not the card of an exported graph of schema {GRAPH_SCHEMA}", again)
    if card.get("kind") != kind:
        raise DepthcueError(f"{graph} is a {card.get('kind')} net; a {kind} net is wanted here",
                            "--weights takes a mask net, --target a depth net.")
    if card.get("sha256") != file_sha256(graph):
        raise DepthcueError(f"{graph} is not the file its card was written for: the sha256 differs", again)
    return card


def described_mask_net(card: dict[str, Any]) -> MaskDescription:
    """The mask net's description in a card."""
    return MaskDescription(**_with_tuples(card["description"]))


def described_depth_net(card: dict[str, Any]) -> DepthDescription:
    """The depth net's description in a card."""
    return DepthDescription(**_with_tuples(card["description"]))


def net_identity(net: MaskNet | DepthNet) -> str:
    """Hexadecimal sha256 of what decides a net's answers: its type, description, configuration and tensors."""
    facts = [type(net).__name__, dataclasses.asdict(net.description), getattr(net, "config", None)]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has lists where the dataclasses have tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
