"""Figures of the cue experiments: curves with published marks, and the cue profile."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from depthcue.report.figures import LIGHT, Theme, method_colour, new_figure, save_figure, style_axes
from depthcue.report.provenance import Results
from depthcue.report.verdicts import Verdict, apart, sorted_out, verdict

TOLD_AXIS = "ratio of distances to which the cue is turned"
"""Of curves whose dashed line is what the turned cue tells."""
APPEARANCE_ABS_REL = {"unmodified": 0.124, "grayscale": 0.130, "false colours": 0.128,
                      "set colours of classes": 0.192}
"""Of MonoDepth on KITTI frames, from van Dijk and de Croon (ICCV 2019)."""
_MOST_NAMED = 4


def supported(value: dict[str, Any]) -> bool:
    """Whether a number comes from enough cases to be spoken of."""
    return judged(value) is not Verdict.TOO_FEW


def judged(value: dict[str, Any], reference: float = 0.0) -> Verdict:
    """The verdict on a number over cases."""
    return verdict(value["ci95"], value["n"], reference)


def digits(number: float, places: int = 2) -> str:
    """A number in words; no negative zeros."""
    return f"{round(number, places) + 0.0:.{places}f}"


def bounds(value: dict[str, Any]) -> str:
    """The 95% interval in words."""
    return " to ".join(digits(end) for end in value["ci95"])


def camera(entry: dict[str, Any], on_roads: bool) -> list[str]:
    """Whether the scale follows a camera that is mounted otherwise."""
    sentences = []
    for value in entry["values"]:
        if value["name"].startswith("share of the change of scale") and supported(value):
            sentences.append(f"When the camera's {value['condition']} changes, its scale follows by "
                             f"{digits(value['value'])} of the change ({bounds(value)}); 1 would be right.")
    return sentences


def appearance(entry: dict[str, Any], on_roads: bool) -> list[str]:
    """Which looks add to the error, and which do not; the published errors beside them."""
    added = [value for value in entry["values"] if "condition" in value and supported(value)]
    worse = sorted((value for value in added if judged(value) is Verdict.MORE), key=lambda value: -value["value"])
    sentences = []
    if worse:
        named = ", ".join(f"{value['condition']} (+{value['value']:.3f})" for value in worse[:_MOST_NAMED])
        sentences.append(f"Its error ({entry['stage']}) grows most with: {named}.")
    unmoved = [value["condition"] for value in added if judged(value) is Verdict.NOT_CLEAR]
    if unmoved:
        sentences.append(f"No clear change of its error ({entry['stage']}) with: {', '.join(unmoved)}.")
    if sentences and on_roads:
        published = ", ".join(f"{look} {error:.3f}" for look, error in APPEARANCE_ABS_REL.items())
        sentences.append(f"Published abs rel of MonoDepth on KITTI frames: {published}.")
    return sentences


def occlusion(entry: dict[str, Any], on_roads: bool) -> list[str]:
    """Whether the order that overlap tells is seen more often than by chance."""
    right = next((value for value in entry["values"] if value["name"].startswith("share of pictures")), None)
    if right is None or not judged(right, 0.5).clear:
        return []
    return [f"What covers another thing is seen nearer in {right['value']:.2f} of pictures ({bounds(right)}), "
            f"{judged(right, 0.5).value} often than by chance."]


def unfamiliar(entry: dict[str, Any], on_roads: bool) -> list[str]:
    """How many unfamiliar things are seen, beside familiar ones, and what their shadow adds."""
    values = {value["name"]: value for value in entry["values"] if supported(value)}
    seen = [f"{group} ones {digits(known['value'])} ({bounds(known)})" for group in ("unfamiliar", "familiar")
            if (known := values.get(f"share of obstacles seen, {group}, with shadow"))]
    sentences = [f"Of obstacles with their shadow ({entry['stage']}) it sees: {', '.join(seen)}."] if seen else []
    shadow = values.get("share of an obstacle's pixels seen, unfamiliar, what the shadow adds")
    if shadow and judged(shadow).clear:
        sentences.append(f"The shadow {'adds' if shadow['value'] > 0 else 'takes'} {digits(abs(shadow['value']))} "
                         f"of an unfamiliar thing's pixels ({bounds(shadow)}; {entry['stage']}).")
    elif shadow:
        sentences.append(f"No clear effect of the shadow on unfamiliar things ({bounds(shadow)} of their pixels; "
                         f"{entry['stage']}).")
    return sentences

SENTENCES = {"camera": camera, "appearance": appearance, "occlusion": occlusion, "unfamiliar": unfamiliar}


def beside_others(results: Results) -> list[str]:
    """The cues that this network follows more, and less, than each network laid beside it: intervals do not meet.

    Only on stages that showed both the same scenes or frames; where there is none, that is said.
    """
    name = results["target_net"]["name"]
    sentences = []
    for other in results["beside"]:
        same = [stage for stage, shown in results["stages"].items() if shown_on(shown) == shown_on(
            other["stages"].get(stage, {}))]
        if not same:
            sentences.append(f"{other['target_net']['name']} was shown other scenes than {name}: their profiles are no "
                             "comparison.")
            continue
        theirs = {(weight["cue"], weight["stage"]): weight for weight in other["profile"]
                  if supported(weight) and weight["stage"] in same}
        pairs = [(weight, theirs[weight["cue"], weight["stage"]]) for weight in results["profile"]
                 if supported(weight) and (weight["cue"], weight["stage"]) in theirs]
        found = sorted_out((f"{one['cue']} ({one['stage']})",
                            apart(one["ci95"], two["ci95"], min(one["n"], two["n"]))) for one, two in pairs)
        sentences += [f"{name} follows {', '.join(cues)} {each.value} than {other['target_net']['name']}."
                      for each, cues in found.items() if each.clear and cues]
    return sentences


def shown_on(stage: dict[str, Any]) -> str | None:
    """The scenes or frames that a stage of a document showed."""
    shown: str | None = stage.get("scenes", stage.get("frames"))
    return shown


def seen_and_believed(results: Results) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Of every cue with a weight, and a mask that was looked at: its name, its weight, and how many times as densely as
    evenly the mask lies on its pixels; the stage is in the name where there are several."""
    found = []
    for entry in results["experiments"]:
        lifts = {attention["condition"]: attention["mask_lift"] for attention in entry["attention"]}
        stage = f" ({entry['stage']})" if len(results["stages"]) > 1 else ""
        found += [(weight["cue"] + stage, weight, lifts[weight["condition"]]) for weight in entry["profile"]
                  if weight["value"] is not None and weight["condition"] in lifts]
    cues = list(dict.fromkeys(weight["cue"] for _, weight, _ in found))
    return sorted(found, key=lambda one: cues.index(one[1]["cue"]))


def where_the_mask_lies(results: Results) -> list[str]:
    """On which turned cues the mask lies more, and less, densely than on the rest; beside what the network follows."""
    found = sorted_out((f"{name} ({lift['value']:.1f} times; weight {digits(weight['value'])})", judged(lift, 1.0))
                       for name, weight, lift in seen_and_believed(results) if supported(weight))
    return [f"Its mask lies on the pixels of a turned cue {each.value} densely than evenly for: {', '.join(cues)}."
            for each, cues in found.items() if each.clear and cues]

POSITION_SIZE_AT_3 = {"MonoDepth": {"both": 3.16, "position": 3.37, "size": 1.08},
                      "DPT-Hybrid": {"both": 3.01, "position": 1.99, "size": 1.06}}
"""Distance seen of an obstacle over that at the nearest place, where the cue of a condition says 3."""

PITCH_SLOPE = {"MonoDepth": 0.71, "DPT-Hybrid": 0.94}
"""Slope of the horizon seen against the true one."""

MARKS = {"MonoDepth": "x", "DPT-Hybrid": "+"}
"""Markers in figures."""

_SAME_TRUTH = 0.06


def draw_experiment(entry: dict[str, Any], on_roads: bool, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw one experiment on one stage: a panel for each pair of axes and for each group of bars.

    Curves have shaded 95% intervals, bars have lines; the truth is dashed.

    Args:
        entry: of `experiments` in a probe document, with curves or bars.
        on_roads: whether published values belong beside it, all of which are of roads.
        paths: files to write; the suffix says which kind.
    """
    labels = list(dict.fromkeys(_axes_of(entry, curve) for curve in entry["curves"] if curve["points"]))
    tallest = max([len(group["bars"]) for group in entry["bars"]], default=0)  # bars, however many a row holds
    figure = new_figure(5.6 * (len(labels) + len(entry["bars"])), max(3.9, 1.2 + 0.27 * tallest), theme)
    panels = figure.subplots(1, len(labels) + len(entry["bars"]), squeeze=False)[0]
    for axes, group in zip(panels[len(labels):], entry["bars"], strict=True):
        _draw_bars(axes, group, theme)
    for axes, label in zip(panels, labels, strict=False):
        curves = [curve for curve in entry["curves"] if _axes_of(entry, curve) == label and curve["points"]]
        for curve in curves:
            control = curve["condition"] != _told_by(curve)
            _draw_curve(axes, curve, _colour_of(curve, curves, theme), not control, "--" if control else "-")
        _draw_truth(axes, curves, "followed fully" if entry["x"] == TOLD_AXIS else "truth", theme)
        if entry["name"] == "position-size" and on_roads:
            _draw_published(axes, curves, theme)
        axes.set_xlabel(label[0], color=theme.ink, fontsize=9)
        axes.set_ylabel(label[1], color=theme.ink, fontsize=9)
        style_axes(axes, theme)
        axes.legend(frameon=False, labelcolor=theme.ink, fontsize=7.5, loc="best", handlelength=3.0)
    return save_figure(figure, paths)


def drawable(entry: dict[str, Any]) -> bool:
    """Whether there is anything to draw of an experiment."""
    return any(curve["points"] for curve in entry["curves"]) or bool(entry["bars"])


def _axes_of(entry: dict[str, Any], curve: dict[str, Any]) -> tuple[str, str]:
    return curve.get("x", entry["x"]), curve.get("y", entry["y"])


def _draw_bars(axes: Axes, group: dict[str, Any], theme: Theme) -> None:
    """A row for each name, in it a bar for each series."""
    bars = [bar for bar in group["bars"] if bar["value"] is not None]
    series = list(dict.fromkeys(bar.get("series") for bar in bars))
    named = [[(bar["name"], bar) for bar in bars if bar.get("series") == label] for label in series]
    _draw_rows(axes, list(dict.fromkeys(bar["name"] for bar in bars)), named, series, theme)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
    axes.set_xlabel(group["y"], color=theme.ink, fontsize=9)


def _draw_rows(axes: Axes, names: Sequence[str], series: Sequence[Sequence[tuple[str, dict[str, Any]]]],
               labels: Sequence[str | None], theme: Theme) -> None:
    """Bars with 95% intervals: a row for each name, from above; a colour for each series.

    Args:
        series: named values with `value` and `ci95`.
        labels: of the series; a legend stands where there are several.
    """
    thick = 0.76 / max(len(series), 1)
    for number, (bars, label) in enumerate(zip(series, labels, strict=True)):
        places = [names.index(name) + (number - (len(series) - 1) / 2) * thick for name, _ in bars]
        axes.barh(places, [bar["value"] for _, bar in bars], height=thick * 0.9, color=method_colour(number, theme),
                  alpha=0.85, label=label)
        for place, (_, bar) in zip(places, bars, strict=True):
            if bar["ci95"]:
                axes.plot(bar["ci95"], [place, place], color=theme.ink, linewidth=1.3, solid_capstyle="butt")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    style_axes(axes, theme)
    axes.grid(axis="y", visible=False)
    if len(series) > 1:
        axes.legend(frameon=False, labelcolor=theme.ink, fontsize=9, loc="best")


def _told_by(curve: dict[str, Any]) -> str:
    """The cue of a condition, whatever the control it belongs to: `size` of `box, size`."""
    return str(curve["condition"].rpartition(", ")[2])


def _colour_of(curve: dict[str, Any], curves: Sequence[dict[str, Any]], theme: Theme) -> str:
    """One colour a cue; controls have that of their cue, dashed."""
    cues = list(dict.fromkeys(_told_by(other) for other in curves))
    return method_colour(cues.index(_told_by(curve)), theme)


def _draw_curve(axes: Axes, curve: dict[str, Any], colour: str, shaded: bool, line: str) -> None:
    points = curve["points"]
    known = [point for point in points if point["ci95"]]
    if shaded and known:
        axes.fill_between([point["x"] for point in known], [point["ci95"][0] for point in known],
                          [point["ci95"][1] for point in known], color=colour, alpha=0.18, linewidth=0)
    axes.plot([point["x"] for point in points], [point["value"] for point in points], color=colour, marker="o",
              markersize=3.5, linewidth=1.5, linestyle=line, label=curve["name"])


def _draw_truth(axes: Axes, curves: Sequence[dict[str, Any]], label: str, theme: Theme) -> None:
    """The exact values of every curve that has them, thin and dashed; such as cannot be told apart once."""
    drawn: list[dict[float, float]] = []
    for curve in curves:
        truth = {point["x"]: point["truth"] for point in curve["points"] if point.get("truth") is not None}
        known = any(truth.keys() <= other.keys() and all(abs(truth[x] - other[x]) < _SAME_TRUTH for x in truth)
                    for other in drawn)
        if len(truth) > 1 and not known:
            axes.plot(list(truth), list(truth.values()), color=theme.ink, linewidth=0.9, linestyle=(0, (4, 3)),
                      zorder=1, label=None if drawn else label)
            drawn.append(truth)


def _draw_published(axes: Axes, curves: Sequence[dict[str, Any]], theme: Theme) -> None:
    colours = {curve["condition"]: _colour_of(curve, curves, theme) for curve in curves}
    for network, values in POSITION_SIZE_AT_3.items():
        for condition, value in values.items():
            if condition in colours:
                axes.plot([3.0], [value], linestyle="", marker=MARKS[network], markersize=8, markeredgewidth=1.8,
                          color=colours[condition], clip_on=False, zorder=4)
        axes.add_line(Line2D([], [], linestyle="", marker=MARKS[network], color=theme.ink,
                             label=f"{network}, published"))


def draw_profile(profiles: Sequence[tuple[str, Sequence[dict[str, Any]]]], paths: Sequence[Path],
                 theme: Theme = LIGHT) -> Figure:
    """Draw weights of cues as bars with 95% intervals, one colour a network, so that networks can be laid side by side.

    Args:
        profiles: names of networks, and the `profile` of each one's document.
        paths: files to write.
    """
    known = [weight for _, profile in profiles for weight in profile if weight["value"] is not None]
    cues = list(dict.fromkeys(weight["cue"] for weight in known))
    stages = list(dict.fromkeys(weight["stage"] for weight in known))

    def name_of(cue: str, stage: str) -> str:
        return cue if len(stages) == 1 else f"{cue}\n({stage})"

    found = {name_of(weight["cue"], weight["stage"]) for weight in known}
    names = [name for cue in cues for stage in stages if (name := name_of(cue, stage)) in found]
    figure = new_figure(7.2, 1.3 + (0.28 + 0.2 * len(profiles)) * len(names), theme)
    axes = figure.subplots()
    series = [[(name_of(weight["cue"], weight["stage"]), weight) for weight in profile if weight["value"] is not None]
              for _, profile in profiles]
    _draw_rows(axes, names, series, [network for network, _ in profiles], theme)
    _draw_weight_axis(axes, "share of the true change of depth that is followed when this cue alone tells it", theme)
    return save_figure(figure, paths)


def _draw_weight_axis(axes: Axes, label: str, theme: Theme) -> None:
    """Lines at 0, where a cue is ignored, and dashed at 1, where it alone is believed."""
    for line in (0.0, 1.0):
        axes.axvline(line, color=theme.ink, linewidth=0.8, linestyle="-" if line == 0 else (0, (4, 3)))
    axes.set_xlabel(label, color=theme.ink, fontsize=9)


def draw_beside_mask(cues: Sequence[tuple[str, dict[str, Any], dict[str, Any]]], paths: Sequence[Path],
                     theme: Theme = LIGHT) -> Figure:
    """Draw the weights of cues beside how densely the mask lies on the pixels that carry them.

    Args:
        cues: name, weight and density over that of an even mask, each with `value` and `ci95`.
        paths: files to write.
    """
    figure = new_figure(8.4, 1.3 + 0.4 * len(cues), theme)
    left, right = figure.subplots(1, 2, sharey=True)
    names = [name for name, _, _ in cues]
    _draw_rows(right, names, [[(name, density) for name, _, density in cues]], [None], theme)
    _draw_rows(left, names, [[(name, weight) for name, weight, _ in cues]], [None], theme)
    _draw_weight_axis(left, "weight of the cue", theme)
    right.axvline(1.0, color=theme.ink, linewidth=0.8, linestyle=(0, (4, 3)))
    right.set_xlabel("mask on its pixels, times an even one", color=theme.ink, fontsize=9)
    return save_figure(figure, paths)


def profiles_of(results: Results) -> list[tuple[str, list[dict[str, Any]]]]:
    """The profile of the network that was probed, and those it was laid over; kinds of scenes that differ are named."""
    documents = [results, *results["beside"]]
    kinds = [document["stages"].get("rendered", {}).get("scenes") for document in documents]
    several = len(set(filter(None, kinds))) > 1
    return [(document["target_net"]["name"] + (f" ({kind})" if several and kind else ""), document["profile"])
            for document, kind in zip(documents, kinds, strict=True)]
