"""Nets as others published them: checkpoints without a card, and repositories of the Hugging Face hub.

Hu et al. published one pickled state dict a net, trained with torch 0.3, whose bilinear upsampling aligned corners;
monodepth2 a folder with encoder.pth and depth.pth, of which the former also states its size and whether it was trained
on stereo pairs.

`hub:OWNER/NAME[@REVISION]` names a mask net on the hub. Such a repository holds mask.safetensors and its card,
mask.json, as `depthcue publish` writes them. Both are fetched once, from one revision, into the hub's own cache, and
the weights must have the sha256 that the card states. Nothing of a repository is run. (`hub:OWNER/REPO:ENTRY`, with an
entry, is a depth net by torch.hub, which runs the repository's code: see `foreign.adapter`.)
"""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthcue.errors import DepthcueError, first_line
from depthcue.nets.checkpoint import (
    DEPTH,
    OTHER,
    Layout,
    State,
    card_path,
    read_card,
    read_entries,
    recognise,
    tensors_of,
)
from depthcue.nets.published import STEREO_UNIT_M

PARTS = ("encoder.pth", "depth.pth")
"""The files of a monodepth2 folder that hold its depth net."""
STATED = ("height", "width", "use_stereo")
"""Entries of encoder.pth beside its tensors."""
_DEEPEST = 3
"""Number of names before a net's own that are tried."""
_ALIGNED_CORNERS = ("hu-resnet50", "hu-densenet161", "hu-senet154", "drn22")
PREFIX = "hub:"
WEIGHTS = "mask.safetensors"
FORM = "hub:OWNER/NAME or hub:OWNER/NAME@REVISION"
_NAME = r"[A-Za-z0-9][\w.-]*"
_REPOSITORY = re.compile(rf"({_NAME}/{_NAME})(?:@([\w./-]+))?", re.ASCII)
_FILES = (".safetensors", ".onnx", ".engine", ".pth", ".pt", ".tar", ".ckpt", ".bin")


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
        DepthcueError: no weights there, a net of the other kind, or keys of no known net where no name was given.
    """
    state, stated = _read(path)
    state, layout = _net_within(state)
    if kind is not None and layout is not None and layout.kind not in (kind, OTHER):
        raise DepthcueError(f"{path} holds {layout.words}, by its keys; a {kind} net is wanted here",
                            "--target takes a depth net, --weights a mask net.")
    architecture = name or _detected_architecture(layout, state, path)
    if kind is None:
        # tensors of no known net fit no kind; loading them fails with a message that names them
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

    A training script's module holds the net under some name, beside losses, a discriminator or a copy of averaged
    weights, which counts before the net itself.
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


def is_published(spec: str) -> bool:
    """Whether a mask net's spec names a repository of the hub."""
    return spec.startswith(PREFIX)


def names_repository(text: str) -> bool:
    """Whether a text without `hub:` before it reads as OWNER/NAME, and not as the path of a file."""
    found = _REPOSITORY.fullmatch(text)
    return found is not None and not found[1].endswith(_FILES) and not Path(text).exists()


def fetch_mask_net(spec: str) -> Path:
    """The weights of a published mask net in the hub's cache, the card beside them; fetched where they are missing.

    Without a connection, the files that were fetched before are used.

    Args:
        spec: `hub:OWNER/NAME`, or `hub:OWNER/NAME@REVISION` for a branch, a tag or a commit.

    Raises:
        DepthcueError: not the name of a repository, none there, one without a mask net, no connection, or a card that
            does not state the sha256 of its weights.
    """
    location = spec.removeprefix(PREFIX)
    found = _REPOSITORY.fullmatch(location)
    if found is None:
        if location.count(":") == 1 and location.partition(":")[2]:
            raise DepthcueError(f"{spec} is a torch.hub entry, which gives a depth net; a mask net is wanted here",
                                f"Give it as --target. A published mask net is {FORM}.")
        raise DepthcueError(f"{spec} names no published mask net", f"Write {FORM}.")
    repository, revision = found[1], found[2]
    card = _download(repository, str(card_path(WEIGHTS)), revision)
    # both of one commit, whatever is uploaded meanwhile: the cache has a folder for each
    weights = _download(repository, WEIGHTS, card.parent.name)
    if not read_card(weights).get("sha256"):
        raise DepthcueError(f"the card of {spec} does not state the sha256 of its weights",
                            "Ask its owner to publish it with depthcue publish.")
    return weights


def _download(repository: str, file: str, revision: str | None) -> Path:
    import huggingface_hub
    from huggingface_hub import errors

    at = repository if revision is None else f"{repository}@{revision}"
    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    except errors.GatedRepoError as error:
        raise DepthcueError(f"{at} is open to those alone whom its owner admits",
                            "Ask on its page, then log in with hf auth login.") from error
    except errors.RepositoryNotFoundError as error:
        raise DepthcueError(f"there is no repository {repository} on the hub, or it is private",
                            f"Check the name; log in with hf auth login for one of your own. Write {FORM}.") from error
    except errors.RevisionNotFoundError as error:
        raise DepthcueError(f"{repository} has no revision {revision}",
                            "Name a branch, a tag or a commit of it, or none.") from error
    except errors.LocalEntryNotFoundError as error:  # which is an EntryNotFoundError too
        raise DepthcueError(f"{at} cannot be fetched: the hub cannot be reached, and it was not fetched before",
                            "Check the connection, or fetch it elsewhere and give the .safetensors file.") from error
    except errors.EntryNotFoundError as error:
        raise DepthcueError(f"{at} holds no mask net: it has no {file}",
                            "A repository that depthcue publish wrote has one.") from error
    except (errors.HfHubHTTPError, OSError, ValueError) as error:
        raise DepthcueError(f"{at} cannot be fetched: {first_line(error)}",
                            "Try again, or fetch it elsewhere and give the .safetensors file.") from error
