"""Sentences on what findings found: each follows from its numbers, and says so where they are not clear."""

from collections.abc import Sequence
from typing import Any

from depthcue.report.results import Results

ENOUGH_IMAGES = 8
"""Below this many pictures a bootstrap interval is too narrow to rest a sentence on."""

Entry = dict[str, Any] | None


def in_words(results: Results) -> tuple[str, ...]:
    """What the findings come to, data set by data set, in the order of the paper."""
    sentences: list[str] = []
    for entry in results["data"]:
        for name, found in entry["findings"].items():
            said = [f"Nothing is said about {_TOPICS[name]}: {found['left_out']}."] if "left_out" in found \
                else _SENTENCES[name](found)
            sentences += [f"{entry['spec']}: {sentence}" for sentence in said]
    return tuple(sentences)


def verdict(entry: Entry, reference: float = 0.0) -> str:
    """`more`, `less`, or `open` where the interval holds the reference or rests on too few pictures."""
    if entry is None or entry["images"] < ENOUGH_IMAGES:
        return "open"
    low, high = entry["ci95"]
    return "more" if low > reference else "less" if high < reference else "open"


def _edges(found: Results) -> list[str]:
    sentences = []
    geometry = found["at_equal_strength"][0] if found["at_equal_strength"] else None
    if geometry is not None and len(found["at_equal_strength"]) > 1 and not _of_one_kind(geometry):
        names = _kinds(geometry["of"]), _kinds(geometry["minus"])
        difference = geometry["difference"]
        how = verdict(difference)
        sentences.append(
            f"of edges equally strong in the picture, {names[0]} get {abs(difference['value']):.2f} {how} attention "
            f"than {names[1]} ({_range(difference)}; an average pixel gets 1)" if how != "open" else
            f"no clear difference of attention between {names[0]} and {names[1]} that are equally strong in the "
            f"picture ({_signed(difference)}){_few(difference)}")
    fits = found["explained"]["all pixels"]
    if fits["strength"] is not None:
        sentences.append(f"{_explains(fits)}{_few(fits['strength'])}")
    return [f"{sentence}." for sentence in sentences]


def _explains(fits: dict[str, Entry]) -> str:
    strength, kind = fits["strength"], fits["kind_given_strength"]
    assert strength is not None and kind is not None
    first = (f"the strength of edges explains {_share(strength)} of the mask's variance within pictures"
             if verdict(strength) == "more" else
             f"the strength of edges explains no clear share of the mask's variance within pictures "
             f"({_share(strength)})")
    if verdict(kind) == "more":
        return f"{first}, and the kind of edge {_share(kind)} beyond it"
    return f"{first}, and no clear share is left to the kind of edge ({_share(kind)})"


def _objects(found: Results) -> list[str]:
    small_below, large_from = (f"{bound:.0%}" for bound in found["sizes_compared"])
    small, large = (found[size]["mask"]["inside"] for size in ("small", "large"))
    sentences = []
    if small is None:
        sentences.append(f"no object below {small_below} of the picture is large enough to have an inside")
    else:
        how = {"more": "more than", "less": "less than", "open": "not clearly other than"}[verdict(small, 1.0)]
        beside = "" if large is None else f"; inside those of {large_from} and more it is {_times(large)}"
        sentences.append(f"inside objects below {small_below} of the picture the mask is {_times(small)} its mean, "
                         f"{how} in an average pixel{beside}{_few(small)}")
    difference = found["small_minus_large"]["mask"]["at_equal_distance"]
    if difference is not None:
        how = verdict(difference)
        sentences.append(
            f"equally far from the boundary, a pixel inside a small object gets {abs(difference['value']):.2f} {how} "
            f"attention than one inside a large one ({_range(difference)})" if how != "open" else
            f"no clear difference between small and large objects equally far from the boundary "
            f"({_signed(difference)}){_few(difference)}")
    ratio = found["small"]["mask"]["ratio"]
    if ratio is not None:
        how = {"more": "more than", "less": "less than", "open": "not clearly more or less than"}[verdict(ratio, 1.0)]
        sentences.append(f"of a small object the inside gets {_times(ratio)} what its boundary gets, {how} as much"
                         f"{_few(ratio)}")
    return [f"{sentence}." for sentence in sentences]


def _far(found: Results) -> list[str]:
    sentences = []
    near, point = found["near"], found["vanishing_point"]
    if near is None or near["mask"] is None:
        sentences.append("too few pictures show where their vanishing point is")
    else:
        how = {"more": "more than", "less": "less than", "open": "not clearly other than"}
        known = "known" if point["source"] == "the renderer" else "estimated"
        sentences.append(
            f"within {near['within']:g} picture widths of the vanishing point ({known}, {point['images']} images) the "
            f"mask is {_times(near['mask'])} its mean, {how[verdict(near['mask'], 1.0)]} in an average pixel; edges "
            f"are {_times(near['edges'])} theirs, and the mask's share is "
            f"{how[verdict(near['mask_minus_edges'])]} that of edges "
            f"({_signed(near['mask_minus_edges'])}){_few(near['mask'])}")
        for like, entry in (("at equal edge strength", near["at_equal_strength"]),
                            ("in the same rows of the picture", near["in_the_same_rows"]["mask"])):
            if entry is not None:
                sentences.append(
                    f"{like} a pixel there gets {abs(entry['value']):.2f} {verdict(entry)} attention than elsewhere "
                    f"({_range(entry)})" if verdict(entry) != "open" else
                    f"{like} there is no clear difference between pixels there and elsewhere "
                    f"({_signed(entry)}){_few(entry)}")
    deep = found["by_depth"]
    if deep is not None and deep["far"]["mask"] is not None:
        far = deep["far"]
        how = {"more": "more than", "less": "less than", "open": "not clearly other than"}
        sentences.append(
            f"from {far['from_m']:.3g} m on (by {deep['source']}) the mask is {_times(far['mask'])} its mean, "
            f"{how[verdict(far['mask'], 1.0)]} in an average pixel, and edges are {_times(far['edges'])} theirs"
            f"{_few(far['mask'])}")
    sky = found.get("sky")  # results of earlier versions have none
    if sky is not None and sky["kept"]["mask"] is not None:
        sentences.append(
            f"the sky, which has no depth, is {_share(sky['share'])} of all pixels, and {_share(sky['kept']['mask'])} "
            f"of those with most mask lie in it (of as many edges {_share(sky['kept']['edges'])})"
            f"{_few(sky['kept']['mask'])}")
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
    """The interval of a difference whose sign is told beside it."""
    low, high = sorted(abs(end) for end in entry["ci95"])
    return f"{low:.2f} to {high:.2f}"


def _signed(entry: dict[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"{entry['value']:+.2f}, {low:+.2f} to {high:+.2f}"


def _times(entry: dict[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"{entry['value']:.2f} times ({low:.2f} to {high:.2f})"


def _share(entry: dict[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"{entry['value']:.1%} ({low:.1%} to {high:.1%})"


def _few(entry: Entry) -> str:
    """What is said of numbers on too few pictures."""
    return "" if entry is None or entry["images"] >= ENOUGH_IMAGES else \
        f"; {entry['images']} images are too few to tell"
