"""What one results file comes to, in pieces that a terminal, a folder and a page each show in their way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from depthcue.report.figures import LIGHT, Theme
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
    """A picture that a command left beside its results."""

    path: str
    """Relative to the folder of the results."""
    caption: str


@dataclass(frozen=True)
class Section:
    """One measurement: what it found in words, tables, plots and pictures."""

    title: str
    sentences: tuple[str, ...]
    """Each follows from the numbers; none where they do not support it."""
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()


def draw_plots(section: Section, folder: Path, theme: Theme = LIGHT) -> list[Path]:
    """Draw every plot of a section into `folder` as png and svg; returns the files."""
    written = []
    for plot in section.plots:
        paths = [folder / f"{plot.name}.png", folder / f"{plot.name}.svg"]
        plot.draw(paths, theme)
        written += paths
    return written
