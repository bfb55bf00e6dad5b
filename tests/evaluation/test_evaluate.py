"""Table 1 and what goes with it on nets whose answers are known."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from reference import image_errors, rmse_over_images
from toy_nets import RED_SHARE, SIZE, RedDepth, RedMask, RedShares, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation.evaluate import KEEPS, PAPER_LAMBDAS, THRESHOLDS, EvaluateSettings, evaluate
from depthcue.evaluation.statistics import MEANS
from depthcue.nets import MaskNet
from depthcue.scorers import DirectSettings

PIXELS = SIZE[0] * SIZE[1]
RED = round(RED_SHARE * PIXELS) / PIXELS


def _run(out: Path, data: ToyData | None = None, mask_nets: list[MaskNet] | None = None, dial: bool = False,
         **settings: Any) -> Any:
    data = ToyData() if data is None else data
    return evaluate(mask_nets or [RedMask(dial)], RedDepth(), data, out, EvaluateSettings(draws=200, **settings))


def _depths() -> tuple[list[float], list[float]]:
    """N(I), the same everywhere in a picture, and the true depth, 0.1 m more, of every toy picture."""
    rgb = ToyData().evaluation_batch(range(6)).rgb.double()
    seen = [1 + 4 * float(picture[0].mean()) / RED_SHARE for picture in rgb]
    return seen, [depth + 0.1 for depth in seen]


def test_the_table_is_what_the_toys_are_made_of(tmp_path: Path) -> None:
    results = _run(tmp_path)
    seen, truth = _depths()
    (row,) = results["table"]
    assert row["lambda"] == 4.0 and row["weights"] == 0
    assert row["mean"] == row["sparseness"] == pytest.approx(RED, abs=1e-6)
    # the mask holds all that the net reads: nothing is lost through it, and all of it through the rest
    for part in ("soft", "binary"):
        assert row[part]["truth"]["rmse"] == pytest.approx(0.1, abs=1e-5)
        assert row[part]["target"]["rmse"] == pytest.approx(0, abs=1e-6)
    assert results["original"]["rmse"] == pytest.approx(0.1, abs=1e-5)
    for against, other in (("target", seen), ("truth", truth)):
        slow = [image_errors([1.0], [depth], [True]) for depth in other]
        measured = row["hidden"][against]
        assert measured["rmse"] == pytest.approx(rmse_over_images([errors["mse"] for errors in slow]), rel=1e-5)
        for name in MEANS:
            assert measured[name] == pytest.approx(sum(errors[name] for errors in slow) / 6, rel=1e-4, abs=1e-6), name
    assert row["soft_minus_original"]["truth"] == pytest.approx(0, abs=1e-6)
    assert row["binary_minus_soft"] == {"truth": 0, "truth_ci95": [0, 0], "target": 0, "target_ci95": [0, 0]}


def test_the_document_is_whole(tmp_path: Path) -> None:
    results = _run(tmp_path, dial=True)
    assert json.loads((tmp_path / "results.json").read_text()) == results.to_dict()
    assert (results["schema"], results["command"], results["images"], results["ground_truth"], results["fill"]) == (
        1, "evaluate", 6, True, "mean")
    assert [row["lambda"] for row in results["table"]] == list(PAPER_LAMBDAS)
    assert results["in_question"] == {"weights": 0, "lambda": 4.0}
    for row in results["table"]:
        for part in ("soft", "binary", "hidden"):
            for against in ("truth", "target"):
                measured = row[part][against]
                assert set(measured) == {name + end for name in ("rmse", *MEANS) for end in ("", "_ci95")}
                low, high = measured["rmse_ci95"]
                assert low <= measured["rmse"] <= high
        for name in ("mean", "sparseness"):
            low, high = row[f"{name}_ci95"]
            assert low <= row[name] <= high
    assert results["weights"][0]["name"] == "red-mask" and results["target_net"]["name"] == "red-depth"
    assert len(results["per_image"]["table"]) == 6 and len(results["per_image"]["original"]["rmse"]) == 6
    assert not list(tmp_path.glob(".depthcue-*"))


def test_a_dial_is_set_to_the_papers_lambdas_in_its_range_or_to_those_given(tmp_path: Path) -> None:
    class Narrow(RedMask):
        def __init__(self, low: float, high: float) -> None:
            super().__init__(True)
            self.description = type(self.description)(**{**vars(self.description), "lambda_range": (low, high),
                                                         "default_lambda": low})

    for bounds, expected in (((2.5, 4.5), [3.0, 4.0]), ((7.0, 9.0), [7.0])):
        assert [row["lambda"] for row in _run(tmp_path, mask_nets=[Narrow(*bounds)])["table"]] == expected
    results = _run(tmp_path, dial=True, lambdas=(5.0, 2.0, 5.0), lam=1.0)
    assert [row["lambda"] for row in results["table"]] == [5.0, 2.0]
    assert results["in_question"]["lambda"] == 2.0
    # the toy keeps 1 / lambda of the pixels, 77 of 768 being red
    assert [row["sparseness"] for row in results["table"]] == pytest.approx([1 / 5, 1 / 2], abs=0.01)


def test_several_mask_nets(tmp_path: Path) -> None:
    class Rival(RedMask):
        """Hides everything."""

        def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
            return torch.zeros_like(normalised[:, :1])

    results = _run(tmp_path, mask_nets=[RedMask(), Rival()])
    assert [(row["weights"], row["sparseness"] > 0) for row in results["table"]] == [(0, True), (1, False)]
    assert results["table"][1]["soft"]["target"] == results["table"][0]["hidden"]["target"]


def test_thresholds_of_a_soft_mask(tmp_path: Path) -> None:
    class Soft(RedMask):
        """A mask that rises from 0 to 1 over the columns and is 1 on red pixels."""

        def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
            return torch.linspace(0, 1, SIZE[1]).expand(len(normalised), 1, *SIZE)

    results = _run(tmp_path, mask_nets=[Soft()])
    assert [entry["threshold"] for entry in results["thresholds"]] == list(THRESHOLDS)
    for entry in results["thresholds"]:
        columns = sum(column / (SIZE[1] - 1) > entry["threshold"] for column in range(SIZE[1]))
        assert entry["sparseness"] == pytest.approx(columns / SIZE[1])
    errors = [entry["rmse_to_target"] for entry in results["thresholds"]]
    assert errors == sorted(errors) and errors[0] < 0.1 * errors[-1]
    (row,) = results["table"]
    at_papers = results["thresholds"][THRESHOLDS.index(0.025)]
    assert row["binary"]["target"]["rmse"] == at_papers["rmse_to_target"]


def test_fills_change_what_is_seen_where_pixels_are_hidden(tmp_path: Path) -> None:
    results = _run(tmp_path)
    fills = results["fills"]
    # the toy's mean colour is black
    assert fills["black"] == fills["mean"]
    assert fills["mean"]["soft"]["rmse_to_target"] == pytest.approx(0, abs=1e-6)
    seen, _ = _depths()
    nothing = math.sqrt(sum((depth - 1) ** 2 for depth in seen) / 6)
    assert fills["mean"]["nothing"]["rmse_to_target"] == pytest.approx(nothing, rel=1e-5)
    # red noise of deviation 1 in 691 hidden pixels moves the mean of red, and by 40 times that the depth
    assert fills["noise"]["soft"]["rmse_to_target"] > 0.1
    assert fills["blur"]["nothing"]["rmse_to_target"] < 0.3 * nothing
    other = _run(tmp_path, fill="noise")
    assert other["fill"] == "noise"
    assert other["table"][0]["soft"]["target"]["rmse"] == fills["noise"]["soft"]["rmse_to_target"]


def test_the_character_of_a_mask(tmp_path: Path) -> None:
    class Framed(RedMask):
        """Bright at the border and half bright within; with a dial a ramp alone, turned round below a lambda of 4."""

        def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
            assert lam is not None
            ramp = torch.linspace(0.3, 0.6, SIZE[1]).expand(len(normalised), 1, *SIZE).clone()
            if self.dial:
                return (ramp if lam[0] > 4 else 0.9 - ramp) / lam[0]
            ramp[..., :2, :] = ramp[..., -2:, :] = ramp[..., :2] = ramp[..., -2:] = 0.99
            return ramp

    character = _run(tmp_path, mask_nets=[Framed()])["character"]
    frame = 2 * 2 * (SIZE[0] + SIZE[1] - 2 * 2) / PIXELS
    assert character["undecided"] == {"value": pytest.approx(1 - frame, rel=1e-5), "value_ci95": [
        pytest.approx(1 - frame, rel=1e-5)] * 2}
    assert character["border_ratio"]["value"] == pytest.approx(0.99 / 0.45, rel=1e-5)
    assert character["nesting"] is None
    for name in ("contrast", "sobel"):
        low, high = character["correlation"][name]["value_ci95"]
        assert -1 < low <= character["correlation"][name]["value"] <= high < 1
    nesting = _run(tmp_path, mask_nets=[Framed(True)])["character"]["nesting"]
    assert [(entry["smaller"], entry["larger"]) for entry in nesting] == [(0.05, 0.1), (0.1, 0.2), (0.2, 0.5)]
    # a mean of 0.45 / lambda: 0.1 is kept above a lambda of 4, 0.2 below it
    assert [entry["value"] for entry in nesting] == [1, 0, 1]
    red = _run(tmp_path, dial=True)["character"]
    assert red["undecided"]["value"] == 0 and all(entry["value"] == 1 for entry in red["nesting"])


def test_results_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    one, many = (_run(tmp_path / str(size), batch_size=size) for size in (1, 4))
    for part in ("insertion", "deletion"):
        for method, curve in one["orders"][part].items():
            assert curve["rmse"] == pytest.approx(many["orders"][part][method]["rmse"], rel=1e-5)
    for fill, entry in one["fills"].items():
        assert entry["hidden"]["rmse"] == pytest.approx(many["fills"][fill]["hidden"]["rmse"], rel=1e-5)
    for fill, methods in one["under_fills"].items():
        for method, curve in methods.items():
            other = many["under_fills"][fill][method]
            assert [entry["rmse"] for entry in curve] == pytest.approx([entry["rmse"] for entry in other], rel=1e-5)
    assert one["per_image"]["names"] == many["per_image"]["names"]


def test_without_depth_errors_are_to_the_target_alone(tmp_path: Path) -> None:
    results = _run(tmp_path, ToyData(has_depth=False))
    assert results["ground_truth"] is False and results["original"] == {}
    for part in ("soft", "binary", "hidden"):
        assert set(results["table"][0][part]) == {"target"}
    assert "truth" not in results["table"][0]["soft_minus_original"]
    assert "rmse" not in results["thresholds"][0] and "rmse" not in results["orders"]["insertion"]["mask"]


def test_a_relative_net_without_depth_has_no_ratios(tmp_path: Path) -> None:
    class Relative(RedDepth):
        def __init__(self) -> None:
            super().__init__()
            self.description = type(self.description)(**{**vars(self.description), "relative": True})

        def forward(self, normalised: torch.Tensor) -> torch.Tensor:
            # a map with a shape, which is what relative depth is about; below 0 in places
            tilt = torch.linspace(-3, 3, SIZE[1] // 2).expand(len(normalised), 1, SIZE[0] // 2, SIZE[1] // 2)
            return super().forward(normalised) + tilt

    for has_depth in (False, True):
        results = evaluate([RedMask()], Relative(), ToyData(has_depth=has_depth), tmp_path, EvaluateSettings(draws=50))
        assert ("abs_rel" in results["table"][0]["soft"]["target"]) is has_depth
    assert "aligned" in results["target_net"]


def test_an_image_without_valid_depth_is_left_out_and_named(tmp_path: Path) -> None:
    results = _run(tmp_path, ToyData(unknown=[2]))
    assert results["data"]["without_valid_depth"] == ["toy-2"]
    assert results["table"][0]["soft"]["truth"]["rmse"] == pytest.approx(0.1, abs=1e-5)
    assert results["per_image"]["table"][0]["soft"]["rmse"][2] is None


def test_the_table_alone(tmp_path: Path) -> None:
    plain = EvaluateSettings(draws=50)
    results = evaluate([RedMask()], RedDepth(), ToyData(2), tmp_path, plain.table_only())
    assert results["thresholds"] == [] and results["fills"] == {} and results["orders"] is None
    assert results["sanity"] is None and len(results["table"]) == 1
    assert results["under_fills"] == {} and results["character"] is None


class _Broken(RedDepth):
    """Overflows where nothing is seen."""

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        depth = super().forward(normalised)
        return torch.where(depth > 1.01, depth, torch.nan)


def test_any_scorer_has_its_curves(tmp_path: Path) -> None:
    results = _run(tmp_path, against=("all",), shares=(0.0, 0.5, 1.0), thresholds=(), fills=(),
                   direct=DirectSettings(steps=2))
    orders = results["orders"]
    # the toy data knows depth and no objects
    assert "object-boundaries" in orders["left_out"] and "depth-edges" not in orders["left_out"]
    assert {"mask", "direct", "canny", "grid", "depth-edges"} <= set(orders["insertion"])
    for curve in orders["insertion"].values():
        assert curve["rmse_to_target"][0] > 0.2 and curve["rmse_to_target"][-1] == 0
    assert all(entry["rmse_to_target_area"] >= orders["insertion"]["mask"]["rmse_to_target_area"]
               for entry in orders["insertion"].values())


class _TooMuch(RedMask):
    def forward(self, normalised: torch.Tensor, lam: torch.Tensor | None = None) -> torch.Tensor:
        return 2 * super().forward(normalised, lam)


@pytest.mark.parametrize(("arguments", "settings", "message"), [
    ({}, {"lambdas": (2.0,)}, "lambda must be 4 for"),
    ({"dial": True}, {"lambdas": (1.0, 12.0)}, "between 1 and 10"),
    ({"data": ToyData(has_depth=False)}, {"truth": True}, "no depth to measure against"),
    ({"data": ToyData(unknown=range(6))}, {"truth": True}, "no depth in toy:red is valid"),
    ({"data": ToyData(0)}, {}, "no images"),
    ({}, {"fill": "pink"}, "pink"),
    ({}, {"against": ("guess",)}, "guess"),
    ({"mask_nets": [_TooMuch()]}, {}, "outside \\[0, 1\\]"),
])
def test_mistakes_say_what_is_allowed(tmp_path: Path, arguments: dict[str, Any], settings: dict[str, Any],
                                      message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        _run(tmp_path / "out", **arguments, **settings)
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_depth_net_that_overflows_is_named_with_the_picture(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="red-depth gives values that are not finite for toy-0"):
        evaluate([RedMask()], _Broken(), ToyData(), tmp_path / "out", EvaluateSettings(draws=50))
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_net_of_shares_has_a_row_for_each_share(tmp_path: Path) -> None:
    results = _run(tmp_path, mask_nets=[RedShares()])
    assert [row["keep"] for row in results["table"]] == list(KEEPS)
    for row in results["table"]:
        assert row["mean"] == pytest.approx(row["keep"], abs=1e-3)
    assert results["in_question"]["keep"] == 0.2  # its own
    assert [entry["keep"] for entry in results["under_fills"]["mean"]["mask"]] == [0.1, 0.2, 0.5]
    # red comes first at every share, so fewer pixels lie among more
    assert all(entry["value"] == 1.0 for entry in results["character"]["nesting"])
    few = _run(tmp_path, mask_nets=[RedShares()], keeps=(0.3, 0.6), keep=0.5)
    assert [row["keep"] for row in few["table"]] == [0.3, 0.6] and few["in_question"]["keep"] == 0.6
    by_lambda = _run(tmp_path, mask_nets=[RedShares()], lambdas=(8.0, 2.0))
    assert [(row["lambda"], row["keep"]) for row in by_lambda["table"]] == [(8.0, 0.1), (2.0, 0.5)]


def test_a_share_is_refused_by_a_net_of_lambda(tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match="does not take a share"):
        _run(tmp_path, keeps=(0.2,))
