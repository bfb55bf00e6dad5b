"""Equal shares of pixels under every fill, on nets whose answers are known."""

import math
from pathlib import Path
from typing import Any

import pytest
from toy_nets import RED_SHARE, SIZE, RedDepth, RedMask, ToyData

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
