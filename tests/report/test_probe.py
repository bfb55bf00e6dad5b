"""What is said and drawn of the cue experiments, from results made up by hand."""

from pathlib import Path
from typing import Any

import pytest
from comparison_results import typed

from depthcue.report.probe import in_words, section
from depthcue.report.section import draw_plots


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
    said = " ".join(in_words(typed(results())))
    assert "goes by vertical position (0.90, 0.80 to 1.00)" in said
    assert "little or nothing of familiar size" in said
    # its interval reaches from nothing to nearly all
    assert "shading" not in said and "haze" not in said
    assert "position outweighs size" in said and "(0.60 to 1.00)" in said
    assert "MonoDepth both 3.16" in said and "2.90 with position alone (2.70 to 3.10)" in said
    assert "1 case was left out by stated rules, and 3 pictures could not be read" in said


@pytest.mark.parametrize("n", [1, 2, 6])
def test_few_cases_support_no_sentence(n: int) -> None:
    profile = [number(0.9, 0.8, 1.0, n, cue="vertical position", stage="rendered", experiment="position-size")]
    document = results(profile=profile)
    (entry,) = document["experiments"]
    entry |= {"cases": n, "values": [], "dropped": [], "unreadable": {}}
    for point in entry["curves"][0]["points"]:
        point["n"] = n
    (said,) = in_words(typed(document))
    assert said.startswith(f"{n} case") and "too few to tell" in said


@pytest.mark.parametrize(("low", "high", "words"), [(0.5, 0.9, "it follows 0.70 (0.50 to 0.90)"),
                                                    (-0.1, 1.5, "stays open: -0.10 to 1.50")])
def test_turns_of_the_camera(low: float, high: float, words: str) -> None:
    slope = number((low + high) / 2, low, high, name="slope, roll read against true")
    document = results(profile=[])
    document["experiments"] = [document["experiments"][0] | {
        "name": name, "values": [slope], "curves": [], "dropped": [], "unreadable": {}} for name in ("pitch", "roll")]
    said = in_words(typed(document))
    assert len(said) == 2 and all(words in sentence for sentence in said)
    assert ("MonoDepth 0.71" in said[0]) is (high < 1)


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
