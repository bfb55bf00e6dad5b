"""What the section on several networks says, and what it does not say when the intervals leave it open."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison_results import typed
from PIL import Image

from depthcue.report.compare_nets import agreement_in_words, in_words, section, transfer_in_words
from depthcue.report.figures import DARK, LIGHT
from depthcue.report.section import draw_plots
from depthcue.report.tables import PHRASES, Verdict

NAMES = ["one", "two", "edges", "random"]


def compare_nets_results(minus_edges: tuple[float, float] = (0.1, 0.3), ratio: tuple[float, float] = (1.1, 1.3),
                         truth: bool = True) -> dict[str, Any]:
    """A document made by hand: the difference to edges and the ratio of errors lie in the intervals given."""
    middle = sum(minus_edges) / 2
    mean = [[1.0 if row == column else 0.4 - 0.1 * abs(row - column) for column in range(4)] for row in range(4)]
    matrix = {"mean": mean, "ci95": [[[value - 0.05, value + 0.05] for value in row] for row in mean]}

    def against(minus: tuple[float, float]) -> dict[str, Any]:
        return {"mean": 0.2, "mean_ci95": [0.1, 0.3], "minus": sum(minus) / 2, "minus_ci95": list(minus)}

    difference = {"between_networks": 0.2 + middle, "between_networks_ci95": [0.1 + middle, 0.3 + middle],
                  "with": {"edges": against(minus_edges), "random": against((0.2, 0.3)),
                           "another picture": against((0.2, 0.3))}}

    def errors(label: str, name: str) -> dict[str, Any]:
        above = 0.1 * (NAMES.index(name) - (label == "two")) if name != label else 0.0
        entry = {"rmse_to_target": 0.5 + above, "rmse_to_target_ci95": [0.4, 0.6], "to_target_minus_own": above,
                 "to_target_minus_own_ci95": [above, above]}
        return entry | ({"rmse": 0.8 + above, "rmse_ci95": [0.7, 0.9], "minus_own": above,
                         "minus_own_ci95": [above, above]} if truth else {})

    times = {"times": sum(ratio) / 2, "ci95": list(ratio)}
    return {
        "schema": 1, "command": "compare-nets", "images": 12, "ground_truth": truth, "share": 0.2, "columns": NAMES,
        "data": {"spec": "scenes:indoor", "without_valid_depth": []},
        "nets": [{"label": label, "lambda": 2.0, "mean": 0.19, "size": [24, 32], "whole": {"rmse": 0.7}}
                 for label in NAMES[:2]],
        "agreement": dict.fromkeys(("pearson", "ssim", "iou"), matrix),
        "differences": dict.fromkeys(("pearson", "ssim", "iou"), difference),
        "transfer": {label: {name: errors(label, name) for name in NAMES} for label in NAMES[:2]},
        "transfer_ratio": {name: {"target": times, **({"truth": times} if truth else {})}
                           for name in ("other networks", "edges", "random")},
        "examples": []}


def test_a_difference_is_only_claimed_where_the_interval_supports_it() -> None:
    more, less, open_ = (agreement_in_words(typed(compare_nets_results(minus_edges=interval)))
                         for interval in ((0.1, 0.3), (-0.3, -0.1), (-0.1, 0.3)))
    assert len(more) == len(less) == len(open_) == 1
    assert more[0].startswith("The masks of two networks are more like each other than like edges")
    assert less[0].startswith("The masks of two networks are more like edges than like each other")
    assert open_[0].startswith(PHRASES[Verdict.NOT_CLEAR].capitalize())
    (few,) = agreement_in_words(typed(compare_nets_results() | {"images": 4}))
    assert few.startswith(PHRASES[Verdict.TOO_FEW].capitalize())


def test_measures_that_disagree_each_have_a_sentence() -> None:
    results = compare_nets_results()
    other = compare_nets_results(minus_edges=(-0.2, 0.3))["differences"]["iou"]
    results["differences"] = results["differences"] | {"iou": other}
    clear, open_ = agreement_in_words(typed(results))
    assert "correlation" in clear and "overlap" not in clear
    assert "overlap" in open_


def test_transfer_is_only_a_loss_where_the_interval_says_so() -> None:
    assert "is 1.20 times (1.10 to 1.30) that by its own mask" in transfer_in_words(typed(compare_nets_results()))[0]
    even = typed(compare_nets_results(ratio=(0.9, 1.3)))
    assert f"that by its own mask, {PHRASES[Verdict.NOT_CLEAR]}" in transfer_in_words(even)[0]
    few = typed(compare_nets_results() | {"images": 4})
    assert f"that by its own mask, {PHRASES[Verdict.TOO_FEW]}" in transfer_in_words(few)[0]
    undefined = compare_nets_results()
    undefined["transfer_ratio"]["edges"]["target"] = {"times": None, "ci95": None}
    assert ["against ground truth" in sentence for sentence in transfer_in_words(typed(undefined))] == [True]


def test_few_images_have_a_sentence(tmp_path: Path) -> None:
    sentences = [section(typed(compare_nets_results() | {"images": images}), tmp_path).sentences[-1]
                 for images in (4, 40)]
    assert sentences[0].startswith("4 images are too few to tell") and "too few" not in sentences[1]


def test_overlap_in_words() -> None:
    words = in_words(typed(compare_nets_results()))
    assert "each keeps 20%" in words and "40% are kept by both (30% to 50%)" in words
    assert words.count("20%") == 4  # the share, and what is shared with edges, chance and another picture


@pytest.mark.parametrize("truth", [True, False])
def test_plots_are_drawn_in_light_and_dark(truth: bool, tmp_path: Path) -> None:
    made = section(typed(compare_nets_results(truth=truth)), tmp_path)
    assert len(made.tables) == 4 + 1 + truth
    assert all(len(row) == len(table.columns) for table in made.tables for row in table.rows)
    for theme in (LIGHT, DARK):
        for path in draw_plots(made, tmp_path, theme):
            assert path.stat().st_size > 5000
        corner = np.asarray(Image.open(tmp_path / "agreement.png").convert("RGB"))[0, 0]
        assert tuple(corner) == tuple(int(theme.background[at:at + 2], 16) for at in (1, 3, 5))
