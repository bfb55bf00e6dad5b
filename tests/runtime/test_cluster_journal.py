"""The summary of many machines: entries in parts, whole at the end, found again after the driver died."""

import csv
import io
import json

import pytest

from depthcue.errors import DepthcueError
from depthcue.files import partial_name
from depthcue.runtime import cluster_journal
from depthcue.runtime.cluster_journal import PARTS, Journal, copy_summary, read_earlier
from depthcue.runtime.cluster_storage import Store
from depthcue.runtime.summary import SUMMARY, TABLE

pytest.importorskip("pyarrow", reason="stores need the extra ray")
OPTIONS = {"lambda": 2.0, "save": ["mask"]}


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "out"))


@pytest.fixture
def often(monkeypatch):
    """A part for every portion of entries."""
    monkeypatch.setattr(cluster_journal, "PART_BYTES", 1)


def entry(name, error=None, resumed=False, frames=1):
    return json.dumps({"path": f"in/{name} é.png", "name": name, "frames": frames, "error": error, "resumed": resumed,
                       "kind": "image", "outputs": [], "source": None})


def told(store):
    return json.loads((store.local / SUMMARY).read_text(encoding="utf-8"))


def table(store):
    with (store.local / TABLE).open(newline="", encoding="utf-8") as file:
        return [(row["path"], row["error"]) for row in csv.DictReader(file)]


def names(document):
    return [each["name"] for each in document["inputs"]]


def test_the_parts_become_one_document_and_are_gone(store, often):
    journal = Journal(store, resume=False)
    journal.know(OPTIONS, {"backend": "toy"})
    journal.add([entry("a"), entry("b", "broken")], failed=[1], frames=1)
    journal.add([entry("c", frames=7), entry("d", resumed=True)], resumed=1, frames=7)
    assert store.names(PARTS) == ["000000.jsonl", "000001.jsonl"] and not (store.local / SUMMARY).exists()
    journal.finish("done")
    document = journal.document()
    assert names(told(store)) == ["a", "b", "c", "d"] and names(document) == ["a", "b", "c", "d"]
    assert {**told(store), "inputs": None} == {**document, "inputs": None}
    totals = document["totals"]
    assert (totals["inputs"], totals["failed"], totals["resumed"], totals["frames"]) == (4, 1, 1, 8)
    assert table(store) == [(f"in/{name} é.png", "broken" if name == "b" else "") for name in "abcd"]
    assert document["backend"] == "toy" and document["options"] == OPTIONS and document["status"] == "done"
    assert store.names(PARTS) == []
    shown = io.StringIO()
    copy_summary(store, shown)
    assert json.loads(shown.getvalue()) == told(store)


def test_of_many_inputs_the_first_and_the_failed_are_shown(store):
    journal = Journal(store, resume=False)
    journal.know(OPTIONS, {})
    for start in range(0, 100, 10):
        lines = [entry(str(n), "broken" if n in (5, 77) else None) for n in range(start, start + 10)]
        journal.add(lines, failed=[n - start for n in (5, 77) if start <= n < start + 10])
    journal.finish("done")
    shown = names(journal.document())
    assert len(told(store)["inputs"]) == 100 and shown.count("77") == shown.count("5") == 1 and 20 <= len(shown) <= 22


def test_an_empty_run_is_a_document_too(store):
    with Journal(store, resume=False) as journal:
        journal.know(OPTIONS, {})
    assert table(store) == [] and (store.local / TABLE).read_text().startswith("path,kind,")
    assert told(store)["inputs"] == [] and read_earlier(store) == (OPTIONS, {})


def test_a_run_that_fails_before_it_begins_leaves_what_was_there(store, often):
    with Journal(store, resume=False) as journal:
        journal.know(OPTIONS, {})
        journal.add([entry("a")])
    before = told(store)
    with pytest.raises(DepthcueError), Journal(store, resume=False) as journal:
        journal.add([entry("unreadable", "broken")], failed=[0])
        raise DepthcueError("there are no such weights")
    assert told(store) == before and store.names(PARTS) == []


def test_what_a_driver_that_died_had_written_is_found(store, often):
    journal = Journal(store, resume=False)
    journal.know(OPTIONS, {})
    journal.add([entry("a"), entry("b", "broken")], failed=[1])
    journal.add([entry("c")])
    options, entries = read_earlier(store)
    assert options == OPTIONS and sorted(entries) == ["in/a é.png", "in/c é.png"]
    assert json.loads(entries["in/a é.png"]) == json.loads(entry("a"))


def test_a_part_that_was_cut_off_is_no_part(store, often):
    journal = Journal(store, resume=False)
    journal.know(OPTIONS, {})
    journal.add([entry("a")])
    (store.local / PARTS / partial_name(".jsonl")).write_text(json.dumps({"options": OPTIONS}) + '\n{"pa')
    assert store.names(PARTS) == ["000000.jsonl"] and read_earlier(store)[1].keys() == {"in/a é.png"}
    with pytest.raises(KeyboardInterrupt), Journal(store, resume=True) as journal:
        journal.know(OPTIONS, {})
        raise KeyboardInterrupt
    assert names(told(store)) == ["a"] and not (store.local / PARTS).exists()


def test_a_run_that_is_not_resumed_begins_anew(store, often):
    for _ in range(2):
        journal = Journal(store, resume=False)
        journal.know(OPTIONS, {})
        journal.add([entry("a")])
    assert store.names(PARTS) == ["000000.jsonl"]


def test_a_resumed_run_that_is_cut_off_too_loses_nothing(store, often):
    first = Journal(store, resume=False)
    first.know(OPTIONS, {})
    first.add([entry("a"), entry("b"), entry("c", "broken")], failed=[2])
    first.finish("interrupted")
    second = Journal(store, resume=True)
    second.know(OPTIONS, {})
    second.add([entry("b", resumed=True), entry("c")], resumed=1, frames=1)
    assert sorted(json.loads(line)["name"] for line in read_earlier(store)[1].values()) == ["a", "b", "c"]
    # stopped from the keyboard: what it did not come to is still told
    with pytest.raises(KeyboardInterrupt), second:
        raise KeyboardInterrupt
    assert (told(store)["status"], told(store)["totals"]["inputs"]) == ("interrupted", 3)
    assert names(told(store)) == ["b", "c", "a"]
    assert table(store) == [("in/b é.png", ""), ("in/c é.png", ""), ("in/a é.png", "")]
    with pytest.raises(KeyboardInterrupt), Journal(store, resume=True):
        raise KeyboardInterrupt  # before any worker has told the options
    assert names(told(store)) == ["b", "c", "a"] and told(store)["options"] == OPTIONS


def test_entries_made_with_other_options_are_forgotten(store, often):
    first = Journal(store, resume=False)
    first.know(OPTIONS, {})
    first.add([entry("a")])
    first.finish("done")
    second = Journal(store, resume=True)
    second.know({**OPTIONS, "lambda": 3.0}, {})
    second.add([entry("b")])
    assert [json.loads(line)["name"] for line in read_earlier(store)[1].values()] == ["b"]
    second.finish("interrupted")
    assert names(told(store)) == ["b"]


def test_the_summary_of_one_machine_is_read_too(store):
    document = {"schema": 1, "command": "mask", "arguments": ['"inputs": [', "x"], "options": OPTIONS,
                "totals": {"inputs": 2}, "inputs": [json.loads(entry("a")), json.loads(entry("b", "broken"))]}
    for indent in (2, None):
        with store.writing(SUMMARY) as file:
            file.write(json.dumps(document, indent=indent).encode())
        options, entries = read_earlier(store)
        assert options == OPTIONS and list(entries) == ["in/a é.png"]


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1, "command": "mask", "options": {}, "inputs": [{"pa', "[]",
                                  '{"schema": 1, "command": "probe", "options": {}, "inputs": []}'])
def test_a_damaged_summary_counts_as_none(store, text, caplog):
    with store.writing(SUMMARY) as file:
        file.write(text.encode())
    assert read_earlier(store) == (None, {}) and "nothing is resumed" in caplog.text


def test_what_was_left_out_is_told(store):
    with Journal(store, resume=False) as journal:
        journal.know(OPTIONS, {"backend": "torch"})
        journal.skip([("in/a.heic", "HEIC pictures cannot be read")])
        journal.add([entry("b")], frames=1)
    assert told(store)["skipped"] == [{"path": "in/a.heic", "why": "HEIC pictures cannot be read"}]
    assert told(store)["totals"]["skipped"] == 1 and names(told(store)) == ["b"]
    assert read_earlier(store)[1].keys() == {"in/b é.png"}
