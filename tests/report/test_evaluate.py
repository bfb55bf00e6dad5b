"""What the report tells of an evaluation, from documents made by hand."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison_results import typed
from PIL import Image, ImageColor

from depthcue.report.evaluate import (
    beside_the_papers,
    character_table,
    evaluation_tables,
    in_words,
    section,
    table_1,
    under_fills_table,
)
from depthcue.report.figures import DARK, LIGHT
from depthcue.report.section import draw_plots
from depthcue.report.tables import PHRASES, TARGET, TRUTH, Verdict, compared_with

MEANS = ("abs_rel", "log10", "delta1", "delta2", "delta3")
LAMBDAS = (1.0, 2.0, 5.0)


def _number(name: str, value: float, half: float = 0.02) -> dict[str, Any]:
    return {name: value, f"{name}_ci95": [value - half, value + half]}


def _errors(rmse: float) -> dict[str, Any]:
    measured = _number("rmse", rmse)
    for name in MEANS:
        measured |= _number(name, rmse / 10, 0.001)
    return measured


def _flat(rmse: float, truth: bool) -> dict[str, Any]:
    return (_number("rmse", 0.5 + rmse) if truth else {}) | _number("rmse_to_target", rmse)


def _difference(value: float, truth: bool) -> dict[str, Any]:
    return (_number("truth", value, 0.01) if truth else {}) | _number("target", value, 0.01)


def evaluation(truth: bool = True, closer: bool = True, sanity: bool = True) -> dict[str, Any]:
    """A document of a net with a dial; every further lambda costs 0.1 m more."""
    table = []
    for step, lam in enumerate(LAMBDAS):
        ways = {way: {**({"truth": _errors(0.5 + cost)} if truth else {}), "target": _errors(cost)}
                for way, cost in (("soft", 0.1 * step), ("binary", 0.12 * step), ("hidden", 0.8 - 0.1 * step))}
        table.append({"weights": 0, "lambda": lam, **_number("mean", 0.5 - 0.2 * step), **_number(
            "sparseness", 0.9 - 0.3 * step), **ways, "soft_minus_original": _difference(0.1 * step, truth),
            "binary_minus_soft": _difference(0.02 * step, truth)})
    results: dict[str, Any] = {
        "schema": 1, "command": "evaluate", "images": 12, "ground_truth": truth, "fill": "mean", "threshold": 0.025,
        "weights": [{"name": "compact-indoor", "sha256": "ab"}],
        "target_net": {"name": "compact-indoor", "sha256": "cd", "architecture": "compact"},
        "data": {"spec": "nyu:somewhere", "without_valid_depth": []}, "original": _errors(0.5) if truth else {},
        "table": table, "in_question": {"weights": 0, "lambda": 2.0}, "thresholds": [], "fills": {}, "orders": None,
        "sanity": None}
    if closer:
        results["thresholds"] = [{"threshold": 0.1 * step, "sparseness": 1 - 0.3 * step, **_flat(0.2 * step, truth)}
                                 for step in range(4)]
        results["fills"] = {fill: {way: _flat(rmse, truth) for way in ("soft", "binary", "hidden", "nothing")}
                            for fill, rmse in (("mean", 0.1), ("black", 0.4), ("blur", 0.11))}
        results["under_fills"] = {fill: {method: [
            {"sparseness": share, **_flat(0.3 + more, truth), **_number("to_target_minus_mask", more)}
            for share in (0.1, 0.5)] for method, more in (("mask", 0.0), ("contrast", ahead), ("sobel", 0.05))}
            for fill, ahead in (("mean", 0.2), ("noise", -0.1), ("colour", 0.01))}
        value = {"value": 0.25, "value_ci95": [0.2, 0.3]}
        results["character"] = {
            "bounds": [0.05, 0.95], "undecided": value, "border_px": 2, "border_ratio": value,
            "correlation": {"contrast": value, "sobel": value},
            "nesting": [{"smaller": 0.1, "larger": 0.2, "lambdas": [4.0, 2.0], **value}]}
        results["orders"] = {"shares": [0.0, 0.5, 1.0]}
        for way, values, above in (("insertion", [1.0, 0.2, 0.0], 0.2), ("deletion", [0.0, 0.6, 1.0], -0.2)):
            results["orders"][way] = {method: {
                name: values, **_number(f"{name}_area", 0.5 + more), **_number(f"{name}_area_minus_mask", more)}
                for method, more in (("mask", 0.0), ("sobel", 0.01), ("random", above))
                for name in ("rmse_to_target",)}
    if sanity:
        results["sanity"] = _sanity()
    return results


def _sanity() -> dict[str, Any]:
    agreed = {**_number("pearson", 0.2), **_number("ssim", 0.3), **_number("iou", 0.1), "mean": 0.2}
    stages = []
    for layers, left in ((0, 0.4), (3, 0.2), (6, 0.05)):
        lost = {**_number("mask", 0.3), **_number("sobel", 0.3 + left), **_number("random", 0.5)}
        advantage = {name: {**_number("value", left), **_number("gone", 0.4 - left, 0.02 if name == "sobel" else 0.5)}
                     for name in ("sobel", "random")}
        stages.append({"of": 6, "layers": layers, "deepest": f"layer{layers}", "lost": lost, "advantage": advantage,
                       "direct": agreed if layers else None, "retrained": None})
    return {"images": 8, "direct_images": 4, "share": 0.2, "steps": 0, "chance": {"direct": agreed, "retrained": None},
            "stages": stages}


def test_table_1_has_the_original_first_and_one_row_a_lambda() -> None:
    table = table_1(typed(evaluation()), TRUTH)
    assert [row[0] for row in table.rows] == ["original", "1", "2", "5"]
    assert table.rows[0][3] == table.rows[0][4] == "0.500 (0.480 to 0.520)"
    assert table.rows[2][1:4] == ("0.300", "0.600", "0.600 (0.580 to 0.620)")
    assert "12 images of nyu:somewhere" in table.title and "0.025" in table.title
    assert [row[0] for row in table_1(typed(evaluation()), TARGET).rows] == ["1", "2", "5"]
    filled = evaluation() | {"fill": "noise"}
    assert "hidden pixels show noise" in table_1(typed(filled), TRUTH).title


def test_rivals_at_one_lambda_are_named() -> None:
    results = evaluation()
    results["weights"].append({"name": "rival", "sha256": "ef"})
    results["table"][2] |= {"weights": 1, "lambda": 2.0}
    assert [row[0] for row in table_1(typed(results), TARGET).rows] == ["1", "2 (compact-indoor)", "2 (rival)"]


def test_the_papers_table_stands_beside_its_own_network_and_data_alone() -> None:
    results = evaluation()
    assert not any("paper" in table.title for table in evaluation_tables(typed(results)))
    results["target_net"]["architecture"] = "hu-resnet50"
    (table,) = (table for table in evaluation_tables(typed(results)) if "paper" in table.title)
    assert table == beside_the_papers(typed(results))
    assert table.rows[0] == ("original", "0.555", "0.500", "0.555", "0.500", "1.000", "1.000")
    assert table.rows[2] == ("2", "0.668", "0.600", "0.617", "0.620", "0.746", "0.600")
    assert [row[0] for row in table.rows] == ["original", "1", "2", "5"]
    for other in ({"data": {"spec": "scenes:indoor"}}, {"ground_truth": False}):
        changed = copy.deepcopy(results) | other
        assert not any("paper" in table.title for table in evaluation_tables(typed(changed)))


@pytest.mark.parametrize("truth", [True, False])
def test_every_row_has_as_many_cells_as_columns(truth: bool) -> None:
    tables = evaluation_tables(typed(evaluation(truth)))
    # two tables for each reference, orders, fills, under fills, character, thresholds, two of the sanity check
    assert len(tables) == 2 * (1 + truth) + 7
    for table in tables:
        assert {len(row) for row in table.rows} == {len(table.columns)}
    assert len(evaluation_tables(typed(evaluation(truth, closer=False, sanity=False)))) == 2 * (1 + truth)


def test_sentences_state_differences_only_where_intervals_leave_zero_out() -> None:
    sentences = in_words(typed(evaluation()))

    def told(*parts: str) -> bool:
        """Whether one sentence has all these parts."""
        return any(all(part in sentence for part in parts) for sentence in sentences)

    assert told("whole pictures", "off by 0.50 m", "lambda 2", "mean of 0.30", "off by 0.60 m (0.10 m more than")
    assert told("worse than M at lambda 2, 5.") and not told("better than M")
    assert told(f"0.51 m with edges first ({PHRASES[Verdict.NOT_CLEAR]})",
                "0.70 m with random pixels first (the mask has less)")
    assert told("the mean colour in their place", "different with black (0.40 m)")
    assert told("40 percentage points", "edges", "all layers randomised it is 5") and told("random pixels, but")
    assert told("correlate", "0.20 (0.18 to 0.22)")

    unclear = evaluation()
    for row in unclear["table"]:
        for name in ("soft_minus_original", "binary_minus_soft"):
            row[name] = {"truth": 0.1, "truth_ci95": [-0.1, 0.3], "target": 0.1, "target_ci95": [-0.1, 0.3]}
    for stage in unclear["sanity"]["stages"]:
        stage["advantage"]["sobel"]["value_ci95"] = [-0.1, 0.9]
    said = " ".join(in_words(typed(unclear)))
    assert compared_with(Verdict.NOT_CLEAR, "whole pictures") in said and " m more" not in said
    assert "M′ does" not in said and "percentage points more of the net's answer than equally many edges" not in said


def test_the_mask_against_others_under_every_fill() -> None:
    results = evaluation()
    table = under_fills_table(typed(results))
    assert table.columns == ("fill", "kept", "mask", "contrast − mask", "edges − mask")
    assert [row[:2] for row in table.rows] == [(fill, kept) for fill in ("mean", "noise", "colour")
                                               for kept in ("10%", "50%")]
    assert table.rows[2][2:] == ("0.300 (0.280 to 0.320)", "-0.100 (-0.120 to -0.080)", "+0.050 (+0.030 to +0.070)")
    contrast, edges = (next(each for each in in_words(typed(results)) if "less far away" in each and name in each)
                       for name in ("pixels by contrast", "many edges"))
    assert "in 2 of 6 pairs" in contrast and "farther away in 2 (noise at 10%, noise at 50%)" in contrast
    assert edges.startswith("Whatever hidden pixels show") and "pairs" not in edges
    for methods in results["under_fills"].values():
        methods |= dict.fromkeys(("canny", "hed", "random"), methods["sobel"])
    assert under_fills_table(typed(results)).columns == table.columns


def test_the_character_of_the_mask_has_a_row_for_all_that_was_measured() -> None:
    results = evaluation()
    table = character_table(typed(results))
    assert [row[0] for row in table.rows] == [
        "values between 0.05 and 0.95", "mean of the outer 2 pixels over that of the rest",
        "rank correlation with contrast", "rank correlation with edges", "of the 10% kept, also among the 20%"]
    assert all(row[1] == "0.250 (0.200 to 0.300)" for row in table.rows)
    results["character"] |= {"nesting": None, "border_ratio": None}
    assert len(character_table(typed(results)).rows) == 3


def test_results_of_earlier_versions_have_a_section() -> None:
    results = evaluation()
    del results["under_fills"], results["character"]
    assert len(evaluation_tables(typed(results))) == 9
    assert not any("pairs of a fill" in text for text in in_words(typed(results)))


def test_nothing_is_concluded_from_one_image() -> None:
    said = in_words(typed(evaluation() | {"images": 1}))
    assert len(said) == 1 and "1 image is too few" in said[0]
    assert in_words(typed(evaluation() | {"images": 6}))[-1].startswith("6 images are too few to tell")


def test_without_ground_truth_a_first_sentence_says_so() -> None:
    sentences = in_words(typed(evaluation(truth=False)))
    assert sentences[0].startswith("This data has no depth")
    assert "0.10 m away from that of whole pictures" in sentences[1]
    assert not any("off by" in sentence for sentence in sentences)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_figures_show_every_line_in_its_colour(tmp_path: Path, theme: Any) -> None:
    results = evaluation()
    results["target_net"]["architecture"] = "hu-resnet50"
    plots = {plot.name: plot for plot in section(typed(results), tmp_path).plots}
    assert list(plots) == ["trade-off", "orders", "thresholds", "sanity"]
    lines = {"trade-off": 3, "orders": 3, "thresholds": 2, "sanity": 4}
    for name, plot in plots.items():
        plot.draw([tmp_path / f"{name}.png"], theme)
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).reshape(-1, 3).astype(int)
        for colour in theme.methods[:lines[name]]:
            assert (np.abs(pixels - ImageColor.getrgb(colour)).max(axis=1) < 8).sum() > 100, (name, colour)


def test_many_scorers_are_drawn_and_missing_ones_are_named(tmp_path: Path) -> None:
    results = evaluation()
    for way in ("insertion", "deletion"):
        orders = results["orders"][way]
        orders |= dict.fromkeys(("canny", "grid", "centre", "gradient"), orders["random"])
    results["orders"]["left_out"] = {"occlusion": "attributions need the package captum"}
    text = section(typed(results), tmp_path)
    next(plot for plot in text.plots if plot.name == "orders").draw([tmp_path / "orders.png"], LIGHT)
    with Image.open(tmp_path / "orders.png") as drawn:
        assert drawn.width > 2000  # the legend has a place of its own
    said = " ".join(text.sentences)
    assert "0.70 m with pixels by centre first (the mask has less) and 0.70 m with pixels by gradient first" in said
    assert "Left out: occlusion (attributions need the package captum)." in said


def test_only_what_was_measured_is_drawn(tmp_path: Path) -> None:
    results = evaluation(truth=False, closer=False, sanity=False)
    written = draw_plots(section(typed(results), tmp_path), tmp_path)
    assert {path.name for path in written} == {"trade-off.png", "trade-off.svg"}
