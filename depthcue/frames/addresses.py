"""Addresses of live sources, `camera:0` and `rtsp://…`: which there are, their names, what of them may be shown."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from depthcue.errors import DepthcueError
from depthcue.text import HIDDEN, MAX_LABEL, without_password

SCHEMES = ("rtsp", "rtsps", "http", "https")

_CAMERA = re.compile(r"camera:(.*)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_UNSAFE = re.compile(r"[^\w.-]+")
"""What a file name should not hold on every system."""


def live_name(source: str) -> str | None:
    """What outputs of a live source are named by: `camera-0`, `10.0.0.7_554_stream1`; None if it is none.

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
        meant, parts = urlsplit(source), urlsplit(shown)
        host_and_port = meant.hostname, meant.port
        if shown.endswith(HIDDEN):
            parts = parts._replace(netloc="", path="stream")
        elif "@" in meant.netloc and host_and_port != (parts.hostname, parts.port):
            raise ValueError("where its host begins is not clear")
        host = f"{parts.hostname or ''}_{parts.port}" if parts.port else parts.hostname or ""
        named = bool(meant.hostname)
    except ValueError:  # whose words repeat the address
        raise DepthcueError(f"{shown} is not an address", "Write it as in rtsp://HOST:PORT/PATH; the characters / ? # "
                            "and @ of a user's name and password are written as %2F %3F %23 and %40.") from None
    if not named:
        raise DepthcueError(f"{shown} names no host", "Write it as in rtsp://HOST:PORT/PATH.")
    return _UNSAFE.sub("_", f"{host}{parts.path}")[:MAX_LABEL].strip("_.") or "stream"
