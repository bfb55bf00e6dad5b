"""Files and addresses as FFmpeg opens them. A path is a path whatever it looks like, and a file opens no other file.

FFmpeg takes a relative path such as `http:/host/x.mp4`, `subfile,,…` or `10:30.mp4` for an address, and a script among
videos (ffconcat, a playlist, a session description) makes it open whatever the script lists. So paths are handed over
as `file:PATH` with that protocol alone allowed, files are read in formats that hold their own pictures, and protocols
of the network are for addresses that the user has typed.
"""

from collections.abc import Mapping
from pathlib import Path

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


def _as_file(path: Path) -> str:
    return f"file:{path}"


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return begin.startswith(_SCRIPTS)
