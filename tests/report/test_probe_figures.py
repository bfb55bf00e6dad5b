"""Sentences of single cues, camera and appearance: what the intervals support, and nothing else."""

from typing import Any

import pytest
from comparison_results import typed

from depthcue.report.probe_figures import (
    appearance,
    beside_others,
    camera,
    digits,
    occlusion,
    profiles_of,
    seen_and_believed,
    unfamiliar,
    where_the_mask_lies,
)


def number(value: float, low: float, high: float, n: int = 8, **more: Any) -> dict[str, Any]:
    return {"value": value, "ci95": [low, high], "n": n, **more}


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
    (said,) = camera(entry(number(0.6, 0.5, 0.7, name=name, condition="height"),
                           number(0.1, 0.0, 0.2, name="mean change of an obstacle's distance, height")), True)
    assert "height" in said and "0.60" in said and "0.50 to 0.70" in said
    assert camera(entry(number(0.6, 0.5, 0.7, n=3, name=name, condition="height")), True) == []


def test_looks_that_add_to_the_error_and_that_do_not() -> None:
    values = [number(0.2, 0.1, 0.3, name="error more than unmodified, haze", condition="haze"),
              number(0.01, -0.02, 0.04, name="error more than unmodified, grayscale", condition="grayscale"),
              number(-0.02, -0.03, -0.01, name="error more than unmodified, blur", condition="blur"),
              number(0.17, 0.1, 0.2, name="error, unmodified")]
    said = appearance(entry(*values), on_roads=True)
    assert "haze (+0.200)" in said[0] and "grayscale" not in said[0]
    assert said[1].endswith("with: grayscale.") and "grayscale 0.130" in said[2]
    assert len(appearance(entry(*values), on_roads=False)) == 2
    assert appearance(entry(), on_roads=True) == []


@pytest.mark.parametrize(("low", "high", "words"), [(0.6, 0.9, "more"), (0.1, 0.4, "less"), (0.4, 0.7, None)])
def test_the_order_is_seen_or_not(low: float, high: float, words: str | None) -> None:
    said = occlusion(entry(number((low + high) / 2, low, high, name="share of pictures in which what covers is")), True)
    assert said == [] if words is None else f"{words} often than by chance" in said[0]


def test_unfamiliar_things_and_their_shadow() -> None:
    name = "share of an obstacle's pixels seen, unfamiliar, what the shadow adds"
    seen = number(0.5, 0.4, 0.6, name="share of obstacles seen, unfamiliar, with shadow")
    said = unfamiliar(entry(seen, number(0.1, 0.05, 0.2, name=name)), True)
    assert "unfamiliar ones 0.50 (0.40 to 0.60)." in said[0] and "shadow adds 0.10" in said[1]
    assert "No clear effect" in unfamiliar(entry(number(0.1, -0.05, 0.2, name=name)), True)[0]
    assert unfamiliar(entry(number(0.1, 0.05, 0.2, n=4, name=name)), True) == []


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
    assert beside_others(document) == ["a follows haze (rendered) more than b.",
                                       "a follows blur (rendered) less than b."]
    document = document_of(stages=roads, profile=own, beside=[other | {"stages": rooms}])
    (said,) = beside_others(document)
    assert "no comparison" in said
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
    said = where_the_mask_lies(results)
    assert said[0].endswith("more densely than evenly for: haze (2.0 times; weight 0.40).")
    assert said[1].endswith("less densely than evenly for: blur (0.3 times; weight 0.40).") and len(said) == 2
