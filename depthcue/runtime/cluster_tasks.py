"""What many machines are to mask: inputs on disks and in object stores, by name alone, in portions for workers."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from depthcue.errors import DepthcueError
from depthcue.frames import SUPPORTED, find_inputs, kind_of_name
from depthcue.frames.inputs import Kind, natural_key, unique_names
from depthcue.frames.kinds import tell_skipped, why_unread
from depthcue.runtime.cluster_storage import Store, is_address


@dataclass(frozen=True, slots=True)
class Item:
    """One input as it travels: some hundred bytes, whatever the picture's size."""

    label: str
    """What it is called in messages and records: the path as given, or the address."""
    kind: Kind
    name: str
    """What outputs are named by; see `Input.name`."""
    store: str | None = None
    """The place of the store it lies in; None: `label` is a path."""
    key: str = ""
    """Where in the store."""
    stamp: dict[str, int] | None = None
    """Of a stored file, `StoredFile.stamp`; what lies on a disk is looked at by the worker."""
    earlier: dict[str, Any] | None = None
    """Its entry in an earlier run's summary."""


@dataclass
class Found:
    """What sources have given."""

    items: list[Item]
    unreadable: list[tuple[str, DepthcueError]]
    """Sources that gave nothing."""
    skipped: list[tuple[str, str]]
    """Pictures and videos of kinds that are not read, and why."""


def find_items(sources: Sequence[str], out: Store) -> Found:
    """Everything that `sources` name, paths (as `find_inputs` takes them) before addresses; and what gave nothing.

    An address names a picture, a video or all that lies below it.

    Raises:
        DepthcueError: nothing was found at all, or live sources were named.
    """
    unreadable: list[tuple[str, DepthcueError]] = []
    skipped: list[tuple[str, str]] = []
    addresses = [source for source in sources if is_address(source) and not _is_web(source)]
    folders = [Store(source) for source in addresses]
    paths = [source for source in sources if source not in addresses]
    paths += [str(folder.local) for folder in folders if folder.local is not None]
    inputs = find_inputs(paths, without=out.local, on_error=lambda source, error: unreadable.append((source, error)),
                         on_skip=lambda path, why: skipped.append((path, why))) if paths else []
    for each in inputs:
        if each.kind == "live":
            raise DepthcueError(f"{each.label} is live, and live sources are masked on one machine",
                                "Leave --cluster out.")
    items = [Item(each.label, each.kind, each.name) for each in inputs]
    for folder in folders:
        if folder.local is None:
            try:
                items += _stored_items(folder, out, skipped)
            except DepthcueError as error:
                unreadable.append((folder.label, error))
    if not items:
        raise unreadable[0][1] if unreadable else DepthcueError("no source was given", "Name a picture or a video.")
    return Found(_distinct(items), unreadable, skipped)


def portions(items: Iterable[Item], pictures: int) -> Iterator[list[Item]]:
    """Groups of inputs for one task each: every video alone, and first, for they take longest; `pictures` pictures."""
    waiting: list[Item] = []
    for item in items:
        if item.kind == "image":
            waiting.append(item)
        else:
            yield [item]
    for start in range(0, len(waiting), pictures):
        yield waiting[start:start + pictures]


def to_text(items: Sequence[Item]) -> str:
    """A group of inputs as one line of text."""
    return json.dumps([{key: value for key, value in asdict(item).items() if value not in (None, "")}
                       for item in items], separators=(",", ":"))


def from_text(text: str) -> list[Item]:
    """What `to_text` made a text of."""
    return [Item(**fields) for fields in json.loads(text)]


def _is_web(source: str) -> bool:
    return source.partition("://")[0].lower() in ("rtsp", "rtsps", "http", "https")


def _stored_items(folder: Store, out: Store, skipped: list[tuple[str, str]]) -> list[Item]:
    """The picture or video at an address, or all below it in natural order; none of those that lie in `out`.

    Those of kinds that are not read are added to `skipped`.
    """
    single = folder.itself()
    if single is not None:
        whole, files = Store(folder.holder), [single]
    else:
        whole = folder
        files = [file for file in whole.files() if not whole.path(file.key).startswith(f"{out.label}/")]
    found = [(kind, file) for file in sorted(files, key=lambda file: natural_key(file.key))
             if (kind := kind_of_name(file.key)) is not None]
    left = [(whole.path(file.key), why[0]) for file in files if (why := why_unread(file.key)) is not None]
    tell_skipped([path for path, _ in left])
    skipped += left
    if not found:
        raise DepthcueError(f"{folder.label} holds no picture and no video", SUPPORTED)
    return [Item(whole.path(file.key), kind, PurePosixPath(file.key).with_suffix("").as_posix(), whole.place, file.key,
                 file.stamp) for kind, file in found]


def _distinct(items: Sequence[Item]) -> list[Item]:
    """Each input once, under names that are unlike each other's."""
    once = list({(item.store, item.key or item.label): item for item in items}.values())
    names = unique_names([(Path(item.label), item.kind, item.name) for item in once])
    return [replace(item, name=name) for item, name in zip(once, names, strict=True)]
