"""Insertion and deletion curves against slow definitions, on a net whose answer is the red that it sees."""

from pathlib import Path

import numpy as np
import pytest
from reference import area_under, rmse_over_images
from toy_nets import RED_SHARE, SIZE, RedDepth, RedMask, ToyData

from depthcue.evaluation import fills
from depthcue.evaluation.evaluate import EvaluateSettings, evaluate

PIXELS = SIZE[0] * SIZE[1]


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


def test_an_order_that_knows_the_red_beats_one_that_does_not_both_ways(tmp_path: Path) -> None:
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
