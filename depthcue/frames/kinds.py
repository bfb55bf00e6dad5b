"""Kinds of files by name and content: pictures, videos, live sources, and known kinds that are not read.

Each known kind that is not read has a reason, so that no file is left out in silence. Addresses of live sources are
`camera:0` and `rtsp://…`; their names never hold a password.
"""

import codecs
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import urlsplit

from PIL import features

from depthcue.errors import HIDDEN, MAX_LABEL, DepthcueError, without_password
from depthcue.imaging import HEIF_HINT, open_picture

IMAGE_SUFFIXES = frozenset((".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg",
                            ".jpf", ".jpg", ".jpx", ".mpo", ".pbm", ".pgm", ".pjp", ".pjpeg", ".png", ".pnm", ".ppm",
                            ".tga", ".tif", ".tiff", ".webp"))
VIDEO_SUFFIXES = frozenset((".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gxf",
                            ".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg",
                            ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm",
                            ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"))
HEIF_SUFFIXES = frozenset((".heic", ".heics", ".heif", ".heifs", ".hif"))
SUPPORTED = ("Give pictures, such as .jpg, .png, .webp, .tif or .bmp (.heic with the extra heif), or videos, such as "
             ".mp4, .mov, .avi, .mkv or .webm. depthcue guide masks lists every kind.")

MediaKind = Literal["image", "video"]

_RAW = ("raw files of cameras are not read", "Develop it to JPEG, PNG or TIFF first.")
_LAYERS = ("documents of drawing programs are not read", "Export it as PNG or TIFF.")
_PICTURE = ("pictures of this kind are not read", "Convert it to PNG or TIFF.")
_HIGH_RANGE = ("pictures of linear light are not read", "Convert it to PNG or TIFF.")
_VIDEO = ("videos of this kind are not read", "Convert it to mp4.")
DEPTH_MAP = ("depth maps are no photographs: grey with 16 bits under a name that says depth or disparity, or grey "
             "beside a JPEG file in colour of the same name", "Name the file itself to mask it as a picture.")
_PHOTOGRAPHS = (".jpg", ".jpeg", ".JPG", ".JPEG")
_DEEP = frozenset(("F", "I", "I;16", "I;16B", "I;16L", "I;16N"))
_COLOURED = frozenset(("RGB", "CMYK"))
_DEEP_SUFFIXES = (".pgm", ".png", ".tif", ".tiff")
DEPTH_WORDS = frozenset(("depth", "depths", "depthmap", "depthmaps"))
DISPARITY_WORDS = frozenset(("disp", "disps", "disparity", "disparities"))
_PLAYLIST = ("lists of other files are not followed", "Name the files.")
_UNREAD: dict[str, tuple[str, str]] = {suffix: why for suffixes, why in (
    (".3fr .arq .arw .cr2 .cr3 .crw .dcr .dcs .dng .eip .erf .fff .gpr .iiq .k25 .kdc .mdc .mef .mos .mrw "
     ".nef .nrw .orf .pef .pxn .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .x3f", _RAW),
    (".afphoto .kra .ora .psb .psd .xcf", _LAYERS),
    (".cur .dcm .dds .djvu .emf .eps .fits .icns .ico .insp .jls .jng .jps .jxl .jxr .hdp .mng .pam .pcd .pcx .pict "
     ".qoi .ras .sgi .svg .svgz .wdp .wmf .xbm .xpm", _PICTURE),
    (".exr .hdr .pfm .phm .rgbe", _HIGH_RANGE),
    (".amv .ari .bik .braw .crm .cine .dav .evo .fli .flc .insv .lrv .m4p .mk3d .nsv .r3d .swf .tod .xvid", _VIDEO),
    (".ffconcat .m3u .m3u8 .mpd .pls .sdp .smil", _PLAYLIST),
) for suffix in suffixes.split()}
"""Suffixes of pictures and videos that are not read: what such a file is, and what to do."""
_NEEDED = {".avif": "avif", **dict.fromkeys((".j2k", ".jp2", ".jpc", ".jpf", ".jpx"), "jpg_2000"), ".webp": "webp"}
"""Feature of Pillow that reads a suffix, where Pillow may have been built without it."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+(?:\.\d+)?")
_TEXT_OR_VIDEO = frozenset((".mts", ".ts"))
"""TypeScript, translations of Qt; or MPEG transport streams."""
_SNIFFED_BYTES = 4096
SCHEMES = ("rtsp", "rtsps", "http", "https")
_CAMERA = re.compile(r"camera:(.*)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_UNSAFE = re.compile(r"[^\w.-]+")
"""Characters that a file name cannot hold on every system."""

log = logging.getLogger(__name__)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Refuse an empty file, and name the path in the errors of opening a file that is missing or closed to the user.

    Raises:
        DepthcueError: it is empty or missing, or may not be read.
    """
    try:
        if path.stat().st_size == 0:
            raise DepthcueError(f"{path} is empty (0 bytes)", "Copy or download it again.")
        yield
    except FileNotFoundError:
        raise DepthcueError(f"{path} does not exist", "Check the path.") from None
    except PermissionError:
        raise DepthcueError(f"{path} cannot be read: permission denied", "Change its rights.") from None


def kind_of_name(name: str | PurePath) -> MediaKind | None:
    """Kind of a file by its name, None for files that are not read. No file is opened."""
    suffix = PurePath(name).suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "image" if suffix in IMAGE_SUFFIXES | HEIF_SUFFIXES and why_unread(name) is None else None


def kind_of_file(path: Path) -> MediaKind | None:
    """Kind by name as `kind_of_name`, and by content where the suffix is one of texts and of videos."""
    kind = kind_of_name(path)
    return None if kind is not None and path.suffix.lower() in _TEXT_OR_VIDEO and _is_text(path) else kind


def known_kind(path: Path) -> MediaKind:
    """The kind of a file that the user has named.

    Raises:
        DepthcueError: it is not read; why, and what to do.
    """
    if (kind := kind_of_file(path)) is not None:
        return kind
    if (why := why_unread(path)) is not None:
        raise DepthcueError(f"{path}: {why[0]}", why[1])
    suffix = path.suffix.lower()
    if suffix in _TEXT_OR_VIDEO:
        what = "text, not a video" if path.stat().st_size else "empty (0 bytes)"
        raise DepthcueError(f"{path} is {what}", SUPPORTED)
    raise DepthcueError(f"{path}: {'files ending in ' + suffix if suffix else 'files without a suffix'} are not read",
                        SUPPORTED)


def why_unread(name: str | PurePath) -> tuple[str, str] | None:
    """Why a picture or video of this name is not read here and what to do; None for what is read, and for all else."""
    suffix = PurePath(name).suffix.lower()
    if suffix in HEIF_SUFFIXES:
        return None if _has_heif() else ("HEIC pictures cannot be read", HEIF_HINT)
    if (needed := _NEEDED.get(suffix)) is not None:
        return None if _pillow_reads(needed) else (f"this Pillow was built without {suffix[1:].upper()}",
                                                    "Install Pillow from PyPI: pip install --upgrade pillow")
    return _UNREAD.get(suffix)


def why_left_out(path: str | PurePath) -> tuple[str, str] | None:
    """Why a file of a folder or glob is left out and what to do: a kind that is not read, or a depth map.

    A depth map is 16-bit grey, or float, under a name or in a folder that says depth or disparity; or grey beside a
    JPEG file in colour of the same name, as in the csv layout of NYU-v2, which has 8 bits in its training folder.
    """
    if (why := why_unread(path)) is not None:
        return why
    path = Path(path)
    if path.suffix.lower() not in _DEEP_SUFFIXES:
        return None
    words = DEPTH_WORDS | DISPARITY_WORDS
    photograph = next((file for suffix in _PHOTOGRAPHS if (file := path.with_suffix(suffix)).exists()), None)
    if photograph is not None and _mode(path) == "L" and _mode(photograph) in _COLOURED:
        return DEPTH_MAP
    named = any(words & set(words_of(part)) for part in (path.parent.name, path.stem))
    return DEPTH_MAP if (named or photograph is not None) and is_deep_grey(path) else None


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: `syncDepth_0007` has `sync`, `depth`, `0007`."""
    return [word.lower() for word in _WORD.findall(name)]


def is_deep_grey(file: Path) -> bool:
    """Whether a picture is grey with more than 8 bits; False for what cannot be opened."""
    return file.suffix.lower() in _DEEP_SUFFIXES and _mode(file) in _DEEP


def _mode(file: Path) -> str | None:
    """Pillow's name of a picture's channels, such as RGB or I;16; None for what cannot be opened."""
    if not file.is_file():  # reading a pipe would wait
        return None
    try:
        with open_picture(file, file) as image:
            return image.mode
    except (DepthcueError, OSError):
        return None


def log_skipped(names: Sequence[str]) -> None:
    """Log which pictures and videos were left out, and why; a line for each reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if (why := why_left_out(name)) is not None:
            reasons.setdefault(why, []).append(name)
    for (what, remedy), left in reasons.items():
        shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        log.warning("left out %d file%s (%s): %s. %s", len(left), "" if len(left) == 1 else "s", shown, what, remedy)


def warn_of_depth_maps(files: Iterable[Path]) -> None:
    """Log which of the pictures that the user named look like depth maps; they are masked all the same."""
    deep = [str(file) for file in files if is_deep_grey(file)]
    if deep:
        more = f" and {len(deep) - 1} more are" if deep[1:] else " is"
        log.warning("%s%s grey with 16 bits, as depth maps are, and masked as a picture. If this is a depth map, give "
                    "the photograph that belongs to it.", deep[0], more)


@lru_cache
def _has_heif() -> bool:
    return find_spec("pillow_heif") is not None


@lru_cache
def _pillow_reads(feature: str) -> bool:
    return bool(features.check(feature))


def _is_text(path: Path) -> bool:
    """Whether a file reads as text: transport streams have zero bytes within their first packet."""
    if not path.is_file():  # reading a pipe would wait
        return False
    try:
        with path.open("rb") as file:
            begin = file.read(_SNIFFED_BYTES)
    except OSError:
        return False  # reported when it is opened
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    return not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in begin)


def live_name(source: str) -> str | None:
    """Stem of the outputs' names of a live source: `camera-0`, `10.0.0.7_554_stream1`; None for other sources.

    Raises:
        DepthcueError: it looks like the address of a live source and is wrong.
    """
    if camera := _CAMERA.fullmatch(source):
        if not (camera[1].isascii() and camera[1].isdigit()):
            if Path(source).exists():
                return None
            raise DepthcueError(f"{source} is no camera", "Cameras have numbers: camera:0 is the first.")
        return f"camera-{int(camera[1])}"
    scheme = _SCHEME.match(source)
    if scheme is None:
        return None
    if scheme[1].lower() not in SCHEMES:
        raise DepthcueError(f"{without_password(source)}: addresses of the kind {scheme[1]} are not read",
                            f"Live sources are camera:N, {', '.join(f'{each}://…' for each in SCHEMES)}; object "
                            "stores are read with --cluster.")
    shown = without_password(source)
    try:
        given, parts = urlsplit(source), urlsplit(shown)
        host_and_port = given.hostname, given.port
        if shown.endswith(HIDDEN):
            parts = parts._replace(netloc="", path="stream")
        elif "@" in given.netloc and host_and_port != (parts.hostname, parts.port):
            raise ValueError("where its host begins is not clear")
        host = f"{parts.hostname or ''}_{parts.port}" if parts.port else parts.hostname or ""
        named = bool(given.hostname)
    except ValueError:  # whose words repeat the address
        raise DepthcueError(f"{shown} is not an address", "Write it as in rtsp://HOST:PORT/PATH; the characters / ? # "
                            "and @ of a user's name and password are written as %2F %3F %23 and %40.") from None
    if not named:
        raise DepthcueError(f"{shown} names no host", "Write it as in rtsp://HOST:PORT/PATH.")
    return _UNSAFE.sub("_", f"{host}{parts.path}")[:MAX_LABEL].strip("_.") or "stream"
