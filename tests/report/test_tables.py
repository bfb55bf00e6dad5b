"""One rule for verdicts on numbers, no sentence against its numbers, and columns of tables."""

import re
from pathlib import Path

import pytest
from comparison_results import comparison_results, typed

from depthcue.report.compare_edges import curves_table
from depthcue.report.page import SECTIONS, section_of
from depthcue.report.tables import (
    ENOUGH,
    TRUTH,
    Table,
    Verdict,
    apart,
    counted,
    counted_are,
    sorted_out,
    too_few,
    verdict,
)
from depthcue.results import read_result

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize(("interval", "count", "reference", "found"), [
    ([0.1, 0.2], ENOUGH, 0.0, Verdict.MORE), ([-0.2, -0.1], ENOUGH, 0.0, Verdict.LESS),
    ([-0.1, 0.1], 100, 0.0, Verdict.NOT_CLEAR), ([0.0, 0.1], 100, 0.0, Verdict.NOT_CLEAR),
    ([1.26, 1.52], 6, 1.0, Verdict.TOO_FEW), ([1.26, 1.52], 60, 1.0, Verdict.MORE), (None, 100, 0.0, Verdict.TOO_FEW)])
def test_the_rule(interval: list[float] | None, count: int, reference: float, found: Verdict) -> None:
    assert verdict(interval, count, reference) is found and found.clear == (found.value in ("more", "less"))


def test_two_numbers_are_apart_where_their_intervals_do_not_meet() -> None:
    low, middle, high = [0.0, 1.0], [1.0, 3.0], [2.0, 3.0]
    assert apart(high, low, ENOUGH) is Verdict.MORE and apart(low, high, ENOUGH) is Verdict.LESS
    assert apart(low, middle, ENOUGH) is Verdict.NOT_CLEAR
    assert apart(low, high, ENOUGH - 1) is Verdict.TOO_FEW and apart(None, low, ENOUGH) is Verdict.TOO_FEW


def test_words_and_counts() -> None:
    assert (counted_are(1), counted_are(6, "case")) == ("1 image is", "6 cases are")
    assert too_few(ENOUGH) == [] and too_few(1)[0].startswith("1 image is") and too_few(3, "case")[0][:7] == "3 cases"
    assert counted(1) == "1 image" and counted(0) == "0 images"
    assert sorted_out([("a", Verdict.LESS), ("b", Verdict.LESS)])[Verdict.LESS] == ["a", "b"]


_DIFFERENCE = re.compile(r"\(([+−-]\d[\d.]*%?), ([+−-]\d[\d.]*%?) to ([+−-]\d[\d.]*%?)\)")


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.json")), ids=lambda file: file.stem)
def test_published_sentences_do_not_contradict_their_numbers(file: Path) -> None:
    """No clear difference is said only where the interval beside it holds 0, and the other way round."""
    results = read_result(file)
    if results.command not in SECTIONS:
        pytest.skip("no section")
    for sentence in section_of(results, file.parent).sentences:
        assert "not clearly" not in sentence.replace("does not clearly take that away", "")
        for _, low, high in _DIFFERENCE.findall(sentence):
            holds = float(low.rstrip("%")) <= 0 <= float(high.rstrip("%"))
            assert ("no clear difference" in sentence.lower()) == holds or "too few" in sentence, sentence


def test_columns_of_words_and_of_numbers() -> None:
    table = Table("", ("a", "b", "c", "d", "e"), (("1", "rendered", "+0.4 (0.1 to 0.6)", "", "3D"),
                                                  ("2", "photographs", "−1", "not known", "")))
    assert table.words == (True, True, False, True, False)
    assert curves_table(typed(comparison_results()), TRUTH).words == (True, False, False, False, False, False)
