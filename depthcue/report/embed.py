"""Pictures, films and plots as data URIs, so that a page is one file."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from depthcue.documents import beside
from depthcue.errors import DepthcueError
from depthcue.imaging import open_picture
from depthcue.report.figures import DARK, LIGHT, Theme

_KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
"""What every browser shows, by the name Pillow has for it."""


def picture_uri(folder: Path, path: str) -> str:
    """The picture at `path` in `folder`, byte for byte.

    Raises:
        DepthcueError: there is none, it is no picture that browsers show, or it lies outside the folder.
    """
    content = _read(folder, path)
    try:
        with open_picture(io.BytesIO(content), folder / path) as image:
            image.verify()
            kind = _KINDS[image.format or ""]
    except (DepthcueError, OSError, SyntaxError, KeyError) as error:
        raise DepthcueError(f"{folder / path} is not a whole PNG, JPEG or WebP picture",
                            "Measure again, or leave pictures out with --no-pictures.") from error
    return _uri(kind, content)


def film_uri(folder: Path, path: str) -> str:
    """The mp4 at `path` in `folder`, byte for byte.

    Raises:
        DepthcueError: there is none, or it lies outside the folder.
    """
    return _uri("video/mp4", _read(folder, path))


def drawn_uri(draw: Callable[[Path], object], workplace: Path) -> str:
    """What `draw` draws into a png."""
    path = workplace / "drawn.png"
    draw(path)
    return _uri("image/png", path.read_bytes())


def plot_uris(draw: Callable[[Sequence[Path], Theme], None], workplace: Path) -> tuple[str, str]:
    """A plot as vectors, for a light and for a dark page."""
    uris = []
    for theme in (LIGHT, DARK):
        path = workplace / "plot.svg"
        draw([path], theme)
        uris.append(_uri("image/svg+xml", path.read_bytes()))
    return uris[0], uris[1]


def _read(folder: Path, path: str) -> bytes:
    file = beside(folder, path)
    try:
        return file.read_bytes()
    except OSError as error:
        raise DepthcueError(f"{file} cannot be read: {error.strerror}", "Keep the pictures that a command left beside "
                            "its results.json, measure again, or leave them out with --no-pictures.") from error


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
