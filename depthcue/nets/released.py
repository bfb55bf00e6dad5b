"""Checkpoints as others released them, without a card: what they are and how such a net must be built.

Hu et al.: one pickled state dict a net, trained with torch 0.3, whose bilinear upsampling aligned corners. monodepth2:
a folder with encoder.pth and depth.pth; the former also says its size and whether it was trained on stereo pairs.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets.checkpoint import State, modern_keys, read_entries, read_state
from depthcue.nets.monodepth2 import STEREO_UNIT_M
from depthcue.nets.recognise import OTHER, Layout, recognise

PARTS = ("encoder.pth", "depth.pth")
"""The files of a monodepth2 folder that hold its depth net."""
_ALIGNED_CORNERS = ("hu-resnet50", "hu-densenet161", "hu-senet154", "drn22")


@dataclass(frozen=True)
class Released:
    """A state dict, and what is known of the net it belongs to."""

    architecture: str
    state: State
    config: dict[str, Any]
    description: dict[str, Any] = field(default_factory=dict)
    """Fields in which the net differs from its architecture's default description."""


def read_released(path: Path, kind: str, name: str | None = None) -> Released:
    """Read a checkpoint that has no card.

    Args:
        path: a file with a state dict, or a folder of monodepth2.
        kind: the kind of net that is wanted, `depth` or `mask`.
        name: the architecture where the user names it; otherwise it is told by the keys.

    Raises:
        DepthcueError: no weights there, a net of the other kind, or keys that tell nothing where no name was given.
    """
    state, said = _read_folder(path) if path.is_dir() else (read_state(path), {})
    layout = recognise(state)
    if layout is not None and layout.kind not in (kind, OTHER):
        raise DepthcueError(f"{path} holds {layout.words}, by its keys; a {kind} net is wanted here",
                            "--target takes a depth net, --weights a mask net.")
    architecture = name or _told(layout, state, path)
    if architecture.startswith("monodepth2-"):
        stereo = bool(said.pop("use_stereo", False))
        return Released(architecture, state, {"unit_m": STEREO_UNIT_M if stereo else 1.0},
                        {**said, "relative": not stereo, "shift_unknown": False})
    return Released(architecture, state, {"align_corners": True} if architecture in _ALIGNED_CORNERS else {})


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that `read_released` reads for a path."""
    return tuple(path / part for part in PARTS) if path.is_dir() else (path,)


def _told(layout: Layout | None, state: State, path: Path) -> str:
    if layout is None:
        first = ", ".join(list(state)[:3])
        raise DepthcueError(f"{path} is of no architecture known here ({len(state)} tensors: {first}, …)",
                            "Where you know the architecture, name it: NAME:PATH.")
    if layout.kind == OTHER:
        raise DepthcueError(f"{path} is {layout.name}", layout.advice)
    return layout.name


def _read_folder(folder: Path) -> tuple[State, dict[str, Any]]:
    """Both files of a monodepth2 folder as one state dict without the classifier's head, and what they say beside."""
    missing = [part for part in PARTS if not (folder / part).is_file()]
    if missing:
        raise DepthcueError(f"{folder} is a folder without {' and '.join(missing)}",
                            "Give the file of a state dict, or a folder of monodepth2 with encoder.pth and depth.pth.")
    entries: dict[str, Any] = {}
    for part in PARTS:
        entries |= read_entries(folder / part)
    said = {key: entries.pop(key) for key in ("height", "width", "use_stereo") if key in entries}
    state = {key: value for key, value in modern_keys(entries).items() if not key.startswith("encoder.fc.")}
    strange = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise DepthcueError(f"{folder} holds more than tensors: {', '.join(strange[:5])}")
    return state, said
