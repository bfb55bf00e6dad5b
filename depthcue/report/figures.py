"""Results as figures: vector or pixels, for paper or for a dark page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from depthcue.files import atomic_path
from depthcue.report.provenance import TRUTH, Results, fields_for, measured_against
from depthcue.report.tables import label_of


@dataclass(frozen=True)
class Theme:
    """Colours of a figure. Methods beyond those there are take them again in turn, with other lines."""

    ink: str
    faint: str
    background: str
    methods: tuple[str, ...]
    narrow: bool = False
    """For a phone: axes stand one above the other."""


LIGHT = Theme("#1c1d21", "#d9dade", "#ffffff", ("#c2570c", "#1f5fbf", "#6d7078", "#7a3fa0", "#12805c"))
DARK = Theme("#ecece8", "#3d3f46", "#18191c", ("#f6a04d", "#7fb0ff", "#a3a6ae", "#c79be8", "#5fc9a2"))
_MARKERS = ("o", "s", "^", "D", "v")
_LINES: tuple[str, ...] = ("-", "--", ":")
FEW = 4
"""Curves whose intervals can be told apart; of more, only the mask's is shaded."""
_DPI = 200
_NARROW_INCHES = 4.4
"""Width of a narrow figure: what a phone shows with letters that can be read."""


def draw_comparison(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw RMSE against sparseness with shaded 95 % intervals, and N's own error as a line.

    One plot against ground truth, where there is any, and one against N(I).

    Args:
        results: a compare-edges document.
        paths: files to write; the suffix says which kind (.png, .svg, .pdf).
    """
    references = measured_against(results)
    few = len(results["curves"]) <= FEW
    figure = new_figure(4.6 * len(references) + (0.4 if few else 2.2), 3.7 if few else 4.4, theme)
    for axes, reference in zip(figure.subplots(1, len(references), squeeze=False)[0], references, strict=True):
        _draw_curves(axes, results, reference, theme)
    if few:
        figure.axes[0].legend(frameon=False, labelcolor=theme.ink, loc="best", fontsize=9)
    else:
        legend_outside(figure, theme)
    return save_figure(figure, paths)


def method_colour(position: int, theme: Theme) -> str:
    """The colour of the method at a position of the results, the mask's being 0."""
    return theme.methods[position % len(theme.methods)]


def method_style(position: int, theme: Theme) -> dict[str, Any]:
    """Colour, line and marker of the method at a position of the results; no two of fifteen are alike."""
    return {"color": method_colour(position, theme), "marker": _MARKERS[position % len(_MARKERS)],
            "linestyle": _LINES[position // len(theme.methods) % len(_LINES)]}


def legend_outside(figure: Figure, theme: Theme) -> None:
    """One legend for all axes, beside them: of more methods than have room within."""
    beside = {"loc": "outside lower center", "ncols": 2} if theme.narrow else {"loc": "outside right upper"}
    figure.legend(*figure.axes[0].get_legend_handles_labels(), frameon=False, labelcolor=theme.ink, fontsize=9,
                  handlelength=2.8, **beside)


def _draw_curves(axes: Axes, results: Results, reference: str, theme: Theme) -> None:
    error, _ = fields_for(reference)
    for position, (method, entries) in enumerate(results["curves"].items()):
        shares = [entry["sparseness"] for entry in entries]
        bounds = [entry[f"{error}_ci95"] for entry in entries]
        if len(results["curves"]) <= FEW or method == "mask":
            axes.fill_between(shares, [low for low, _ in bounds], [high for _, high in bounds],
                              color=method_colour(position, theme), alpha=0.18, linewidth=0)
        axes.plot(shares, [entry[error] for entry in entries], **method_style(position, theme), markersize=4.5,
                  linewidth=1.8 if method == "mask" else 1.4, label=label_of(method),
                  zorder=3 if method == "mask" else 2)
    if reference == TRUTH:
        axes.axhline(results["target"]["rmse"], color=theme.ink, linewidth=1.1, linestyle=(0, (4, 3)),
                     label="whole picture", zorder=1)
    axes.set_title(f"against {reference}", fontsize=10, color=theme.ink, loc="left")
    axes.set_xlabel("share of pixels the depth net sees", color=theme.ink, fontsize=9)
    axes.set_ylabel("RMSE (m)", color=theme.ink, fontsize=9)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    style_axes(axes, theme)


def new_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure of a width and height in inches; of a narrow theme, at most _NARROW_INCHES wide."""
    kind, width = (_Stacked, min(width, _NARROW_INCHES)) if theme.narrow else (Figure, width)
    figure = kind(figsize=(width, height), layout="constrained", facecolor=theme.background)
    FigureCanvasAgg(figure)
    return figure


class _Stacked(Figure):
    """A figure whose axes side by side stand one above the other, each as high as the figure was."""

    def subplots(self, nrows: int = 1, ncols: int = 1, **how: Any) -> Any:
        """As Figure.subplots has it, and the same axes in the same shape."""
        if nrows > 1 or ncols == 1:
            return super().subplots(nrows, ncols, **how)
        for ratios in (how, how.get("gridspec_kw", {})):
            ratios.pop("width_ratios", None)
        self.set_size_inches(self.get_figwidth(), self.get_figheight() * ncols)
        return super().subplots(ncols, 1, **how).T


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


def save_figure(figure: Figure, paths: Sequence[Path]) -> Figure:
    """Write a figure to every path, the suffix says which kind (.png, .svg, .pdf); return it."""
    for path in paths:
        # without a date in it, the same results give the same file
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with atomic_path(path) as partial, rc_context({"svg.hashsalt": "depthcue"}):
            figure.savefig(partial, dpi=_DPI, metadata=metadata)
    return figure
