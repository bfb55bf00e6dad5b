"""What findings found: what the mask prefers among edges, objects and distances, in tables and figures."""

from functools import partial
from pathlib import Path
from typing import Any

from depthcue.report.findings_figures import draw_edges, draw_far, draw_objects
from depthcue.report.findings_words import in_words
from depthcue.report.results import Results
from depthcue.report.section import Plot, Section
from depthcue.report.tables import Table, setting_title

_CAPTIONS = {
    "edges": "Left: attention by strength of the edge, for each kind of edge. Right: how much of the mask's variance "
             "strength and kind explain, judged on pictures left out of the fit",
    "objects": "Attention inside objects and at their boundary, by the size of the object",
    "far": "Attention by distance from the vanishing point, by depth, and by row of the picture, of the mask and of "
           "edges",
}
_DRAW = {"edges": draw_edges, "objects": draw_objects, "far": draw_far}


def section(results: Results, folder: Path) -> Section:
    """The section of a findings document that lies in `folder`."""
    several = len(results["data"]) > 1
    tables: list[Table] = []
    plots: list[Plot] = []
    for number, entry in enumerate(results["data"], start=1):
        where = f"{entry['images']} images of {entry['spec']}, {setting_title(entry)}"
        for name, found in entry["findings"].items():
            if "left_out" in found:
                continue
            tables += _TABLES[name](found, where, results["share"])
            plots.append(Plot(f"{name}-{number}" if several else name,
                              f"{_CAPTIONS[name]}; {where}; 95% intervals over images", partial(_DRAW[name], found)))
    return Section(
        "What the mask prefers", in_words(results), tuple(tables), tuple(plots),
        lead="Who looks at masks sees some edges in them and not others, small objects filled, and light where a road "
             "vanishes. Here these impressions are counted. Attention is the mask divided by its mean in the picture: "
             "1 is what an average pixel gets, 2 is twice as much. Edges would get attention too, simply because they "
             "are everywhere; so an edge map, divided by its own mean, stands beside the mask. Intervals take pictures "
             "for independent of each other, which neighbouring frames of a video are not.")


def _edge_tables(found: Results, where: str, share: float) -> list[Table]:
    kept = f"{share:.0%}"
    rows = []
    for entry in found["by_kind"]:
        if entry["attention"] is None:
            continue
        rows.append((entry["kind"], _percent(entry["share"]), f"{entry['strength']['value']:.3f}",
                     _number(entry["attention"]), _percent(entry["kept"]["mask"]), _percent(entry["kept"]["edges"]),
                     _interval(entry["kept"]["difference"], percent=True)))
    kinds = Table(f"Kinds of edges: their share of all pixels, of the {kept} with most mask and of the {kept} with "
                  f"the strongest edges (95 %); {where}",
                  ("kind", "of all", "strength", "attention", "of the mask's", "of the edges'", "difference"),
                  tuple(rows))
    parts = ("strength", "kind", "both", "kind_given_strength")
    explained = Table(f"Variance of the mask within pictures that is explained (95 %); {where}",
                      ("", "strength alone", "kind alone", "both", "kind beyond strength"),
                      tuple((scope, *(_percents(fits[part]) for part in parts))
                            for scope, fits in found["explained"].items()))
    equal = Table(f"Attention at equal strength of the edge (95 %); {where}", ("of", "minus that of", "difference"),
                  tuple((" and ".join(entry["of"]), " and ".join(entry["minus"]), _interval(entry["difference"]))
                        for entry in found["at_equal_strength"]))
    return [kinds, explained, *([equal] if equal.rows else [])]


def _object_tables(found: Results, where: str, share: float) -> list[Table]:
    rows = [(name, str(entry["objects"]), _number(entry["mask"]["inside"]), _number(entry["mask"]["boundary"]),
             _number(entry["mask"]["ratio"]), _number(entry["edges"]["inside"]), _number(entry["edges"]["ratio"]))
            for name, entry in zip(size_names(found["bounds"]), found["by_size"], strict=True)]
    return [Table(f"Objects by the share of the picture that they cover: attention (95 %); {where}",
                  ("size", "objects", "inside", "at the boundary", "ratio", "edges: inside", "edges: ratio"),
                  tuple(rows))]


def _far_tables(found: Results, where: str, share: float) -> list[Table]:
    tables = []
    columns = ("mask", "edges", "mask − edges")
    near = found["by_distance"]
    if near is not None:
        point = found["vanishing_point"]
        tables.append(Table(
            f"Attention by distance from the vanishing point in picture widths (95 %); {point['images']} of {where}",
            ("distance", *columns), _compared(_ranges(near["bounds"], ""), near["bins"])))
    deep = found["by_depth"]
    if deep is not None:
        tables.append(Table(f"Attention by depth, from {deep['source']} (95 %); {where}", ("depth", *columns),
                            _compared(_ranges(deep["bounds_m"], " m"), deep["bins"])))
    sky = found.get("sky")  # results of earlier versions have none
    if sky is not None:
        tables.append(Table(f"The sky, which has no depth: its share of all pixels and of the {share:.0%} with most "
                            f"mask or the strongest edges (95 %); {where}", ("", "of all", *columns),
                            (("sky", _percents(sky["share"]), *(_percents(sky["kept"][name]) for name in columns[:2]),
                              _interval(sky["mask_minus_edges"], percent=True)),)))
    return tables


_TABLES = {"edges": _edge_tables, "objects": _object_tables, "far": _far_tables}


def size_names(bounds: list[float]) -> list[str]:
    """Bins of size as a reader calls them."""
    texts = [f"{bound:.1%}" if bound < 0.01 else f"{bound:.0%}" for bound in bounds]
    return [f"below {texts[0]}", *(f"{low} to {high}" for low, high in zip(texts, texts[1:], strict=False)),
            f"{texts[-1]} and more"]


def _ranges(bounds: list[float], unit: str) -> list[str]:
    texts = [f"{bound:.3g}" for bound in bounds]
    return [f"below {texts[0]}{unit}", *(f"{low} to {high}{unit}" for low, high in zip(texts, texts[1:], strict=False)),
            f"{texts[-1]}{unit} and beyond"]


def _compared(names: list[str], bins: list[dict[str, Any]]) -> tuple[tuple[str, ...], ...]:
    return tuple((name, _number(entry["mask"]), _number(entry["edges"]), _interval(entry["mask_minus_edges"]))
                 for name, entry in zip(names, bins, strict=True) if entry["mask"] is not None)


def _number(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "–"
    low, high = entry["ci95"]
    return f"{entry['value']:.2f} ({low:.2f} to {high:.2f})"


def _percent(entry: dict[str, Any] | None) -> str:
    return "–" if entry is None else f"{entry['value']:.1%}"


def _percents(entry: dict[str, Any] | None) -> str:
    return "–" if entry is None else f"{entry['value']:.1%} ({entry['ci95'][0]:.1%} to {entry['ci95'][1]:.1%})"


def _interval(entry: dict[str, Any] | None, percent: bool = False) -> str:
    if entry is None:
        return "–"
    (low, high), style = entry["ci95"], "+.1%" if percent else "+.2f"
    return f"{entry['value']:{style}} ({low:{style}} to {high:{style}})"
