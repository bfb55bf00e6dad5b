"""The section on edges: tables, costs and curves, from a results document alone."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from comparison_results import SHARES, comparison_results, typed
from PIL import Image, ImageColor

from depthcue.report.compare_edges import (
    choices_table,
    comparison_tables,
    cost_in_words,
    curves_table,
    draw_comparison,
    in_words,
    section,
)
from depthcue.report.figures import DARK, LIGHT
from depthcue.report.section import draw_plots
from depthcue.report.tables import PHRASES, TARGET, TRUTH, Verdict


def _cost(median: float) -> dict[str, Any]:
    return {"median": median, "quartiles": [0.9 * median, 1.1 * median], "batches": 3}


def _results(many: bool = True, ground_truth: bool = True) -> dict[str, Any]:
    results = comparison_results(ground_truth)
    if many:
        for method, source in (("direct", "mask"), ("canny", "sobel"), ("centre", "random")):
            results["curves"][method] = results["curves"][source]
            results["soft"][0][method] = results["soft"][0][source]
    costs = {"mask": 12.0, "sobel": 0.5, "random": 0.1, "direct": 6700.0, "canny": 3.0, "centre": 0.2}
    return results | {"cost_ms": {method: _cost(costs[method]) for method in results["curves"]},
                      "left_out": {"depth-edges": "this data has no depth"} if many else {}}


def test_every_scorer_is_a_row_best_first_with_its_cost() -> None:
    table = choices_table(typed(_results()))
    assert table.rows[0] == ("mask", "1.070", "", "12 ms")
    # no farther from the target than the mask, and no nearer
    assert table.rows[1] == ("Eq. (3)", "1.070", "+0.000 (+0.000 to +0.000)", "6.7 s")
    assert [float(row[1]) for row in table.rows] == sorted(float(row[1]) for row in table.rows)
    assert len(table.rows) == 6 and "20% of the pixels, chosen in 6 ways" in table.title


def test_many_scorers_are_rows_and_not_columns() -> None:
    for ground_truth in (True, False):
        for table in comparison_tables(typed(_results(ground_truth=ground_truth))):
            assert all(len(row) == len(table.columns) for row in table.rows) and len(table.rows) in (6, 7)
    curves, *_, soft = comparison_tables(typed(_results()))
    assert curves.columns == ("chosen by", "10%", "20%", "50%", "90%", "100%")
    assert curves.rows[0][0] == "mask" and {row[-1] for row in curves.rows} == {"0.850"}
    assert soft.columns[1] == "2 (20%)" and soft.rows[-1][0] == "mask > 0.025"


def test_many_scorers_are_grouped_by_verdict() -> None:
    results = _results()
    results["curves"]["canny"] = [entry | {"minus_mask_ci95": [-0.2, -0.1]} for entry in results["curves"]["canny"]]
    words = in_words(typed(results))
    assert "more with edges (1.44 m), random (1.62 m), centre (1.62 m);" in words
    assert "less with Canny edges (1.44 m);" in words and "no clear difference with Eq. (3) (1.07 m);" in words


def test_the_cost_has_a_sentence_where_it_is_clearly_more_than_the_masks() -> None:
    (sentence,) = cost_in_words(typed(_results()))
    assert all(part in sentence for part in ("12 ms", "6.7 s", "Eq. (3)", "558 times", "3 batches"))
    assert cost_in_words(typed(_results(many=False))) == ()
    close = _results()
    close["cost_ms"]["direct"] = {"median": 13.0, "quartiles": [11.0, 15.0], "batches": 3}
    assert cost_in_words(typed(close)) == ()


@pytest.mark.parametrize("many", [True, False])
def test_the_section_draws_the_choices_and_names_what_was_left_out(tmp_path: Path, many: bool) -> None:
    told = section(typed(_results(many)), tmp_path)
    assert {path.name for path in draw_plots(told, tmp_path, DARK)} == {"comparison.png", "comparison.svg",
                                                                        "choices.png", "choices.svg"}
    with Image.open(tmp_path / "choices.png") as drawn:
        assert drawn.width > 1000
    assert ("Left out: depth edges (oracle) (this data has no depth)." in told.sentences) is many


def test_results_without_costs_have_a_section(tmp_path: Path) -> None:
    told = section(typed(comparison_results()), tmp_path)
    assert [plot.name for plot in told.plots] == ["comparison"] and len(told.sentences) == 1
    few = section(typed(comparison_results() | {"images": 4}), tmp_path).sentences
    assert few[-1].startswith("4 images are too few to tell") and f"with edges ({PHRASES[Verdict.TOO_FEW]})" in few[0]


def _pixels_of(path: Path, colour: str) -> int:
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    return int((np.abs(pixels.astype(int) - ImageColor.getrgb(colour)).max(axis=1) < 8).sum())


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_curve_is_drawn_in_its_colour(tmp_path: Path, theme: Any) -> None:
    draw_comparison(typed(comparison_results()), [tmp_path / "figure.png"], theme)
    for colour in theme.methods[:3]:
        assert _pixels_of(tmp_path / "figure.png", colour) > 500
    assert _pixels_of(tmp_path / "figure.png", theme.methods[3]) < 50
    assert _pixels_of(tmp_path / "figure.png", theme.background) > 100_000


def test_without_ground_truth_there_is_one_plot(tmp_path: Path) -> None:
    for truth in (True, False):
        draw_comparison(typed(comparison_results(truth)), [tmp_path / f"{truth}.png"])
    with Image.open(tmp_path / "True.png") as two, Image.open(tmp_path / "False.png") as one:
        assert two.width > 1.8 * one.width


def test_the_same_results_give_the_same_svg(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_comparison(typed(comparison_results()), [tmp_path / name])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


def test_a_row_for_every_share_and_the_whole_picture() -> None:
    table = curves_table(typed(comparison_results()), TRUTH)
    assert table.columns == ("pixels kept", "mask", "edges", "edges − mask (95 %)", "random", "random − mask (95 %)")
    assert [row[0] for row in table.rows] == ["10%", "20%", "50%", "90%", "100%"]
    assert table.rows[0][1:4] == ("1.146", "1.621", "+0.475 (+0.427 to +0.522)")
    assert table.rows[-1][1] == "0.850"
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_without_ground_truth_the_tables_say_what_they_compare_with() -> None:
    tables = comparison_tables(typed(comparison_results(ground_truth=False)))
    assert len(tables) == 2 and all(TARGET in table.title for table in tables)
    assert len(tables[0].rows) == len(SHARES)
    assert len(comparison_tables(typed(comparison_results()))) == 3
    assert len(comparison_tables(typed(comparison_results() | {"soft": []}))) == 2


def test_soft_maps_have_a_row_for_every_lambda() -> None:
    table = comparison_tables(typed(comparison_results()))[-1]
    assert table.rows == (("2", "0.200", "1.070", "0.310", "1.070", "1.445", "1.623"),)
    assert "share M > 0.025" in table.columns


def test_the_sentence_says_what_was_found_good_or_bad() -> None:
    results = comparison_results()
    words = in_words(typed(results))
    assert all(part in words for part in ("20% of the pixels", "1.07 m when the mask", "1.44 m with edges",
                                          "1.62 m with random", "whole picture it is 0.85 m"))
    assert not any(phrase in words for phrase in ("(", PHRASES[Verdict.NOT_CLEAR], PHRASES[Verdict.TOO_FEW]))
    results["curves"]["sobel"][1]["minus_mask_ci95"] = [-0.1, 0.1]
    results["curves"]["random"][1]["minus_mask_ci95"] = [-0.2, -0.1]
    assert f"with edges ({PHRASES[Verdict.NOT_CLEAR]})" in in_words(typed(results))
    assert "with random (less than with the mask)" in in_words(typed(results))
    assert TARGET not in in_words(typed(results))
    assert "in the whole picture" in in_words(typed(comparison_results(False)))


@pytest.mark.parametrize("ground_truth", [True, False])
def test_the_mask_alone_makes_a_table(ground_truth: bool) -> None:
    results = comparison_results(ground_truth)
    results["curves"] = {"mask": results["curves"]["mask"]}
    assert comparison_tables(typed(results))[0].columns == ("pixels kept", "mask")
    assert "mask" in in_words(typed(results))
