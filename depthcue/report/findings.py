"""Report of findings: preferences of the mask among edges, objects and distances, in figures, tables and sentences."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from depthcue.report.figures import DASHED, LIGHT, Bars, Curve, Curves, Theme, draw_panels, method_colour
from depthcue.report.section import Plot, Section
from depthcue.report.tables import (
    ENOUGH,
    TRUTH,
    Table,
    Verdict,
    compared_with,
    counted,
    few_to_tell,
    setting_title,
    span,
    verdict,
    verdict_words,
)
from depthcue.results import MaskFindings

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
                         _both([(position + 0.5) / count for position in range(count)], rows["bins"], theme), _AVERAGE,
                         percent=True, legend=not panels))
    return draw_panels(panels, paths, theme, (4.0 * len(panels) + 0.6, 3.7))


def _both(positions: Sequence[float], bins: Sequence[dict[str, Any]], theme: Theme) -> list[Curve]:
    return [_curve(positions, [entry[name] for entry in bins], colour, name, name == "edges")
            for name, colour in zip(("mask", "edges"), theme.methods, strict=False)]


def _curve(positions: Sequence[float], entries: Entries, colour: str, label: str, dashed: bool = False) -> Curve:
    """A line with its interval shaded, over the bins that have one; of too few images only where no bin has enough."""
    least = min(ENOUGH, max((entry["images"] for entry in entries if entry is not None), default=0))
    there = [(position, entry) for position, entry in zip(positions, entries, strict=True)
             if entry is not None and entry["images"] >= least]
    return Curve(label, colour, [position for position, _ in there], [entry["value"] for _, entry in there],
                 [entry["ci95"] for _, entry in there], band=0.10 if dashed else 0.16,
                 width=1.3 if dashed else 1.7, line=DASHED if dashed else "-")


def _middles(bounds: Sequence[float]) -> list[float]:
    """Middles of bins whose bounds grow by a factor, with the open bins below and above as wide as their neighbours."""
    factor = bounds[1] / bounds[0]
    return [bounds[0] / factor**0.5, *(bound * factor**0.5 for bound in bounds)]


Entry = dict[str, Any] | None


def in_words(results: MaskFindings) -> tuple[str, ...]:
    """Sentences on the findings, data set by data set, in the sequence of the paper."""
    sentences: list[str] = []
    for entry in results.data:
        for name, found in entry["findings"].items():
            on_one = [f"Nothing is said about {_TOPICS[name]}: {found['left_out']}."] if "left_out" in found \
                else _SENTENCES[name](found)
            sentences += [f"{entry['spec']}: {sentence}" for sentence in on_one]
    return tuple(sentences)


def judged(entry: Entry, reference: float = 0.0) -> Verdict:
    """The verdict on an entry; too few where there is none."""
    return Verdict.TOO_FEW if entry is None else verdict(entry["ci95"], entry["images"], reference)


def _than(entry: dict[str, Any]) -> str:
    """Words that compare attention with an average pixel's, to follow its number."""
    found = judged(entry, 1.0)
    if found is Verdict.TOO_FEW:
        return f"but {_few(entry)} whether that differs from an average pixel"
    return compared_with(found, "an average pixel", "in ")


def _few(entry: dict[str, Any]) -> str:
    return few_to_tell(entry["images"])


def _difference(entry: dict[str, Any], clear: str, otherwise: str) -> str:
    """A sentence on a difference: `clear` with its size and "more" or "less" in its braces, or else `otherwise`.

    `otherwise` names what is compared; the verdict comes before it, the numbers after it.
    """
    found = judged(entry)
    if found.clear:
        size = f"{abs(entry['value']):.2f} {verdict_words(found)}"
        return f"{clear.format(size)} ({_range(entry)})"
    return f"{verdict_words(found, few=f'{_few(entry)} a difference')} {otherwise} ({_signed(entry)})"


def _edges(found: dict[str, Any]) -> list[str]:
    sentences = []
    geometry = found["at_equal_strength"][0] if found["at_equal_strength"] else None
    if geometry is not None and len(found["at_equal_strength"]) > 1 and not _of_one_kind(geometry):
        names = _kinds(geometry["of"]), _kinds(geometry["minus"])
        sentences.append(_difference(
            geometry["difference"], f"of edges equally strong in the picture, {names[0]} get {{}} attention (an "
            f"average pixel gets 1) than {names[1]}",
            f"of attention between {names[0]} and {names[1]} that are equally strong in the picture"))
    fits = found["explained"]["all pixels"]
    if fits["strength"] is not None:
        sentences.append(_explains(fits))
    return [f"{sentence}." for sentence in sentences]


def _explains(fits: dict[str, Entry]) -> str:
    strength, kind = fits["strength"], fits["kind_given_strength"]
    assert strength is not None and kind is not None
    variance = "of the mask's variance within pictures"
    if judged(strength) is Verdict.TOO_FEW:
        return (f"{_few(strength)} how much {variance} the strength of edges explains "
                f"({_shown(strength, '.1%')}), and the kind of edge beyond it ({_shown(kind, '.1%')})")
    first = (f"the strength of edges explains {_shown(strength, '.1%')} {variance}"
             if judged(strength) is Verdict.MORE else
             f"the strength of edges explains no clear share {variance} ({_shown(strength, '.1%')})")
    if judged(kind) is Verdict.MORE:
        return f"{first}, and the kind of edge {_shown(kind, '.1%')} beyond it"
    return f"{first}, and no clear share is left to the kind of edge ({_shown(kind, '.1%')})"


def _objects(found: dict[str, Any]) -> list[str]:
    small_below, large_from = (f"{bound:.0%}" for bound in found["sizes_compared"])
    small, large = (found[size]["mask"]["inside"] for size in ("small", "large"))
    sentences = []
    if small is None:
        sentences.append(f"no object below {small_below} of the picture is large enough to have an inside")
    else:
        beside = "" if large is None else f"; inside those of {large_from} and more it is {_times(large)}"
        sentences.append(f"inside objects below {small_below} of the picture the mask is {_times(small)} its mean, "
                         f"{_than(small)}{beside}")
    difference = found["small_minus_large"]["mask"]["at_equal_distance"]
    if difference is not None:
        sentences.append(_difference(
            difference, "equally far from the boundary, a pixel inside a small object gets {} attention than one "
            "inside a large one", "between small and large objects equally far from the boundary"))
    ratio = found["small"]["mask"]["ratio"]
    if ratio is not None:
        found_ = judged(ratio, 1.0)
        words = verdict_words(found_, few=_few(ratio))
        beside = f": {words} inside" if found_.clear else f"; {words}"
        sentences.append(f"inside a small object the mask is {_times(ratio)} what it is at its boundary{beside}")
    return [f"{sentence}." for sentence in sentences]


def _far(found: dict[str, Any]) -> list[str]:
    sentences = []
    near, point = found["near"], found["vanishing_point"]
    if near is None or near["mask"] is None:
        sentences.append(f"the vanishing point can be told in {point['images']} of {counted(found['images'])}: that is "
                         "too few to say what the mask does near it")
    else:
        known = "known" if point["source"] == "the renderer" else "estimated"
        between = near["mask_minus_edges"]
        sentences.append(
            f"within {near['within']:g} picture widths of the vanishing point ({known}, {point['images']} images) the "
            f"mask is {_times(near['mask'])} its mean, {_than(near['mask'])}")
        sentences.append(f"there edges are {_times(near['edges'])} their mean; " + _difference(
            between, "the mask has {} than edges", "between the mask and edges"))
        for like, entry in (("at equal edge strength", near["at_equal_strength"]),
                            ("in the same rows of the picture", near["in_the_same_rows"]["mask"])):
            if entry is not None:
                sentences.append(_difference(entry, f"{like} a pixel there gets {{}} attention than elsewhere",
                                             f"between pixels there and elsewhere, {like}"))
    deep = found["by_depth"]
    if deep is not None and deep["far"]["mask"] is not None:
        far = deep["far"]
        sentences.append(
            f"from {far['from_m']:.3g} m on (by {deep['source']}) the mask is {_times(far['mask'])} its mean, "
            f"{_than(far['mask'])}; edges are {_times(far['edges'])} theirs")
    sky = found.get("sky")  # results of earlier versions have none
    if sky is not None and sky["kept"]["mask"] is not None:
        images = sky["kept"]["mask"]["images"]
        sentences.append(
            f"the sky, which has no depth, is {_shown(sky['share'], '.1%')} of all pixels, and "
            f"{_shown(sky['kept']['mask'], '.1%')} of those with most mask lie in it (of as many edges "
            f"{_shown(sky['kept']['edges'], '.1%')})"
            f"{'' if images >= ENOUGH else f'; {few_to_tell(images)}'}")
    return [f"{sentence}." for sentence in sentences]


_SENTENCES = {"edges": _edges, "objects": _objects, "far": _far}
_TOPICS = {"edges": "kinds of edges", "objects": "objects by size", "far": "the far and vanishing"}


def _of_one_kind(contrast: dict[str, Any]) -> bool:
    """Whether a contrast sets one kind against surfaces: no answer to whether kinds of edges differ."""
    return contrast["minus"] == ["inside"]


def _kinds(kinds: Sequence[str]) -> str:
    plain = {"occlusion": "occlusions", "crease": "creases", "shadow": "shadows", "texture": "textures",
             "depth edge": "depth edges", "image edge": "edges of the image alone"}
    return " and ".join(plain.get(kind, kind) for kind in kinds)


def _range(entry: dict[str, Any]) -> str:
    """The interval of a difference, without its sign, which the sentence states."""
    return span(sorted(abs(end) for end in entry["ci95"]), ".2f")


def _signed(entry: dict[str, Any]) -> str:
    return f"{entry['value']:+.2f}, {span(entry['ci95'], '+.2f')}"


def _times(entry: dict[str, Any]) -> str:
    return f"{entry['value']:.2f} times ({span(entry['ci95'], '.2f')})"


_CAPTIONS = {
    "edges": "Left: attention by strength of the edge, for each kind of edge. Right: how much of the mask's variance "
             "strength and kind explain, judged on pictures left out of the fit",
    "objects": "Attention inside objects and at their boundary, by the size of the object",
    "far": "Attention by distance from the vanishing point, by depth, and by row of the picture, of the mask and of "
           "edges",
}
_DRAW = {"edges": draw_edges, "objects": draw_objects, "far": draw_far}


def section(results: MaskFindings, folder: Path) -> Section:
    """The section of a findings document that lies in `folder`."""
    several = len(results.data) > 1
    tables: list[Table] = []
    plots: list[Plot] = []
    for number, entry in enumerate(results.data, start=1):
        where = f"{entry['images']} images of {entry['spec']}, {setting_title(entry)}"
        for name, found in entry["findings"].items():
            if "left_out" in found:
                continue
            tables += _TABLES[name](found, where, results.share)
            plots.append(Plot(f"{name}-{number}" if several else name,
                              f"{_CAPTIONS[name]}; {where}; 95% intervals over images", partial(_DRAW[name], found)))
    return Section(
        "What the mask prefers", in_words(results), tuple(tables), tuple(plots),
        lead="Who looks at masks sees some edges in them and not others, small objects filled, and light where a road "
             "vanishes. Here these impressions are counted. Attention is the mask divided by its mean in the picture: "
             "1 is what an average pixel gets, 2 is twice as much. Edges would get attention too, simply because they "
             "are everywhere; so an edge map, divided by its own mean, stands beside the mask. Intervals take pictures "
             "for independent of each other, which neighbouring frames of a video are not.")


def _edge_tables(found: dict[str, Any], where: str, share: float) -> list[Table]:
    kept = f"{share:.0%}"
    rows = []
    for entry in found["by_kind"]:
        if entry["attention"] is None:
            continue
        rows.append((entry["kind"], _percent(entry["share"]), f"{entry['strength']['value']:.3f}",
                     _shown(entry["attention"]), _percent(entry["kept"]["mask"]), _percent(entry["kept"]["edges"]),
                     _shown(entry["kept"]["difference"], "+.1%")))
    kinds = Table(f"Kinds of edges: their share of all pixels, of the {kept} with most mask and of the {kept} with "
                  f"the strongest edges (95 %); {where}",
                  ("kind", "of all", "strength", "attention", "of the mask's", "of the edges'", "difference"),
                  tuple(rows))
    parts = ("strength", "kind", "both", "kind_given_strength")
    explained = Table(f"Variance of the mask within pictures that is explained (95 %); {where}",
                      ("", "strength alone", "kind alone", "both", "kind beyond strength"),
                      tuple((scope, *(_shown(fits[part], ".1%") for part in parts))
                            for scope, fits in found["explained"].items()))
    equal = Table(f"Attention at equal strength of the edge (95 %); {where}", ("of", "minus that of", "difference"),
                  tuple((" and ".join(entry["of"]), " and ".join(entry["minus"]), _shown(entry["difference"], "+.2f"))
                        for entry in found["at_equal_strength"]))
    return [kinds, explained, *([equal] if equal.rows else [])]


def _object_tables(found: dict[str, Any], where: str, share: float) -> list[Table]:
    rows = [(name, str(entry["objects"]), _shown(entry["mask"]["inside"]), _shown(entry["mask"]["boundary"]),
             _shown(entry["mask"]["ratio"]), _shown(entry["edges"]["inside"]), _shown(entry["edges"]["ratio"]))
            for name, entry in zip(size_names(found["bounds"]), found["by_size"], strict=True)]
    return [Table(f"Objects by the share of the picture that they cover: attention (95 %); {where}",
                  ("size", "objects", "inside", "at the boundary", "ratio", "edges: inside", "edges: ratio"),
                  tuple(rows))]


def _far_tables(found: dict[str, Any], where: str, share: float) -> list[Table]:
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
                            (("sky", _shown(sky["share"], ".1%"),
                              *(_shown(sky["kept"][name], ".1%") for name in columns[:2]),
                              _shown(sky["mask_minus_edges"], "+.1%")),)))
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
    return tuple((name, _shown(entry["mask"]), _shown(entry["edges"]), _shown(entry["mask_minus_edges"], "+.2f"))
                 for name, entry in zip(names, bins, strict=True) if entry["mask"] is not None)


def _percent(entry: dict[str, Any] | None) -> str:
    return "–" if entry is None else f"{entry['value']:.1%}"


def _shown(entry: dict[str, Any] | None, form: str = ".2f") -> str:
    """A number with its interval; a dash where there is none."""
    return "–" if entry is None else f"{entry['value']:{form}} ({span(entry['ci95'], form)})"
