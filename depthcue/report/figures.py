"""Figures: three kinds of panel (curves, bars with intervals, coloured cells), on paper or for a dark page."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator, PercentFormatter

from depthcue.files import atomic_path


@dataclass(frozen=True)
class Theme:
    """Colours of a figure. Methods beyond those there are take them again in turn, with other lines."""

    ink: str
    faint: str
    background: str
    methods: tuple[str, ...]
    narrow: bool = False
    """Layout for a phone: panels stand one above the other."""


LIGHT = Theme("#1c1d21", "#d9dade", "#ffffff", ("#c2570c", "#1f5fbf", "#6d7078", "#7a3fa0", "#12805c"))
DARK = Theme("#ecece8", "#3d3f46", "#18191c", ("#f6a04d", "#7fb0ff", "#a3a6ae", "#c79be8", "#5fc9a2"))
DASHED = (0, (4, 3))
_MARKERS = ("o", "s", "^", "D", "v")
_LINES: tuple[str, ...] = ("-", "--", ":")
FEW_CURVES = 4
"""Most curves whose intervals are all shaded; of more, only the first one's is."""
_DPI = 200
_NARROW_INCHES = 4.4
"""Width of a narrow figure: what a phone shows with letters that can be read."""
_CELL_INCHES = 0.82
_APART = 0.035
"""Texts beside points that are nearer to each other than this share of the axis cannot be read."""


class Panel(Protocol):
    """One set of axes of a figure."""

    def draw(self, axes: Axes, theme: Theme) -> None:
        """Draw onto axes that are empty."""


# --- curves


@dataclass(frozen=True)
class Curve:
    """One line through points, with 95% intervals as a band or as whiskers."""

    label: str | None
    colour: str
    at: Sequence[float]
    values: Sequence[float]
    intervals: Sequence[Sequence[float] | None] = ()
    """Low and high at each point, None where there is none; empty where none are to be drawn."""
    band: float = 0.16
    """Opacity of the band of the intervals; 0 for whiskers instead."""
    marker: str | None = "o"
    line: Any = "-"
    width: float = 1.4
    """Width of the line, and of the strokes of markers that are crosses."""
    size: float = 4.2
    """Size of the markers."""
    hollow: bool = False
    texts: Sequence[str] = ()
    """Text beside each point."""
    alpha: float = 1.0
    first: bool = False
    """Whether it lies over the others."""


@dataclass(frozen=True)
class Curves:
    """Curves over one axis."""

    title: str
    across: str
    up: str
    curves: Sequence[Curve]
    level: tuple[float, str | None] | None = None
    """A dashed horizontal line, and what the legend calls it."""
    percent: bool = False
    log: float | None = None
    """The base of a logarithmic axis."""
    ticks: tuple[Sequence[float], Sequence[str]] | None = None
    bottom: float | None = 0.0
    """The least value shown; None leaves it to the values."""
    top: float | None = None
    right: float | None = None
    legend: bool = True

    def draw(self, axes: Axes, theme: Theme) -> None:
        """Draw onto axes that are empty."""
        for curve in self.curves:
            _draw_curve(axes, curve, theme)
        if self.level is not None:
            axes.axhline(self.level[0], color=theme.ink, linewidth=1.1, linestyle=DASHED, label=self.level[1], zorder=1)
        if self.log is not None:
            axes.set_xscale("log", base=self.log)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        if self.percent:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        if self.ticks is not None:
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xticks(*self.ticks)
        if self.bottom is not None:
            axes.set_ylim(bottom=min(self.bottom, axes.get_ylim()[0]) if self.bottom < 0 else self.bottom)
        if self.top is not None:
            axes.set_ylim(top=self.top)
        if self.right is not None:
            axes.set_xlim(0, self.right)
        name_axes(axes, theme, self.title, self.across, self.up)
        if self.legend and any(curve.label for curve in self.curves):
            draw_legend(axes, theme)


def _draw_curve(axes: Axes, curve: Curve, theme: Theme) -> None:
    known = [(at, value, interval) for at, value, interval in zip(curve.at, curve.values, curve.intervals, strict=False)
             if interval]
    positions = [at for at, _, _ in known]
    lows, highs = ([ends[side] for _, _, ends in known] for side in (0, 1))
    if known and curve.band:
        axes.fill_between(positions, lows, highs, color=curve.colour, alpha=curve.band, linewidth=0)
    elif known:
        values = [value for _, value, _ in known]
        spread = [[value - low for value, low in zip(values, lows, strict=True)],
                  [high - value for value, high in zip(values, highs, strict=True)]]
        axes.errorbar(positions, values, yerr=spread, fmt="none", ecolor=curve.colour, elinewidth=0.8, capsize=2,
                      alpha=curve.alpha)
    crosses = curve.marker in ("x", "+")
    axes.plot(curve.at, curve.values, color=curve.colour, marker=curve.marker, linestyle=curve.line,
              linewidth=curve.width, markersize=curve.size, markeredgewidth=curve.width if crosses else 1.0,
              clip_on=not crosses, label=curve.label, alpha=curve.alpha,
              markerfacecolor=theme.background if curve.hollow else curve.colour, zorder=3 if curve.first else 2)
    # neighbours may lie together: their texts take turns above and below, and some are left out
    low, high = axes.get_xlim()
    last = float("inf")
    for text, at, value, beside in zip(curve.texts, curve.at, curve.values, cycle(((4, 5), (4, -10))), strict=False):
        if abs(at - last) < _APART * (high - low):
            continue
        last = at
        axes.annotate(text, (at, value), textcoords="offset points", xytext=beside, fontsize=7.5, color=curve.colour,
                      zorder=5, path_effects=[withStroke(linewidth=2.5, foreground=theme.background)])


# --- bars


Bar = tuple[str, float, Sequence[float] | None]
"""The name of its row, its value and its 95% interval."""


@dataclass(frozen=True)
class Bars:
    """Values with 95% intervals: a row for each name, or a column; in it a bar for each series."""

    names: Sequence[str]
    series: Sequence[tuple[str | None, Sequence[Bar]]]
    label: str
    title: str = ""
    columns: bool = False
    """Whether bars stand upright."""
    points: bool = False
    """Whether values are points, for numbers of which 0 is no end."""
    levels: Sequence[float] = (0.0,)
    """Values of horizontal lines: 0 is drawn through, others dashed."""
    percent: bool = False
    own_colours: bool = False
    """Whether each name has a colour, and not each series."""
    named: bool = True
    """Whether the names stand beside the rows."""

    def draw(self, axes: Axes, theme: Theme) -> None:
        """Draw onto axes that are empty."""
        thick = 0.76 / max(len(self.series), 1)
        for number, (label, bars) in enumerate(self.series):
            shift = (number - (len(self.series) - 1) / 2) * thick
            positions = [self.names.index(name) + shift for name, _, _ in bars]
            colours = [method_colour(self.names.index(name) if self.own_colours else number, theme)
                       for name, _, _ in bars]
            values = [value for _, value, _ in bars]
            if self.points:
                for position, value, colour in zip(positions, values, colours, strict=True):
                    axes.plot(*self._turned([position], [value]), color=colour, marker="o", markersize=7)
            else:
                (axes.bar if self.columns else axes.barh)(positions, values, thick * 0.9, color=colours, alpha=0.85,
                                                          label=label)
            for position, (_, _, interval), colour in zip(positions, bars, colours, strict=True):
                if interval:
                    axes.plot(*self._turned([position, position], interval), color=colour if self.points else theme.ink,
                              linewidth=2 if self.points else 1.3, solid_capstyle="butt")
        for level in self.levels:
            (axes.axhline if self.columns else axes.axvline)(
                level, color=theme.ink, linewidth=0.9, linestyle="-" if level == 0 else DASHED, zorder=1)
        self._finish(axes, theme)

    def _turned(self, positions: Sequence[float], values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
        return (positions, values) if self.columns else (values, positions)

    def _finish(self, axes: Axes, theme: Theme) -> None:
        style_axes(axes, theme)
        along, across = (axes.xaxis, axes.yaxis) if self.columns else (axes.yaxis, axes.xaxis)
        along.set_ticks(range(len(self.names)), self.names if self.named or theme.narrow else [])
        if self.columns:
            axes.set_xlim(-0.5, len(self.names) - 0.5)
        else:
            axes.set_ylim(len(self.names) - 0.4, -0.6)
            axes.grid(axis="y", visible=False)
        across.set_label_text(self.label, color=theme.ink, fontsize=9)
        if self.percent:
            across.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
        axes.set_title(self.title, fontsize=10, color=theme.ink, loc="left")
        if len(self.series) > 1:
            draw_legend(axes, theme)


# --- cells


@dataclass(frozen=True)
class Matrix:
    """A matrix of numbers, each in a cell that is coloured the more strongly the more it is."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """Text in the cells."""
    strengths: tuple[tuple[float, ...], ...]
    """0 for the colour of the page, 1 for the full colour; beyond is cut."""
    rows_are: str = ""
    columns_are: str = ""

    @property
    def inches(self) -> tuple[float, float]:
        """Width and height that give every cell and the names at the sides their room."""
        return _CELL_INCHES * len(self.columns) + 1.5, _CELL_INCHES * 0.8 * len(self.rows) + 1.5

    def draw(self, axes: Axes, theme: Theme) -> None:
        """Draw onto axes that are empty."""
        colours = LinearSegmentedColormap.from_list("page to full", [theme.background, theme.methods[1]])
        axes.set_facecolor(theme.background)
        axes.imshow(self.strengths, cmap=colours, vmin=0, vmax=1, aspect="auto")
        for row, texts in enumerate(self.texts):
            for column, text in enumerate(texts):
                cell = colours(min(max(self.strengths[row][column], 0.0), 1.0))
                axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=_readable(cell, theme))
        for axis, names in ((axes.xaxis, self.columns), (axes.yaxis, self.rows)):
            axis.set_ticks(range(len(names)), [_folded(name) for name in names], fontsize=8, color=theme.ink)
        axes.set_xlabel(self.columns_are, fontsize=9, color=theme.ink)
        axes.set_ylabel(self.rows_are, fontsize=9, color=theme.ink)
        axes.set_title(self.title, fontsize=10, color=theme.ink, loc="left")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_color(theme.faint)


def _readable(cell: tuple[float, ...], theme: Theme) -> str:
    """The one of the theme's two extremes that stands out from a cell."""
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


# --- figures


def draw_panels(panels: Sequence[Panel], paths: Sequence[Path], theme: Theme, size: tuple[float, float], *,
                widths: Sequence[float] | None = None, shared: bool = False, legend: bool = False) -> Figure:
    """Draw panels side by side into every path; the suffix says which kind (.png, .svg, .pdf).

    Args:
        size: width and height in inches.
        widths: of the panels, in any unit; None for equal ones.
        shared: whether the vertical axis is one for all.
        legend: whether one legend for all stands beside the panels.

    Returns:
        The figure, as it is drawn also without any path.
    """
    figure = new_figure(*size, theme)
    every = figure.subplots(1, len(panels), squeeze=False, sharey=shared, width_ratios=widths)[0]
    labelled: dict[str, Any] = {}
    for axes, panel in zip(every, panels, strict=True):
        panel.draw(axes, theme)
        handles, labels = axes.get_legend_handles_labels()
        labelled |= {label: labelled.get(label, handle) for label, handle in zip(labels, handles, strict=True)}
    if legend:
        beside = {"loc": "outside lower center", "ncols": 2} if theme.narrow else {"loc": "outside right upper"}
        figure.legend(list(labelled.values()), list(labelled), frameon=False, labelcolor=theme.ink, fontsize=9,
                      handlelength=2.8, **beside)
    return save_figure(figure, paths)


def method_colour(position: int, theme: Theme) -> str:
    """The colour of the method at a position of the results, the mask's being 0."""
    return theme.methods[position % len(theme.methods)]


def method_style(position: int, theme: Theme) -> dict[str, Any]:
    """Colour, line and marker of the method at a position of the results; no two of fifteen are alike."""
    return {"colour": method_colour(position, theme), "marker": _MARKERS[position % len(_MARKERS)],
            "line": _LINES[position // len(theme.methods) % len(_LINES)], "width": 1.8 if position == 0 else 1.4,
            "first": position == 0}


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure of a width and height in inches; of a narrow theme, at most _NARROW_INCHES wide."""
    kind, width = (_Stacked, min(width, _NARROW_INCHES)) if theme.narrow else (Figure, width)
    figure = kind(figsize=(width, height), layout="constrained", facecolor=theme.background)
    FigureCanvasAgg(figure)
    return figure


class _Stacked(Figure):
    """A figure whose axes side by side stand one above the other, each as high as the figure was."""

    def subplots(self, nrows: int = 1, ncols: int = 1, **how: Any) -> Any:
        """Axes as of Figure.subplots, in the same shape."""
        if nrows > 1 or ncols == 1:
            return super().subplots(nrows, ncols, **how)
        how.pop("width_ratios", None)
        how["gridspec_kw"] = {name: value for name, value in (how.get("gridspec_kw") or {}).items()
                              if name != "width_ratios"}
        self.set_size_inches(self.get_figwidth(), self.get_figheight() * ncols)
        return super().subplots(ncols, 1, **how).T


def name_axes(axes: Axes, theme: Theme, title: str, across: str, up: str) -> None:
    """Title and labels, and axes as all figures have them."""
    axes.set_title(title, fontsize=10, color=theme.ink, loc="left")
    axes.set_xlabel(across, color=theme.ink, fontsize=9)
    axes.set_ylabel(up, color=theme.ink, fontsize=9)
    style_axes(axes, theme)


def style_axes(axes: Axes, theme: Theme) -> None:
    """Axes as all figures have them: lines at the left and bottom, a faint grid across."""
    axes.set_facecolor(theme.background)
    axes.grid(axis="y", color=theme.faint, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, labelsize=8.5, length=3)
    axes.tick_params(which="minor", colors=theme.ink, length=1.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.ink)


def draw_legend(axes: Axes, theme: Theme) -> None:
    """A legend within the axes, where it hides least."""
    axes.legend(frameon=False, labelcolor=theme.ink, loc="best", fontsize=8.5, handlelength=2.8)


def save_figure(figure: Figure, paths: Sequence[Path]) -> Figure:
    """Write a figure to every path, the suffix says which kind (.png, .svg, .pdf); return it."""
    for path in paths:
        # without a date in it, the same results give the same file
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with atomic_path(path) as partial, rc_context({"svg.hashsalt": "depthcue"}):
            figure.savefig(partial, dpi=_DPI, metadata=metadata)
    return figure
