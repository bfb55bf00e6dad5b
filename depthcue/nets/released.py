"""Checkpoints as others released them, without a card: what they are and how such a net must be built.

Hu et al.: one pickled state dict a net, trained with torch 0.3, whose bilinear upsampling aligned corners. monodepth2:
a folder with encoder.pth and depth.pth; the former also says its size and whether it was trained on stereo pairs.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthcue.errors import DepthcueError
from depthcue.nets.checkpoint import (
    DEPTH,
    OTHER,
    Layout,
    State,
    read_entries,
    recognise,
    tensors_of,
)
from depthcue.nets.published import STEREO_UNIT_M

PARTS = ("encoder.pth", "depth.pth")
"""The files of a monodepth2 folder that hold its depth net."""
STATED = ("height", "width", "use_stereo")
"""What encoder.pth says beside its tensors."""
_DEEPEST = 3
"""Names before a net's own that are looked behind."""
_ALIGNED_CORNERS = ("hu-resnet50", "hu-densenet161", "hu-senet154", "drn22")


@dataclass(frozen=True)
class Released:
    """A state dict, and what is known of the net it belongs to."""

    architecture: str
    kind: str
    """`depth` or `mask`."""
    state: State
    config: dict[str, Any]
    description: dict[str, Any] = field(default_factory=dict)
    """Fields in which the net differs from its architecture's default description."""


def read_released(path: Path, kind: str | None, name: str | None = None) -> Released:
    """Read a checkpoint that has no card.

    Args:
        path: a file with a state dict, or a folder of monodepth2.
        kind: the kind of net that is wanted, `depth` or `mask`; None where either is welcome.
        name: the architecture where the user names it; otherwise the keys decide.

    Raises:
        DepthcueError: no weights there, a net of the other kind, or keys that tell nothing where no name was given.
    """
    state, stated = _read(path)
    state, layout = _net_within(state)
    if kind is not None and layout is not None and layout.kind not in (kind, OTHER):
        raise DepthcueError(f"{path} holds {layout.words}, by its keys; a {kind} net is wanted here",
                            "--target takes a depth net, --weights a mask net.")
    architecture = name or _detected_architecture(layout, state, path)
    if kind is None:
        # tensors of no known net will not fit whatever it is taken for; the message then says what is wrong with them
        kind = layout.kind if layout is not None and layout.kind != OTHER else DEPTH
    if architecture.startswith("monodepth2-"):
        stereo = bool(stated.pop("use_stereo", False))
        return Released(architecture, kind, state, {"unit_m": STEREO_UNIT_M if stereo else 1.0},
                        {**stated, "relative": not stereo, "shift_unknown": False})
    return Released(architecture, kind, state, {"align_corners": True} if architecture in _ALIGNED_CORNERS else {})


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that `read_released` reads for a path."""
    return tuple(path / part for part in PARTS) if path.is_dir() else (path,)


def digest(path: Path) -> str:
    """sha256 of a checkpoint; of a folder that of its files one after the other."""
    whole = hashlib.sha256()
    for file in files_of(path):
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def _net_within(state: State, depth: int = 0) -> tuple[State, Layout | None]:
    """A state dict and its layout; where it has none, that of the part of it which is a net known here.

    A training script's own module holds the net under a name of its own, beside losses, a discriminator or a copy of
    averaged weights, which is taken before the net itself.
    """
    layout = recognise(state)
    if layout is not None or depth == _DEEPEST:
        return state, layout
    parts: dict[str, State] = {}
    for key, value in state.items():
        name, _, rest = key.partition(".")
        parts.setdefault(name, {})[rest] = value
    for name in sorted(parts, key=lambda name: "ema" not in name):
        inner, layout = _net_within(parts[name], depth + 1) if len(parts[name]) > 1 else (state, None)
        if layout is not None and layout.kind != OTHER:
            return inner, layout
    return state, None


def _detected_architecture(layout: Layout | None, state: State, path: Path) -> str:
    if layout is None:
        first = ", ".join(list(state)[:3])
        raise DepthcueError(f"{path} is of no architecture known here ({len(state)} tensors: {first}, …)",
                            "Where you know the architecture, name it: NAME:PATH.")
    if layout.kind == OTHER:
        raise DepthcueError(f"{path} is {layout.name}", layout.advice)
    return layout.name


def _read(path: Path) -> tuple[State, dict[str, Any]]:
    """The state dict of a file, or of both files of a monodepth2 folder, and what the latter say beside tensors."""
    missing = [file.name for file in files_of(path) if path.is_dir() and not file.is_file()]
    if missing:
        raise DepthcueError(f"{path} is a folder without {' and '.join(missing)}",
                            "Give the file of a state dict, or a folder of monodepth2 with encoder.pth and depth.pth.")
    entries: dict[str, Any] = {}
    for file in files_of(path):
        entries |= read_entries(file)
    stated = {key: entries.pop(key) for key in STATED if key in entries}
    # the classifier's head, which the encoder's file holds unused
    state = {key: value for key, value in tensors_of(entries, path).items() if not key.startswith("encoder.fc.")}
    return state, stated
