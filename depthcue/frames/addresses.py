"""Addresses of live sources, `camera:0` and `rtsp://…`: which there are, their names, what of them may be shown."""

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from depthcue.errors import DepthcueError

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
    try:
        parts = urlsplit(source)
        host = f"{parts.hostname or ''}_{parts.port}" if parts.port else parts.hostname or ""
    except ValueError as error:
        raise DepthcueError(f"{without_password(source)}… is not an address: {error}",
                            "Write it as in rtsp://HOST:PORT/PATH.") from None
    if not host:
        raise DepthcueError(f"{without_password(source)} names no host", "Write it as in rtsp://HOST:PORT/PATH.")
    return _UNSAFE.sub("_", f"{host}{parts.path}").strip("_.") or "stream"


def without_password(address: str) -> str:
    """An address as it may be shown and kept: without user, password and query, which often holds a token."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition(":")[0]
    if not parts.netloc:
        return address
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
