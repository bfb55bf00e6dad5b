"""Figures of the cue experiments: curves with published marks, and the cue profile."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from depthcue.report.figures import DASHED, LIGHT, Bar, Bars, Curve, Curves, Theme, draw_panels, method_colour
from depthcue.results import CueWeight, ExperimentEntry, Probe, Profiled

TURNED_CUE_AXIS = "ratio of distances to which the cue is turned"
"""Axis of curves whose dashed line is the ratio of the changed cue."""
POSITION_SIZE_AT_3 = {"MonoDepth": {"both": 3.16, "position": 3.37, "size": 1.08},
                      "DPT-Hybrid": {"both": 3.01, "position": 1.99, "size": 1.06}}
"""Distance predicted of an obstacle over that at the nearest position, where the cue of a condition says 3."""
MARKS = {"MonoDepth": "x", "DPT-Hybrid": "+"}
"""Markers in figures."""
_SAME_TRUTH = 0.06
"""Largest difference of two exact curves that are drawn as one."""



def seen_and_believed(results: Probe) -> list[tuple[str, CueWeight, dict[str, Any]]]:
    """Cues with a weight and with a mask that was looked at: name, weight, how many times as densely as evenly it lies.

    The stage is in the name where there are several.
    """
    found = []
    for entry in results.experiments:
        lifts = {attention["condition"]: attention["mask_lift"] for attention in entry["attention"]}
        stage = f" ({entry['stage']})" if len(results.stages) > 1 else ""
        found += [(weight["cue"] + stage, weight, lifts[weight["condition"]]) for weight in entry["profile"]
                  if weight["value"] is not None and weight["condition"] in lifts]
    cues = list(dict.fromkeys(weight["cue"] for _, weight, _ in found))
    return sorted(found, key=lambda one: cues.index(one[1]["cue"]))


def draw_experiment(entry: ExperimentEntry, on_roads: bool, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw one experiment on one stage: a panel for each pair of axes and for each group of bars.

    Curves have shaded 95% intervals, bars have lines; the truth is dashed.

    Args:
        entry: with curves or bars.
        on_roads: whether published values belong beside it, all of which are of roads.
    """
    labels = list(dict.fromkeys(_axes_of(entry, curve) for curve in entry["curves"] if curve["points"]))
    panels: list[Curves | Bars] = []
    for label in labels:
        curves = [curve for curve in entry["curves"] if _axes_of(entry, curve) == label and curve["points"]]
        lines = [_curve(curve, curves, theme) for curve in curves]
        lines += _truth(curves, "followed fully" if entry["x"] == TURNED_CUE_AXIS else "truth", theme)
        if entry["name"] == "position-size" and on_roads:
            lines += _published(curves, theme)
        panels.append(Curves("", *label, lines, bottom=None))
    panels += [_bars(group) for group in entry["bars"]]
    tallest = max([len(group["bars"]) for group in entry["bars"]], default=0)  # bars, however many a row holds
    return draw_panels(panels, paths, theme, (5.6 * len(panels), max(3.9, 1.2 + 0.27 * tallest)))


def drawable(entry: ExperimentEntry) -> bool:
    """Whether there is anything to draw of an experiment."""
    return any(curve["points"] for curve in entry["curves"]) or bool(entry["bars"])


def _axes_of(entry: ExperimentEntry, curve: dict[str, Any]) -> tuple[str, str]:
    return curve.get("x", entry["x"]), curve.get("y", entry["y"])


def _bars(group: dict[str, Any]) -> Bars:
    """A row for each name, in it a bar for each series."""
    bars = [bar for bar in group["bars"] if bar["value"] is not None]
    series = [(label, [(bar["name"], bar["value"], bar["ci95"]) for bar in bars if bar.get("series") == label])
              for label in dict.fromkeys(bar.get("series") for bar in bars)]
    return Bars(list(dict.fromkeys(bar["name"] for bar in bars)), series, group["y"])


def _cue_of(curve: dict[str, Any]) -> str:
    """The cue of a condition, whatever the control it belongs to: `size` of `box, size`."""
    return str(curve["condition"].rpartition(", ")[2])


def _colour_of(curve: dict[str, Any], curves: Sequence[dict[str, Any]], theme: Theme) -> str:
    """One colour a cue; controls have that of their cue, dashed."""
    cues = list(dict.fromkeys(_cue_of(other) for other in curves))
    return method_colour(cues.index(_cue_of(curve)), theme)


def _curve(curve: dict[str, Any], curves: Sequence[dict[str, Any]], theme: Theme) -> Curve:
    """A condition's curve; controls are dashed and have no band."""
    points, control = curve["points"], curve["condition"] != _cue_of(curve)
    return Curve(curve["name"], _colour_of(curve, curves, theme), [point["x"] for point in points],
                 [point["value"] for point in points], () if control else [point["ci95"] for point in points],
                 band=0.18, line="--" if control else "-", width=1.5)


def _truth(curves: Sequence[dict[str, Any]], label: str, theme: Theme) -> list[Curve]:
    """The exact values of every curve that has them, thin and dashed; those that are nearly equal once."""
    drawn: list[dict[float, float]] = []
    for curve in curves:
        truth = {point["x"]: point["truth"] for point in curve["points"] if point.get("truth") is not None}
        known = any(truth.keys() <= other.keys() and all(abs(truth[x] - other[x]) < _SAME_TRUTH for x in truth)
                    for other in drawn)
        if len(truth) > 1 and not known:
            drawn.append(truth)
    return [Curve(None if number else label, theme.ink, list(truth), list(truth.values()), marker=None, line=DASHED,
                  width=0.9) for number, truth in enumerate(drawn)]


def _published(curves: Sequence[dict[str, Any]], theme: Theme) -> list[Curve]:
    """Points of what was published, in the colours of their conditions."""
    colours = {curve["condition"]: _colour_of(curve, curves, theme) for curve in curves}
    points = []
    for network, values in POSITION_SIZE_AT_3.items():
        style: dict[str, Any] = {"marker": MARKS[network], "line": "", "width": 1.8, "size": 8, "first": True}
        points.append(Curve(f"{network}, published", theme.ink, [], [], **style))
        points += [Curve(None, colours[condition], [3.0], [value], **style) for condition, value in values.items()
                   if condition in colours]
    return points


def draw_profile(profiles: Sequence[tuple[str, Sequence[CueWeight]]], paths: Sequence[Path],
                 theme: Theme = LIGHT) -> Figure:
    """Draw weights of cues as bars with 95% intervals, one colour a network, so that networks can be laid side by side.

    Args:
        profiles: names of networks, and the `profile` of each one's document.
    """
    known = [weight for _, profile in profiles for weight in profile if weight["value"] is not None]
    cues = list(dict.fromkeys(weight["cue"] for weight in known))
    stages = list(dict.fromkeys(weight["stage"] for weight in known))

    def name_of(cue: str, stage: str) -> str:
        return cue if len(stages) == 1 else f"{cue}\n({stage})"

    found = {name_of(weight["cue"], weight["stage"]) for weight in known}
    names = [name for cue in cues for stage in stages if (name := name_of(cue, stage)) in found]
    series = [(network, [(name_of(weight["cue"], weight["stage"]), weight["value"], weight["ci95"])
                         for weight in profile if weight["value"] is not None]) for network, profile in profiles]
    panel = Bars(names, series, "share of the true change of depth that is followed when this cue alone tells it",
                 levels=(0.0, 1.0))
    return draw_panels([panel], paths, theme, (7.2, 1.3 + (0.28 + 0.2 * len(profiles)) * len(names)))


def draw_beside_mask(cues: Sequence[tuple[str, CueWeight, dict[str, Any]]], paths: Sequence[Path],
                     theme: Theme = LIGHT) -> Figure:
    """Draw the weights of cues beside how densely the mask lies on the pixels that carry them.

    Args:
        cues: name, weight and density over that of an even mask, each with `value` and `ci95`.
    """
    names = [name for name, _, _ in cues]
    weights: list[Bar] = [(name, weight["value"], weight["ci95"]) for name, weight, _ in cues]
    densities: list[Bar] = [(name, density["value"], density["ci95"]) for name, _, density in cues]
    return draw_panels([Bars(names, [(None, weights)], "weight of the cue", levels=(0.0, 1.0)),
                        Bars(names, [(None, densities)], "mask on its pixels, times an even one", levels=(1.0,),
                             named=False)],
                       paths, theme, (8.4, 1.3 + 0.4 * len(cues)), widths=(1, 1))


def profiles_of(results: Probe) -> list[tuple[str, list[CueWeight]]]:
    """The profile of the network that was probed, and those it was laid over; kinds of scenes that differ are named."""
    documents: list[Probe | Profiled] = [results, *results.beside]
    kinds = [document.stages.get("rendered", {}).get("scenes") for document in documents]
    several = len(set(filter(None, kinds))) > 1
    return [(str(document.target_net.name) + (f" ({kind})" if several and kind else ""), document.profile)
            for document, kind in zip(documents, kinds, strict=True)]
