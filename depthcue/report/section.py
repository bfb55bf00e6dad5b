"""What one results file comes to, in pieces that a terminal, a folder and a page each show in their way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from depthcue.report.figures import LIGHT, Theme
from depthcue.report.results import Results
from depthcue.report.tables import Table


@dataclass(frozen=True)
class Plot:
    """A figure that can be drawn again in any size and colour."""

    name: str
    """Of its files, without a suffix."""
    caption: str
    draw: Callable[[Sequence[Path], Theme], None]
    """Draws into every path; the suffix says which kind (.png, .svg, .pdf)."""


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
    """What was asked and how, for a reader who does not know the paper."""
    gallery: tuple[Results, ...] = ()
    """Stills with masks at several lambdas, as `evaluation.gallery` wrote them into the results."""
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
