"""What is said of searched masks, from a results document alone."""

from pathlib import Path
from typing import Any

import pytest
from comparison_results import typed
from PIL import Image

from depthcue.report.optimize import section
from depthcue.report.section import draw_plots


def _entry(objective: float, roughness: float) -> dict[str, Any]:
    return {"objective": objective, "difference": objective - 0.4, "mean": 0.2, "total_variation": 0.3,
            "roughness": roughness, "rmse": 0.9, "rmse_to_target": 0.1}


def _results(methods: tuple[str, ...] = ("eq3", "eq4", "eq5"), ground_truth: bool = True) -> dict[str, Any]:
    entries = {"eq3": _entry(-1.5, 0.8), "eq4": _entry(-1.3, 0.2), "eq5": _entry(1.8, 0.3)}
    entries["eq3"] |= {"objective_minus_eq4_ci95": [-0.3, -0.1], "roughness_minus_eq4_ci95": [0.5, 0.7]}
    costs = {"eq3": 5000.0, "eq4": 10.0, "eq5": 10.0}
    return {"command": "optimize", "lambda": 2.0, "images": 12, "ground_truth": ground_truth,
            "data": {"spec": "scenes:indoor"}, "direct": {"variation": 0.0, "blur_px": 0.0},
            "target": {"rmse": 0.7} if ground_truth else {},
            "before": {"objective": -0.079, "difference": -2.079, "mean": 1.0},
            "ways": {method: entries[method] for method in methods},
            "cost_ms": {method: {"median": costs[method], "quartiles": [0.9 * costs[method], 1.1 * costs[method]],
                                 "batches": 2}
                        for method in methods}, "examples": []}


def test_sentences_follow_from_the_intervals(tmp_path: Path) -> None:
    objective, rough, cost = section(typed(_results()), tmp_path).sentences
    assert "lower objective" in objective and "-1.50 against -1.30 (difference -0.30 to -0.10)" in objective
    assert "4.0 times as rough" in rough and "0.80 against 0.20" in rough
    assert all(part in cost for part in ("search takes 5 s", "mask net 10 ms", "2 batches"))
    higher = _results()
    higher["ways"]["eq3"]["objective_minus_eq4_ci95"] = [0.1, 0.3]
    assert "higher objective" in section(typed(higher), tmp_path).sentences[0]
    few = section(typed(_results() | {"images": 4}), tmp_path).sentences
    assert few[-1].startswith("4 images are too few to tell") and "objective" not in few[0]
    smoothed = section(typed(_results() | {"direct": {"variation": 0.5, "blur_px": 1.0}}), tmp_path).sentences
    assert smoothed[1].startswith("With total variation weighed by 0.5 and a blur of 1 px they are 4.0 times as rough")
    unclear = _results()
    unclear["ways"]["eq3"] |= {"objective_minus_eq4_ci95": [-0.3, 0.1], "roughness_minus_eq4_ci95": [-0.1, 0.7]}
    unclear["cost_ms"]["eq3"] = unclear["cost_ms"]["eq4"]
    assert section(typed(unclear), tmp_path).sentences == ()
    assert section(typed(_results(("eq3",))), tmp_path).sentences == ()


@pytest.mark.parametrize(("searched", "learned", "said"), [
    (0.0, 0.3, "smoother than the mask net's: 0.00 against 0.30"),
    (0.4, 0.0, "rougher than the mask net's: 0.40 against 0.00"),
    (0.1, 0.3, "3.0 times smoother than the mask net's")])
def test_flat_masks_are_no_multiple_of_others(tmp_path: Path, searched: float, learned: float, said: str) -> None:
    """A search of few steps may end where it began, on the same value everywhere."""
    results = _results()
    results["ways"]["eq3"] |= {"roughness": searched, "roughness_minus_eq4_ci95": [searched - learned] * 2}
    results["ways"]["eq4"]["roughness"] = learned
    assert f"They are {said}" in section(typed(results), tmp_path).sentences[1]


def test_a_row_for_every_method_and_for_hiding_nothing(tmp_path: Path) -> None:
    for truth, columns in ((True, 9), (False, 8)):
        (table,) = section(typed(_results(ground_truth=truth)), tmp_path).tables
        assert [row[0] for row in table.rows] == ["nothing hidden", "Eq. (3)", "Eq. (4)", "Eq. (5)"]
        assert all(len(row) == len(table.columns) == columns for row in table.rows)
        assert ("ground truth" in table.title) is truth


def test_the_figure_has_two_rows_a_picture(tmp_path: Path) -> None:
    results = _results()
    for number in range(2):
        names = [f"{number}-{what}.png" for what in ("picture", "whole", *"abc", *"xyz")]
        for name in names:
            Image.new("RGB", (64, 48)).save(tmp_path / name)
        results["examples"].append({"name": str(number), "picture": names[0], "edges": names[0], "whole": [names[1]],
                                    "masks": names[2:5], "seen": names[5:]})
    text = section(typed(results), tmp_path)
    draw_plots(text, tmp_path)
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.width > 4 * 320 and figure.height > 4 * 240
    assert [column.caption for column in text.examples[0].columns] == [
        "the whole picture", "Eq. (3), searched", "Eq. (4), mask net", "Eq. (5), mask net"]
    assert not text.pictures[0].on_page
