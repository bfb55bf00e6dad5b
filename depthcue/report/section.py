"""Sections of a report: plots, tables and pictures of one results file, drawn into a folder or inlined in a page.

Pictures, films and plots become data URIs, so that a page is one file. Panels set the example pictures of a comparison
side by side.
"""

import base64
import dataclasses
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from depthcue.documents import beside
from depthcue.errors import DepthcueError
from depthcue.files import atomic_path
from depthcue.imaging import Rgb, open_picture, panel, resize_rgb
from depthcue.report.figures import DARK, LIGHT, Theme
from depthcue.report.tables import Table, label_of
from depthcue.results import CompareEdges, EdgeExample, Result, Row

_OUTLINE = re.compile(rb' d="[^"]*"')
_DECIMALS = re.compile(rb"(\d\.\d)\d+")
_BETWEEN = re.compile(rb">\s+<")
_KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
"""Picture formats that every browser shows, by Pillow's names."""
TILE_WIDTH = 320
"""Width of the tiles of example panels."""
_NAMED = 5
"""Unreadable pictures that a sentence names."""
_WITHOUT_ERRORS = ("probe",)
"""Commands whose sections speak of no error in metres."""


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
    """Draw into a PNG and return it as a data URI."""
    path = workplace / "drawn.png"
    draw(path)
    return _uri("image/png", path.read_bytes())


@dataclass(frozen=True)
class PlotUris:
    """A plot as vectors: for a light and a dark page, and drawn anew for the light and dark page of a phone."""

    light: str
    dark: str
    narrow_light: str
    narrow_dark: str


def plot_uris(draw: Callable[[Sequence[Path], Theme], Figure], workplace: Path) -> PlotUris:
    """A plot for every page that it may stand on."""
    uris = []
    for narrow in (False, True):
        for theme in (LIGHT, DARK):
            path = workplace / "plot.svg"
            # letters as text and not as outlines: a third of the bytes
            with rc_context({"svg.fonttype": "none"}):
                draw([path], dataclasses.replace(theme, narrow=narrow))
            uris.append(_uri("image/svg+xml", _shortened(path.read_bytes())))
    return PlotUris(*uris)


def _shortened(drawing: bytes) -> bytes:
    """An SVG without what nobody sees: of outlines the digits below a tenth of a point, and line breaks."""
    drawing = _OUTLINE.sub(lambda outline: _DECIMALS.sub(rb"\1", outline[0]), drawing)
    return _BETWEEN.sub(b"><", drawing)


def _read(folder: Path, path: str) -> bytes:
    file = beside(folder, path)
    try:
        return file.read_bytes()
    except OSError as error:
        raise DepthcueError(f"{file} cannot be read: {error.strerror}", "Keep the pictures that a command left beside "
                            "its results.json, measure again, or leave them out with --no-pictures.") from error


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn again in any size and colour."""

    name: str
    """Name of its files, without a suffix."""
    caption: str
    draw: Callable[[Sequence[Path], Theme], Figure]
    """Draws into every path, of which there may be none; the suffix says which kind (.png, .svg, .pdf)."""

    def figure(self, theme: Theme = LIGHT) -> Figure:
        """The figure, without a file."""
        return self.draw((), theme)


@dataclass(frozen=True)
class Picture:
    """A picture (or a film) beside the results, left there by a command or drawn from what it left."""

    path: str
    """Relative to the folder of the results."""
    caption: str
    draw: Callable[[Path], object] | None = None
    """Draws it into a png; None where the command left it."""
    on_page: bool = True
    """Whether a page shows it; not where it shows the same in another way."""
    poster: str | None = None
    """The picture of a film that stands for it until it plays, relative to the folder of the results."""


@dataclass(frozen=True)
class Column:
    """Two pictures, one above the other: what a depth net was shown and what depth it saw."""

    caption: str
    shown: str
    seen: str | None
    """Both relative to the folder of the results."""


@dataclass(frozen=True)
class Example:
    """One image seen in several ways."""

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Section:
    """One measurement: what it found in words, tables, plots and pictures."""

    title: str
    sentences: tuple[str, ...]
    """Each follows from the numbers; none where they do not support it."""
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()
    lead: str = ""
    """Question and method of the measurement, for a reader who does not know the paper."""
    gallery: tuple[dict[str, Any], ...] = ()
    """Stills with masks at several lambdas, as `evaluation.images.save_still` wrote them into the results."""
    films: tuple[Picture, ...] = ()
    """Videos (.mp4)."""
    examples: tuple[Example, ...] = ()


def draw_plots(section: Section, folder: Path, theme: Theme = LIGHT) -> list[Path]:
    """Draw every plot of a section into `folder` as png and svg, and its drawn pictures; returns the plots' files."""
    for picture in section.pictures:
        if picture.draw is not None:
            picture.draw(folder / picture.path)
    written = []
    for plot in section.plots:
        paths = [folder / f"{plot.name}.png", folder / f"{plot.name}.svg"]
        plot.draw(paths, theme)
        written += paths
    return written


def with_note(section: Section, results: Result) -> Section:
    """The section, with a first sentence on units where the results are of a relative net."""
    return dataclasses.replace(section, sentences=(*unit_note(results), *section.sentences, *unreadable_note(results)))


def unreadable_note(results: Result) -> tuple[str, ...]:
    """A sentence on pictures that could not be read; none where all could."""
    data = results.to_dict().get("data")
    found = data.get("unreadable", []) if isinstance(data, dict) else []
    if not found:
        return ()
    named = ", ".join(f"{each['picture']} ({each['error']})" for each in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (f"Left out, since they could not be read: {named}{more}.",)


def unit_note(results: Result) -> tuple[str, ...]:
    """A sentence on units where the results are of a relative net; none otherwise."""
    names = dict.fromkeys(_relative_nets(results.to_dict()))
    if not names or results.command in _WITHOUT_ERRORS:
        return ()
    aligned = getattr(results, "ground_truth", False)
    how = ("each picture's prediction was brought to the true depth by one scale and shift, the best for the whole "
           "picture, which also holds for what is seen through masks" if aligned else
           "without true depth to bring it to, metres here are units of its own, in which the depths of every picture "
           "have the median (2.7) and spread (0.8) of an average room's metres")
    return (f"{' and '.join(names)} sees depth only up to scale and shift: {how}.",)


def _relative_nets(part: Any) -> list[str]:
    """Names of the relative nets that a document describes, in order."""
    if isinstance(part, list):
        return [name for each in part for name in _relative_nets(each)]
    if not isinstance(part, dict):
        return []
    found = [str(part.get("name"))] if part.get("relative") and "aligned" in part else []
    return found + [name for key, each in part.items() if key in ("target_net", "nets", "losses")
                    for name in _relative_nets(each)]


def draw_examples(results: CompareEdges, folder: Path, path: Path) -> None:
    """Draw the examples of a compare-edges document, one row (or, where pictures are wide, one column) an image.

    Args:
        results: the document, with at least one example.
        folder: where it lies; its examples' paths are relative to it.
        path: the png to write.

    Raises:
        DepthcueError: an example's picture is missing or cannot be read.
    """
    save_panels([panel(*_tiles(example, results, folder)) for example in results.examples], path)


def save_panels(panels: Sequence[Rgb], path: Path) -> None:
    """Write the panels of several images as one png: one row each, or one column where panels stand upright."""
    # the panel of wide pictures stands upright; those are set side by side
    upright = panels[0].shape[0] > panels[0].shape[1]
    # pictures of several shapes have panels of several sizes
    across = 0 if upright else 1
    longest = max(tiles.shape[across] for tiles in panels)
    even = [np.pad(tiles, [(0, longest - tiles.shape[side] if side == across else 0) for side in range(3)], mode="edge")
            for tiles in panels]
    with atomic_path(path) as partial:
        Image.fromarray(np.concatenate(even, axis=1 - across)).save(partial)


def _tiles(example: EdgeExample, results: CompareEdges, folder: Path) -> tuple[list[Rgb], list[str]]:
    # the first rival only: more would make tiles too small to look at
    others = [method for method in results.curves if method != "mask"][:1]
    share = f"{example.sparseness:.0%}"
    captions = {"picture": "picture", "mask": "mask M", "kept_mask": f"{share} by mask"}
    captions |= {f"kept_{method}": f"{share} by {label_of(method)}" for method in others}
    captions |= {"depth_target": "depth from all", "depth_mask": "depth from mask"}
    captions |= {f"depth_{method}": f"depth from {label_of(method)}" for method in others}
    captions["depth_truth"] = "ground truth"
    shown = [label for label in captions if label in example.tiles]
    return [read_tile(folder, example.tiles[label]) for label in shown], [captions[label] for label in shown]


def read_tile(folder: Path, name: str) -> Rgb:
    """An example's picture, beside the document that names it, at the width of tiles.

    Raises:
        DepthcueError: it is missing, lies outside of the folder or cannot be read.
    """
    path = beside(folder, name)
    try:
        with open_picture(path, path) as image:
            tile = np.asarray(image.convert("RGB"))
    except Exception as error:  # of a damaged picture, or one of billions of pixels
        raise DepthcueError(f"the example picture {path} cannot be read: {error}",
                            "Keep the examples folder beside results.json, or measure again.") from error
    height = round(tile.shape[0] * TILE_WIDTH / tile.shape[1])
    return resize_rgb(tile, height, TILE_WIDTH)


def draw_rows(rows: Sequence[Row], captions: Sequence[str], folder: Path, path: Path) -> None:
    """Draw picture, edges and the mask of every net for each row, into the png at `path`.

    Args:
        rows: as `evaluation.images.save_row` wrote them, at least one.
        captions: one for every mask.
        folder: where the results lie; the rows' paths are relative to it.

    Raises:
        DepthcueError: a picture is missing or cannot be read.
    """
    save_panels([panel([read_tile(folder, tile) for tile in (row.picture, row.edges, *row.masks)],
                       ["picture", "edges", *captions]) for row in rows], path)


def example_of(row: Row, captions: Sequence[str]) -> Example:
    """A row for a page: the picture over its true depth, every mask over the depth that it leaves, the edges."""
    known = "; the true depth" if "truth" in row else ""
    masks = [Column(caption, mask, seen)
             for caption, mask, seen in zip(captions, row.masks, row.seen, strict=True)]
    return Example(row.name, (Column(f"the picture{known}", row.picture, row.get("truth")), *masks,
                                 Column("the edges", row.edges, None)))
