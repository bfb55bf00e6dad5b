"""Sentences of single cues, camera and appearance: what the intervals support, and nothing else."""

from typing import Any

import pytest

from depthcue.report.probe_cues import appearance, beside_others, camera, occlusion, where_the_mask_lies


def number(value: float, low: float, high: float, n: int = 8, **more: Any) -> dict[str, Any]:
    return {"value": value, "ci95": [low, high], "n": n, **more}


def entry(*values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"stage": "rendered", "values": list(values), "profile": [], "attention": [], **more}


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


def test_two_networks_differ_where_their_intervals_do_not_meet() -> None:
    def weight(cue: str, low: float, high: float) -> dict[str, Any]:
        return number((low + high) / 2, low, high, cue=cue, stage="rendered")

    own = [weight("haze", 0.5, 0.7), weight("blur", 0.0, 0.1), weight("occlusion", 0.0, 0.5)]
    theirs = [weight("haze", 0.0, 0.2), weight("blur", 0.3, 0.5), weight("occlusion", 0.4, 0.6)]
    said = beside_others({"target_net": {"name": "a"}, "profile": own,
                          "beside": [{"target_net": {"name": "b"}, "profile": theirs}]})
    assert said == ["a follows haze (rendered) more than b.", "a follows blur (rendered) less than b."]


def test_where_the_mask_lies() -> None:
    def experiment(cue: str, low: float, high: float) -> dict[str, Any]:
        return entry(profile=[number(0.4, 0.3, 0.5, cue=cue)],
                     attention=[{"condition": cue, "mask_lift": number((low + high) / 2, low, high)}])

    said = where_the_mask_lies({"experiments": [experiment("haze", 1.5, 2.5), experiment("blur", 0.2, 0.4),
                                                experiment("occlusion", 0.8, 1.2), entry()]})
    assert said[0].endswith("more densely than evenly for: haze (2.0 times; weight 0.40).")
    assert said[1].endswith("less densely than evenly for: blur (0.3 times; weight 0.40).") and len(said) == 2
