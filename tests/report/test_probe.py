"""What is said and drawn of the cue experiments, from results made up by hand."""

from pathlib import Path
from typing import Any

import pytest
from comparison_results import typed

from depthcue.report.probe import (
    appearance_in_words,
    beside_others,
    camera_in_words,
    digits,
    in_words,
    occlusion_in_words,
    section,
    unfamiliar_in_words,
    where_the_mask_lies,
)
from depthcue.report.probe_figures import profiles_of, seen_and_believed
from depthcue.report.section import draw_plots
from depthcue.report.tables import PHRASES, Verdict, compared_with


def number(value: float | None, low: float = 0.0, high: float = 0.0, n: int = 8, **more: Any) -> dict[str, Any]:
    interval = None if value is None or n < 2 else [low, high]
    return {"value": value, "ci95": interval, "n": 0 if value is None else n, **more}


def results(**changes: Any) -> dict[str, Any]:
    points = [{"x": 1.0, **number(1.0, 1.0, 1.0)}, {"x": 3.0, **number(2.9, 2.7, 3.1), "truth": 3.0}]
    entry = {
        "name": "position-size", "question": "Position or size?", "stage": "rendered", "cases": 8, "variants": 500,
        "dropped": [{"case": "a", "reason": "the ground ahead is not flat and free"}], "unreadable": {"too small": 3},
        "x": "told", "y": "seen", "bars": [],
        "curves": [{"name": "position only", "condition": "position", "points": points},
                   {"name": "size only", "condition": "size", "points": []}],
        "values": [number(0.8, 0.6, 1.0, name="slope, position minus size")],
        "profile": [], "attention": [], "examples": [], "seconds": 3.0}
    return {
        "command": "probe", "target_net": {"name": "net-a"}, "stages": {"rendered": {"scenes": "road"}}, "beside": [],
        "experiments": [entry],
        "profile": [number(0.9, 0.8, 1.0, cue="vertical position", stage="rendered", experiment="position-size"),
                    number(0.05, -0.1, 0.15, cue="familiar size", stage="rendered", experiment="position-size"),
                    number(0.3, -0.2, 0.8, cue="shading", stage="rendered", experiment="shading"),
                    number(None, cue="haze", stage="rendered", experiment="haze")]} | changes


def test_words_follow_from_the_intervals() -> None:
    sentences = " ".join(in_words(typed(results())))
    assert "goes by vertical position (0.90, 0.80 to 1.00)" in sentences
    assert "little or nothing of familiar size" in sentences
    # its interval reaches from nothing to nearly all
    assert "shading" not in sentences and "haze" not in sentences
    assert "position outweighs size" in sentences and "(0.60 to 1.00)" in sentences
    assert "MonoDepth both 3.16" in sentences and "2.90 with position alone (2.70 to 3.10)" in sentences
    assert "1 case was left out by stated rules, and 3 pictures could not be read" in sentences


@pytest.mark.parametrize("n", [1, 2, 6])
def test_few_cases_support_no_sentence(n: int) -> None:
    profile = [number(0.9, 0.8, 1.0, n, cue="vertical position", stage="rendered", experiment="position-size")]
    document = results(profile=profile)
    (entry,) = document["experiments"]
    entry |= {"cases": n, "values": [], "dropped": [], "unreadable": {}}
    for point in entry["curves"][0]["points"]:
        point["n"] = n
    (sentences,) = in_words(typed(document))
    assert sentences.startswith(f"{n} case") and "too few to tell" in sentences


@pytest.mark.parametrize(("low", "high", "words"), [(0.5, 0.9, "it follows 0.70 (0.50 to 0.90)"),
                                                    (-0.1, 1.5, "stays open: -0.10 to 1.50")])
def test_turns_of_the_camera(low: float, high: float, words: str) -> None:
    slope = number((low + high) / 2, low, high, name="slope, roll read against true")
    document = results(profile=[])
    document["experiments"] = [document["experiments"][0] | {
        "name": name, "values": [slope], "curves": [], "dropped": [], "unreadable": {}} for name in ("pitch", "roll")]
    sentences = in_words(typed(document))
    assert len(sentences) == 2 and all(words in sentence for sentence in sentences)
    assert ("MonoDepth 0.71" in sentences[0]) is (high < 1)


def test_everything_is_drawn(tmp_path: Path) -> None:
    document = results(beside=[{"target_net": {"name": "net-b"}, "stages": results()["stages"],
                                "profile": results()["profile"]}])
    bars = {**document["experiments"][0], "name": "parts", "curves": [],
            "bars": [{"y": "seen", "bars": [number(0.5, 0.2, 0.7, name="whole"), number(None, name="hollow")]}]}
    pairs = {**bars, "name": "unfamiliar", "bars": [{"y": "seen", "bars": [
        number(0.5, 0.2, 0.7, name="dog", series=series) for series in ("with shadow", "without shadow")]}]}
    looked = {**bars, "name": "haze", "bars": [], "attention": [{"condition": "haze", **{
        name: number(1.5, 1.2, 1.8) for name in ("mask_share", "mask_share_before", "mask_lift")}}],
        "profile": [number(0.2, 0.1, 0.3, cue="haze", condition="haze")]}
    document["experiments"] += [bars, pairs, looked]
    found = section(typed(document), tmp_path)
    assert [plot.name for plot in found.plots] == ["profile", "profile-and-mask", "position-size-rendered",
                                                   "parts-rendered", "unfamiliar-rendered"]
    assert found.plots[2].caption.endswith("(rendered; 8 cases; shaded: 95% intervals over scenes)")
    assert found.plots[3].caption.endswith("(rendered; 8 cases; lines: 95% intervals over scenes)")
    for path in draw_plots(found, tmp_path):
        assert path.stat().st_size > 1000
    titles = [table.title for table in found.tables]
    assert titles[0].startswith("Cue profile of net-a") and titles[-1].startswith("Left out")
    assert found.tables[0].rows[-1] == ("haze", "rendered", "haze", "", "", "0")


def test_nothing_measured_is_nothing_drawn(tmp_path: Path) -> None:
    found = section(typed(results(experiments=[], profile=[])), tmp_path)
    assert found.plots == () and found.tables == () and found.sentences == ()


def entry(*values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"stage": "rendered", "values": list(values), "profile": [], "attention": [], **more}


def document_of(**parts: Any) -> Any:
    """A probe document of these parts."""
    for experiment in parts.get("experiments", []):
        experiment |= {"name": "an experiment", "question": "Which?", "cases": 8, "dropped": [], "unreadable": {},
                       "curves": [], "bars": [], "examples": []}
    return typed({"command": "probe", "target_net": {"name": "a"}, "experiments": [], "profile": [], **parts})


def test_the_camera_is_followed_by_a_share() -> None:
    name = "share of the change of scale that is followed, height"
    (sentences,) = camera_in_words(entry(number(0.6, 0.5, 0.7, name=name, condition="height"),
                           number(0.1, 0.0, 0.2, name="mean change of an obstacle's distance, height")), True)
    assert "height" in sentences and "0.60" in sentences and "0.50 to 0.70" in sentences
    assert camera_in_words(entry(number(0.6, 0.5, 0.7, n=3, name=name, condition="height")), True) == []


def test_appearances_that_add_to_the_error_and_that_do_not() -> None:
    values = [number(0.2, 0.1, 0.3, name="error more than unmodified, haze", condition="haze"),
              number(0.01, -0.02, 0.04, name="error more than unmodified, grayscale", condition="grayscale"),
              number(-0.02, -0.03, -0.01, name="error more than unmodified, blur", condition="blur"),
              number(0.17, 0.1, 0.2, name="error, unmodified")]
    sentences = appearance_in_words(entry(*values), on_roads=True)
    grows, unmoved, published = sentences
    assert "haze (+0.200)" in grows and "grayscale" not in grows
    assert "grayscale" in unmoved and not any(look in unmoved for look in ("haze", "blur"))
    assert "grayscale 0.130" in published
    assert len(appearance_in_words(entry(*values), on_roads=False)) == 2
    assert appearance_in_words(entry(), on_roads=True) == []


@pytest.mark.parametrize(("low", "high", "words"), [(0.6, 0.9, "more"), (0.1, 0.4, "less"), (0.4, 0.7, None)])
def test_the_covering_figure_is_nearer_or_not(low: float, high: float, words: str | None) -> None:
    right = number((low + high) / 2, low, high, name="share of pictures in which what covers is")
    sentences = occlusion_in_words(entry(right), True)
    assert sentences == [] if words is None else f" {words} often" in sentences[0] and f"{low:.2f} to" in sentences[0]


def test_unfamiliar_things_and_their_shadow() -> None:
    name = "share of an obstacle's pixels seen, unfamiliar, what the shadow adds"
    seen = number(0.5, 0.4, 0.6, name="share of obstacles seen, unfamiliar, with shadow")
    sentences = unfamiliar_in_words(entry(seen, number(0.1, 0.05, 0.2, name=name)), True)
    assert "unfamiliar ones 0.50 (0.40 to 0.60)" in sentences[0]
    assert "adds 0.10" in sentences[1] and "(0.05 to 0.20" in sentences[1]
    (taken,) = unfamiliar_in_words(entry(number(-0.1, -0.2, -0.05, name=name)), True)
    assert "takes 0.10" in taken
    (open_,) = unfamiliar_in_words(entry(number(0.1, -0.05, 0.2, name=name)), True)
    assert "-0.05 to 0.20" in open_ and "adds" not in open_ and "takes" not in open_
    assert unfamiliar_in_words(entry(number(0.1, 0.05, 0.2, n=4, name=name)), True) == []


def test_there_is_no_negative_zero() -> None:
    assert (digits(-0.001), digits(-0.006), digits(-0.0004, 3)) == ("0.00", "-0.01", "0.000")


def test_two_networks_differ_where_their_intervals_do_not_meet() -> None:
    def weight(cue: str, low: float, high: float) -> dict[str, Any]:
        return number((low + high) / 2, low, high, cue=cue, stage="rendered")

    own = [weight("haze", 0.5, 0.7), weight("blur", 0.0, 0.1), weight("occlusion", 0.0, 0.5)]
    theirs = [weight("haze", 0.0, 0.2), weight("blur", 0.3, 0.5), weight("occlusion", 0.4, 0.6)]
    roads, rooms = ({"rendered": {"scenes": kind}} for kind in ("road", "indoor"))
    other = {"target_net": {"name": "b"}, "stages": roads, "profile": theirs}
    document = document_of(stages=roads, profile=own, beside=[other])
    more, less = beside_others(document)
    assert "haze" in more and compared_with(Verdict.MORE, "b") in more
    assert "blur" in less and compared_with(Verdict.LESS, "b") in less
    document = document_of(stages=roads, profile=own, beside=[other | {"stages": rooms}])
    (sentences,) = beside_others(document)
    assert "no comparison" in sentences
    assert [name for name, _ in profiles_of(document)] == ["a (road)", "b (indoor)"]


def test_where_the_mask_lies() -> None:
    def experiment(cue: str, low: float, high: float) -> dict[str, Any]:
        return entry(profile=[number(0.4, 0.3, 0.5, cue=cue, condition=f"{cue} only")],
                     attention=[{"condition": "both", "mask_lift": number(9.0, 9.0, 9.0)},
                                {"condition": f"{cue} only", "mask_lift": number((low + high) / 2, low, high)}])

    results = document_of(stages={"rendered": {}}, experiments=[
        experiment("haze", 1.5, 2.5), experiment("blur", 0.2, 0.4), experiment("occlusion", 0.8, 1.2), entry()])
    assert [(name, lift["value"]) for name, _, lift in seen_and_believed(results)] == [
        ("haze", 2.0), ("blur", pytest.approx(0.3)), ("occlusion", 1.0)]
    sentences = where_the_mask_lies(results)
    assert [sentence.partition(": ")[2] for sentence in sentences] == [
        "haze (2.0 times; weight 0.40).", "blur (0.3 times; weight 0.40)."]
    assert all(f"{PHRASES[found]} densely" in sentence
               for found, sentence in zip((Verdict.MORE, Verdict.LESS), sentences, strict=True))
