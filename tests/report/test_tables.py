"""Tables and sentences from a results document alone."""

import pytest
from comparison_results import SHARES, comparison_results, typed

from depthcue.report.provenance import TARGET, TRUTH
from depthcue.report.tables import Table, comparison_tables, curves_table, in_words


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


def test_words_are_told_from_numbers() -> None:
    table = Table("", ("a", "b", "c", "d", "e"), (("1", "rendered", "+0.4 (0.1 to 0.6)", "", "3D"),
                                                  ("2", "photographs", "−1", "not known", "")))
    assert table.words == (True, True, False, True, False)
    assert curves_table(typed(comparison_results()), TRUTH).words == (True, False, False, False, False, False)


def test_the_sentence_says_what_was_found_good_or_bad() -> None:
    results = comparison_results()
    assert in_words(typed(results)) == (
        "With 20% of the pixels left, the depth is off by 1.07 m when the mask chooses them, 1.44 m with edges and "
        "1.62 m with random; from the whole picture it is 0.85 m.")
    results["curves"]["sobel"][1]["minus_mask_ci95"] = [-0.1, 0.1]
    results["curves"]["random"][1]["minus_mask_ci95"] = [-0.2, -0.1]
    assert "with edges (no clear difference)" in in_words(typed(results))
    assert "with random (less than with the mask)" in in_words(typed(results))
    assert TARGET not in in_words(typed(results))
    assert "in the whole picture" in in_words(typed(comparison_results(False)))


@pytest.mark.parametrize("ground_truth", [True, False])
def test_the_mask_alone_makes_a_table(ground_truth: bool) -> None:
    results = comparison_results(ground_truth)
    results["curves"] = {"mask": results["curves"]["mask"]}
    assert comparison_tables(typed(results))[0].columns == ("pixels kept", "mask")
    assert "mask" in in_words(typed(results))
