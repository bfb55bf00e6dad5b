"""Reading the card beside an exported graph or engine (`NAME.onnx`, `NAME.json`); `export` writes it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthDescription, MaskDescription
from depthcue.nets.checkpoint import card_path

GRAPH_SCHEMA = 2
"""Of the cards that are written. From 2 on, a mask net may take `keep`, the share of pixels to keep."""
READABLE = (1, 2)
Kind = Literal["mask", "depth"]
Form = Literal["graph", "engine"]
DIAL_INPUTS = ("keep", "lambda")


def read_graph_card(graph: str | Path, kind: Kind, form: Form = "graph") -> dict[str, Any]:
    """The card of an exported graph or engine, after checking that it belongs to this very file and is of the `kind`
    wanted.

    Raises:
        DepthcueError: no file, no card, not a card, another kind, or the file has changed since or is cut short.
    """
    graph = Path(graph)
    path = card_path(graph)
    again = f"Export it again with depthcue export, and keep the .json beside the {form}."
    if not graph.is_file():
        raise DepthcueError(f"there is no exported {form} at {graph}", "Write one with depthcue export.")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DepthcueError(f"{graph} has no card: {path} is missing", again) from None
    except (OSError, ValueError) as error:
        raise DepthcueError(f"{path} cannot be read as a card: {error}", again) from error
    if not isinstance(card, dict) or card.get("graph_schema") not in READABLE:
        raise DepthcueError(f"{path} is not the card of an exported {form} of schema {READABLE[0]} to "
                            f"{READABLE[-1]}", again)
    if card.get("kind") != kind:
        raise DepthcueError(f"{graph} is a {card.get('kind')} net; a {kind} net is wanted here",
                            "--weights takes a mask net, --target a depth net.")
    there, whole = graph.stat().st_size, card.get("bytes")
    if isinstance(whole, int) and there < whole:
        raise DepthcueError(f"{graph} is cut short: {there:,} of {whole:,} bytes are there",
                            f"Copy it again. {again}")
    if card.get("sha256") != file_sha256(graph):
        raise DepthcueError(f"{graph} is not the file its card was written for: the sha256 differs", again)
    return card


def check_runs_on_cpu(card: dict[str, Any], graph: str | Path) -> None:
    """Refuse a graph for which ONNX Runtime has no kernels on a CPU.

    Raises:
        DepthcueError: it is in bfloat16.
    """
    if not card.get("runs_in_onnxruntime_on_cpu", True):
        raise DepthcueError(f"{graph} computes in {card['precision']}, for which ONNX Runtime has no kernels on a CPU",
                            "It is for GPUs. Here use one in fp32, fp16 or int8 (depthcue export --precision), or the "
                            "net itself with --backend torch --precision bf16.")


def dial_input(card: Mapping[str, Any]) -> str | None:
    """What the graph calls its input for a share or λ, `keep` or `lambda`; None where it takes frames alone."""
    return next((str(each["name"]) for each in card["inputs"] if each["name"] in DIAL_INPUTS), None)


def described_mask_net(card: dict[str, Any]) -> MaskDescription:
    """The mask net's description in a card."""
    return MaskDescription(**with_tuples(card["description"]))


def described_depth_net(card: dict[str, Any]) -> DepthDescription:
    """The depth net's description in a card."""
    return DepthDescription(**with_tuples(card["description"]))


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def with_tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a description as its dataclass has them: tuples, and tuples of tuples, where JSON has lists."""
    return {key: _tuple(value) for key, value in fields.items()}


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
