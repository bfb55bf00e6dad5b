"""Report of the cue experiments: sentences on weights of cues and single experiments, and tables.

Published values of other networks in the same experiments stand beside those of roads: those of MonoDepth (Godard et
al. 2017) on KITTI frames, from van Dijk and de Croon, How Do Neural Networks See Depth in Single Images? (ICCV 2019);
DPT-Hybrid and the values at three times the distance from the plots of a follow-up.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from depthcue.report.probe_figures import (
    POSITION_SIZE_AT_3,
    TURNED_CUE_AXIS,
    draw_beside_mask,
    draw_experiment,
    draw_profile,
    drawable,
    profiles_of,
    seen_and_believed,
)
from depthcue.report.section import Column, Example, Plot, Section
from depthcue.report.tables import HasNumbers, Table, Verdict, apart, compared_with, sorted_out, too_few, verdict
from depthcue.results import CueWeight, ExperimentEntry, Probe

_FOLLOWED = 0.2
"""A cue is called one that is followed where the interval of its weight lies above this share."""
_MOST_NAMED = 4
"""Most appearances that a sentence names."""
_STAGE_WORDS = {"rendered": "rendered scenes", "photographs": "photographs"}
APPEARANCE_ABS_REL = {"unmodified": 0.124, "grayscale": 0.130, "false colours": 0.128,
                      "set colours of classes": 0.192}
"""Errors of MonoDepth on KITTI frames, from van Dijk and de Croon (ICCV 2019)."""
PITCH_SLOPE = {"MonoDepth": 0.71, "DPT-Hybrid": 0.94}
"""Slope of the horizon seen against the true one."""


def section(results: Probe, folder: Path) -> Section:
    """The section of a probe document that lies in `folder`."""
    entries = results.experiments
    plots = []
    if any(weight["value"] is not None for weight in results.profile):
        plots.append(Plot("profile", "The cue profile: 0 means that a cue is ignored, 1 (dashed) that it alone is "
                          "believed; lines are 95% intervals over scenes", partial(draw_profile, profiles_of(results))))
    if known := seen_and_believed(results):
        plots.append(Plot("profile-and-mask", "Does it look at what it believes? Left the weight of each cue, right "
                          "how much more densely than evenly (dashed) the mask lies on the pixels that carry it; lines "
                          "are 95% intervals over scenes", partial(draw_beside_mask, known)))
    plots += [Plot(f"{entry['name']}-{entry['stage']}", _caption(entry),
                   partial(draw_experiment, entry, _on_roads(results, entry)))
              for entry in entries if drawable(entry)]
    tables = [table for table in (_profile_table(results), *(_values_table(entry) for entry in entries),
                                  _attention_table(results), _left_out_table(results)) if table.rows]
    return Section(
        "Which cues does it believe?", tuple(dict.fromkeys(in_words(results))), tuple(tables), tuple(plots),
        lead="One cue of a picture is turned while all else stays, and the network's depth is watched. Where two cues "
        "are in conflict, its answer shows which of them it believes. The same change without any conflict is always "
        "measured beside it.",
        examples=tuple(_example(entry) for entry in entries if entry["examples"]))


def in_words(results: Probe) -> list[str]:
    """Sentences on the cues that the network follows, ignores or was not tried on, as the intervals support them."""
    sentences = profile_in_words(results)
    sentences += beside_others(results)
    for entry in results.experiments:
        sentences += _SENTENCES.get(entry["name"], _nothing)(entry, _on_roads(results, entry))
    sentences += where_the_mask_lies(results)
    missing = sum(len(entry["dropped"]) for entry in results.experiments)
    unreadable = sum(sum(entry["unreadable"].values()) for entry in results.experiments)
    if missing or unreadable:
        cases = "1 case was" if missing == 1 else f"{missing} cases were"
        pictures = "1 picture" if unreadable == 1 else f"{unreadable} pictures"
        sentences.append(f"{cases} left out by stated rules, and {pictures} could not be read; the reasons are in the "
                         "table.")
    most = max((entry["cases"] for entry in results.experiments), default=0)
    return [*sentences, *(too_few(most, "case") if most else ())]


def profile_in_words(results: Probe) -> list[str]:
    """Sentences on the cues that the network follows and ignores, one for each stage."""
    name = results.target_net.name
    sentences = []
    for stage in results.stages:
        known = [weight for weight in results.profile if weight["stage"] == stage]
        followed = sorted((weight for weight in known if judged(weight, _FOLLOWED) is Verdict.MORE),
                          key=lambda one: -one["value"])
        ignored = [weight for weight in known if judged(weight, _FOLLOWED) is Verdict.LESS]
        parts = []
        if followed:
            parts.append("goes by " + ", ".join(_weight(weight) for weight in followed))
        if ignored:
            parts.append("follows little or nothing of " + ", ".join(_weight(weight) for weight in ignored))
        if parts:
            sentences.append(f"On {_STAGE_WORDS[stage]}, {name} {' and '.join(parts)}: the share of a change of depth "
                             "that it follows when this cue alone tells it, with 95% intervals.")
    return sentences


def _weight(weight: CueWeight) -> str:
    return f"{weight['cue']} ({digits(weight['value'])}, {bounds(weight)})"


def supported(value: HasNumbers) -> bool:
    """Whether a number comes from enough cases to be spoken of."""
    return judged(value) is not Verdict.TOO_FEW


def judged(value: HasNumbers, reference: float = 0.0) -> Verdict:
    """The verdict on a number over cases."""
    return verdict(value["ci95"], value["n"], reference)


def digits(number: float, decimals: int = 2) -> str:
    """A number in words; no negative zeros."""
    return f"{round(number, decimals) + 0.0:.{decimals}f}"


def bounds(value: HasNumbers) -> str:
    """The 95% interval in words."""
    return " to ".join(digits(end) for end in value["ci95"])


def beside_others(results: Probe) -> list[str]:
    """The cues that this network follows more, and less, than each network laid beside it: intervals do not meet.

    Only on stages that showed both the same scenes or frames; where there is none, the sentence says so.
    """
    name = results.target_net.name
    sentences = []
    for other in results.beside:
        same = [stage for stage, shown in results.stages.items() if shown_on(shown) == shown_on(
            other["stages"].get(stage, {}))]
        if not same:
            sentences.append(f"{other['target_net']['name']} was shown other scenes than {name}: their profiles are no "
                             "comparison.")
            continue
        theirs = {(weight["cue"], weight["stage"]): weight for weight in other["profile"]
                  if supported(weight) and weight["stage"] in same}
        pairs = [(weight, theirs[weight["cue"], weight["stage"]]) for weight in results.profile
                 if supported(weight) and (weight["cue"], weight["stage"]) in theirs]
        found = sorted_out((f"{one['cue']} ({one['stage']})",
                            apart(one["ci95"], two["ci95"], min(one["n"], two["n"]))) for one, two in pairs)
        sentences += [f"{name} follows {', '.join(cues)} {compared_with(each, other['target_net']['name'])}."
                      for each, cues in found.items() if each.clear and cues]
    return sentences


def shown_on(stage: dict[str, Any]) -> str | None:
    """The scenes or frames that a stage of a document showed."""
    shown: str | None = stage.get("scenes", stage.get("frames"))
    return shown


def where_the_mask_lies(results: Probe) -> list[str]:
    """On which turned cues the mask lies more, and less, densely than on the rest; beside what the network follows."""
    found = sorted_out((f"{name} ({lift['value']:.1f} times; weight {digits(weight['value'])})", judged(lift, 1.0))
                       for name, weight, lift in seen_and_believed(results) if supported(weight))
    return [f"Its mask lies on the pixels of a turned cue {each.value} densely than evenly for: {', '.join(cues)}."
            for each, cues in found.items() if each.clear and cues]


def _caption(entry: ExperimentEntry) -> str:
    """The question, and what the figure of an experiment shows besides its axes."""
    shown = [entry["stage"], f"{entry['cases']} cases"]
    if any(curve["points"] for curve in entry["curves"]):
        shown.append("shaded: 95% intervals over scenes")
    if any(len([point for point in curve["points"] if "truth" in point]) > 1 for curve in entry["curves"]):
        follows = entry["x"] == TURNED_CUE_AXIS
        shown.append("dashed black: " + ("what the turned cue tells, followed fully" if follows else "the truth"))
    if entry["bars"]:
        shown.append("lines: 95% intervals over scenes")
    return f"{entry['question']} ({'; '.join(shown)})"


def _on_roads(results: Probe, entry: ExperimentEntry) -> bool:
    """Whether an experiment showed roads, as those whose results were published did."""
    return bool(results.stages[entry["stage"]].get("scenes", "road") == "road")


def _nothing(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    return []


def _position_size(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    """Whether position outweighs size, and how the ends of the curves lie beside the published ones."""
    sentences = []
    values = {value["name"]: value for value in entry["values"]}
    difference = values.get("slope, position minus size")
    if difference and judged(difference).clear:
        winner, loser = ("position", "size") if judged(difference) is Verdict.MORE else ("size", "position")
        sentences.append(f"Where they are in conflict ({entry['stage']}), {winner} outweighs {loser}: the slopes "
                         f"differ by {digits(abs(difference['value']))} "
                         f"({bounds({'ci95': sorted(map(abs, difference['ci95']))})}).")
    at_3 = {curve["condition"]: point for curve in entry["curves"] for point in curve["points"]
            if point["x"] == 3.0 and supported(point)}
    published = "; ".join(f"{network} {', '.join(f'{condition} {value:.2f}' for condition, value in known.items())}"
                          for network, known in POSITION_SIZE_AT_3.items())
    cues = {"both": "both cues", "position": "position alone", "size": "size alone"}
    own = [f"{digits(at_3[condition]['value'])} with {words} ({bounds(at_3[condition])})"
           for condition, words in cues.items() if condition in at_3]
    if own:
        beside = f" Published, on KITTI frames: {published}." if on_roads else ""
        sentences.append(f"What is moved to three times its distance ({entry['stage']}) is seen so many times as far: "
                         f"{', '.join(own)}.{beside}")
    return sentences


def _pitch(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    published = ", ".join(f"{network} {value:.2f}" for network, value in PITCH_SLOPE.items())
    return _turned(entry, "pitch", f"; published, on KITTI frames: {published}" if on_roads else "")


def _roll(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    return _turned(entry, "roll", "")


def _turned(entry: ExperimentEntry, what: str, beside: str) -> list[str]:
    """Sentence on the share of a camera's turn that is followed; open where the interval holds both none and all of
    it."""
    slope = next((value for value in entry["values"] if value["name"].startswith("slope")), None)
    if slope is None or not supported(slope):
        return []
    if slope["ci95"][0] <= 0 and slope["ci95"][1] >= 1:
        return [f"How far it follows a change of the camera's {what} ({entry['stage']}) stays open: "
                f"{bounds(slope)}."]
    return [f"Of a change of the camera's {what} ({entry['stage']}) it follows {digits(slope['value'])} "
            f"({bounds(slope)}){beside}."]


def camera_in_words(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    """Sentences on the share of a change of the camera that the scale follows."""
    sentences = []
    for value in entry["values"]:
        if value["name"].startswith("share of the change of scale") and supported(value):
            sentences.append(f"When the camera's {value['condition']} changes, its scale follows by "
                             f"{digits(value['value'])} of the change ({bounds(value)}); 1 would be right.")
    return sentences


def appearance_in_words(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    """Sentences on the appearances that add to the error and those that do not, beside the published errors."""
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


def occlusion_in_words(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    """Whether the covering figure is predicted nearer more often than by chance."""
    right = next((value for value in entry["values"] if value["name"].startswith("share of pictures")), None)
    if right is None or not judged(right, 0.5).clear:
        return []
    return [f"What covers another thing is seen nearer in {right['value']:.2f} of pictures ({bounds(right)}), "
            f"{judged(right, 0.5).value} often than by chance."]


def unfamiliar_in_words(entry: ExperimentEntry, on_roads: bool) -> list[str]:
    """Sentences on the unfamiliar things seen beside familiar ones, and on the effect of their shadow."""
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


_SENTENCES = {"position-size": _position_size, "pitch": _pitch, "roll": _roll, "camera": camera_in_words,
              "appearance": appearance_in_words, "occlusion": occlusion_in_words, "unfamiliar": unfamiliar_in_words}
"""Sentences of an experiment beside its table."""


def _number(value: float | None) -> str:
    return "" if value is None else digits(value, 3)


def _bounds(value: HasNumbers) -> str:
    return " to ".join(_number(end) for end in value["ci95"] or ())


def _profile_table(results: Probe) -> Table:
    rows = tuple((weight["cue"], weight["stage"], weight["experiment"], _number(weight["value"]), _bounds(weight),
                  str(weight["n"])) for weight in results.profile)
    return Table(f"Cue profile of {results.target_net.name}: share of the true depth change followed",
                 ("cue", "stage", "experiment", "weight", "95%", "cases"), rows)


def _values_table(entry: ExperimentEntry) -> Table:
    rows = tuple((value["name"] + (f" ({value['unit']})" if "unit" in value else ""), _number(value["value"]),
                  _bounds(value), str(value["n"])) for value in entry["values"])
    return Table(f"{entry['name']}, {entry['stage']}: {entry['question']}", ("number", "mean", "95%", "cases"), rows)


def _attention_table(results: Probe) -> Table:
    rows = tuple((entry["name"], entry["stage"], attention["condition"],
                  *(_number(attention[number]["value"]) for number in ("mask_share", "mask_share_before", "mask_lift")))
                 for entry in results.experiments for attention in entry["attention"])
    return Table("Where the mask lies: its share on the pixels of the turned cue, that share before it was turned, and "
                 "over that of a mask spread evenly", ("experiment", "stage", "condition", "share", "before", "times"),
                 rows)


def _left_out_table(results: Probe) -> Table:
    rows: list[tuple[str, ...]] = []
    for entry in results.experiments:
        rows += [(entry["name"], entry["stage"], "cases", reason, str(count))
                 for reason, count in _counted(entry["dropped"]).items()]
        rows += [(entry["name"], entry["stage"], "pictures", reason, str(count))
                 for reason, count in entry["unreadable"].items()]
    for name, stage in results.stages.items():
        rows += [("all", name, "objects", reason, str(count))
                 for reason, count in _counted(stage.get("unusable_objects", [])).items()]
    return Table("Left out, and why", ("experiment", "stage", "what", "reason", "count"), tuple(rows))


def _counted(dropped: list[dict[str, Any]]) -> Counter[str]:
    """Number left out for each reason."""
    return Counter(drop["reason"] for drop in dropped)


def _example(entry: ExperimentEntry) -> Example:
    columns = tuple(Column(f"{shown['condition'] or 'unchanged'}"
                           + (f", {shown['level']:.3g}" if shown["level"] else ""), shown["shown"], shown["seen"])
                    for shown in entry["examples"])
    return Example(f"{entry['name']}, {entry['stage']}: {entry['examples'][0]['case']}", columns)
