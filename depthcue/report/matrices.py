"""Matrices of numbers as figures: one coloured cell a number, names at the sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from depthcue.report.figures import LIGHT, Theme, new_figure, save_figure

_CELL_INCHES = 0.82
_MARGIN_INCHES = 1.5
"""For the names at the sides and the title."""


@dataclass(frozen=True)
class Matrix:
    """Numbers in rows and columns, and how strongly each cell is coloured."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """What is written into the cells."""
    strengths: tuple[tuple[float, ...], ...]
    """0 for the colour of the page, 1 for the full colour; beyond is cut."""
    rows_are: str = ""
    columns_are: str = ""


def draw_matrices(matrices: Sequence[Matrix], paths: Sequence[Path], theme: Theme = LIGHT) -> None:
    """Draw matrices side by side into every path; the suffix says which kind (.png, .svg, .pdf)."""
    widths = [_CELL_INCHES * len(matrix.columns) + _MARGIN_INCHES for matrix in matrices]
    height = _CELL_INCHES * 0.8 * max(len(matrix.rows) for matrix in matrices) + _MARGIN_INCHES
    figure = new_figure(sum(widths), height, theme)
    every = figure.subplots(1, len(matrices), squeeze=False, gridspec_kw={"width_ratios": widths})[0]
    for axes, matrix in zip(every, matrices, strict=True):
        _draw(axes, matrix, theme)
    save_figure(figure, paths)


def _draw(axes: Axes, matrix: Matrix, theme: Theme) -> None:
    colours = LinearSegmentedColormap.from_list("page to full", [theme.background, theme.methods[1]])
    axes.set_facecolor(theme.background)
    axes.imshow(matrix.strengths, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for row, texts in enumerate(matrix.texts):
        for column, text in enumerate(texts):
            cell = colours(min(max(matrix.strengths[row][column], 0.0), 1.0))
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=_readable(cell, theme))
    axes.set_xticks(range(len(matrix.columns)), [_folded(name) for name in matrix.columns], fontsize=8, color=theme.ink)
    axes.set_yticks(range(len(matrix.rows)), [_folded(name) for name in matrix.rows], fontsize=8, color=theme.ink)
    axes.set_xlabel(matrix.columns_are, fontsize=9, color=theme.ink)
    axes.set_ylabel(matrix.rows_are, fontsize=9, color=theme.ink)
    axes.set_title(matrix.title, fontsize=10, color=theme.ink, loc="left")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _readable(cell: tuple[float, ...], theme: Theme) -> str:
    """Of the theme's two extremes the one that stands out from a cell."""
    return max((theme.ink, theme.background), key=lambda colour: abs(_light(to_rgb(colour)) - _light(cell[:3])))


def _light(colour: tuple[float, ...]) -> float:
    red, green, blue = colour
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _folded(name: str) -> str:
    """A long name in lines, broken after its dashes, so that it fits beside its row."""
    lines = [""]
    for part in name.replace("-", "-\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > 13:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
