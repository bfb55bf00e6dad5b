"""Files that are whole or absent: written under a temporary name, renamed when complete."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from depthcue.errors import DepthcueError

NOT_UTF8 = re.compile("[\ud800-\udfff]")
"""What Python has in the place of bytes of file names that are not UTF-8; it is written to no file and no terminal."""


def shown(text: str) -> str:
    """Text that can be written everywhere: bytes of file names that are not UTF-8 become `\\xe9`."""
    return NOT_UTF8.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder, with those it lies in, where it is not there yet.

    Raises:
        DepthcueError: it cannot be made, or something else has its name.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DepthcueError(f"{folder} is not a folder", "Choose another --out.") from None
    except OSError as error:
        raise DepthcueError(f"the folder {folder} cannot be made: {error.strerror}",
                            "Choose another --out, or change its rights.") from error
    return folder


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error it is removed.

    The temporary name is hidden and keeps the suffix, because encoders choose their format by it. Missing parent
    folders are made.

    Raises:
        DepthcueError: the disk is full, or the folder cannot be made or written.
    """
    final = Path(path)
    make_folder(final.parent)
    partial = final.with_name(f".{final.stem}.{os.getpid()}.partial{final.suffix}")
    try:
        yield partial
        os.replace(partial, final)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DepthcueError(f"no space left on the disk while writing {final}", "Free some space; with "
                                "--resume, what is finished is kept.") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise DepthcueError(f"{final} cannot be written", "Choose another --out, or change its rights.") from error
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_partials(folder: str | os.PathLike[str], since: float) -> None:
    """Remove the temporary files that `atomic_path` left below `folder` after `since` (seconds of `time.time`).

    For after processes were killed in their writing; nothing else may be writing there.
    """
    for path in Path(folder).rglob(".*.partial*"):
        # a file's clock and ours may differ by a little
        if path.is_file() and path.stat().st_mtime >= since - 2:
            path.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8), as it is `shown`, to `path`, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(shown(text), encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(data)
