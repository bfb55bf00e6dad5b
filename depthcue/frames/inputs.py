"""Find what to work on: files, folders, globs, frame-number patterns and live sources, as inputs with output names."""

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthcue.atomic import NOT_UTF8
from depthcue.errors import DepthcueError
from depthcue.frames.addresses import live_name, without_password

IMAGE_SUFFIXES = frozenset((".avif", ".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
                            ".tga", ".tif", ".tiff", ".webp"))
VIDEO_SUFFIXES = frozenset((".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
                            ".ogv", ".ts", ".webm", ".wmv"))
SUPPORTED = (f"Supported are {' '.join(sorted(IMAGE_SUFFIXES))} (pictures) and "
             f"{' '.join(sorted(VIDEO_SUFFIXES))} (videos).")

Kind = Literal["image", "video", "sequence", "live"]

_FRAME_NUMBER = re.compile(r"%(?:0(\d+))?d")
_GLOB = re.compile(r"[*?\[]")


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """One thing to work on."""

    path: Path
    """The file; for a sequence the pattern, `frame_%05d.png`; for a live source its name alone."""
    kind: Kind
    name: str
    """What outputs are named by: relative, with forward slashes, without a suffix, never leading out of a folder, and
    unlike every other input's name (whatever the case of its letters)."""
    address: str | None = None
    """Of a live source, what it is opened by: `camera:0`, `rtsp://…`. May hold a password: not to be shown."""

    @property
    def label(self) -> str:
        """What it is called in messages and records: the path, or the address without user and password."""
        return str(self.path) if self.address is None else without_password(self.address)


def find_inputs(sources: Sequence[str], without: Path | None = None,
                on_error: Callable[[str, DepthcueError], None] | None = None) -> list[Input]:
    """Everything that `sources` name, in their order, natural order within each (frame 9 before frame 10).

    A source is a picture, a video, a folder (searched with its subfolders), a glob (`**` too), a frame-number pattern
    such as `frame_%05d.png`, which is one input of the kind "sequence", or a live source: `camera:0`, or an address
    such as `rtsp://HOST/PATH`; whether that is there shows when it is opened. Hidden files are skipped in folders and
    globs, what is named twice is taken once. Names are relative to the folder given, to a glob's fixed part, or the
    bare stem.

    Args:
        sources: as given by the user; `~` is understood in paths.
        without: a folder whose contents are not taken from folders and globs, so that results are not read again.
        on_error: called with each source that gives nothing and the reason; without it the first such error is raised.

    Raises:
        DepthcueError: a source does not exist, is empty, matches nothing, or is of a kind that cannot be read.
    """
    found: dict[tuple[str, Kind], tuple[Path, Kind, str]] = {}
    folders: dict[Path, str] = {}
    for source in sources:
        try:
            if (name := live_name(source)) is not None:
                found.setdefault((source, "live"), (Path(name), "live", name))
                continue
            for path, kind, name in _expand(source, without.resolve() if without else None):
                found.setdefault((_real(path, folders), kind), (path, kind, name))
        except DepthcueError as error:
            if on_error is None:
                raise
            on_error(source, error)
    names = unique_names(list(found.values()))
    return [Input(path, kind, name, key if kind == "live" else None)
            for ((key, kind), (path, _, _)), name in zip(found.items(), names, strict=True)]


def stream_inputs(sources: Sequence[str], without: Path | None = None,
                  on_error: Callable[[str, DepthcueError], None] | None = None) -> Iterator[Input]:
    """As `find_inputs`, one after the other; a folder that is the only source is listed as inputs are taken.

    There, names are made unlike each other's folder by folder, which makes no difference but where folders differ by
    the case of their letters alone.
    """
    folder = Path(sources[0]).expanduser() if len(sources) == 1 and sources[0].strip() else None
    if folder is None or not folder.is_dir():
        yield from find_inputs(sources, without, on_error)
        return
    places: set[str] = set()
    taken: set[str] = set()
    for path, place, name in _walk_lazily(folder, without.resolve() if without else None, "", set()):
        if place in places:
            continue
        places.add(place)
        unique, number = name, 2
        while unique.casefold() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.casefold())
        yield Input(path, _kind(path), unique)
    if not places:
        find_inputs(sources, without, on_error)  # tells why


def sequence_files(pattern: Path) -> list[tuple[int, Path]]:
    """The frame numbers and files that a pattern such as `frame_%05d.png` matches, by number.

    Raises:
        DepthcueError: the folder is missing or unreadable, or nothing matches.
    """
    match = _FRAME_NUMBER.search(pattern.name)
    if match is None:
        raise DepthcueError(f"{pattern} holds no frame number", "Write it as in frame_%05d.png.")
    before, after, digits = pattern.name[:match.start()], pattern.name[match.end():], int(match[1] or 0)
    numbered = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    entries = _list_folder(pattern.parent)
    files = []
    for entry in entries:
        number = numbered.fullmatch(entry.name)
        # exactly what printf would write: %05d does not match frame_7.png, %d does not match frame_007.png
        if number is not None and number[1] == f"{int(number[1]):0{digits}d}" and not entry.is_dir():
            files.append((int(number[1]), pattern.with_name(entry.name)))
    if not files:
        raise DepthcueError(f"no file matches {pattern}; its folder holds {_described(entries)}",
                            "%05d stands for a number of five digits with leading zeros, %d for one without.")
    return sorted(files)


def _expand(source: str, without: Path | None) -> Iterator[tuple[Path, Kind, str]]:
    """Yield (path, kind, wished name) of all that one source names."""
    if not source.strip():
        raise DepthcueError("an empty path was given", "Name a picture, a video, a folder, a glob or a frame pattern.")
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _walk(path, without)
    elif path.exists():
        yield path, _kind(path), path.stem
    elif _FRAME_NUMBER.search(path.name):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise DepthcueError(f"{source}: the files of a frame pattern must be pictures", SUPPORTED)
        sequence_files(path)
        name = _FRAME_NUMBER.sub("", path.stem).strip("_-. ") or path.absolute().parent.name or "frames"
        yield path, "sequence", name
    elif _GLOB.search(source):
        yield from _globbed(path, without)
    else:
        parent = path.parent
        while not parent.exists():
            parent = parent.parent
        raise DepthcueError(f"{source} does not exist", f"Looked for {path.absolute()}; {parent.absolute()} is there, "
                                                        "the rest is not.")


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    if suffix in (".heic", ".heif"):
        raise DepthcueError(f"{path}: HEIC pictures cannot be read", "Convert it to JPEG or PNG first.")
    raise DepthcueError(f"{path}: {'files ending in ' + suffix if suffix else 'files without a suffix'} are not read",
                        SUPPORTED)


def _is_supported(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES


def _walk(folder: Path, without: Path | None) -> Iterator[tuple[Path, Kind, str]]:
    """All pictures and videos of a folder and its subfolders; links are followed, loops are not."""
    seen: set[str] = set()
    files: list[Path] = []
    _list_folder(folder)  # os.walk would skip an unreadable folder in silence
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen or (without is not None and Path(real) == without):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(root, name) for name in names if not name.startswith(".")]
    supported = sorted(filter(_is_supported, files), key=lambda path: natural_key(path.relative_to(folder).as_posix()))
    if not supported:
        raise DepthcueError(f"{folder} holds no picture and no video: it holds {_described(files)}", SUPPORTED)
    for path in supported:
        yield path, _kind(path), path.relative_to(folder).with_suffix("").as_posix()


def _walk_lazily(folder: Path, without: Path | None, prefix: str, seen: set[str]) -> Iterator[tuple[Path, str, str]]:
    """As `_walk`, a folder at a time: (path, where it really is, name unlike those of other files of its folder)."""
    real = os.path.realpath(folder)
    if real in seen or (without is not None and Path(real) == without):
        return
    seen.add(real)
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        log.warning("%s is left out: it cannot be read: %s", folder, error.strerror)
        return
    folders = {entry.name for entry in entries if entry.is_dir()}
    files = {entry.name: path for entry in entries
             if entry.name not in folders and _is_supported(path := folder / entry.name)}
    wished: list[tuple[Path, Kind, str]] = [(path, _kind(path), prefix + path.stem) for path in files.values()]
    names = dict(zip(files, unique_names(wished), strict=True))
    for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
        if entry.name in folders:
            yield from _walk_lazily(folder / entry.name, without, f"{prefix}{entry.name}/", seen)
        elif entry.name in files:
            path = files[entry.name]
            place = os.path.realpath(path) if entry.is_symlink() else os.path.join(real, entry.name)
            yield path, place, names[entry.name]


def _globbed(pattern: Path, without: Path | None) -> Iterator[tuple[Path, Kind, str]]:
    matches = [Path(match) for match in glob.glob(str(pattern), recursive=True)]
    fixed = Path(*_fixed_parts(pattern))
    files = [path for path in matches if path.is_file()]
    folders = [path for path in matches if path.is_dir()]
    if without is not None:
        files = [path for path in files if without not in path.resolve().parents]
        folders = [path for path in folders if without not in (path.resolve(), *path.resolve().parents)]
    supported = [path for path in files if _is_supported(path)]
    if "**" not in pattern.parts:  # there, a folder's files have matched themselves
        for folder in folders:
            try:
                supported += [path for path, _, _ in _walk(folder, without)]
            except DepthcueError:
                continue  # one of several folders may well hold no pictures
    if not supported:
        if files:
            raise DepthcueError(f"{pattern} matches {_described(files)} but no picture and no video", SUPPORTED)
        raise DepthcueError(f"{pattern} matches nothing", "Check the folder, and put the pattern in quotes.")
    for path in sorted(supported, key=lambda path: natural_key(path.as_posix())):
        try:
            name = path.relative_to(fixed).with_suffix("").as_posix()
        except ValueError:
            name = path.stem
        yield path, _kind(path), path.stem if ".." in Path(name).parts else name


def _fixed_parts(pattern: Path) -> list[str]:
    fixed = []
    for part in pattern.parts[:-1]:
        if _GLOB.search(part):
            break
        fixed.append(part)
    return fixed


def natural_key(text: str) -> tuple[object, ...]:
    """A sort key that puts a2 before a10, folder by folder, and ignores case unless all else is equal."""
    folders = [
        [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in re.split(r"(\d+)", part.casefold())]
        for part in text.split("/")
    ]
    return (folders, text)


def unique_names(found: Sequence[tuple[Path, Kind, str]]) -> list[str]:
    """The wished names; where several would be alike, each of them says more: its suffix, its folder, a number.

    Bytes that are not UTF-8 become `%E9`: results are to be found by pages, stores and programs in other languages.
    """
    wishes = []
    for path, _, wished in found:
        name = _utf8(wished)
        suffixed = _utf8(f"{name}_{path.suffix[1:].lower()}") if path.suffix else name
        parent = _utf8(path.absolute().parent.name)
        placed = f"{parent}_{suffixed}" if parent and "/" not in suffixed else suffixed
        wishes.append((name, suffixed, placed))
    level = [0] * len(wishes)
    while True:
        names = [wish[step] for wish, step in zip(wishes, level, strict=True)]
        counts = Counter(name.casefold() for name in names)
        alike = [i for i, name in enumerate(names) if counts[name.casefold()] > 1 and level[i] < 2]
        if not alike:
            break
        for i in alike:
            level[i] += 1
    taken: set[str] = set()
    for i, name in enumerate(names):
        unique, number = name, 2
        while unique.casefold() in taken or (unique is not name and counts[unique.casefold()]):
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.casefold())
        names[i] = unique
    return names


def _real(path: Path, folders: dict[Path, str]) -> str:
    """`os.path.realpath`, which asks for each folder above anew; on a disk far away that takes a millisecond."""
    if path.is_symlink() or path.name in ("", ".."):
        return os.path.realpath(path)
    if path.parent not in folders:
        folders[path.parent] = os.path.realpath(path.parent)
    return os.path.join(folders[path.parent], path.name)


def _utf8(name: str) -> str:
    return NOT_UTF8.sub(lambda found: f"%{ord(found[0]) & 0xFF:02X}", name)


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        raise DepthcueError(f"the folder {folder} does not exist", "Check the path.") from None
    except NotADirectoryError:
        raise DepthcueError(f"{folder} is not a folder", "Check the path.") from None
    except PermissionError:
        raise DepthcueError(f"the folder {folder} cannot be read", "Change its rights.") from None


def _described(files: Sequence[Path]) -> str:
    """What a list of files amounts to: "nothing", "3 files (2 .txt, 1 .csv)"."""
    visible = [path for path in files if not path.name.startswith(".")]
    if not visible:
        return "nothing"
    kinds = Counter(path.suffix.lower() or "no suffix" for path in visible)
    shown = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(5))
    return f"{len(visible)} {'file' if len(visible) == 1 else 'files'} ({shown}{', …' if len(kinds) > 5 else ''})"
