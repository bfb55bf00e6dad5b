"""What the section on losses says of each change, and what it leaves open."""

from pathlib import Path
from typing import Any

import pytest
from comparison_results import typed

from depthcue.report.compare_losses import changes_in_words, section
from depthcue.report.section import draw_plots
from depthcue.report.tables import PHRASES, Verdict

LOSSES = ("depth", "depth+grad", "depth+grad+normal")
RAISED, LOWERED, OPEN = (0.01, 0.03), (-0.03, -0.01), (-0.01, 0.02)


def compare_losses_results(objects: bool = True, truth: bool = True,
                           **intervals: tuple[float, float]) -> dict[str, Any]:
    """A document made by hand; `intervals` are of the changes of measures, the same in every change."""
    measures = ("mean", "on_surfaces", *(("on_small_objects",) if objects else ()), "straightness")

    def change(loss: str, minus: str) -> dict[str, Any]:
        entry: dict[str, Any] = {"loss": loss, "minus": minus}
        for measure in measures:
            low, high = intervals.get(measure, OPEN)
            entry |= {measure: (low + high) / 2, f"{measure}_ci95": [low, high]}
        return entry

    errors = {"rmse_to_target": 0.4, "rmse_to_target_ci95": [0.3, 0.5],
              **({"rmse": 0.8, "rmse_ci95": [0.7, 0.9]} if truth else {})}
    return {
        "schema": 1, "command": "compare-losses", "images": 9, "ground_truth": truth, "share": 0.2,
        "data": {"spec": "scenes:indoor", "without_valid_depth": []}, "small_objects_known": objects,
        "regions": {"on_surfaces": 0.5}, "examples": [],
        "losses": [{"loss": loss, "whole": {"rmse": 0.7} if truth else {}, "by_mask": errors,
                    "masks": dict.fromkeys(measures, 0.3)
                    | {f"{measure}_ci95": [0.25, 0.35] for measure in measures}} for loss in LOSSES],
        "changes": [change(LOSSES[1], LOSSES[0]), change(LOSSES[2], LOSSES[1]), change(LOSSES[2], LOSSES[0])]}


def test_what_the_intervals_leave_open_is_not_claimed() -> None:
    for sentence in changes_in_words(typed(compare_losses_results())):
        assert PHRASES[Verdict.NOT_CLEAR] in sentence.lower()
        assert "more" not in sentence and "paper" not in sentence


def test_a_clear_change_stands_beside_the_papers() -> None:
    grad, normal, both = changes_in_words(typed(compare_losses_results(on_surfaces=RAISED, straightness=LOWERED)))
    surfaces, edges = grad.partition(". ")[0].split("); ")
    assert all(part in surfaces for part in ("depth+grad instead of depth", "more of the mask lies on surfaces",
                                             "as in the paper", "+2.00 points; +1.00 to +3.00"))
    # of what this loss changes the paper speaks of surfaces alone
    assert "less straight" in edges and "-0.020" in edges and "paper" not in edges
    surfaces, edges = normal.partition(". ")[0].split("); ")
    assert "more of the mask lies on surfaces" in surfaces and "paper" not in surfaces
    assert "less straight" in edges and "unlike in the paper" in edges
    # two losses at once: the paper does not say which did what
    assert "paper" not in both
    open_ = normal.partition(f"{PHRASES[Verdict.NOT_CLEAR].capitalize()} ")[2]
    assert "share on small objects" in open_ and "keeps in all" in open_
    assert "surfaces" not in open_ and "straight" not in open_


def test_few_images_are_no_difference_that_is_not_clear() -> None:
    for sentence in changes_in_words(typed(compare_losses_results(on_surfaces=RAISED) | {"images": 4})):
        assert sentence.startswith(PHRASES[Verdict.TOO_FEW].capitalize())
        assert PHRASES[Verdict.NOT_CLEAR] not in sentence.lower()


@pytest.mark.parametrize(("objects", "truth"), [(True, True), (False, False)])
def test_tables_and_plot(objects: bool, truth: bool, tmp_path: Path) -> None:
    made = section(typed(compare_losses_results(objects, truth)), tmp_path)
    assert len(made.tables[0].rows) == 1 + truth + 3 + objects
    assert all(len(row) == len(table.columns) for table in made.tables for row in table.rows)
    assert any("Small objects are left out" in sentence for sentence in made.sentences) is not objects
    assert {path.name for path in draw_plots(made, tmp_path)} == {"losses.png", "losses.svg"}
