"""The figures of findings: attention by kind and strength of edges, by size of objects, by distance and depth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, PercentFormatter

from depthcue.report.figures import LIGHT, Theme, new_figure, save_figure, style_axes
from depthcue.report.provenance import TRUTH, Results
from depthcue.report.verdicts import ENOUGH

Entries = Sequence[dict[str, Any] | None]
_DASHED = (0, (4, 3))


def draw_edges(found: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Attention against strength for every kind of edge, and what strength and kind explain."""
    figure = new_figure(9.6, 3.7, theme)
    curves, bars = figure.subplots(1, 2, width_ratios=(1.5, 1))
    bounds = found["by_strength"]["bounds"]
    places = _middles(bounds)
    for position, (kind, entries) in enumerate(found["by_strength"]["attention"].items()):
        _curve(curves, places, entries, theme.methods[position % len(theme.methods)], kind)
    curves.set_xscale("log")
    curves.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    curves.xaxis.set_minor_formatter(NullFormatter())
    _name(curves, theme, "by kind of edge", "strength of the edge (share of black to white a pixel)", "attention")
    _at_one(curves, theme)
    _legend(curves, theme)

    labels = {"strength": "strength\nalone", "kind": "kind\nalone", "both": "both",
              "kind_given_strength": "kind beyond\nstrength"}
    scopes = list(found["explained"].items())
    for position, (scope, fits) in enumerate(scopes):
        entries = [fits[part] for part in labels]
        at = [place + (position - (len(scopes) - 1) / 2) * 0.36 for place in range(len(labels))]
        values = [0.0 if entry is None else entry["value"] for entry in entries]
        spread = [[0.0 if entry is None else abs(entry["ci95"][end] - entry["value"]) for entry in entries]
                  for end in (0, 1)]
        bars.bar(at, values, 0.32, color=theme.methods[position], label=scope, yerr=spread,
                 error_kw={"ecolor": theme.ink, "elinewidth": 0.9, "capsize": 2})
    bars.axhline(0, color=theme.ink, linewidth=0.8)
    bars.set_xticks(range(len(labels)), list(labels.values()))
    bars.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}%"))
    _name(bars, theme, "variance of the mask explained", "", "share of the variance within pictures")
    _legend(bars, theme)
    return save_figure(figure, paths)


def draw_objects(found: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Attention of mask and edges inside objects and at their boundary, against the size of the object."""
    figure = new_figure(6.6, 3.9, theme)
    axes = figure.subplots()
    places = list(range(len(found["by_size"])))
    for name, colour in zip(("mask", "edges"), theme.methods, strict=False):
        for part, dashed in (("inside", False), ("boundary", True)):
            _curve(axes, places, [entry[name][part] for entry in found["by_size"]], colour, f"{name}, {part}", dashed)
    texts = [f"{bound:.1%}" if bound < 0.01 else f"{bound:.0%}" for bound in found["bounds"]]
    names = [f"< {texts[0]}", *(f"{low.rstrip('%')}–{high}" for low, high in zip(texts, texts[1:], strict=False)),
             f"≥ {texts[-1]}"]
    axes.set_xticks(places, [f"{name}\n{entry['objects']}" for name, entry in
                             zip(names, found["by_size"], strict=True)])
    _name(axes, theme, "by size of object", "share of the picture that the object covers; number of objects",
          "attention")
    _at_one(axes, theme)
    _legend(axes, theme)
    return save_figure(figure, paths)


def draw_far(found: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Attention of mask and edges against distance from the vanishing point, depth, and row: what there is of them."""
    near, deep, rows = found["by_distance"], found["by_depth"], found["by_row"]
    panels = [panel for panel in (near, deep, rows) if panel is not None]
    figure = new_figure(4.0 * len(panels) + 0.6, 3.7, theme)
    remaining = list(figure.subplots(1, len(panels), squeeze=False)[0])
    if near is not None:
        axes = remaining.pop(0)
        bounds = near["bounds"]
        middles = [(low + high) / 2 for low, high in zip([0.0, *bounds], [*bounds, bounds[-1] * 1.25], strict=True)]
        _both(axes, middles, near["bins"], theme)
        _name(axes, theme, "by distance from the vanishing point", "distance (picture widths)", "attention")
    if deep is not None:
        axes = remaining.pop(0)
        _both(axes, _middles(deep["bounds_m"]), deep["bins"], theme)
        axes.set_xscale("log")
        axes.set_xticks(deep["bounds_m"][::2], [f"{bound:.3g}" for bound in deep["bounds_m"][::2]])
        axes.set_xticks([], minor=True)
        beyond = "; the last point: beyond" if deep["bins"][-1]["mask"] is not None else ""
        source = "by depth" if deep["source"] == TRUTH else "by depth as the depth net sees it"
        _name(axes, theme, source, f"depth (m){beyond}", "attention")
    axes = remaining.pop(0)
    count = len(rows["bins"])
    _both(axes, [(place + 0.5) / count for place in range(count)], rows["bins"], theme)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _name(axes, theme, "by row", "place in the picture, from top to bottom", "attention")
    for axes in figure.axes:
        _at_one(axes, theme)
    _legend(figure.axes[0], theme)
    return save_figure(figure, paths)


def _both(axes: Axes, places: Sequence[float], bins: Sequence[dict[str, Any]], theme: Theme) -> None:
    for name, colour in zip(("mask", "edges"), theme.methods, strict=False):
        _curve(axes, places, [entry[name] for entry in bins], colour, name, name == "edges")


def _curve(axes: Axes, places: Sequence[float], entries: Entries, colour: str, label: str,
           dashed: bool = False) -> None:
    """A line with its interval shaded, over the bins that have one; of too few images only where no bin has enough."""
    least = min(ENOUGH, max((entry["images"] for entry in entries if entry is not None), default=0))
    there = [(place, entry) for place, entry in zip(places, entries, strict=True)
             if entry is not None and entry["images"] >= least]
    if not there:
        return
    at = [place for place, _ in there]
    axes.fill_between(at, [entry["ci95"][0] for _, entry in there], [entry["ci95"][1] for _, entry in there],
                      color=colour, alpha=0.10 if dashed else 0.16, linewidth=0)
    axes.plot(at, [entry["value"] for _, entry in there], color=colour, marker="o", markersize=3.5,
              linewidth=1.3 if dashed else 1.7, linestyle=_DASHED if dashed else "-", label=label)


def _middles(bounds: Sequence[float]) -> list[float]:
    """Middles of bins whose bounds grow by a factor, with the open bins below and above as wide as their neighbours."""
    factor = bounds[1] / bounds[0]
    return [bounds[0] / factor**0.5, *(bound * factor**0.5 for bound in bounds)]


def _name(axes: Axes, theme: Theme, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=10, color=theme.ink, loc="left")
    axes.set_xlabel(across, color=theme.ink, fontsize=9)
    axes.set_ylabel(up, color=theme.ink, fontsize=9)
    style_axes(axes, theme)


def _at_one(axes: Axes, theme: Theme) -> None:
    """The line of an average pixel; attention is drawn from 0."""
    axes.axhline(1, color=theme.ink, linewidth=0.9, linestyle=_DASHED, zorder=1)
    axes.set_ylim(bottom=0)


def _legend(axes: Axes, theme: Theme) -> None:
    axes.legend(frameon=False, labelcolor=theme.ink, loc="best", fontsize=8.5)
