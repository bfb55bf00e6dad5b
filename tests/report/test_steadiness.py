"""What is said of steady masks, from a results document alone."""

from pathlib import Path
from typing import Any

import pytest
from comparison_results import typed

from depthcue.report.section import draw_plots
from depthcue.report.steadiness import methods_table, section, sentences
from depthcue.report.tables import Verdict, compared_with
from depthcue.results import MASK, STEADY


def _results(gain: tuple[float, float] = (0.1, 0.2), runs: int = 12, steady: bool = True) -> Any:
    def way(overlap: float, times: float) -> dict[str, Any]:
        return {"overlap": overlap, "overlap_ci95": [overlap - 0.05, overlap + 0.05],
                "overlap_unaligned": overlap - 0.1,
                "rmse_to_target": 0.5, "rmse_to_target_ci95": [0.4, 0.6], "rmse_times_mask": times,
                "rmse_times_mask_ci95": [times - 0.1, times + 0.1], "overlap_minus_mask": sum(gain) / 2,
                "overlap_minus_mask_ci95": list(gain)}

    ways = {MASK: way(0.6, 1.0), **({STEADY: way(0.75, 1.05)} if steady else {}), "sobel": way(0.7, 1.4)}
    return typed({"command": "steadiness", "images": 20, "ground_truth": True, "data": {"spec": "a walk"},
                  "pairs": 110, "runs": runs, "share": 0.2, "strength": 0.5, "seen_in_both": 0.9,
                  "depth_change": 0.03, "depth_change_ci95": [0.02, 0.04], "ways": ways})


@pytest.mark.parametrize(("gain", "found"), [
    ((0.1, 0.2), Verdict.MORE), ((-0.2, -0.1), Verdict.LESS), ((-0.1, 0.1), Verdict.NOT_CLEAR)])
def test_steadying_gains_what_the_interval_says(gain: tuple[float, float], found: Verdict) -> None:
    mask, others, followed, depth = sentences(_results(gain))
    assert "90%" in mask and "60.0% (55.0% to 65.0%)" in mask
    assert "edges 70.0%" in others and STEADY not in others
    assert "75.0% (70.0% to 80.0%)" in followed and compared_with(found, "the mask alone") in followed
    assert "1.050 (0.950 to 1.150)" in followed and "3.0% (2.0% to 4.0%)" in depth


def test_few_runs_are_no_gain() -> None:
    *_, followed, _, few = sentences(_results(runs=4))
    assert "too few runs of frames" in followed and "more than" not in followed
    assert few.startswith("4 runs are too few to tell")


def test_a_row_for_each_way_and_a_figure(tmp_path: Path) -> None:
    table = methods_table(_results())
    assert [(row[0], row[-1][:5]) for row in table.rows] == [
        ("mask", "1"), ("mask, steady", "1.050"), ("edges", "1.400")]
    without = sentences(_results(steady=False))
    assert len(without) == 3 and not any("estimated motion" in sentence for sentence in without)
    assert {path.name for path in draw_plots(section(_results(), tmp_path), tmp_path)} == {
        "steadiness.png", "steadiness.svg"}
