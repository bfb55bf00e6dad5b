"""The figures of findings: attention by kind and strength of edges, by size of objects, by distance and depth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from depthcue.report.figures import DASHED, LIGHT, Bars, Curve, Curves, Theme, draw_panels, method_colour
from depthcue.report.provenance import TRUTH
from depthcue.report.verdicts import ENOUGH

Entries = Sequence[dict[str, Any] | None]
_AVERAGE = (1.0, None)
"""The line of an average pixel."""


def draw_edges(found: dict[str, Any], paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Attention against strength for every kind of edge, and what strength and kind explain."""
    middles = _middles(found["by_strength"]["bounds"])
    curves = [_curve(middles, entries, method_colour(position, theme), kind)
              for position, (kind, entries) in enumerate(found["by_strength"]["attention"].items())]
    labels = {"strength": "strength\nalone", "kind": "kind\nalone", "both": "both",
              "kind_given_strength": "kind beyond\nstrength"}
    series = [(scope, [(label, entry["value"], entry["ci95"]) for part, label in labels.items()
                       if (entry := fits[part]) is not None]) for scope, fits in found["explained"].items()]
    return draw_panels(
        [Curves("by kind of edge", "strength of the edge (share of black to white a pixel)", "attention", curves,
                _AVERAGE, log=10),
         Bars(list(labels.values()), series, "share of the variance within pictures", "variance of the mask explained",
              columns=True, percent=True)], paths, theme, (9.6, 3.7), widths=(1.5, 1))


def draw_objects(found: dict[str, Any], paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Attention of mask and edges inside objects and at their boundary, against the size of the object."""
    sizes = found["by_size"]
    curves = [_curve(range(len(sizes)), [entry[name][part] for entry in sizes], colour, f"{name}, {part}",
                     part == "boundary")
              for name, colour in zip(("mask", "edges"), theme.methods, strict=False)
              for part in ("inside", "boundary")]
    texts = [f"{bound:.1%}" if bound < 0.01 else f"{bound:.0%}" for bound in found["bounds"]]
    names = [f"< {texts[0]}", *(f"{low.rstrip('%')}–{high}" for low, high in zip(texts, texts[1:], strict=False)),
             f"≥ {texts[-1]}"]
    ticks = [f"{name}\n{entry['objects']}" for name, entry in zip(names, sizes, strict=True)]
    return draw_panels([Curves(
        "by size of object", "share of the picture that the object covers; number of objects", "attention", curves,
        _AVERAGE, ticks=(range(len(sizes)), ticks))], paths, theme, (6.6, 3.9))


def draw_far(found: dict[str, Any], paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Attention of mask and edges against distance from the vanishing point, depth, and row: what there is of them."""
    near, deep, rows = found["by_distance"], found["by_depth"], found["by_row"]
    panels: list[Curves] = []
    if near is not None:
        bounds = near["bounds"]
        middles = [(low + high) / 2 for low, high in zip([0.0, *bounds], [*bounds, bounds[-1] * 1.25], strict=True)]
        panels.append(Curves("by distance from the vanishing point", "distance (picture widths)", "attention",
                             _both(middles, near["bins"], theme), _AVERAGE))
    if deep is not None:
        beyond = "; the last point: beyond" if deep["bins"][-1]["mask"] is not None else ""
        bounds = deep["bounds_m"][::2]
        panels.append(Curves("by depth" if deep["source"] == TRUTH else "by depth as the depth net sees it",
                             f"depth (m){beyond}", "attention",
                             _both(_middles(deep["bounds_m"]), deep["bins"], theme), _AVERAGE, log=10,
                             ticks=(bounds, [f"{bound:.3g}" for bound in bounds]), legend=not panels))
    count = len(rows["bins"])
    panels.append(Curves("by row", "place in the picture, from top to bottom", "attention",
                         _both([(place + 0.5) / count for place in range(count)], rows["bins"], theme), _AVERAGE,
                         percent=True, legend=not panels))
    return draw_panels(panels, paths, theme, (4.0 * len(panels) + 0.6, 3.7))


def _both(places: Sequence[float], bins: Sequence[dict[str, Any]], theme: Theme) -> list[Curve]:
    return [_curve(places, [entry[name] for entry in bins], colour, name, name == "edges")
            for name, colour in zip(("mask", "edges"), theme.methods, strict=False)]


def _curve(places: Sequence[float], entries: Entries, colour: str, label: str, dashed: bool = False) -> Curve:
    """A line with its interval shaded, over the bins that have one; of too few images only where no bin has enough."""
    least = min(ENOUGH, max((entry["images"] for entry in entries if entry is not None), default=0))
    there = [(place, entry) for place, entry in zip(places, entries, strict=True)
             if entry is not None and entry["images"] >= least]
    return Curve(label, colour, [place for place, _ in there], [entry["value"] for _, entry in there],
                 [entry["ci95"] for _, entry in there], band=0.10 if dashed else 0.16,
                 width=1.3 if dashed else 1.7, line=DASHED if dashed else "-")


def _middles(bounds: Sequence[float]) -> list[float]:
    """Middles of bins whose bounds grow by a factor, with the open bins below and above as wide as their neighbours."""
    factor = bounds[1] / bounds[0]
    return [bounds[0] / factor**0.5, *(bound * factor**0.5 for bound in bounds)]
