"""Folders that many machines reach: on a shared disk, or in an object store under an address, s3://BUCKET/PATH.

What pyarrow reads itself (s3, gs, abfs, hdfs) it is left to read; other schemes go through fsspec, where the package
for them is installed. `file:` addresses are paths. Credentials come from where those libraries find them on each
machine.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote

from depthcue.errors import DepthcueError
from depthcue.files import atomic_path, partial_name
from depthcue.frames import SUPPORTED, find_inputs, kind_of_name
from depthcue.frames.inputs import Kind, natural_key, unique_names
from depthcue.frames.kinds import log_skipped, why_unread
from depthcue.text import without_password, without_secrets

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_RESERVED = ":/?&=%@+,;!$'()*[]~"
"""Characters of an address that mean what they are; others are given as they are called, `a b.jpg`."""
_OBJECT_STORES = frozenset(("s3", "gcs", "abfs"))
"""Where a file appears when its writing is finished, and renaming is copying."""
_SMALL = 32 * 2**20
"""Bytes up to which a file goes to an object store in one piece, under its own name."""
_CHUNK = 4 * 2**20


@dataclass(frozen=True)
class StoredFile:
    """A file in a store."""

    key: str
    """Relative to the store, with forward slashes."""
    nbytes: int
    modified_ns: int
    """0 where the store does not tell."""

    @property
    def stamp(self) -> dict[str, int]:
        """What changes when the file is changed; the same numbers as of a file on a disk."""
        return {"files": 1, "bytes": self.nbytes, "modified_ns": self.modified_ns}


class Store:
    """A folder on a disk, or what lies under an address in an object store."""

    def __init__(self, place: str) -> None:
        """
        Args:
            place: a path, or an address; in an address `?` begins options of the store, as in
                `s3://bucket/masks?region=eu-west-1`.

        Raises:
            DepthcueError: no such kind of store, or what is needed to read it is not installed.
        """
        self.place = place
        self._system, root = _filesystem(place)
        self._root = root.rstrip("/") or "/"
        self.local = Path(root) if self._system.type_name == "local" else None
        """The folder itself where it is on a disk of this machine."""
        self.label = str(self.local) if self.local is not None else without_password(place).rstrip("/")
        """As it may be shown: without options and password."""

    @property
    def holder(self) -> str:
        """The place that this one lies in, with its options."""
        address, mark, options = self.place.partition("?")
        return address.rstrip("/").rpartition("/")[0] + mark + options

    def itself(self) -> StoredFile | None:
        """The file that the place is, its name as key, to be read from `holder`; None where the place is a folder.

        Raises:
            DepthcueError: nothing is there, or it cannot be reached.
        """
        from pyarrow.fs import FileType

        with self._failures_named("read"):
            info = self._system.get_file_info(self._root)
        if info.type == FileType.NotFound:
            raise DepthcueError(f"{self.label} does not exist", "Check the address.")
        return StoredFile(info.base_name, info.size, info.mtime_ns or 0) if info.type == FileType.File else None

    def path(self, key: str) -> str:
        """What a file is called by, for a person."""
        return f"{self.label}/{key}"

    def files(self) -> list[StoredFile]:
        """All files below, however deep; hidden ones are left out.

        Raises:
            DepthcueError: nothing is there, or it cannot be reached.
        """
        from pyarrow.fs import FileSelector, FileType

        with self._failures_named("read"):
            below = self._system.get_file_info(FileSelector(self._root, recursive=True))
        found = (StoredFile(info.path.removeprefix(self._root).lstrip("/"), info.size, info.mtime_ns or 0)
                 for info in below if info.type == FileType.File)
        return [file for file in found if not any(part.startswith(".") for part in file.key.split("/"))]

    def fetch(self, key: str, to: Path) -> None:
        """Copy a file of the store to a local one, whose folder is made.

        Raises:
            DepthcueError: it is not there or cannot be reached.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        with self._failures_named("read", key), self.open(key) as stored, to.open("wb") as file:
            shutil.copyfileobj(stored, file, _CHUNK)

    def put(self, file: Path, key: str) -> None:
        """Copy a local file into the store, whole or not at all.

        Raises:
            DepthcueError: the store cannot be written.
        """
        if self._system.type_name in _OBJECT_STORES and file.stat().st_size <= _SMALL:
            content = file.read_bytes()  # before the upload begins: from here on it fails as a whole or not at all
            with self._failures_named("written", key), self._system.open_output_stream(self._full(key)) as stored:
                stored.write(content)
            return
        with self.writing(key) as stored, file.open("rb") as chunks:
            shutil.copyfileobj(chunks, stored, _CHUNK)

    def open(self, key: str) -> IO[bytes]:
        """Open a file of the store for reading from its beginning.

        Raises:
            FileNotFoundError: it is not there.
        """
        stream: IO[bytes] = self._system.open_input_stream(self._full(key))
        return stream

    @contextmanager
    def writing(self, key: str) -> Iterator[IO[bytes]]:
        """Something to write a file's bytes to; the file appears when the context is left without an error.

        It is written under another name first: closed half-way, an upload would look like the whole.

        Raises:
            DepthcueError: the store cannot be written.
        """
        if self.local is not None:
            with (self._failures_named("written", key), atomic_path(self.local / key) as local,
                  local.open("wb") as written):
                yield written
            return
        path = self._full(key)
        folder = path.rpartition("/")[0]
        partial = f"{folder}/{partial_name()}"
        with self._failures_named("written", key):
            if self._system.type_name not in _OBJECT_STORES:  # those have no folders
                self._system.create_dir(folder, recursive=True)
            try:
                with self._system.open_output_stream(partial) as stream:
                    yield stream
            except BaseException:
                with suppress(OSError):
                    self._system.delete_file(partial)
                raise
            self._system.move(partial, path)

    def are_there(self, keys: Sequence[str]) -> bool:
        """Whether each of these files or folders exists."""
        from pyarrow.fs import FileType

        with self._failures_named("read"):
            return all(info.type != FileType.NotFound
                       for info in self._system.get_file_info([self._full(key) for key in keys]))

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Sizes in bytes: of a folder the sum of the files in it; None for what is not there.

        Raises:
            DepthcueError: the store cannot be read.
        """
        from pyarrow.fs import FileSelector, FileType

        with self._failures_named("read"):
            return [None if info.type == FileType.NotFound else info.size if info.type == FileType.File else
                    sum(each.size for each in self._system.get_file_info(FileSelector(info.path))
                        if each.type == FileType.File and not each.base_name.startswith("."))
                    for info in self._system.get_file_info([self._full(key) for key in keys])]

    def delete(self, key: str) -> None:
        """Remove a file, if it is there.

        Raises:
            DepthcueError: the store cannot be written.
        """
        with self._failures_named("written", key):
            try:
                self._system.delete_file(self._full(key))
            except FileNotFoundError:
                pass

    def delete_folder(self, key: str) -> None:
        """Remove a folder with what is in it, if it is there.

        Raises:
            DepthcueError: the store cannot be written.
        """
        with self._failures_named("written", key):
            try:
                self._system.delete_dir(self._full(key))
            except FileNotFoundError:
                pass

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder of the store, in order; none where there is no such folder."""
        from pyarrow.fs import FileSelector, FileType

        with self._failures_named("read", folder):
            infos = self._system.get_file_info(FileSelector(self._full(folder), allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == FileType.File)

    def _full(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    @contextmanager
    def _failures_named(self, verb: str, key: str = "") -> Iterator[None]:
        """Raise what the libraries raise as what a user can put right, naming the file."""
        what = self.path(key) if key else self.label
        try:
            yield
        except FileNotFoundError:
            raise DepthcueError(f"{what} does not exist", "Check the address.") from None
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DepthcueError(f"{what} cannot be {verb}: {without_secrets(reason, self.place)}",
                                "Check the address, the rights, and the credentials of this machine.") from error


def is_address(source: str) -> bool:
    """Whether a source is written as `scheme://…`, and not as a path."""
    return _ADDRESS.match(source) is not None


def _filesystem(place: str) -> tuple[Any, str]:
    """pyarrow's file system for a place, and the place in it."""
    try:
        from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem
    except ImportError as error:
        raise DepthcueError("pyarrow is needed for many machines and object stores",
                            "Install it with: pip install 'depthcue[ray]'") from error
    scheme = _ADDRESS.match(place)
    if scheme is None:
        return LocalFileSystem(), str(Path(place).expanduser().absolute())
    try:
        system, path = FileSystem.from_uri(quote(place, safe=_RESERVED))
        return system, str(path)
    except ValueError:
        pass  # a scheme of which pyarrow does not know
    except OSError as error:
        raise DepthcueError(f"{without_password(place)} cannot be reached: {without_secrets(str(error), place)}",
                            "Check the address.") from error
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(place)
        return PyFileSystem(FSSpecHandler(system)), str(path)
    except (ImportError, ValueError) as error:  # no package for the scheme; no such scheme
        raise DepthcueError(f"{without_password(place)}: {without_secrets(str(error), place)}",
                            "Read are file, s3, gs, abfs, hdfs, and what fsspec knows.") from error


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
    """Stamp of a stored file, `StoredFile.stamp`; what lies on a disk is looked at by the worker."""
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
    log_skipped([path for path, _ in left])
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
