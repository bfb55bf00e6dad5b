"""One rule for verdicts on numbers, no sentence against its numbers, and columns of tables."""

import re
from pathlib import Path

import pytest
from comparison_results import comparison_results, typed

from depthcue.report.compare_edges import curves_table
from depthcue.report.page import SECTIONS, section_of
from depthcue.report.tables import (
    ENOUGH,
    PHRASES,
    TRUTH,
    Table,
    Verdict,
    apart,
    clearly_longer,
    compared_with,
    counted,
    duration,
    medians_of,
    sorted_out,
    too_few,
    verdict,
    verdict_words,
)
from depthcue.results import Cost, read_result

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


def test_a_verdict_has_one_phrase_and_words_of_its_own_where_given() -> None:
    assert set(PHRASES) == set(Verdict) and len(set(PHRASES.values())) == len(Verdict)
    for found in Verdict:
        assert verdict_words(found) == PHRASES[found]
        assert verdict_words(found, "up", "down", "few") == {
            Verdict.MORE: "up", Verdict.LESS: "down", Verdict.TOO_FEW: "few"}.get(found, PHRASES[found])
    assert verdict_words(Verdict.MORE, more="") == ""


def test_what_a_number_is_compared_with() -> None:
    assert compared_with(Verdict.MORE, "A", "from ") == "more than from A"
    assert compared_with(Verdict.LESS, "A") == "less than A"
    assert compared_with(Verdict.NOT_CLEAR, "A", "from ") == f"{PHRASES[Verdict.NOT_CLEAR]} to A"
    assert compared_with(Verdict.TOO_FEW, "A") == f"{PHRASES[Verdict.TOO_FEW]} a difference to A"
    assert compared_with(Verdict.TOO_FEW, "A", few="too few runs").startswith("too few runs")


def test_durations_are_compared_by_quartiles_and_say_their_batches() -> None:
    def cost(low: float, high: float, **more: int) -> Cost:
        return Cost.model_validate({"median": (low + high) / 2, "quartiles": [low, high], **more})

    assert clearly_longer(cost(2.0, 3.0), cost(1.0, 1.9)) and not clearly_longer(cost(1.0, 1.9), cost(2.0, 3.0))
    assert not clearly_longer(cost(1.8, 3.0), cost(1.0, 1.9))
    assert medians_of(cost(1.0, 2.0, batches=5), cost(1.0, 2.0, batches=3)) == "medians of 3 batches"
    assert medians_of(cost(1.0, 2.0, batches=1)).endswith("1 batch") and medians_of(cost(1.0, 2.0)) == "medians"


@pytest.mark.parametrize(("milliseconds", "said"), [(0.1234, "0.12 ms"), (8.46, "8.5 ms"), (85.3, "85 ms"),
                                                    (1300, "1.3 s"), (250_000, "250 s")])
def test_durations_are_in_the_unit_that_suits_them(milliseconds: float, said: str) -> None:
    assert duration(milliseconds) == said


def test_words_and_counts() -> None:
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
