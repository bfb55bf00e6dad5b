"""What single cues, the camera and appearance come to in words; networks beside each other; where the mask lies."""

from typing import Any

from depthcue.report.results import Results

ENOUGH = 5
"""Cases below which an interval over them is no ground for a sentence."""
TOLD_AXIS = "ratio of distances to which the cue is turned"
"""Of curves whose dashed line is what the turned cue tells."""
APPEARANCE_ABS_REL = {"unmodified": 0.124, "grayscale": 0.130, "false colours": 0.128,
                      "set colours of classes": 0.192}
"""Of MonoDepth on KITTI frames, from van Dijk and de Croon (ICCV 2019)."""
_MOST_NAMED = 4


def supported(value: dict[str, Any]) -> bool:
    """Whether a number comes from enough cases to be spoken of."""
    return bool(value["ci95"]) and int(value["n"]) >= ENOUGH


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
    worse = sorted((value for value in added if value["ci95"][0] > 0), key=lambda value: -value["value"])
    sentences = []
    if worse:
        named = ", ".join(f"{value['condition']} (+{value['value']:.3f})" for value in worse[:_MOST_NAMED])
        sentences.append(f"Its error ({entry['stage']}) grows most with: {named}.")
    unmoved = [value["condition"] for value in added if value["ci95"][0] <= 0 <= value["ci95"][1]]
    if unmoved:
        sentences.append(f"No change of its error ({entry['stage']}) is found with: {', '.join(unmoved)}.")
    if sentences and on_roads:
        published = ", ".join(f"{look} {error:.3f}" for look, error in APPEARANCE_ABS_REL.items())
        sentences.append(f"Published abs rel of MonoDepth on KITTI frames: {published}.")
    return sentences


def occlusion(entry: dict[str, Any], on_roads: bool) -> list[str]:
    """Whether the order that overlap tells is seen more often than by chance."""
    right = next((value for value in entry["values"] if value["name"].startswith("share of pictures")), None)
    if right is None or not supported(right) or right["ci95"][0] <= 0.5 <= right["ci95"][1]:
        return []
    than = "more" if right["value"] > 0.5 else "less"
    return [f"What covers another thing is seen nearer in {right['value']:.2f} of pictures ({bounds(right)}), {than} "
            "often than by chance."]


def unfamiliar(entry: dict[str, Any], on_roads: bool) -> list[str]:
    """How many unfamiliar things are seen, beside familiar ones, and what their shadow adds."""
    values = {value["name"]: value for value in entry["values"] if supported(value)}
    seen = [f"{group} ones {digits(known['value'])} ({bounds(known)})" for group in ("unfamiliar", "familiar")
            if (known := values.get(f"share of obstacles seen, {group}, with shadow"))]
    sentences = [f"Of obstacles with their shadow ({entry['stage']}) it sees: {', '.join(seen)}."] if seen else []
    shadow = values.get("share of an obstacle's pixels seen, unfamiliar, what the shadow adds")
    if shadow and (shadow["ci95"][0] > 0 or shadow["ci95"][1] < 0):
        sentences.append(f"The shadow {'adds' if shadow['value'] > 0 else 'takes'} {digits(abs(shadow['value']))} "
                         f"of an unfamiliar thing's pixels ({bounds(shadow)}; {entry['stage']}).")
    elif shadow:
        sentences.append(f"No effect of the shadow on unfamiliar things is found ({bounds(shadow)} of their pixels; "
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
        for word, cues in (("more", [one for one, two in pairs if one["ci95"][0] > two["ci95"][1]]),
                           ("less", [one for one, two in pairs if one["ci95"][1] < two["ci95"][0]])):
            if cues:
                named = ", ".join(f"{weight['cue']} ({weight['stage']})" for weight in cues)
                sentences.append(f"{name} follows {named} {word} than {other['target_net']['name']}.")
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
    densely: dict[str, list[str]] = {"more": [], "less": []}
    for name, weight, lift in seen_and_believed(results):
        if not (supported(weight) and supported(lift)):
            continue
        named = f"{name} ({lift['value']:.1f} times; weight {digits(weight['value'])})"
        if lift["ci95"][0] > 1:
            densely["more"].append(named)
        elif lift["ci95"][1] < 1:
            densely["less"].append(named)
    return [f"Its mask lies on the pixels of a turned cue {word} densely than evenly for: {', '.join(cues)}."
            for word, cues in densely.items() if cues]
