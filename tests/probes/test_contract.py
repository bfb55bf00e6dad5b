"""Means and intervals over cases: those that share a scene come and go together."""

import numpy as np
import pytest

from depthcue.evaluation import statistics
from depthcue.probes.contract import Chance, Readings, curve


def test_cases_of_one_scene_are_drawn_together() -> None:
    """Two scenes of four cases: a resample holds one of them, or both, and nothing between."""
    values = [0.0] * 4 + [1.0] * 4
    alone, together = Chance(500).mean(values), Chance(500).over(["a"] * 4 + ["b"] * 4).mean(values)
    assert alone["value"] == together["value"] == 0.5 and alone["n"] == together["n"] == 8
    assert together["ci95"] == [0.0, 1.0] and 0 < alone["ci95"][0] < alone["ci95"][1] < 1


def test_scenes_of_their_own_are_plain_cases() -> None:
    values = np.array([0.3, 0.9, 0.4, 1.4])
    expected = statistics.mean_interval(values, statistics.resampling_weights(4, 300, seed=1))
    for chance in (Chance(300, 1), Chance(300, 1).over("abcd")):
        assert chance.mean(values)["ci95"] == pytest.approx(expected, rel=1e-4)


def test_what_is_missing_is_left_out() -> None:
    chance = Chance(300).over(["a", "a", "b", "c"])
    assert chance.mean([1.0, 3.0, np.nan, np.nan]) == {"value": 2.0, "ci95": None, "n": 2}  # one scene is left
    assert chance.mean([np.nan] * 4) == {"value": None, "ci95": None, "n": 0}
    found = chance.mean([1.0, 3.0, 8.0, np.nan])
    assert found["value"] == 4.0 and found["ci95"] == [2.0, 8.0]
    with pytest.raises(ValueError, match="zip"):
        chance.mean([1.0, 2.0])


def test_the_truth_of_a_curve_is_that_of_the_cases_read() -> None:
    readings = [Readings("a", {("x", 1.0): {"seen": 2.0, "true": 4.0}}), Readings("b", {("x", 1.0): {"true": 6.0}})]
    (point,) = curve("x", readings, "x", "seen", Chance(10).over(["a", "b"]), "true")["points"]
    assert point == {"x": 1.0, "value": 2.0, "ci95": None, "n": 1, "truth": 4.0}
