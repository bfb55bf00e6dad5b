"""Files and addresses as FFmpeg opens them. A path is a path whatever it looks like, and a file opens no other file.

FFmpeg takes a relative path such as `http:/host/x.mp4`, `subfile,,…` or `10:30.mp4` for an address, and a script among
videos (ffconcat, a playlist, a session description) makes it open whatever the script lists. So paths are handed over
as `file:PATH` with that protocol alone allowed, files are read in formats that hold their own pictures, and protocols
of the network are for addresses that the user has typed.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import av
import av.container
import av.error
from av.codec.hwaccel import HWAccel

from depthcue.errors import DepthcueError

FORMATS = ("mov", "matroska", "avi", "flv", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "vvc", "av1", "obu",
           "ivf", "asf", "asf_o", "ogg", "mxf", "nut", "rm", "dv", "gxf", "wtv", "yuv4mpegpipe", "mjpeg", "gif", "apng",
           "dnxhd", "dirac", "vc1", "vc1test", "h261", "h263", "nsv", "lxf", "bink", "smk", "flic", "pva", "ty", "dhav",
           "cine", "amv", "avs2", "avs3", "evc")
"""Demuxers of files that hold pictures and refer to nothing else."""

_NETWORK = ("rtsp", "rtsps", "rtp", "srtp", "udp", "tcp", "tls", "http", "https", "httpproxy", "crypto", "data")
"""Protocols that serve an address; `file` is not among them, so that no server can have a file read."""

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_FLV_TAGS = (8, 9, 18)
"""Kinds of parts in FLV: sound, pictures, data."""

_SCRIPTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"[playlist]", b"<?xml", b"<MPD", b"<SmoothStreamingMedia")
"""How files begin that list others: concat scripts, playlists, session descriptions, manifests."""


def open_file(path: Path, hardware: HWAccel | None = None) -> av.container.InputContainer:
    """Open a video file for reading.

    Raises:
        DepthcueError: it is a script that names other files.
        av.error.FFmpegError: it cannot be opened.
        OSError: likewise.
    """
    if _is_script(path):
        raise DepthcueError(f"{path} is a script that names other files or addresses, and those are not opened",
                            "Name the videos themselves, or an address by its http://, https:// or rtsp://.")
    return av.open(_as_file(path), metadata_errors="replace", hwaccel=hardware,
                   options={"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)})


def create_file(path: Path, format: str, options: Mapping[str, str]) -> av.container.OutputContainer:
    """Open a video file for writing.

    Raises:
        av.error.FFmpegError: it cannot be written.
        OSError: likewise.
    """
    return av.open(_as_file(path), "w", format=format, options=dict(options))


def open_address(address: str, options: Mapping[str, str], timeout_s: tuple[float, float],
                 hardware: HWAccel | None = None) -> av.container.InputContainer:
    """Open the address of a stream, whose scheme may be written in any case.

    Args:
        timeout_s: how long opening and each read may take.

    Raises:
        av.error.FFmpegError: it cannot be opened.
        OSError: likewise.
    """
    scheme, colon, rest = address.partition(":")
    return av.open(f"{scheme.lower()}{colon}{rest}", timeout=timeout_s, hwaccel=hardware, metadata_errors="replace",
                   options={**options, "protocol_whitelist": ",".join(_NETWORK)})


def open_device(format: str, name: str, options: Mapping[str, str], timeout_s: tuple[float, float],
                hardware: HWAccel | None = None) -> av.container.InputContainer:
    """Open a camera by the name that the input device `format` has for it; otherwise as `open_address`."""
    return av.open(name, format=format, timeout=timeout_s, hwaccel=hardware, metadata_errors="replace",
                   options=dict(options))


def is_whole(path: Path) -> bool:
    """Whether a Matroska, WebM or FLV file is as long as it says, or ends where a part of it ends; False for others.

    These do not say how long their last picture is shown: what is missing at the end was either cut off or is that.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            begin = file.read(4)
            if begin == _EBML:
                file.seek(_varint(file), os.SEEK_CUR)
                return file.read(4) == _SEGMENT and _varint(file) + file.tell() <= size
            if begin[:3] == b"FLV" and size > 15:
                file.seek(size - 4)
                tag = int.from_bytes(file.read(4), "big")  # the last part's size, its head of 11 bytes included
                file.seek(max(size - 4 - tag, 0))
                head = file.read(4)
                return head[0] in _FLV_TAGS and int.from_bytes(head[1:4], "big") + 11 == tag
    except (OSError, IndexError, ValueError):
        pass
    return False


def _as_file(path: Path) -> str:
    return f"file:{path}"


def _varint(file: IO[bytes]) -> int:
    """A length as EBML writes it: leading zero bits tell how many bytes follow; all ones are an unknown length."""
    first = file.read(1)[0]
    following = 8 - first.bit_length()
    return int.from_bytes(bytes([first & (0x7F >> following)]) + file.read(following), "big")


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return begin.startswith(_SCRIPTS)
