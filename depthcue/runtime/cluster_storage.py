"""Folders that many machines reach: on a shared disk, or in an object store under an address, s3://BUCKET/PATH.

What pyarrow reads itself (s3, gs, abfs, hdfs) it is left to read; other schemes go through fsspec, where the package
for them is installed. `file:` addresses are paths. Credentials come from where those libraries find them on each
machine.
"""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from depthcue.atomic import atomic_path, partial_name
from depthcue.errors import DepthcueError
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

        with self._told("read"):
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

        with self._told("read"):
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
        with self._told("read", key), self.open(key) as stored, to.open("wb") as file:
            shutil.copyfileobj(stored, file, _CHUNK)

    def put(self, file: Path, key: str) -> None:
        """Copy a local file into the store, whole or not at all.

        Raises:
            DepthcueError: the store cannot be written.
        """
        if self._system.type_name in _OBJECT_STORES and file.stat().st_size <= _SMALL:
            content = file.read_bytes()  # before the upload begins: from here on it fails as a whole or not at all
            with self._told("written", key), self._system.open_output_stream(self._full(key)) as stored:
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
            with self._told("written", key), atomic_path(self.local / key) as local, local.open("wb") as written:
                yield written
            return
        path = self._full(key)
        folder = path.rpartition("/")[0]
        partial = f"{folder}/{partial_name()}"
        with self._told("written", key):
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

        with self._told("read"):
            return all(info.type != FileType.NotFound
                       for info in self._system.get_file_info([self._full(key) for key in keys]))

    def sizes(self, keys: Sequence[str]) -> list[int | None]:
        """Of files, and of folders the sum of the files in them, in bytes; None for what is not there.

        Raises:
            DepthcueError: the store cannot be read.
        """
        from pyarrow.fs import FileSelector, FileType

        with self._told("read"):
            return [None if info.type == FileType.NotFound else info.size if info.type == FileType.File else
                    sum(each.size for each in self._system.get_file_info(FileSelector(info.path))
                        if each.type == FileType.File and not each.base_name.startswith("."))
                    for info in self._system.get_file_info([self._full(key) for key in keys])]

    def delete(self, key: str) -> None:
        """Remove a file, if it is there.

        Raises:
            DepthcueError: the store cannot be written.
        """
        with self._told("written", key):
            try:
                self._system.delete_file(self._full(key))
            except FileNotFoundError:
                pass

    def delete_folder(self, key: str) -> None:
        """Remove a folder with what is in it, if it is there.

        Raises:
            DepthcueError: the store cannot be written.
        """
        with self._told("written", key):
            try:
                self._system.delete_dir(self._full(key))
            except FileNotFoundError:
                pass

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder of the store, in order; none where there is no such folder."""
        from pyarrow.fs import FileSelector, FileType

        with self._told("read", folder):
            infos = self._system.get_file_info(FileSelector(self._full(folder), allow_not_found=True))
        return sorted(info.base_name for info in infos if info.type == FileType.File)

    def _full(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    @contextmanager
    def _told(self, verb: str, key: str = "") -> Iterator[None]:
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
