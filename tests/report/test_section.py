"""Results of relative nets say what their metres are, and no others do."""

from comparison_results import comparison_results, stated

from depthcue.report.section import Section, with_note

SECTION = Section("Title", ("A sentence.",))
NET = {"name": "midas", "sha256": None, "relative": True, "predicts": "inverse depth", "aligned": "so"}


def test_metric_nets_need_no_note() -> None:
    results = comparison_results() | {"target_net": {"name": "metric", "sha256": None}}
    assert with_note(SECTION, stated(results)) is SECTION
    assert with_note(SECTION, stated(comparison_results())) is SECTION


def test_own_units_and_alignment_are_told_apart() -> None:
    known, bare = (with_note(SECTION, stated(comparison_results(ground_truth) | {"target_net": NET})).sentences
                   for ground_truth in (True, False))
    assert known[1:] == bare[1:] == ("A sentence.",)
    assert "midas" in known[0] and "true depth by one scale and shift" in known[0]
    assert "units of its own" in bare[0]


def test_nets_of_a_comparison_are_named_once() -> None:
    results = {"command": "compare-nets", "nets": [{"target_net": NET}, {"target_net": NET},
                                                   {"target_net": {"name": "metric"}}]}
    assert with_note(SECTION, stated(results)).sentences[0].startswith("midas sees depth only up to")


def test_probes_speak_of_no_metres() -> None:
    assert with_note(SECTION, stated({"command": "probe", "target_net": NET})) is SECTION
