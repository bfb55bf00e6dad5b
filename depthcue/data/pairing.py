"""Pictures and depth maps of a folder, recognised and paired by their names.

A file is a depth map if its name or a folder's says so, or if it is an array (.npy, .npz, .exr) beside a picture. Names
are compared word by word without the words that say which of the two it is: `rgb/0001.jpg` and `Depth/0001.png`,
`frame-01.color.png` and `frame-01.depth.png`, `rgb_7.jpg` and `sync_depth_7.png` each share one name. Recordings in the
layout of the TUM RGB-D benchmark (Sturm et al., IROS 2012), whose two cameras have times of their own, are associated
by their lists or by the nearest time, as the benchmark's associate.py does. Where names leave a doubt, files are
refused: a net would learn from a depth map that is taken for a photograph, in silence.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from depthcue.errors import DepthcueError
from depthcue.frames import kind_of_name
from depthcue.frames.kinds import DEPTH_WORDS, DISPARITY_WORDS, is_deep_grey, why_unread, words_of

DEPTH_SUFFIXES = frozenset((".exr", ".npy", ".npz", ".pgm", ".png", ".tif", ".tiff"))
ARRAY_SUFFIXES = frozenset((".exr", ".npy", ".npz"))
MAX_TIME_DIFFERENCE_S = 0.02
"""Between a picture and its depth in a recording; that of associate.py."""

_PICTURE = frozenset(("rgb", "rgbs", "color", "colors", "colour", "colours", "image", "images", "img", "imgs", "photo",
                      "photos", "picture", "pictures", "pic", "pics", "frame",
                      "frames"))
_SILENT = frozenset(("groundtruth", "gt", "raw", "filled", "map", "maps", "registered", "aligned", "sync", "mm", "png"))
"""Words beside `depth` that do not tell one frame from another."""
_OTHER = frozenset(("label", "labels", "semantic", "semantics", "segmentation", "instance", "instances", "mask",
                    "masks", "normal", "normals", "confidence", "flow", "infrared")) | DISPARITY_WORDS
"""Words for files beside pictures and depth that are neither."""
_TIME = re.compile(r"\d+\.\d+")
_USUAL = ("{}_depth.png", "{}.npy", "depth/{}.png", "depth/{}_depth.png", "depth/{}.npy")
"""Depth maps of a picture's stem, the first counts where there are several."""

Key = tuple[tuple[str, ...], ...]


@dataclass
class Pairs:
    """The pictures of a folder, in order of their paths, each with its depth map where there is one."""

    pairs: list[tuple[Path, Path | None]]
    recorded: frozenset[Path] = frozenset()
    """Depth maps of recordings in the TUM layout."""
    notes: list[str] = field(default_factory=list)
    """Notes on files that were left out."""
    unread: list[str] = field(default_factory=list)
    """Pictures of kinds that are not read."""


@dataclass
class _Group:
    """The files of one scene: a folder, with those that say what they hold left out of its path."""

    pictures: list[Path] = field(default_factory=list)
    depths: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def pair(root: Path) -> Pairs:
    """Pair the files below `root`.

    Raises:
        DepthcueError: depth maps that belong to no picture, or several that belong to one.
    """
    groups: dict[Key, _Group] = defaultdict(_Group)
    found = Pairs([])
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            continue
        role = _role(relative, root)
        if role and file.is_file():
            getattr(groups[_folder_key(relative)], role).append(file)
        elif why_unread(relative) is not None:
            found.unread.append(str(file))
    for group in groups.values():
        _pair_group(root, group, found)
    found.pairs.sort()
    return found


def _pair_group(root: Path, group: _Group, found: Pairs) -> None:
    if not group.pictures and not group.depths:
        group.pictures, group.others = [other for other in group.others if kind_of_name(other) == "image"], []
    if not group.pictures:
        return _check_no_depth(root, group.depths, group.pictures)
    by_key: dict[Key, list[Path]] = defaultdict(list)
    for depth in group.depths:
        by_key[_key(depth, root)].append(depth)
    depth_of = {picture: _best(picture, by_key.get(_key(picture, root), []), root) for picture in group.pictures}
    if _is_recording(root, group):
        if not all(depth_of.values()):
            depth_of = _associated(root, group)
        found.recorded |= {depth for depth in depth_of.values() if depth is not None}
        without = [picture for picture, depth in depth_of.items() if depth is None]
        if without and len(without) < len(depth_of):  # two cameras that take turns: some frames have no partner
            found.notes.append(f"{len(without)} of {len(depth_of)} pictures have no depth within "
                               f"{MAX_TIME_DIFFERENCE_S:g} s and were left out, the first {without[0]}")
            depth_of = {picture: depth for picture, depth in depth_of.items() if depth is not None}
    if not any(depth_of.values()):
        _check_no_depth(root, group.depths, group.pictures)
        keys = {_key(picture, root) for picture in group.pictures}
        alone = [other for other in group.others if kind_of_name(other) == "image"
                 and not is_deep_grey(other) and _key_beside(other, root) not in keys]
        depth_of |= dict.fromkeys(alone)
        group.others = [other for other in group.others if other not in depth_of]
    if group.others:
        folders = sorted({str(other.parent.relative_to(root)) for other in group.others})
        found.notes.append(f"{len(group.others)} files beside pictures that are neither pictures nor depth were left "
                           f"out, in {', '.join(folders)}, the first {group.others[0]}")
    found.pairs += depth_of.items()


def _check_no_depth(root: Path, depths: Sequence[Path], pictures: Sequence[Path]) -> None:
    """Refuse files that are named as depth maps and belong to no picture.

    Raises:
        DepthcueError: there are some.
    """
    named = [depth for depth in depths if _names_any(depth.relative_to(root), root, DEPTH_WORDS)]
    if named:
        beside = f", and the pictures there are named otherwise, the first {pictures[0]}" if pictures else ""
        raise DepthcueError(
            f"{len(named)} files in {root} are named as depth maps and belong to no picture: "
            f"{', '.join(str(each.relative_to(root)) for each in named[:3])}{', …' if named[3:] else ''}{beside}",
            "Name each as its picture: rgb/NAME.jpg and depth/NAME.png, or NAME.jpg and NAME_depth.png. If they are "
            "photographs, name them without the word depth.")


def _role(relative: Path, root: Path) -> str | None:
    """`pictures`, `depths` or `others`; None for files of no interest."""
    suffix = relative.suffix.lower()
    is_image = kind_of_name(relative) == "image"
    if not is_image and suffix not in ARRAY_SUFFIXES:
        return None
    if _names_any(relative, root, _OTHER):
        return "others"
    if suffix in ARRAY_SUFFIXES:
        return "depths"
    if _names_any(relative, root, DEPTH_WORDS):
        return "depths"
    return "pictures"


def _names_any(relative: Path, root: Path, words: frozenset[str]) -> bool:
    """True if a name on the path has one of the words; the root's name counts for files in deep grey alone."""
    if any(words & set(words_of(part)) for part in (*relative.parts[:-1], relative.stem)):
        return True
    return words is DEPTH_WORDS and bool(words & set(words_of(root.name))) and is_deep_grey(root / relative)


def _bare(name: str) -> tuple[str, ...]:
    """The words that tell one frame, or scene, from another."""
    words = words_of(name)
    if DEPTH_WORDS & set(words):
        words = [word for word in words if word not in _SILENT]
    return tuple(word for word in words if word not in DEPTH_WORDS | _PICTURE)


def _folder_key(relative: Path) -> Key:
    """The path of a file's scene: its folders without those that only say what lies in them."""
    return tuple(bare for part in relative.parts[:-1] if not _OTHER & set(words_of(part)) and (bare := _bare(part)))


def _key(file: Path, root: Path) -> Key:
    relative = file.relative_to(root)
    return (*_folder_key(relative), _bare(relative.stem))


def _key_beside(file: Path, root: Path) -> Key:
    """The key of the picture that a file lies beside which is neither picture nor depth."""
    *folders, name = _key(file, root)
    return (*folders, tuple(word for word in name if word not in _OTHER))


def _best(picture: Path, depths: Sequence[Path], root: Path) -> Path | None:
    """The depth map of a picture among those that share its name.

    Raises:
        DepthcueError: there are several, and none is named in the usual way.
    """
    depths = [depth for depth in depths if depth.suffix.lower() in DEPTH_SUFFIXES]
    if len(depths) < 2:
        return depths[0] if depths else None
    for pattern in _USUAL:
        usual = picture.parent / PurePosixPath(pattern.format(picture.stem))
        if usual in depths:
            return usual
    names = ", ".join(str(each.relative_to(root)) for each in depths)
    raise DepthcueError(f"{picture} has several depth maps: {names}", "Keep one of them in the folder.")


def _is_recording(root: Path, group: _Group) -> bool:
    """Whether a scene is in the layout of the TUM RGB-D benchmark: times for names, or lists of them."""
    depths = [depth for depth in group.depths if depth.suffix.lower() == ".png"]
    return bool(depths) and (all(_TIME.fullmatch(file.stem) for file in (*group.pictures, *depths))
                             or any(_lists(folder) for folder in _bases(root, group)))


def _bases(root: Path, group: _Group) -> set[Path]:
    """Folders in which the lists of a scene may lie."""
    return {folder for file in (*group.pictures[:1], *group.depths[:1]) for folder in (file.parent, file.parent.parent)
            if folder == root or root in folder.parents}


def _lists(folder: Path) -> list[Path]:
    """The association files of a folder, or its rgb.txt and depth.txt."""
    associations = sorted(file for file in folder.glob("assoc*.txt") if file.is_file())
    both = [folder / "rgb.txt", folder / "depth.txt"]
    return associations[:1] or (both if all(file.is_file() for file in both) else [])


def _associated(root: Path, group: _Group) -> dict[Path, Path | None]:
    """Each picture's depth map, by the scene's lists or the times in names."""
    for base in sorted(_bases(root, group)):
        lists = _lists(base)
        if len(lists) == 1:
            rows = [[base / word for word in row if kind_of_name(word)] for row in _rows(lists[0])]
            pictures, depths = set(group.pictures), set(group.depths)
            named: dict[Path, Path | None] = dict.fromkeys(group.pictures)
            for row in rows:
                named |= {picture: depth for picture in row if picture in pictures for depth in row if depth in depths}
            return named
        if len(lists) == 2:
            times = [{base / row[1]: float(row[0]) for row in _rows(file) if len(row) > 1 and _is_number(row[0])}
                     for file in lists]
            of_pictures, of_depths = ({file: moment[file] for file in files if file in moment}
                                      for files, moment in zip((group.pictures, group.depths), times, strict=True))
            return _nearest(of_pictures, of_depths, group.pictures)
    return _nearest({file: float(file.stem) for file in group.pictures if _is_number(file.stem)},
                    {file: float(file.stem) for file in group.depths if _is_number(file.stem)}, group.pictures)


def _nearest(pictures: dict[Path, float], depths: dict[Path, float], order: Iterable[Path]) -> dict[Path, Path | None]:
    """Partners by time, the nearest two first, each file once, none further apart than MAX_TIME_DIFFERENCE_S."""
    ordered = sorted((moment, file) for file, moment in depths.items())
    moments = [moment for moment, _ in ordered]
    candidates = []
    for picture, moment in pictures.items():
        position = bisect_left(moments, moment - MAX_TIME_DIFFERENCE_S)
        while position < len(moments) and moments[position] <= moment + MAX_TIME_DIFFERENCE_S:
            candidates.append((abs(moments[position] - moment), picture, ordered[position][1]))
            position += 1
    partners: dict[Path, Path | None] = dict.fromkeys(order)
    taken: set[Path] = set()
    for _, picture, depth in sorted(candidates):
        if partners[picture] is None and depth not in taken:
            partners[picture] = depth
            taken.add(depth)
    return partners


def _rows(file: Path) -> list[list[str]]:
    text = file.read_text(encoding="utf-8", errors="replace")
    return [line.replace(",", " ").split() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _is_number(word: str) -> bool:
    try:
        return abs(float(word)) < float("inf")
    except ValueError:
        return False
