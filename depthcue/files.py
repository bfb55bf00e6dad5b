"""Files that are whole or absent: written under a temporary name, renamed when complete.

The temporary file gets a short random name that nothing has yet: no link is followed, and the name fits wherever the
final one does. It stays locked while it is written, and a lock ends with its process, however that ends; the next job
that writes into the folder removes temporary files without a lock.

This module also holds the cache of files that can be made again (exported graphs, engines, trials of compilers), and
the record of machine, versions and revision in every measurement and card.
"""

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from depthcue.errors import NOT_UTF8, DepthcueError, argument, file_label, shown, without_password

_LOCKS: bool = os.name == "posix"
"""Windows has none; there, an open file cannot be renamed or removed."""
if _LOCKS:
    import fcntl

STALE_S = 24 * 3600.0
"""Age in seconds from which an untouched temporary file is left over, where files cannot be locked."""

_PARTIAL = re.compile(r"\.depthcue-[0-9a-f]{8}\.part(\..{1,15})?")
_LONGEST_SUFFIX = 16
_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_cleaned: set[str] = set()
"""Folders in which this process has removed the temporary files that others left."""
SCHEMA = 1
"""Version of the results.json documents; a reader refuses others."""


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, with those it lies in, where it is not there yet.

    Raises:
        DepthcueError: it cannot be made, or something else has its name.
    """
    folder = Path(path)
    if (address := without_password(str(folder))) != str(folder):
        raise DepthcueError(f"{address} is an address, and no folder", "Choose another --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DepthcueError(f"{folder} is not a folder", "Choose another --out.") from None
    except OSError as error:
        raise DepthcueError(f"the folder {folder} cannot be made: {error.strerror}",
                            "Choose another --out, or change its rights.") from error
    return folder


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Yield the path of an empty file beside `path`; on success it becomes `path`, on any error it is removed.

    The temporary name is hidden and keeps the suffix, because encoders choose their format by it. Missing parent
    folders are made. The content is on the disk before the file gets its name.

    Args:
        durable: have the name on the disk too. Without it, a power cut may leave the file absent, never cut off.

    Raises:
        DepthcueError: the disk is full, the folder cannot be made or written, or the name is no file's.
    """
    final = Path(path)
    folder = make_folder(final.parent)
    try:
        _require_replaceable(final)
        if str(folder) not in _cleaned:
            _cleaned.add(str(folder))
            _remove_left(folder)
        partial, descriptor = _create(folder, final.suffix)
    except OSError as error:
        raise _cannot(final, error) from error
    renamed = False
    try:
        try:
            yield partial
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
                raise _cannot(final, error) from error
            raise
        try:
            _sync(descriptor)
            if not _LOCKS:
                os.close(descriptor)
                descriptor = -1
            os.replace(partial, final)
            renamed = True
            if durable:
                _sync_folder(folder)
        except OSError as error:
            raise _cannot(final, error) from error
    finally:
        # the error that led here is the one to report: from a disk that has become read-only nothing can be removed
        with suppress(OSError):
            if descriptor >= 0:
                os.close(descriptor)
        if not renamed:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def partial_name(suffix: str = "") -> str:
    """A temporary name, hidden and unlike any other, for a file of this suffix."""
    kept = suffix if len(suffix.encode(errors="surrogateescape")) <= _LONGEST_SUFFIX else ""
    return f".depthcue-{secrets.token_hex(4)}.part{kept}"


def remove_partials(folder: str | os.PathLike[str], since: float) -> None:
    """Remove the temporary files below `folder` that killed processes have left.

    Where files cannot be locked, these are the ones written to after `since` (seconds of `time.time`).
    """
    for path in Path(folder).rglob(".depthcue-*"):
        _remove_if_left(path, newer_than=since - 2)  # a file's clock and ours may differ by a little


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8), as it is `shown`, to `path`, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(shown(text), encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`, whole or not at all; `durable` as in `atomic_path`."""
    with atomic_path(path, durable=durable) as partial:
        partial.write_bytes(data)


def _require_replaceable(final: Path) -> None:
    """Refuse a name that nothing can be renamed to, before hours of work go into the file; raises OSError."""
    try:
        mode = os.lstat(final).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise OSError(errno.EINVAL, "it is a pipe, socket or device")


def _cannot(final: Path, error: OSError) -> DepthcueError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DepthcueError(f"no space left on the disk while writing {final}",
                             "Free some space; with --resume, what is finished is kept.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DepthcueError(f"{final} cannot be written: {error.strerror}", "Choose another --out, or change its "
                             "rights.")
    return DepthcueError(f"{final} cannot be written: {error.strerror or error}", "Choose another --out.")


def _create(folder: Path, suffix: str) -> tuple[Path, int]:
    """A new file, locked and open; raises OSError."""
    while True:
        path = folder / partial_name(suffix)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o666)
        except FileExistsError:
            continue
        # between the two calls, another process may have removed it
        if _lock(descriptor) is not False and _is_at(descriptor, path):
            return path, descriptor
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> bool | None:
    """Lock an open file: True; False where another has; None where files cannot be locked."""
    if not _LOCKS:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _remove_left(folder: Path) -> None:
    """Remove the temporary files of writers that were killed from a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".depthcue-"):
                _remove_if_left(Path(entry.path))


def _remove_if_left(path: Path, newer_than: float | None = None) -> None:
    if not _PARTIAL.fullmatch(path.name):
        return
    with suppress(OSError):
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return
        descriptor = os.open(path, os.O_RDWR | _NO_LINK)
        try:
            free = _lock(descriptor)
            if free is None:
                free = found.st_mtime >= newer_than if newer_than is not None else \
                    found.st_mtime < time.time() - STALE_S
            if free and _LOCKS:
                path.unlink()
        finally:
            os.close(descriptor)
        if free and not _LOCKS:
            path.unlink()


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):  # a disk without this operation
            raise


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk too, where the system allows that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/depthcue`, else `~/.cache/depthcue`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the specification wants relative paths ignored
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "depthcue"


def cached_file(kind: str, facts: str, name: str, suffix: str) -> Path:
    """The file in the cache whose content these facts decide; their hash is part of its name.

    The name is for people, and comes from anyone's card: it cannot lead out of the folder, and is cut to a limit.
    """
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]
    return cache_folder() / kind / f"{file_label(name)}-{key}{suffix}"


def revision() -> str:
    """The git revision of the source tree, with `+` when it has changes; the package version elsewhere."""
    folder = Path(__file__).resolve().parent.parent
    try:
        version = metadata.version("depthcue")
    except metadata.PackageNotFoundError:
        version = "0"
    if not (folder / ".git").exists():
        return version
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, timeout=10, check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return version
    return described.stdout.strip()


def machine() -> dict[str, Any]:
    """Description of this machine: processor, cores, GPU, and the versions that decide speed and rounding."""
    import torch

    return {
        "platform": platform.platform(terse=True),
        "processor": cpu_fact("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def require_own(path: Path) -> bool:
    """Check that the document at `path`, which is to be replaced, was written by depthcue.

    Returns:
        Whether there is a document.

    Raises:
        DepthcueError: another program wrote it.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError):
        return True  # a damaged document is taken for our own: nothing in it could be lost
    if not (isinstance(content, dict) and {"schema", "command"} <= content.keys()):
        raise DepthcueError(f"{path} is there already, and depthcue did not write it",
                            "Choose another --out, or move it away.")
    return True


def begin(out: str | os.PathLike[str]) -> Path:
    """Make the folder of a measurement, and remove the results.json of an earlier one from it.

    Beside the pictures of a measurement that was stopped, the old document would pass for that measurement's.

    Raises:
        DepthcueError: the folder cannot be made or written, or its results.json is another program's.
    """
    folder = make_folder(out)
    require_own(folder / "results.json")
    try:
        (folder / "results.json").unlink(missing_ok=True)
    except OSError as error:
        raise DepthcueError(f"{folder / 'results.json'} cannot be replaced: {error.strerror}",
                            "Choose another --out.") from error
    return folder


def arguments() -> list[str]:
    """The words that this program was called with, without the passwords of addresses."""
    return [shown(argument(word)) for word in sys.argv[1:]]


def document(command: str, **fields: Any) -> dict[str, Any]:
    """A results document: schema, command, the words it was called with, revision, machine, then `fields`."""
    return {"schema": SCHEMA, "command": command, "arguments": arguments(),
            "revision": revision(), "machine": machine(), **fields}


def json_text(content: Any, indent: int | None = None) -> str:
    """`content` as JSON, its texts as they are `shown`. NaN is refused, which other languages do not read."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    return NOT_UTF8.sub(lambda found: "\\" + shown(found[0]), text)  # in JSON a backslash is written as two


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all; see `json_text`."""
    write_text(path, json_text(content, indent=2) + "\n")


def write_public(path: str | os.PathLike[str], content: Any) -> None:
    """As `write_json`, for results that are kept with the code: without the paths of the machine that made them."""
    write_json(path, without_paths(content))


def without_paths(value: Any) -> Any:
    """A card or results document for others to read: paths in specs and options become PATH."""
    if isinstance(value, dict):
        return {key: without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_paths(entry) for entry in value]
    if isinstance(value, str):
        value = re.sub(r"\b(nyu|kitti|folder|sequence|compact|drn22|hu-\w+|laina-\w+|monodepth2-\w+):\S+",
                       r"\1:PATH", value)
        value = re.sub(r"\b(hf|hub|onnx):[/.~][^\s,:]*", r"\1:PATH", value)
        return "PATH" if value.startswith(("/", ".", "runs/")) else value
    return value


def cpu_fact(*names: str) -> str:
    """What Linux says of the first CPU under the first of these names that it lists; empty elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(names):
                return line.partition(":")[2].strip()
    return ""
