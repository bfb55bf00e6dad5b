"""Masking on many machines with a loop in place of Ray, and the summary: entries in parts, whole at the end."""

import contextlib
import csv
import io
import json
import os
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from depthcue import imaging
from depthcue.errors import DepthcueError
from depthcue.files import partial_name
from depthcue.frames import Frame, VideoSink
from depthcue.progress import Silent
from depthcue.runtime import MaskOptions, cluster, cluster_ray, mask_sources
from depthcue.runtime.cluster import (
    PARTS,
    ClusterOptions,
    Journal,
    mask_on_cluster,
    print_summary,
    read_earlier,
)
from depthcue.runtime.cluster_ray import Slots
from depthcue.runtime.cluster_storage import Store, from_text
from depthcue.runtime.cluster_worker import SIGN, MaskWorker
from depthcue.runtime.summary import SUMMARY, TABLE

pytest.importorskip("pyarrow", reason="stores need the extra ray")
OPTIONS = {"lambda": 2.0, "save": ["mask"]}


def picture(path, seed=0, size=(40, 60)):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(imaging.resize_rgb(coarse, *size)).save(path)


class Pool:
    """In place of Ray: two workers in turns; inputs named in `deadly` end the worker that has them."""

    def __init__(self):
        self.deadly = set()
        self.interrupt_after = None
        self.passes = []

    def stream(self, tasks, settings, slots, poll, *, tries, alone=False):
        workers = [MaskWorker(settings) for _ in range(slots.workers)]
        self.passes.append((len(tasks), tries, alone))
        for number, items in tasks:
            poll()
            if number == self.interrupt_after:
                raise KeyboardInterrupt
            if not self.deadly & {item.name for item in from_text(items)}:
                result = workers[number % len(workers)]({"number": number, "items": items})
                yield result["number"], result["report"]
                if number == 0:
                    yield result["number"], result["report"]  # a task may be done twice


@pytest.fixture
def pool(monkeypatch):
    pool = Pool()
    monkeypatch.setattr(cluster_ray, "joined", lambda address: contextlib.nullcontext())
    monkeypatch.setattr(cluster_ray, "find_slots", lambda device, workers: Slots(workers or 2, 1, "cpu"))
    monkeypatch.setattr(cluster_ray, "stream", pool.stream)
    return pool


@pytest.fixture
def mask(pool, weights, tmp_path):
    """Masks on the cluster and returns the whole summary as it lies in the folder."""
    def run(sources, out=None, **options):
        address = str(out or tmp_path / "out")
        options = {"weights": str(weights), "backend": "torch", "save": ("mask",), **options}
        mask_on_cluster([str(source) for source in sources], address, MaskOptions(**options), ClusterOptions(),
                        Silent())
        with Store(address).open("summary.json") as file:
            return json.loads(file.read())
    return run


@pytest.fixture
def bucket():
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return Store("memory://bucket")


def states(summary):
    return {entry["name"]: "failed" if entry["error"] else "resumed" if entry["resumed"] else "done"
            for entry in summary["inputs"]}


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def table_of(folder):
    """What does not depend on how fast and with which rounding."""
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        return sorted((row["path"], row["kind"], row["frames"], row["error"]) for row in csv.DictReader(file))


def test_many_machines_do_what_one_does(mask, weights, tmp_path):
    for number in range(9):
        picture(tmp_path / "in" / f"day{number % 2}" / f"{number}.png", number, (40 + number % 3, 60))
    with VideoSink(tmp_path / "in" / "clip.mp4", Fraction(25), (48, 64)) as sink:
        for index in range(5):
            sink.write(np.full((48, 64, 3), 40 * index, np.uint8), Frame(None, index, None, ""))
    (tmp_path / "in" / "empty.png").touch()
    kinds = ("mask", "raw", "overlay")
    here = mask([tmp_path / "in"], save=kinds)
    options = MaskOptions(weights=str(weights), backend="torch", device="cpu", save=kinds)
    alone = mask_sources([str(tmp_path / "in")], tmp_path / "alone", options, Silent())
    made, expected = tmp_path / "out", tmp_path / "alone"
    assert files_of(made) == files_of(expected)
    for name in files_of(made):
        if name.endswith(".png"):  # other batches and threads round otherwise
            pictures = [np.asarray(Image.open(folder / name)).astype(int) for folder in (made, expected)]
            np.testing.assert_allclose(*pictures, atol=2)

    def facts(summary):
        return sorted(({key: value for key, value in entry.items() if key not in ("seconds", "mean_mask", "share_kept")}
                       for entry in summary["inputs"]), key=lambda entry: entry["name"])

    def shares(summary):
        return {entry["name"]: entry["share_kept"] for entry in summary["inputs"] if not entry["error"]}

    assert facts(here) == facts(alone) and shares(here) == pytest.approx(shares(alone), abs=1e-3)
    totals = {key: here["totals"][key] for key in ("inputs", "failed", "frames")}
    assert here["options"] == alone["options"] and totals == {"inputs": 11, "failed": 1, "frames": 14}
    assert table_of(made) == table_of(expected) and len(table_of(made)) == 11
    assert here["cluster"] == {"address": "local", "workers": 2, "cores": 1, "device": "cpu"}


def test_from_a_store_to_a_store(mask, bucket, tmp_path, capsys):
    picture(tmp_path / "a é.png")
    for key in ("walk/a é.png", "walk/b.jpg"):
        bucket.put(tmp_path / "a é.png", key)
    with bucket.writing("walk/damaged.png") as file:
        file.write(b"no picture")
    summary = mask(["memory://bucket/walk"], out="memory://bucket/masks", save=("mask", "npy"))
    assert states(summary) == {"a é": "done", "b": "done", "damaged": "failed"}
    (bad,) = [entry for entry in summary["inputs"] if entry["error"]]
    assert "memory://bucket/walk/damaged.png" in bad["error"] and "depthcue-" not in bad["error"]
    keys = sorted(file.key for file in Store("memory://bucket/masks").files())
    assert keys == ["a é_mask.png", "a é_npy.npy", "b_mask.png", "b_npy.npy", "summary.csv", "summary.json"]
    mask([tmp_path / "a é.png"])
    with Store("memory://bucket/masks").open("a é_mask.png") as file:
        assert file.read() == (tmp_path / "out" / "a é_mask.png").read_bytes()
    again = mask(["memory://bucket/walk"], out="memory://bucket/masks", save=("mask", "npy"), resume=True)
    assert states(again) == {"a é": "resumed", "b": "resumed", "damaged": "failed"}
    print_summary("memory://bucket/masks")
    assert json.loads(capsys.readouterr().out) == again


def test_a_video_in_a_store(mask, bucket, tmp_path):
    with VideoSink(tmp_path / "clip.mp4", Fraction(25), (48, 64)) as sink:
        for index in range(3):
            sink.write(np.full((48, 64, 3), 40 * index, np.uint8), Frame(None, index, None, ""))
    bucket.put(tmp_path / "clip.mp4", "clip.mp4")
    summary = mask(["memory://bucket/clip.mp4"], out="memory://bucket/masks", save=("mask", "raw"))
    assert summary["totals"]["frames"] == 3
    assert sorted(file.key for file in Store("memory://bucket/masks").files()) == [
        "clip_frames/000000_raw.png", "clip_frames/000001_raw.png", "clip_frames/000002_raw.png", "clip_mask.mp4",
        "summary.csv", "summary.json"]


def test_nothing_stays_behind_where_workers_fetched_to(mask, bucket, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    picture(tmp_path / "a.png")
    bucket.put(tmp_path / "a.png", "a.png")
    mask(["memory://bucket"], out="memory://bucket/masks")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_resuming_does_only_what_is_missing(mask, tmp_path):
    for name in "abcd":
        picture(tmp_path / "in" / f"{name}.png", ord(name))
    mask([tmp_path / "in"])
    out = tmp_path / "out"
    (out / "b_mask.png").unlink()
    picture(tmp_path / "in" / "c.png", 9, (40, 61))
    summary = mask([tmp_path / "in"], resume=True)
    assert states(summary) == {"a": "resumed", "b": "done", "c": "done", "d": "resumed"}
    assert (summary["totals"]["frames"], summary["totals"]["resumed"]) == (2, 2)
    assert Image.open(out / "c_mask.png").size == (61, 40)
    assert set(states(mask([tmp_path / "in"], resume=True, lam=5.0)).values()) == {"done"}


def test_the_share_reaches_the_workers_and_decides_what_is_resumed(mask, share_weights, tmp_path):
    picture(tmp_path / "in" / "a.png")
    share = {"weights": str(share_weights), "save": ("binary",)}
    summary = mask([tmp_path / "in"], keep=0.3, **share)
    assert np.asarray(Image.open(tmp_path / "out" / "a_binary.png")).mean() == 0.3
    assert summary["options"]["keep"] == summary["inputs"][0]["share_kept"] == 0.3
    assert states(mask([tmp_path / "in"], keep=0.3, resume=True, **share)) == {"a": "resumed"}
    assert states(mask([tmp_path / "in"], keep=0.4, resume=True, **share)) == {"a": "done"}


def test_one_machine_and_many_resume_each_other(mask, weights, tmp_path):
    for name in "ab":
        picture(tmp_path / "in" / f"{name}.png", ord(name))
    mask([tmp_path / "in" / "a.png"])
    options = MaskOptions(weights=str(weights), backend="torch", device="cpu", save=("mask",), resume=True)
    assert states(mask_sources([str(tmp_path / "in")], tmp_path / "out", options, Silent())) == {
        "a": "resumed", "b": "done"}
    assert states(mask([tmp_path / "in"], resume=True)) == {"a": "resumed", "b": "resumed"}


def test_an_input_that_kills_workers_fails_alone(mask, pool, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(cluster, "TASKS_PER_WORKER", 1)  # two tasks of three
    for name in "abcdef":
        picture(tmp_path / "in" / f"{name}.png", ord(name))
    pool.deadly = {"d"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".depthcue-0123abcd.part.png").write_bytes(b"half a fi")
    summary = mask([tmp_path / "in"])
    assert states(summary) == {**dict.fromkeys("abcef", "done"), "d": "failed"}
    assert pool.passes == [(2, 2, False), (3, 2, True)]
    (bad,) = [entry for entry in summary["inputs"] if entry["error"]]
    assert "in/d.png: the worker that had it died" in bad["error"] and "d.png" in caplog.text
    assert sorted(os.listdir(tmp_path / "out")) == [*(f"{name}_mask.png" for name in "abcef"), "summary.csv",
                                                   "summary.json"]
    pool.deadly = set()
    assert states(mask([tmp_path / "in"], resume=True))["d"] == "done"


def test_an_interruption_leaves_a_summary_to_resume(mask, pool, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PICTURES_PER_TASK", {"cpu": 1})
    for name in "abc":
        picture(tmp_path / "in" / f"{name}.png", ord(name))
    pool.interrupt_after = 2
    with pytest.raises(KeyboardInterrupt):
        mask([tmp_path / "in"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["status"] == "interrupted" and states(summary) == {"a": "done", "b": "done"}
    pool.interrupt_after = None
    assert states(mask([tmp_path / "in"], resume=True)) == {"a": "resumed", "b": "resumed", "c": "done"}


@pytest.mark.parametrize(("options", "complaint"), [
    ({"save": ("gif",)}, "--save must be one of(?s:.*)got 'gif'"), ({"weights": "no-such-net"}, "no-such-net"),
    ({"lam": 0.01}, "lambda must be between"), ({"encoder": "h265"}, "encoder must be one of"),
    ({"size": (70, 100)}, "multiples of")])
def test_wrong_options_stop_all_and_leave_the_folder(mask, tmp_path, options, complaint):
    picture(tmp_path / "a.png")
    with pytest.raises(DepthcueError, match=complaint):
        mask([tmp_path / "a.png"], **options)
    assert not (tmp_path / "out").exists()
    before = mask([tmp_path / "a.png"])
    with pytest.raises(DepthcueError, match=complaint):
        mask([tmp_path / "a.png"], **options)
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == before


def test_a_bug_in_a_worker_keeps_its_traceback(mask, tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    monkeypatch.setattr("depthcue.runtime.masking.Masking.run", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError, match="(?s)ZeroDivisionError"):
        mask([tmp_path / "a.png"])


def test_a_folder_that_is_not_shared_is_an_error(mask, tmp_path, monkeypatch):
    picture(tmp_path / "a.png")

    def missing(store, key):
        raise FileNotFoundError

    monkeypatch.setattr(Store, "open", missing)
    with pytest.raises(DepthcueError, match="does not see the folder"):
        mask([tmp_path / "a.png"])


def test_what_a_killed_driver_left_is_replaced_and_removed(mask, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SIGN).write_text("of another")
    mask([tmp_path / "a.png"])
    assert not list((tmp_path / "out").glob(".*"))


def test_another_folder_of_the_same_name_is_an_error(mask, tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    monkeypatch.setattr(Store, "open", lambda self, key: io.BytesIO(b"of another"))
    with pytest.raises(DepthcueError, match="does not see the folder"):
        mask([tmp_path / "a.png"])


def test_outputs_that_were_cut_are_made_again(mask, tmp_path):
    sources = [picture(tmp_path / "in" / f"{name}.png") or str(tmp_path / "in" / f"{name}.png") for name in "abc"]
    mask(sources)
    (tmp_path / "out" / "b_mask.png").write_bytes(b"")
    assert mask(sources, resume=True)["totals"]["resumed"] == 2
    assert (tmp_path / "out" / "b_mask.png").stat().st_size > 0


def test_another_version_on_a_worker_is_an_error(mask, tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    monkeypatch.setattr("depthcue.runtime.cluster_worker.__version__", "0.0.9")
    with pytest.raises(DepthcueError, match=r"depthcue 0\.0\.9"):
        mask([tmp_path / "a.png"])


def test_warnings_of_workers_are_logged_once(mask, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(cluster, "PICTURES_PER_TASK", {"cpu": 1})
    for name in "ab":
        picture(tmp_path / "in" / f"{name}.png")
    run = cluster_ray.stream

    def warning(*arguments, **how):
        for number, report in run(*arguments, **how):
            yield number, json.dumps({**json.loads(report), "warnings": ["going on with batches of 2"]})

    monkeypatch.setattr(cluster_ray, "stream", warning)
    mask([tmp_path / "in"])
    assert caplog.text.count("going on with batches of 2") == 1


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "out"))


@pytest.fixture
def often(monkeypatch):
    """A part for every portion of entries."""
    monkeypatch.setattr(cluster, "PART_BYTES", 1)


def entry(name, error=None, resumed=False, frames=1):
    return json.dumps({"path": f"in/{name} é.png", "name": name, "frames": frames, "error": error, "resumed": resumed,
                       "kind": "image", "outputs": [], "source": None})


def summary_of(store):
    return json.loads((store.local / SUMMARY).read_text(encoding="utf-8"))


def rows_of(store):
    with (store.local / TABLE).open(newline="", encoding="utf-8") as file:
        return [(row["path"], row["error"]) for row in csv.DictReader(file)]


def names(document):
    return [each["name"] for each in document["inputs"]]


def test_the_parts_become_one_document_and_are_gone(store, often, capsys):
    journal = Journal(store, resume=False)
    journal.know(OPTIONS, {"backend": "toy"})
    journal.add([entry("a"), entry("b", "broken")], failed=[1], frames=1)
    journal.add([entry("c", frames=7), entry("d", resumed=True)], resumed=1, frames=7)
    assert store.names(PARTS) == ["000000.jsonl", "000001.jsonl"] and not (store.local / SUMMARY).exists()
    journal.finish("done")
    document = journal.document()
    assert names(summary_of(store)) == ["a", "b", "c", "d"] and names(document) == ["a", "b", "c", "d"]
    assert {**summary_of(store), "inputs": None} == {**document, "inputs": None}
    totals = document["totals"]
    assert (totals["inputs"], totals["failed"], totals["resumed"], totals["frames"]) == (4, 1, 1, 8)
    assert rows_of(store) == [(f"in/{name} é.png", "broken" if name == "b" else "") for name in "abcd"]
    assert document["backend"] == "toy" and document["options"] == OPTIONS and document["status"] == "done"
    assert store.names(PARTS) == []
    print_summary(store.address)
    assert json.loads(capsys.readouterr().out) == summary_of(store)


def test_of_many_inputs_the_first_and_the_failed_are_shown(store):
    journal = Journal(store, resume=False)
    journal.know(OPTIONS, {})
    for start in range(0, 100, 10):
        lines = [entry(str(n), "broken" if n in (5, 77) else None) for n in range(start, start + 10)]
        journal.add(lines, failed=[n - start for n in (5, 77) if start <= n < start + 10])
    journal.finish("done")
    shown = names(journal.document())
    assert len(summary_of(store)["inputs"]) == 100 and 20 <= len(shown) <= 22
    assert shown.count("77") == shown.count("5") == 1


def test_an_empty_run_is_a_document_too(store):
    with Journal(store, resume=False) as journal:
        journal.know(OPTIONS, {})
    assert rows_of(store) == [] and (store.local / TABLE).read_text().startswith("path,kind,")
    assert summary_of(store)["inputs"] == [] and read_earlier(store) == (OPTIONS, {})


def test_a_run_that_fails_before_it_begins_leaves_what_was_there(store, often):
    with Journal(store, resume=False) as journal:
        journal.know(OPTIONS, {})
        journal.add([entry("a")])
    before = summary_of(store)
    with pytest.raises(DepthcueError), Journal(store, resume=False) as journal:
        journal.add([entry("unreadable", "broken")], failed=[0])
        raise DepthcueError("there are no such weights")
    assert summary_of(store) == before and store.names(PARTS) == []


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
    assert names(summary_of(store)) == ["a"] and not (store.local / PARTS).exists()


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
    assert (summary_of(store)["status"], summary_of(store)["totals"]["inputs"]) == ("interrupted", 3)
    assert names(summary_of(store)) == ["b", "c", "a"]
    assert rows_of(store) == [("in/b é.png", ""), ("in/c é.png", ""), ("in/a é.png", "")]
    with pytest.raises(KeyboardInterrupt), Journal(store, resume=True):
        raise KeyboardInterrupt  # before any worker has told the options
    assert names(summary_of(store)) == ["b", "c", "a"] and summary_of(store)["options"] == OPTIONS


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
    assert names(summary_of(store)) == ["b"]


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


def test_skipped_inputs_are_in_the_summary(store):
    with Journal(store, resume=False) as journal:
        journal.know(OPTIONS, {"backend": "torch"})
        journal.skip([("in/a.heic", "HEIC pictures cannot be read")])
        journal.add([entry("b")], frames=1)
    assert summary_of(store)["skipped"] == [{"path": "in/a.heic", "why": "HEIC pictures cannot be read"}]
    assert summary_of(store)["totals"]["skipped"] == 1 and names(summary_of(store)) == ["b"]
    assert read_earlier(store)[1].keys() == {"in/b é.png"}
