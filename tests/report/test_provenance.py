"""Where results come from, and whether those of several files may be compared."""

from typing import Any

import pytest
from comparison_results import stated

from depthcue.report.provenance import comparability, different_data, in_short, provenance
from depthcue.results import Result


def _results(**fields: Any) -> Result:
    return stated({
        "command": "compare-edges", "arguments": ["compare-edges", "--data", "folder:my pictures"],
        "revision": "abc", "machine": {"processor": "a chip", "gpu": None, "torch": "2.15"}, "images": 3,
        "data": {"spec": "folder:my pictures"}, "weights": {"name": "G", "sha256": "1" * 64},
        "target_net": {"name": "N", "sha256": "2" * 64}, "per_image": {"names": ["a", "b", "c"]}, **fields})


def test_the_facts_of_a_document() -> None:
    facts = dict(provenance(_results()))
    assert facts["command"] == "depthcue compare-edges --data 'folder:my pictures'"
    assert facts["mask net"] == "G (sha256 111111111111)" and facts["images"] == "3"
    assert facts["machine"] == "a chip" and facts["versions"] == "depthcue abc, torch 2.15"
    assert in_short(_results()) == "folder:my pictures · 3 images · N, G"


def test_a_document_that_states_little_says_little() -> None:
    assert provenance(stated({"command": "train"})) == (("command", "depthcue train"), ("versions", "depthcue unknown"))
    assert in_short(stated({"command": "train"})) == ""
    # the words of a program that called the library are not a command of depthcue
    assert dict(provenance(_results(arguments=["measure.py", "--fast"])))["command"] == "depthcue compare-edges"


def test_lists_of_nets_and_data_are_named_one_after_the_other() -> None:
    facts = dict(provenance(_results(weights=[{"name": "A"}, {"name": "B"}], data=[{"spec": "x:1"}, "y:2"])))
    assert (facts["mask net"], facts["data"]) == ("A, B", "x:1, y:2")
    pairs = [{"weights": {"name": "G"}, "target_net": {"name": "N"}}, {"weights": {"name": "H"}, "target_net": "O"}]
    facts = dict(provenance(stated({"command": "compare-nets", "nets": pairs})))
    assert (facts["mask net"], facts["depth net"]) == ("G, H", "N, O")


@pytest.mark.parametrize(("other", "said"), [
    ({"data": {"spec": "nyu:PATH"}}, "differ in data: read each on its own"),
    ({"per_image": {"names": ["a", "b", "d"]}}, "differ in images"),
    ({"per_image": None, "images": 4}, "differ in images"),
    ({"target_net": {"name": "N", "sha256": "3" * 64}}, "differ in depth net"),
    ({"data": {"spec": "x"}, "images": 4, "per_image": None, "target_net": None}, "data, images and depth net"),
    ({"weights": {"name": "H"}}, "differ in the mask net: they can be compared"),
    ({"seed": 4}, "differ in the settings: they can be compared"),
    ({"revision": "old"}, "measured by different revisions (abc, old)"),
])
def test_what_two_documents_of_a_command_differ_in(other: dict[str, Any], said: str) -> None:
    (sentence,) = comparability([_results(), _results(**other)])
    assert sentence.startswith("Sections 1 and 2 (depthcue compare-edges)") and said in sentence
    assert ("can be compared" in sentence) != ("on its own" in sentence)


def test_what_is_not_stated_is_not_taken_for_equal() -> None:
    (sentence,) = comparability([_results(data=None), _results(data=None)])
    assert "do not say on which data" in sentence and "can be compared" not in sentence


def test_different_data_is_what_both_state_differently() -> None:
    assert different_data([_results(), _results(weights={"name": "H"}), _results(target_net={"name": "O"})]) is None
    assert different_data([_results(), _results(command="evaluate", data={"spec": "x"})]) is None
    assert different_data([_results(), _results(data=None)]) is None
    for other in ({"data": {"spec": "x"}}, {"per_image": {"names": ["a", "b", "d"]}}, {"per_image": None, "images": 4}):
        assert different_data([_results(), _results(command="evaluate"), _results(**other)]) == (0, 2)


def test_different_commands_are_no_comparison() -> None:
    assert comparability([_results(), _results(command="evaluate"), _results(command="findings")]) == ()
    (sentence,) = comparability([_results(), _results(command="evaluate"), _results(), _results(data=None)])
    assert sentence.startswith("Sections 1, 3 and 4 ")
