"""Exported graphs: the card beside `NAME.onnx` or `NAME.engine`, and a mask graph as a mask net again, on the CPU.

`export` writes the card, `NAME.json`; here it is read, and checked against the file.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import Tensor

from depthcue.documents import GRAPH_SCHEMA, GraphCard, read_document, refuse_placeholder
from depthcue.errors import DepthcueError
from depthcue.nets.base import DepthDescription, DepthNet, MaskDescription, MaskNet, description_from
from depthcue.nets.checkpoint import card_path, tensors_sha256

if TYPE_CHECKING:
    import onnxruntime  # a picture masked by torch does without it

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
    refuse_placeholder(graph)
    try:
        card = read_document(path, f"the card of an exported {form} of schema 1 to {GRAPH_SCHEMA}", GraphCard, again)
    except FileNotFoundError:
        raise DepthcueError(f"{graph} has no card: {path} is missing", again) from None
    if card.get("kind") != kind:
        raise DepthcueError(f"{graph} is a {card.get('kind')} net; a {kind} net is wanted here",
                            "--weights takes a mask net, --target a depth net.")
    there, whole = graph.stat().st_size, card.get("bytes")
    if isinstance(whole, int) and there < whole:
        raise DepthcueError(f"{graph} is cut short: {there:,} of {whole:,} bytes are there", f"Copy it again. {again}")
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
    """Name of the graph's input for a share or λ, `keep` or `lambda`; None where it takes frames alone."""
    return next((str(each["name"]) for each in card["inputs"] if each["name"] in DIAL_INPUTS), None)


def described_mask_net(card: dict[str, Any]) -> MaskDescription:
    """The mask net's description in a card."""
    return description_from(MaskDescription, card["description"])


def described_depth_net(card: dict[str, Any]) -> DepthDescription:
    """The depth net's description in a card."""
    return description_from(DepthDescription, card["description"])


def described_net(card: dict[str, Any]) -> MaskDescription | DepthDescription:
    """The description in a card, of whichever kind its net is."""
    return described_mask_net(card) if card["kind"] == "mask" else described_depth_net(card)


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def quiet_options() -> "onnxruntime.SessionOptions":
    """Options of ONNX Runtime without its warnings and without threads that spin while they wait.

    Spinning threads take the cores from decoding, encoding and other work.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def open_on_cpu(graph: bytes | str | os.PathLike[str], options: "onnxruntime.SessionOptions | None" = None,
                ) -> "onnxruntime.InferenceSession":
    """A graph, or the path of one, in ONNX Runtime on the CPU, with its quiet options where none are given."""
    import onnxruntime

    return onnxruntime.InferenceSession(graph, options or quiet_options(), providers=["CPUExecutionProvider"])


class GraphOnCpu:
    """An open graph; it keeps no state from one run to the next, so copies of a net share it."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            DepthcueError: ONNX Runtime cannot load it.
        """
        refuse_placeholder(path)
        try:
            self.session = open_on_cpu(path)
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot load {path}: {error}", "Export it again.") from error

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class ExportedMaskNet(MaskNet):
    """A mask graph that `depthcue export` wrote, used like the net it was written from.

    It takes frames of 8 bits: a picture is rounded to 1/255, which gives a file's picture back as it was.
    """

    trainable = False

    def __init__(self, path: Path) -> None:
        """
        Raises:
            DepthcueError: no graph, no card or one of another kind, or ONNX Runtime cannot run it on a CPU.
        """
        card = read_graph_card(path, "mask")
        check_runs_on_cpu(card, path)
        super().__init__(described_mask_net(card))
        self.card = {"kind": "mask", "name": self.description.name, "sha256": card["sha256"]}
        self.graph_file = path
        self._dial_input = dial_input(card)
        self._graph = GraphOnCpu(path)

    def for_export(self) -> MaskNet:
        raise DepthcueError(f"{self.graph_file} is an ONNX graph already", "Copy the file, with its .json.")

    def forward(self, normalised: Tensor, dial: Tensor | None = None) -> Tensor:
        rgb = normalised.detach().float() * self._std + self._mean  # what `normalise` did, undone
        frames = (rgb * 255.0).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()  # (B, H, W, 3)
        feeds: dict[str, Any] = {"frames": frames.cpu().numpy()}
        if self._dial_input is not None:
            feeds[self._dial_input] = self.dial_of(normalised, dial).detach().cpu().numpy()
        mask = torch.from_numpy(self._graph.session.run(None, feeds)[0])
        return mask[:, None].to(normalised.device)  # (B, 1, H, W)


def net_identity(net: MaskNet | DepthNet) -> str:
    """Hexadecimal sha256 of what decides a net's answers: its type, description, configuration and tensors."""
    facts = [type(net).__name__, dataclasses.asdict(net.description), getattr(net, "config", None)]
    return tensors_sha256(net.state_dict(), json.dumps(facts, sort_keys=True))
