"""Inputs found from files, folders, globs, frame-number patterns and live sources, with names for their outputs."""

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from depthcue.errors import NOT_UTF8, DepthcueError, without_password
from depthcue.frames.kinds import (
    SUPPORTED,
    kind_of_file,
    kind_of_name,
    known_kind,
    live_name,
    log_skipped,
    warn_of_depth_maps,
    why_left_out,
)

RESULT_KINDS = ("mask", "overlay", "panel", "depth", "binary", "raw", "npy", "points")
"""Endings of results' names: `room_mask.png` of `room.jpg`."""

Kind = Literal["image", "video", "sequence", "live"]

_FRAME_NUMBER = re.compile(r"%(?:0(\d+))?d")
_GLOB = re.compile(r"[*?\[]")
_RESULT = re.compile(rf"(.+)_(?:{'|'.join(RESULT_KINDS)})")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Input:
    """A picture, sequence, video or live source to work on, with the name of its outputs."""

    path: Path
    """The file; for a sequence the pattern, `frame_%05d.png`; for a live source its name alone."""
    kind: Kind
    name: str
    """Stem of the outputs' names: relative, with forward slashes, without a suffix, never leading out of a folder, and
    unlike every other input's name (whatever the case of its letters)."""
    address: str | None = None
    """Address that opens a live source: `camera:0`, `rtsp://…`. It may hold a password and is never shown."""

    @property
    def label(self) -> str:
        """Name in messages and records: the path, or the address without user and password."""
        return str(self.path) if self.address is None else without_password(self.address)


def find_inputs(sources: Sequence[str], without: Path | None = None,
                on_error: Callable[[str, DepthcueError], None] | None = None,
                on_skip: Callable[[str, str], None] | None = None) -> list[Input]:
    """Everything that `sources` name, in their order, natural order within each (frame 9 before frame 10).

    A source is a picture, a video, a folder (searched with its subfolders), a glob (`**` too), a frame-number pattern
    such as `frame_%05d.png`, which is one input of the kind "sequence", or a live source: `camera:0`, or an address
    such as `rtsp://HOST/PATH`, which is tried when it is opened. Hidden files are skipped in folders and globs, and a
    file named twice is taken once. Names are relative to the folder given, to a glob's fixed part, or the bare stem.

    Args:
        sources: as given by the user; `~` is understood in paths.
        without: a folder for results, whose contents are not taken from folders and globs, so that results are not
            read again. Where it is itself the folder given, only what is named as a result of another file is left.
        on_error: called with each source that gives nothing and the reason; without it the first such error is raised.
        on_skip: called with each picture and video in folders and globs that is of a kind that is not read, and why.
            A warning names them in any case.

    Raises:
        DepthcueError: a source does not exist, is empty, matches nothing, or is of a kind that cannot be read.
    """
    found: dict[tuple[str, Kind], tuple[Path, Kind, str]] = {}
    skipped: dict[str, None] = {}
    folders: dict[Path, str] = {}
    for source in sources:
        try:
            if (name := live_name(source)) is not None:
                found.setdefault((source, "live"), (Path(name), "live", name))
                continue
            for path, kind, name in _expand(source, without.resolve() if without else None, skipped):
                found.setdefault((_real(path, folders), kind), (path, kind, name))
        except (DepthcueError, OSError) as reason:  # the latter of a name that is too long for any file
            error = reason if isinstance(reason, DepthcueError) else DepthcueError(
                f"{without_password(source)} cannot be looked for: {reason.strerror}", "Check the path.")
            if on_error is None:
                raise error from None
            on_error(source, error)
    _report_skipped(skipped, on_skip)
    named = {os.path.expanduser(source) for source in sources}
    warn_of_depth_maps(path for path, kind, _ in found.values() if kind == "image" and str(path) in named)
    names = unique_names(list(found.values()))
    return [Input(path, kind, name, key if kind == "live" else None)
            for ((key, kind), (path, _, _)), name in zip(found.items(), names, strict=True)]


def stream_inputs(sources: Sequence[str], without: Path | None = None,
                  on_error: Callable[[str, DepthcueError], None] | None = None,
                  on_skip: Callable[[str, str], None] | None = None) -> Iterator[Input]:
    """Inputs as `find_inputs` gives them, one after the other; a folder that is the only source is listed as inputs are
    taken.

    There, names are made unique folder by folder, which gives other names only where folders differ by the case of
    their letters alone. What is left out is reported at the end.
    """
    folder = Path(sources[0]).expanduser() if len(sources) == 1 and sources[0].strip() else None
    if folder is None or not os.path.isdir(folder):
        yield from find_inputs(sources, without, on_error, on_skip)
        return
    real_paths: set[str] = set()
    taken: set[str] = set()
    skipped: dict[str, None] = {}
    results = without.resolve() if without else None
    for path, real_path, kind, name in _walk_lazily(folder, results, skipped, set(),
                                                    beside=results == folder.resolve()):
        if real_path in real_paths:
            continue
        real_paths.add(real_path)
        unique, number = name, 2
        while unique.casefold() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.casefold())
        yield Input(path, kind, unique)
    if real_paths:
        _report_skipped(skipped, on_skip)
    else:
        find_inputs(sources, without, on_error, on_skip)  # reports why


def _report_skipped(skipped: Iterable[str], on_skip: Callable[[str, str], None] | None) -> None:
    names = list(skipped)
    log_skipped(names)
    for name in names:
        why = why_left_out(name)
        if on_skip is not None and why is not None:
            on_skip(name, why[0])


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


def _expand(source: str, without: Path | None, skipped: dict[str, None]) -> Iterator[tuple[Path, Kind, str]]:
    """Yield (path, kind, wanted name) of all that one source names; add the files of kinds not read to `skipped`."""
    if not source.strip():
        raise DepthcueError("an empty path was given", "Name a picture, a video, a folder, a glob or a frame pattern.")
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _walk(path, without, skipped)
    elif path.exists():
        yield path, known_kind(path), path.stem
    elif (shown := without_password(source)) != source:
        raise DepthcueError(f"{shown} is neither an address nor a path that exists",
                            "Write an address as in rtsp://HOST:PORT/PATH.")
    elif _FRAME_NUMBER.search(path.name):
        if kind_of_name(path) != "image":
            raise DepthcueError(f"{source}: the files of a frame pattern must be pictures", SUPPORTED)
        sequence_files(path)
        name = _FRAME_NUMBER.sub("", path.stem).strip("_-. ") or path.absolute().parent.name or "frames"
        yield path, "sequence", name
    elif _GLOB.search(source):
        yield from _globbed(path, without, skipped)
    else:
        parent = path.parent
        while not parent.exists():
            parent = parent.parent
        raise DepthcueError(f"{source} does not exist", f"Looked for {path.absolute()}; {parent.absolute()} is there, "
                                                        "the rest is not.")


def _supported(files: Sequence[Path], skipped: dict[str, None]) -> list[Path]:
    """The pictures and videos among files; those of kinds that are not read are added to `skipped`."""
    left_out = {path for path in files if why_left_out(path) is not None}
    skipped.update((str(path), None) for path in sorted(left_out))
    return [path for path in files if path not in left_out and kind_of_file(path) is not None]


def _named(files: Sequence[Path]) -> set[Path]:
    """Paths without suffix that the names of these files' results begin with."""
    return {path.with_name(name) for path in files for name in (path.stem, f"{path.stem}_{path.suffix[1:].lower()}")}


def _frame_folders(named: Iterable[Path]) -> set[Path]:
    """Folders with a file a frame, results of what is named so."""
    return {path.with_name(f"{path.name}_frames") for path in named}


def _without_results(files: Sequence[Path]) -> list[Path]:
    """The files that are not named as a result of one of the others, `a_mask.png` of `a.jpg`."""
    named = _named(files)
    folders = _frame_folders(named)
    return [path for path in files if path.parent not in folders
            and not ((match := _RESULT.fullmatch(path.stem)) and path.with_name(match[1]) in named)]


def _walk(folder: Path, without: Path | None, skipped: dict[str, None]) -> Iterator[tuple[Path, Kind, str]]:
    """All pictures and videos of a folder and its subfolders; links are followed, loops are not."""
    _list_folder(folder)  # an unreadable folder is an error here, and a warning below
    files: list[Path] = []
    found = [(path.relative_to(folder), kind) for path, _, kind, _ in _walk_lazily(
        folder, without, skipped, set(), beside=without == folder.resolve(), listed=files)]
    if not found:
        raise DepthcueError(f"{folder} holds no picture and no video: it holds {_described(files)}", _remedy(skipped))
    for relative, kind in sorted(found, key=lambda each: natural_key(each[0].as_posix())):
        yield folder / relative, kind, relative.with_suffix("").as_posix()


def _walk_lazily(folder: Path, without: Path | None, skipped: dict[str, None], visited: set[str], prefix: str = "",
                 beside: bool = False, of_frames: bool = False, listed: list[Path] | None = None,
                 ) -> Iterator[tuple[Path, str, Kind, str]]:
    """Pictures and videos of a folder and its subfolders, a folder at a time: (path, real path, kind, name unlike those
    of other files of its folder).

    Args:
        visited: real paths of the folders that were listed.
        prefix: of the names.
        beside: results lie among the files they are of.
        of_frames: this folder is a result, with a file a frame.
        listed: gets every file that is no result, read or not.
    """
    real = os.path.realpath(folder)
    if real in visited or (without is not None and Path(real) == without and not beside):
        return
    visited.add(real)
    try:
        with os.scandir(folder) as listing:
            entries = [entry for entry in listing if not entry.name.startswith(".")]
    except OSError as error:
        log.warning("%s is left out: it cannot be read: %s", folder, error.strerror)
        return
    folders = {entry.name for entry in entries if _is_folder(entry)}
    every = [] if of_frames else [folder / entry.name for entry in entries if entry.name not in folders]
    frames = {path.name for path in _frame_folders(_named(every))} if beside else set()
    every = _without_results(every) if beside else every
    if listed is not None:
        listed += every
    found = [(path, kind) for path in _supported(every, skipped) if (kind := kind_of_file(path)) is not None]
    names = unique_names([(path, kind, prefix + path.stem) for path, kind in found])
    files = {path.name: (path, kind, name) for (path, kind), name in zip(found, names, strict=True)}
    for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
        if entry.name in folders:
            yield from _walk_lazily(folder / entry.name, without, skipped, visited, f"{prefix}{entry.name}/", beside,
                                    entry.name in frames, listed)
        elif entry.name in files:
            path, kind, name = files[entry.name]
            yield path, os.path.realpath(path) if entry.is_symlink() else os.path.join(real, entry.name), kind, name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself, or into a closed folder; reading it says so
        return False


def _globbed(pattern: Path, without: Path | None, skipped: dict[str, None]) -> Iterator[tuple[Path, Kind, str]]:
    fixed = Path(*_fixed_parts(pattern))
    rest = str(pattern.relative_to(fixed))
    matches = list(dict.fromkeys(fixed / match for written in (rest, rest.replace("[", "[[]"))
                                 for match in glob.glob(written, root_dir=fixed, recursive=True)))
    files = [path for path in matches if path.is_file()]
    folders = [path for path in matches if path.is_dir()]
    beside = without == fixed.resolve()
    if without is not None and not beside and without not in fixed.resolve().parents:
        files = [path for path in files if without not in path.resolve().parents]
        folders = [path for path in folders if without not in (path.resolve(), *path.resolve().parents)]
    supported = _supported(files, skipped)
    if "**" not in pattern.parts:  # there, a folder's files have matched themselves
        for folder in folders:
            try:
                supported += [path for path, _, _ in _walk(folder, without, skipped)]
            except DepthcueError:
                continue  # one of several folders may well hold no pictures
    if beside:
        supported = _without_results(supported)
    if not supported:
        if files:
            raise DepthcueError(f"{pattern} matches {_described(files)} but no picture and no video",
                                _remedy(skipped))
        raise DepthcueError(f"{pattern} matches nothing", "Check the folder, and put the pattern in quotes.")
    for path in sorted(supported, key=lambda path: natural_key(path.as_posix())):
        try:
            name = path.relative_to(fixed).with_suffix("").as_posix()
        except ValueError:
            name = path.stem
        yield path, known_kind(path), path.stem if ".." in Path(name).parts else name


def _fixed_parts(pattern: Path) -> list[str]:
    """The leading parts that name folders as they are, also with brackets; the rest is a pattern."""
    fixed: list[str] = []
    for part in pattern.parts[:-1]:
        if _GLOB.search(part) and not Path(*fixed, part).is_dir():
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
    """The wanted names; where several would be alike, each gets more: its suffix, its folder, a number.

    Bytes that are not UTF-8 become `%E9`: results are to be found by pages, stores and programs in other languages.
    """
    candidates = []
    for path, _, wanted in found:
        # an object store's keys may lead anywhere
        parts = ("_" if part == ".." else part for part in wanted.split("/") if part not in ("", "."))
        name = _utf8("/".join(parts)) or "unnamed"
        suffixed = _utf8(f"{name}_{path.suffix[1:].lower()}") if path.suffix else name
        parent = _utf8(path.absolute().parent.name)
        with_parent = f"{parent}_{suffixed}" if parent and "/" not in suffixed else suffixed
        candidates.append((name, suffixed, with_parent))
    level = [0] * len(candidates)
    while True:
        names = [wanted[step] for wanted, step in zip(candidates, level, strict=True)]
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
    """`os.path.realpath`, with the folders above kept: on a remote disk each call for them takes a millisecond."""
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


def _remedy(skipped: Iterable[str]) -> str:
    """Hint where all files were left out: the one for the first, or the supported kinds."""
    why = next((why for name in skipped if (why := why_left_out(name)) is not None), None)
    return SUPPORTED if why is None else f"Left out, as {why[0]}. {why[1]}"


def _described(files: Sequence[Path]) -> str:
    """Short description of a list of files: "nothing", "3 files (2 .txt, 1 .csv)"."""
    visible = [path for path in files if not path.name.startswith(".")]
    if not visible:
        return "nothing"
    kinds = Counter(path.suffix.lower() or "no suffix" for path in visible)
    shown = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(5))
    return f"{len(visible)} {'file' if len(visible) == 1 else 'files'} ({shown}{', …' if len(kinds) > 5 else ''})"
