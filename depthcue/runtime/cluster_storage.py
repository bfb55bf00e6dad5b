"""Folders that many machines reach, on a shared disk or at an address s3://BUCKET/PATH, and the inputs in them.

pyarrow's file systems are the one interface: they know s3, gs, abfs and hdfs without further packages, take options in
the address, and give modification times, by which `--resume` notices a changed file. Schemes that pyarrow does not know
go through fsspec, behind the same interface, where the package for them is installed. `file:` addresses are paths, and
files on a disk are written by `files.atomic_path` as everywhere. Credentials are found by those libraries on each
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

from depthcue.errors import DepthcueError, first_line, without_password, without_secrets
from depthcue.files import atomic_path, partial_name
from depthcue.frames import SUPPORTED, find_inputs, kind_of_name
from depthcue.frames.inputs import Kind, natural_key, unique_names
from depthcue.frames.kinds import SCHEMES, log_skipped, why_unread

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_RESERVED = ":/?&=%@+,;!$'()*[]~"
"""Characters of an address that keep their sense; all others are quoted, so that files may be called `a b.jpg`."""
_OBJECT_STORES = frozenset(("s3", "gcs", "abfs"))
"""Types in which a file appears when its writing is finished, renaming copies, and there are no folders."""
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
    """0 where the store has none."""

    @property
    def stamp(self) -> dict[str, int]:
        """Numbers that change with the file, in the form of `summary.fingerprint`."""
        return {"files": 1, "bytes": self.nbytes, "modified_ns": self.modified_ns}


class Store:
    """A folder on a disk, or what lies under an address in an object store."""

    def __init__(self, address: str) -> None:
        """
        Args:
            address: a path, or an address; in an address `?` begins options of the store, as in
                `s3://bucket/masks?region=eu-west-1`.

        Raises:
            DepthcueError: no such kind of store, or what is needed to read it is not installed.
        """
        self.address = address
        self._system, root = _filesystem(address)
        self._root = root.rstrip("/") or "/"
        self.local = Path(root) if self._system.type_name == "local" else None
        """The folder itself where it is on a disk of this machine."""
        self.label = str(self.local) if self.local is not None else without_password(address).rstrip("/")
        """The address for messages and records, without options and password."""

    @property
    def parent(self) -> str:
        """Address of the folder that this address lies in, with the options."""
        address, mark, options = self.address.partition("?")
        return address.rstrip("/").rpartition("/")[0] + mark + options

    def as_file(self) -> StoredFile | None:
        """The file at this address, its name as key, to be read from the store `parent`; None for a folder.

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
        """A file's path or address for messages and records."""
        return f"{self.label}/{key}"

    def files(self) -> list[StoredFile]:
        """All files below, at any depth, but for hidden ones.

        Raises:
            DepthcueError: nothing is there, or it cannot be reached.
        """
        with self._failures_named("read"):
            return [StoredFile(info.path.removeprefix(self._root).lstrip("/"), info.size, info.mtime_ns or 0)
                    for info in self._files_below(self._root, recursive=True)]

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
            content = file.read_bytes()  # read before the upload begins, so that no half of a file is uploaded
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
        """Stream for a new file's bytes; the file appears when the context is left without an error.

        It is written under another name first, because an upload that is closed half-way looks like a whole file.

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

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Size in bytes of each file or folder, a folder's being the sum of its files; None where nothing is there.

        Raises:
            DepthcueError: the store cannot be read.
        """
        from pyarrow.fs import FileType

        with self._failures_named("read"):
            return [None if info.type == FileType.NotFound else info.size if info.type == FileType.File else
                    sum(each.size for each in self._files_below(info.path))
                    for info in self._system.get_file_info([self._full(key) for key in keys])]

    def delete(self, key: str) -> None:
        """Remove a file, or a folder with its content, if it is there.

        Raises:
            DepthcueError: the store cannot be written.
        """
        from pyarrow.fs import FileType

        path = self._full(key)
        with self._failures_named("written", key), suppress(FileNotFoundError):
            is_folder = self._system.get_file_info(path).type == FileType.Directory
            (self._system.delete_dir if is_folder else self._system.delete_file)(path)

    def names(self, folder: str) -> list[str]:
        """Sorted names of the files in a folder but for hidden ones; none where there is no such folder."""
        with self._failures_named("read", folder):
            return sorted(info.base_name for info in self._files_below(self._full(folder), allow_not_found=True))

    def _files_below(self, path: str, **how: bool) -> list[Any]:
        """pyarrow's records of the files in a folder; files and folders that are hidden are left out."""
        from pyarrow.fs import FileSelector, FileType

        return [info for info in self._system.get_file_info(FileSelector(path, **how))
                if info.type == FileType.File and "/." not in "/" + info.path.removeprefix(path).lstrip("/")]

    def _full(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    @contextmanager
    def _failures_named(self, verb: str, key: str = "") -> Iterator[None]:
        """Turn the libraries' errors into a DepthcueError that names the file."""
        what = self.path(key) if key else self.label
        try:
            yield
        except FileNotFoundError:
            raise DepthcueError(f"{what} does not exist", "Check the address.") from None
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these kinds
            reason = without_secrets(first_line(error), self.address)
            raise DepthcueError(f"{what} cannot be {verb}: {reason}",
                                "Check the address, the rights, and the credentials of this machine.") from error


def is_address(source: str) -> bool:
    """Whether a source is written as `scheme://…`, and not as a path."""
    return _ADDRESS.match(source) is not None


def _filesystem(address: str) -> tuple[Any, str]:
    """pyarrow's file system for a path or an address, and the path in it."""
    try:
        from pyarrow.fs import FileSystem, LocalFileSystem
    except ImportError as error:
        raise DepthcueError("pyarrow is needed for many machines and object stores",
                            "Install it with: pip install 'depthcue[ray]'") from error
    if not is_address(address):
        return LocalFileSystem(), str(Path(address).expanduser().absolute())
    try:
        try:
            system, path = FileSystem.from_uri(quote(address, safe=_RESERVED))
        except ValueError:  # a scheme of which pyarrow does not know
            system, path = FileSystem.from_uri(f"fsspec+{address}")
    except (ImportError, OSError, ValueError) as error:  # no package for the scheme; no such server; no such scheme
        raise DepthcueError(f"{without_password(address)} cannot be reached: {without_secrets(str(error), address)}",
                            "Check the address. Its scheme may be file, s3, gs, abfs, hdfs, or what fsspec knows.") \
            from error
    return system, str(path)


@dataclass(frozen=True, slots=True)
class Item:
    """One input as it is sent to workers: its name, in some hundred bytes."""

    label: str
    """Its name in messages and records: the path as given, or the address."""
    kind: Kind
    name: str
    """Stem of the outputs' names; see `Input.name`."""
    store: str | None = None
    """Address of the store it lies in; None: `label` is a path."""
    key: str = ""
    """Its path in the store."""
    stamp: dict[str, int] | None = None
    """`StoredFile.stamp` of a stored file; workers take the fingerprint of a file on a disk."""
    earlier: dict[str, Any] | None = None
    """Its entry in an earlier run's summary."""


@dataclass
class Found:
    """Result of a search for inputs."""

    items: list[Item]
    unreadable: list[tuple[str, DepthcueError]]
    """Sources that gave nothing."""
    skipped: list[tuple[str, str]]
    """Pictures and videos of kinds that are not read, and why."""


def find_items(sources: Sequence[str], out: Store) -> Found:
    """Find the inputs that `sources` name, those of paths (as `find_inputs` takes them) before those of addresses.

    An address names a picture, a video or all that lies below it.

    Raises:
        DepthcueError: nothing was found at all, or live sources were named.
    """
    unreadable: list[tuple[str, DepthcueError]] = []
    skipped: list[tuple[str, str]] = []
    addresses = [source for source in sources
                 if is_address(source) and source.partition("://")[0].lower() not in SCHEMES]  # those are live
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
    """Group inputs into tasks: first each video alone, because it takes longest, then pictures, `pictures` a task."""
    waiting: list[Item] = []
    for item in items:
        if item.kind == "image":
            waiting.append(item)
        else:
            yield [item]
    for start in range(0, len(waiting), pictures):
        yield waiting[start:start + pictures]


def to_text(items: Sequence[Item]) -> str:
    """Write a group of inputs as one line of JSON."""
    return json.dumps([{key: value for key, value in asdict(item).items() if value not in (None, "")}
                       for item in items], separators=(",", ":"))


def from_text(text: str) -> list[Item]:
    """Read the inputs back that `to_text` wrote."""
    return [Item(**fields) for fields in json.loads(text)]


def _stored_items(folder: Store, out: Store, skipped: list[tuple[str, str]]) -> list[Item]:
    """The picture or video at an address, or all below it in natural order; none of those that lie in `out`.

    Those of kinds that are not read are added to `skipped`.
    """
    single = folder.as_file()
    if single is not None:
        whole, files = Store(folder.parent), [single]
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
    return [Item(whole.path(file.key), kind, PurePosixPath(file.key).with_suffix("").as_posix(), whole.address,
                 file.key, file.stamp) for kind, file in found]


def _distinct(items: Sequence[Item]) -> list[Item]:
    """Each input once, under a name of its own."""
    once = list({(item.store, item.key or item.label): item for item in items}.values())
    names = unique_names([(Path(item.label), item.kind, item.name) for item in once])
    return [replace(item, name=name) for item, name in zip(once, names, strict=True)]
