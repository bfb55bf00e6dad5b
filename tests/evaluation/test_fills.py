"""Fills, and curves of insertion and deletion, against slow definitions on nets whose answers are known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import area_under, rmse_over_images
from toy_nets import RED_SHARE, SIZE, RedDepth, RedMask, ToyData

from depthcue.evaluation import fills
from depthcue.evaluation.evaluate import EvaluateSettings, evaluate
from depthcue.nets.units import FILLS

PIXELS = SIZE[0] * SIZE[1]


def _run(out: Path, dial: bool = True, **settings: Any) -> Any:
    results = evaluate([RedMask(dial)], RedDepth(), ToyData(), out, EvaluateSettings(
        against=("random",), thresholds=(), character=False, draws=200, **settings))
    under: dict[str, Any] = results["under_fills"]
    return under


def test_equal_shares_are_compared_under_every_fill(tmp_path: Path) -> None:
    under = _run(tmp_path)
    assert list(under) == list(FILLS)
    rgb = ToyData().evaluation_batch(range(6)).rgb.double()
    for fill, methods in under.items():
        assert list(methods) == ["mask", "random", "contrast", "sobel"]
        for index, share in enumerate((0.1, 0.2, 0.5)):
            through_mask = methods["mask"][index]
            for method, curve in methods.items():
                entry = curve[index]
                assert entry["sparseness"] == share
                (low, high), above = entry["to_target_minus_mask_ci95"], entry["to_target_minus_mask"]
                assert low <= above <= high and (method != "mask" or above == 0)
                # six digits of numbers up to 50
                assert above == pytest.approx(entry["rmse_to_target"] - through_mask["rmse_to_target"], abs=1e-3)
            # the toy keeps 1 / lambda, to the nearest of 16 steps of a sixth
            assert through_mask["lambda"] == pytest.approx(1 / share, rel=0.09)
            if fill in ("mean", "black"):
                assert through_mask["rmse_to_target"] == pytest.approx(0, abs=1e-5)
            if fill == "own-mean":
                # all red is kept, and hidden pixels show the mean red of their picture beside it
                hidden = 1 - round(share * PIXELS) / PIXELS
                errors = [(4 * float(picture[0].mean()) * hidden / RED_SHARE) ** 2 for picture in rgb]
                assert through_mask["rmse_to_target"] == pytest.approx(math.sqrt(sum(errors) / 6), rel=1e-4)
        # what stands out from black is the stripes, of which the depth knows nothing
        if fill in ("mean", "black"):
            assert methods["contrast"][0]["minus_mask_ci95"][0] > 0


def test_without_a_dial_one_mask_ranks_the_pixels_of_every_share(tmp_path: Path) -> None:
    curve = _run(tmp_path, dial=False, fills=("mean",), shares=())["mean"]
    assert list(curve) == ["mask", "contrast", "sobel"]
    assert [entry["lambda"] for entry in curve["mask"]] == [4.0] * 3
    assert [entry["rmse_to_target"] for entry in curve["mask"]] == pytest.approx([0] * 3, abs=1e-5)


def test_the_area_is_that_of_the_slow_definition() -> None:
    draws = np.random.default_rng(3)
    shares = np.sort(draws.uniform(0, 1, 9))
    values = draws.uniform(0, 5, (9, 4))
    found = fills.area_under(shares, values)
    assert found.shape == (4,)
    for column in range(4):
        assert found[column] == pytest.approx(area_under(shares.tolist(), values[:, column].tolist()), rel=1e-12)


def test_curves_of_the_mask_are_those_of_the_red_pixels_one_by_one(tmp_path: Path) -> None:
    curves = evaluate([RedMask()], RedDepth(), ToyData(), tmp_path, EvaluateSettings(draws=200))["orders"]
    red = [float(picture[0].max()) for picture in ToyData().evaluation_batch(range(6)).rgb.double()]
    dots = round(RED_SHARE * PIXELS)
    for curve_kind in fills.CURVE_KINDS:
        slow = []
        for share in curves["shares"]:
            first = min(round(share * PIXELS), dots)
            lost = dots - first if curve_kind == "insertion" else first
            # every dot of a picture is equally red and is worth as much of 4 m
            slow.append(rmse_over_images([(4 * value * lost / PIXELS / RED_SHARE) ** 2 for value in red]))
        entry = curves[curve_kind]["mask"]
        assert entry["rmse_to_target"] == pytest.approx(slow, rel=1e-4, abs=1e-6)
        assert entry["rmse_to_target_area"] == pytest.approx(area_under(curves["shares"], slow), rel=1e-4)
        low, high = entry["rmse_to_target_area_ci95"]
        assert low <= entry["rmse_to_target_area"] <= high
        assert entry["rmse_to_target_area_minus_mask"] == 0


def test_a_scorer_that_knows_the_red_beats_one_that_does_not_on_both_curves(tmp_path: Path) -> None:
    curves = evaluate([RedMask()], RedDepth(), ToyData(), tmp_path, EvaluateSettings(draws=200))["orders"]
    for name in ("rmse", "rmse_to_target"):
        for other in ("sobel", "random"):
            # shown first, the red leaves a small area; hidden first, a large one
            assert curves["insertion"][other][f"{name}_area_minus_mask_ci95"][0] > 0
            assert curves["deletion"][other][f"{name}_area_minus_mask_ci95"][1] < 0
    # a random order shows red in proportion: both its curves are straight, and their areas halves
    random = [curves[curve_kind]["random"]["rmse_to_target_area"] for curve_kind in fills.CURVE_KINDS]
    assert random[0] == pytest.approx(random[1], rel=0.15)


def test_both_ends_are_the_whole_picture_and_nothing(tmp_path: Path) -> None:
    curves = evaluate([RedMask()], RedDepth(), ToyData(), tmp_path, EvaluateSettings(draws=50))["orders"]
    for method in ("mask", "sobel", "random"):
        inserted, deleted = (curves[curve_kind][method]["rmse_to_target"] for curve_kind in fills.CURVE_KINDS)
        assert inserted[0] == deleted[-1] > 0.1 and inserted[-1] == deleted[0] == 0
