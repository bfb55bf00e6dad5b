"""Documents that anyone may have written: every reader gives what was written or one clear error, and soon.

What is tried: a valid document of each kind with one of its values, anywhere in it, replaced by something else, a field
taken away or renamed; and texts that are no document at all.
"""

import copy
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_nets import LastWord, save_small_pair

from depthcue import documents
from depthcue.errors import DepthcueError
from depthcue.export.onnx import graph_card
from depthcue.frames import Input
from depthcue.nets import load_depth_net, load_mask_net
from depthcue.nets.exported import described_mask_net, file_sha256, read_graph_card
from depthcue.nets.foreign.adapter import statement
from depthcue.nets.foreign.onnx_graph import _read_beside
from depthcue.probes.running import read_profile
from depthcue.report.page import _read_parts, write_page
from depthcue.report.provenance import in_short, provenance
from depthcue.runtime.cluster import read_earlier
from depthcue.runtime.cluster_storage import Store
from depthcue.runtime.summary import Summary
from depthcue.training.run import RunFolder

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
SOON_S = 20.0
FEW = settings(derandomize=True, deadline=None, database=None, max_examples=25,
               suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

ENTRY = {"path": "a.png", "name": "a", "kind": "image", "frames": 1, "share_kept": 0.2, "mean_mask": 0.3,
         "seconds": 0.1, "outputs": ["a_mask.png"], "notes": [], "error": None,
         "source": {"files": 1, "bytes": 3, "modified_ns": 4}, "resumed": False}
SUMMARY = {"schema": 1, "command": "mask", "options": {"weights": "compact-indoor", "lambda": 2.0}, "inputs": [ENTRY]}
PROFILE = {"schema": 1, "command": "probe", "target_net": {"name": "x"}, "stages": {"rendered": {"scenes": "road"}},
           "experiments": [], "profile": [{"cue": "haze", "value": 0.1, "ci95": [0.0, 0.2], "n": 9}]}


@dataclass(frozen=True)
class Reader:
    """A file, a valid document for it, and what reads it."""

    file: Path
    valid: Any
    read: Callable[[], object]

    @cached_property
    def ways(self) -> list[tuple[Any, ...]]:
        """To all values in the valid document."""
        return list(places(self.valid))

    def takes(self, text: str) -> bool:
        """Whether a text is read; anything but one clear error fails the test."""
        self.file.write_text(text, encoding="utf-8", errors="surrogatepass")
        started = time.monotonic()
        try:
            self.read()
        except DepthcueError as error:
            assert error.message
            taken = False
        else:
            taken = True
        assert time.monotonic() - started < SOON_S
        return taken


def weights(folder: Path) -> Reader:
    mask, _ = save_small_pair(folder)
    card = mask.with_suffix(".json")
    return Reader(card, json.loads(card.read_text()), lambda: load_mask_net(str(mask)))


def depth_weights(folder: Path) -> Reader:
    _, depth = save_small_pair(folder)
    card = depth.with_suffix(".json")
    return Reader(card, json.loads(card.read_text()), lambda: load_depth_net(str(depth)))


def graph(folder: Path) -> Reader:
    file = folder / "net.onnx"
    content = b"\x00no graph, which is not looked at here"
    file.write_bytes(content)
    card = graph_card("mask", LastWord().description, precision="fp32", sha256=file_sha256(file), bytes=len(content),
                      net_identity="x", runs_in_onnxruntime_on_cpu=True)
    return Reader(file.with_suffix(".json"), json.loads(json.dumps(card)),
                  lambda: described_mask_net(read_graph_card(file, "mask")))


def beside_a_graph(folder: Path) -> Reader:
    (folder / "net.onnx").touch()
    return Reader(folder / "net.json", {"predicts": "inverse", "size": "96x64"},
                  lambda: statement("net", {}, _read_beside(folder / "net.onnx"), {}))


def summary(folder: Path) -> Reader:
    options = dict(SUMMARY["options"])  # type: ignore[call-overload]

    def resume() -> None:
        text = (folder / "summary.json").read_text(encoding="utf-8", errors="surrogateescape")
        with Summary(folder, True, options, {}) as found:
            finished = dict(found._earlier)
            found.keep_finished(Input(folder / "a.png", "image", "a"))
        (folder / "summary.json").write_text(text, encoding="utf-8", errors="surrogateescape")
        if not finished:
            raise DepthcueError("nothing is resumed")

    return Reader(folder / "summary.json", SUMMARY, resume)


def summary_of_many(folder: Path) -> Reader:
    def read() -> None:
        if not read_earlier(Store(str(folder)))[1]:
            raise DepthcueError("nothing is resumed")

    return Reader(folder / "summary.json", SUMMARY, read)


def settings_of_a_run(folder: Path) -> Reader:
    valid = {"command": "train", "steps": 5, "lam": [1.0, 2.0], "target": "compact-indoor"}
    return Reader(folder / "config.json", valid, lambda: RunFolder(folder, valid, resume=True))


def beside_a_probe(folder: Path) -> Reader:
    return Reader(folder / "results.json", PROFILE, lambda: read_profile(folder))


def page(name: str) -> Callable[[Path], Reader]:
    def reader(folder: Path) -> Reader:
        return Reader(folder / "results.json", json.loads((RESULTS / f"{name}.json").read_text()),
                      # all but the drawing, which takes seconds
                      lambda: [(in_short(part.results), provenance(part.results)) for part in _read_parts([folder])])

    return reader


READERS = {reader.__name__: reader for reader in (weights, depth_weights, graph, beside_a_graph, summary,
                                                  summary_of_many, settings_of_a_run, beside_a_probe)}
PAGES = {name: page(name) for name in ("compare-edges-rooms", "evaluate-nyu", "compare-nets", "compare-losses",
                                       "findings-indoor", "probe-compact-road", "bench-cpu")}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=3),
    st.sampled_from([10**30, -1, 0, 60000, 2**31, 1e308, 1e-308, float("nan"), float("inf"), "\0", "\ud800", "../../x",
                     "/etc/passwd", "python:os:system", "x" * 100_000, "\x1b[2J", [], {}, [[]], {"a": {"b": []}}]))
NO_DOCUMENTS = {
    "empty": "", "cut": '{"schema": 1, "kind"', "a list": "[1, 2]", "a number": "3", "null": "null", "a text": '"x"',
    "deep": "[" * 100_000, "deep and whole": '{"schema": 1, "x": ' + "[" * 500 + "]" * 500 + "}", "NaN": '{"x": NaN}',
    "infinite": '{"x": 1e999}', "huge": '{"x": ' + "9" * 10_000 + "}", "twice": '{"schema": 1, "schema": 1}',
    "NUL": '{"x": "\\u0000"}', "half": '{"x": "\\ud800"}', "raw NUL": '{"x": "\0"}', "html": "<!DOCTYPE html>",
    "byte order": '\ufeff{"schema": 1}', "comment": '{"schema": 1} // x',
}


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return READERS[request.param](tmp_path)


def places(document: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all values in a document."""
    listed = enumerate(document) if isinstance(document, list) else ()
    for key, value in document.items() if isinstance(document, dict) else listed:
        yield (*here, key)
        yield from places(value, (*here, key))


def changed(data: st.DataObject, reader: Reader) -> Any:
    document, ways = copy.deepcopy(reader.valid), reader.ways
    for _ in range(data.draw(st.integers(1, 2))):
        *way, key = ways[data.draw(st.integers(0, len(ways) - 1))]
        inside = document
        try:
            for step in way:
                inside = inside[step]
            if data.draw(st.booleans()) and isinstance(inside, dict):
                value = inside.pop(key)
                if data.draw(st.booleans()):
                    inside["of another name"] = value
            else:
                inside[key] = data.draw(VALUES)
        except (LookupError, TypeError):  # taken away before
            continue
    return document


def test_what_was_written_is_read(reader: Reader) -> None:
    assert reader.takes(json.dumps(reader.valid))
    if reader.file.name != "config.json" and "predicts" not in reader.valid:  # of which all that is said counts
        assert reader.takes(json.dumps({**reader.valid, "of_a_newer_version": {"x": [1, 2]}}))


@pytest.mark.parametrize("kind", NO_DOCUMENTS)
def test_what_is_no_document_is_told(kind: str, reader: Reader) -> None:
    assert not reader.takes(NO_DOCUMENTS[kind])


def test_what_is_no_file_is_told_and_not_waited_for(reader: Reader) -> None:
    for make in (lambda: os.mkfifo(reader.file), lambda: reader.file.mkdir(),
                 lambda: reader.file.symlink_to("/dev/zero"), lambda: reader.file.write_bytes(b"\xff\xfe{}\x00")):
        if reader.file.is_dir():
            reader.file.rmdir()
        reader.file.unlink(missing_ok=True)
        make()
        if reader.file.name == "summary.json" and not reader.file.is_file():
            continue  # nothing could be written in its place either
        with pytest.raises(DepthcueError):
            reader.read()


@cache
def _reader_of(kind: str, folder: Path) -> Reader:
    return PAGES[kind](folder)


@FEW
@given(data=st.data())
def test_a_changed_document_is_read_or_told(reader: Reader, data: st.DataObject) -> None:
    reader.takes(json.dumps(changed(data, reader)))


@settings(FEW, max_examples=10)
@given(data=st.data())
@pytest.mark.parametrize("kind", PAGES)
def test_a_page_of_changed_results_is_written_or_refused(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    reader = _reader_of(kind, tmp_path)
    reader.takes(json.dumps(changed(data, reader)))


@pytest.mark.parametrize(("field", "value"), [("curves", 3), ("target", []),
                                              ("curves", {"mask": [{"sparseness": "x"}]})])
def test_a_whole_page_of_changed_results_is_refused(field: str, value: Any, tmp_path: Path) -> None:
    document = json.loads((RESULTS / "compare-edges-rooms.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps({**document, field: value}))
    with pytest.raises(DepthcueError, match=re.escape(str(tmp_path))):
        write_page([tmp_path], tmp_path / "page.html", pictures=False)
    assert not (tmp_path / "page.html").exists()


@FEW
@given(text=st.text(max_size=60))
def test_any_text_is_read_or_told(text: str) -> None:
    try:
        documents.parse(text)
    except documents.Malformed as error:
        assert str(error)


@pytest.mark.parametrize(("field", "value"), [
    (("description", "height"), 60000), (("description", "multiple"), 0), (("description", "std"), [0.0, 1.0, 1.0]),
    (("description", "mean"), [0.0, 1.0]), (("description", "default_lambda"), "2"), (("description", "height"), True),
    (("description", "keep_range"), [0.9, 0.1]), (("description", "keep_range"), "x"),
    (("description", "default_keep"), 7), (("description", "default_keep"), None),
    (("description", "lambda_range"), [6.0, 0.5]), (("config", "widths"), [10**6] * 5), (("config", "widths"), [[8]]),
    (("config", "widths"), [8]),
    (("config", "of_no_net"), 1), (("architecture",), ["compact"]), (("kind",), "both"), (("sha256",), "x"),
])
def test_a_card_beyond_the_limits_is_told(field: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    reader = weights(tmp_path)
    card = copy.deepcopy(reader.valid)
    inside = card
    for step in field[:-1]:
        inside = inside[step]
    inside[field[-1]] = value
    assert not reader.takes(json.dumps(card))


@pytest.mark.parametrize("path", ["../x.png", "/etc/passwd", "a/../../x.png", "link/x.png"])
def test_a_document_names_files_beside_it_alone(path: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    (tmp_path / "x.png").touch()
    with pytest.raises(DepthcueError, match="outside"):
        documents.beside(tmp_path / "out", path)
    assert documents.beside(tmp_path, "out/x.png") == tmp_path / "out" / "x.png"


def test_a_run_is_not_resumed_from_damaged_files(tmp_path: Path) -> None:
    config = {"command": "train"}
    RunFolder(tmp_path, config, resume=False).begin()
    run = RunFolder(tmp_path, config, resume=True)
    for content in (b"", b"PK\x03\x04", b"\x80\x02csystem\nx\n."):
        run.checkpoint_file.write_bytes(content)
        with pytest.raises(DepthcueError, match="checkpoint"):
            run.load_checkpoint()
    for line in ("{}", "3", '{"step": NaN}', "[" * 5000, '{"step": "1"}'):
        run.metrics_file.write_text(f'{{"step": 1}}\n{line}\n')
        with pytest.raises(DepthcueError, match=r"metrics\.jsonl"):
            run.keep_metrics_before(5)
    run.metrics_file.write_text('{"step": 1}\n{"step": 9}\n{"step": 2')
    run.keep_metrics_before(5)
    assert run.metrics_file.read_text() == '{"step": 1}\n'
