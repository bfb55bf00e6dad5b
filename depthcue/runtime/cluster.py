"""`depthcue mask --cluster`: the masking of one machine on many, through Ray Data, and its summary.

The driver, this process, lists the inputs by name. Workers, one for each GPU or slot of cores, open the nets once,
read, mask and write, and report an entry of each input to the driver, which keeps the summary. No picture passes
through the driver or the cluster's memory; the driver holds names. A worker that dies is started again, and its inputs
are done again; none of its files is half-written under its name. An input fails, like one that cannot be read, if its
worker dies again and again with that input alone.

The memory of the driver does not grow with the number of inputs: a `Journal` writes entries as they come, in parts of a
few seconds, `summary.parts/000000.jsonl`: a line with the run's options, then a line for each entry. Each part is whole
or absent, so a run whose driver dies loses some seconds of entries, and none that was written. At the end the parts
become summary.json, one line an entry, and summary.csv, and are removed.
"""

import io
import json
import logging
import os
import shutil
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Self

from depthcue import __version__, documents
from depthcue.errors import DepthcueError, shown, without_password
from depthcue.files import document, json_text, remove_partials
from depthcue.progress import Progress
from depthcue.runtime import cluster_ray
from depthcue.runtime.cluster_ray import LOCAL, Slots
from depthcue.runtime.cluster_storage import Item, Store, find_items, from_text, portions, to_text
from depthcue.runtime.cluster_worker import SIGN, WorkerSettings
from depthcue.runtime.jobs import interruptible
from depthcue.runtime.masking import MaskOptions, checked
from depthcue.runtime.summary import (
    SAVE_INTERVAL_S,
    SUMMARY,
    TABLE,
    TABLE_ROWS,
    keep_entry,
    read_summary,
    totals,
    unreadable_entry,
    write_summary,
    write_table,
)

PICTURES_PER_TASK = {"cuda": 1024, "cpu": 64}
"""About a second of a worker's time. Smaller tasks cost more to start. Larger ones lose more when a worker dies, and
leave more workers idle at the end."""
TASKS_PER_WORKER = 4
"""Least number of tasks a worker, if there are pictures enough, so that all workers end at about the same time."""
TRIES = 2
"""Number of times that a task whose worker dies is begun, before its inputs are tried one by one."""
TRIES_ALONE = 2
"""Number of times that an input is tried alone."""
PARTS = "summary.parts"
PART_BYTES = 16 * 2**20
"""Size at which a part is written; a smaller one is written every few seconds."""
MAX_SHOWN = 1000
"""Number of entries that are kept for the table on the terminal."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterOptions:
    """Machines of a run."""

    address: str = LOCAL
    """Address of a Ray cluster, `HOST:PORT`; or `local`."""
    workers: int | None = None
    """None: one for each GPU, or for every four cores."""


def mask_on_cluster(sources: Sequence[str], out: str, options: MaskOptions, cluster: ClusterOptions,
                    progress: Progress) -> dict[str, Any]:
    """Mask every picture and video of `sources` into `out`; return the summary, also `out`/summary.json.

    The returned summary holds only the first of the inputs and those that failed, because there may be millions. An
    input that fails has its error in the summary, and the others go on. After Ctrl-C or SIGTERM the finished files
    stay, the summary says how far the run came, and the interruption is raised.

    Args:
        sources: as `mask_sources` takes them, live ones excepted; and addresses in object stores, s3://BUCKET/PATH.
        out: a folder that all machines share, or an address in an object store.

    Raises:
        DepthcueError: nothing to work on, a wrong option, weights that do not load, a folder that cannot be written or
            is not shared, no cluster.
    """
    options = checked(options)
    store = Store(out)
    found = find_items(sources, store)
    earlier_options, earlier = read_earlier(store) if options.resume else (None, {})
    started = time.time()
    whole = False
    try:
        with cluster_ray.joined(cluster.address), _signed(store) as sign:
            slots = cluster_ray.find_slots(options.device, cluster.workers)
            settings = WorkerSettings(replace(options, device=slots.device), store.address, os.getcwd(), slots.cores,
                                      sign, earlier_options)
            journal = Journal(store, options.resume)
            journal.skip(found.skipped)
            for source, error in found.unreadable:
                log.error("%s", error)
                journal.add([json_text(unreadable_entry(source, error))], failed=[0])
            progress.start("masking", len(found.items))
            run = _Run(settings, slots, cluster.address, journal, progress)
            with interruptible() as raise_interruption, journal:
                run.mask(_with_earlier(found.items, earlier), raise_interruption)
            whole = not run.lost_workers
    finally:
        if store.local is not None and not whole:
            remove_partials(store.local, since=started)
    return journal.document()


def print_summary(out: str) -> None:
    """Print the whole summary of a run into `out` on stdout."""
    with Store(out).open(SUMMARY) as file:
        shutil.copyfileobj(io.TextIOWrapper(file, "utf-8", newline=""), sys.stdout)


class Journal:
    """Entries of a run on their way to its summary; a context manager around the run."""

    def __init__(self, store: Store, resume: bool) -> None:
        """
        Args:
            store: the run's folder; untouched until a worker has opened its nets.
            resume: keep the entries of an earlier run until this one has its own summary.
        """
        self._store = store
        self._resumed = resume
        self._started = time.perf_counter()
        self._written_at = self._started
        self._lines: list[str] = []
        self._nbytes = 0
        self._parts: list[str] = []
        self._counts: Counter[str] = Counter()
        self._shown: list[dict[str, Any]] = []
        self._options: dict[str, Any] | None = None
        self._facts: dict[str, Any] = {}
        self._document: dict[str, Any] = {}
        self._next = 0
        self._skipped: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if error is not None and self._options is None:
            return  # nothing has begun
        try:
            self.finish("done" if error is None else "failed" if isinstance(error, Exception) else "interrupted")
        except DepthcueError as reason:
            if error is None:
                raise
            log.error("%s", reason)  # the first error is the one to raise

    def know(self, options: dict[str, Any], facts: dict[str, Any]) -> None:
        """Take the options that decide the results, and facts to record; only the first call counts.

        Raises:
            DepthcueError: the folder cannot be read or written.
        """
        if self._options is not None:
            return
        self._options, self._facts = options, facts
        if self._resumed:
            self._next = 1 + max((int(name.partition(".")[0]) for name in self._store.names(PARTS)), default=-1)
        else:
            self._store.delete(PARTS)
            self._store.delete(SUMMARY)
            self._store.delete(TABLE)

    def skip(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Record pictures and videos, each with the reason, that were left out because of their kind."""
        self._skipped += [{"path": path, "why": why} for path, why in skipped]

    def add(self, lines: Sequence[str], *, failed: Sequence[int] = (), resumed: int = 0, frames: int = 0) -> None:
        """Add entries, each a line of JSON.

        Args:
            failed: indices of those with an error.
            resumed: number of those taken over from an earlier run.
            frames: number of frames masked for the others.
        """
        self._lines += lines
        self._nbytes += sum(map(len, lines))
        self._counts.update(inputs=len(lines), failed=len(failed), resumed=resumed, frames=frames)
        first = range(min(len(lines), max(TABLE_ROWS - len(self._shown), 0)))
        shown = [*first, *(number for number in failed if number not in first)]
        self._shown += [json.loads(lines[number]) for number in shown[:max(MAX_SHOWN - len(self._shown), 0)]]
        if self._nbytes >= PART_BYTES:
            self._write_part()

    def save_now_and_then(self) -> None:
        """Write a part if the last one was written some seconds ago.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        if time.perf_counter() - self._written_at > SAVE_INTERVAL_S:
            self._write_part()

    def finish(self, status: str) -> None:
        """Make summary.json and summary.csv of the parts and remove them; call after `know`.

        A run that ended early keeps the entries of the run it resumes for inputs that it has not reached.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        self._write_part()
        kept = self._not_reached() if self._resumed and status != "done" else []
        self._counts.update(inputs=len(kept), resumed=len(kept))
        document_fields = document("mask", status=status, options=self._options, **self._facts,
                                   totals=totals(self._counts, len(self._skipped), time.perf_counter() - self._started),
                                   skipped=self._skipped)
        with self._store.writing(SUMMARY) as file:
            write_summary(file, document_fields, self._document_lines(kept))
        with self._store.writing(TABLE) as file:
            write_table(file, self._document_lines(kept))
        self._store.delete(PARTS)
        self._document = {**document_fields, "inputs": self._shown}

    def document(self) -> dict[str, Any]:
        """The finished summary.json, with only the first of its inputs and those that failed."""
        return self._document

    def _write_part(self) -> None:
        self._written_at = time.perf_counter()
        if not self._lines or self._options is None:
            return
        name = f"{PARTS}/{self._next:06d}.jsonl"
        with self._store.writing(name) as file:
            for line in (json_text({"options": self._options}), *self._lines):
                file.write(line.encode() + b"\n")
        self._parts.append(name)
        self._next += 1
        self._lines, self._nbytes = [], 0

    def _document_lines(self, kept: Iterable[str] = ()) -> Iterator[bytes]:
        """This run's entries, from its parts; then those `kept` of an earlier run."""
        for name in self._parts:
            with self._store.open(name) as file:
                yield from file.read().split(b"\n")[1:-1]
        yield from (line.encode() for line in kept)

    def _not_reached(self) -> list[str]:
        options, earlier = read_earlier(self._store)
        if options != self._options:
            return []
        for line in self._document_lines():
            earlier.pop(json.loads(line)["path"], None)
        return list(earlier.values())


def read_earlier(store: Store) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Options of an earlier run into the same folder, and its finished entries (JSON) by label.

    A run that was cut off has left parts. They replace entries in the summary.json of a run before it, and all of them
    if its options were others. Inputs that failed are left out. A damaged file is skipped with a warning.
    """
    options: dict[str, Any] | None = None
    entries: dict[str, str] = {}
    for key in (SUMMARY, *(f"{PARTS}/{name}" for name in store.names(PARTS))):
        try:
            with store.open(key) as file:
                text = file.read().decode()
            document_fields, lines = read_summary(text) if key == SUMMARY else _read_part(text)
            if document_fields != options:
                options, entries = document_fields, {}
            entries.update(lines)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError) as error:
            log.warning("nothing is resumed from %s: it cannot be used: %s", store.path(key), error)
    return options, entries


def _read_part(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    head, *lines = text.removesuffix("\n").split("\n")
    entries: dict[str, str] = {}
    for line in lines:
        keep_entry(documents.parse(line), entries)
    return documents.checked_text(head, documents.SummaryPart)["options"], entries


class _Run:
    """Sends inputs to workers and their reports to the journal."""

    def __init__(self, settings: WorkerSettings, slots: Slots, address: str, journal: Journal,
                 progress: Progress) -> None:
        self._settings = settings
        self._slots = slots
        self._cluster = {"address": without_password(address), **asdict(slots)}
        self._journal = journal
        self._progress = progress
        self._open: dict[int, str] = {}
        """Tasks without a report, by number."""
        self._workers: set[tuple[str, int]] = set()
        self._warnings: set[str] = set()
        self.lost_workers = False

    def mask(self, items: Sequence[Item], raise_interruption: Callable[[], None]) -> None:
        """Mask all items, those of workers that died again and again one by one."""
        def poll() -> None:
            raise_interruption()
            self._journal.save_now_and_then()

        pictures = sum(item.kind == "image" for item in items)
        largest = PICTURES_PER_TASK.get(self._slots.device, PICTURES_PER_TASK["cpu"])
        each = min(largest, -(-pictures // (TASKS_PER_WORKER * self._slots.workers)))
        self._pass_through(portions(items, max(each, 1)), poll, tries=TRIES)
        if not self._open:
            return
        again = [item for text in self._open.values() for item in from_text(text)]
        log.warning("workers died: %d input%s tried again, one by one", len(again), "s are" if again[1:] else " is")
        self._pass_through(portions(again, 1), poll, tries=TRIES_ALONE, alone=True)
        for text in self._open.values():
            (item,) = from_text(text)
            self._give_up(item)

    def _pass_through(self, tasks: Iterable[Sequence[Item]], poll: Callable[[], None], **how: Any) -> None:
        """Run tasks; afterwards `_open` holds those that no worker survived."""
        self._open = {number: to_text(items) for number, items in enumerate(tasks)}
        for number, report in cluster_ray.stream(list(self._open.items()), self._settings, self._slots, poll, **how):
            # a worker that dies after its report has left may give another one
            if self._open.pop(number, None) is not None:
                self._take(json.loads(report))
        self.lost_workers |= bool(self._open) or len(self._workers) > self._slots.workers

    def _take(self, report: dict[str, Any]) -> None:
        worker = report["worker"]
        self._workers.add((worker["host"], worker["pid"]))
        for message in report["warnings"]:
            if message not in self._warnings:  # every worker logs it
                self._warnings.add(message)
                log.warning("%s: %s", worker["host"], message)
        if worker["version"] != __version__:
            raise DepthcueError(f"{worker['host']} has depthcue {worker['version']}, this machine {__version__}",
                                "Install the same on all.")
        if "message" in report:
            raise DepthcueError(report["message"], report["hint"])
        if "bug" in report:
            raise RuntimeError(f"a worker on {worker['host']} failed:\n{report['bug']}")
        self._journal.know(report["record"], {"backend": report["name"], "cluster": self._cluster})
        lines = report["lines"]
        for number in report["failed"]:
            entry = json.loads(lines[number])
            log.error("%s", entry["error"] if entry["path"] in entry["error"] else f"{entry['path']}: {entry['error']}")
        self._journal.add(lines, failed=report["failed"], resumed=report["resumed"], frames=report["frames"])
        self._progress.advance(len(lines))

    def _give_up(self, item: Item) -> None:
        error = DepthcueError(f"{item.label}: the worker that had it died, {TRIES_ALONE} times with it alone",
                              "It takes more memory than a worker has, or makes a decoder crash.")
        log.error("%s", error)
        entry = {**unreadable_entry(item.label, error), "name": item.name, "kind": item.kind}
        self._journal.add([json_text(entry)], failed=[0])
        self._progress.advance()


@contextmanager
def _signed(store: Store) -> Iterator[str]:
    """Keep a file in the store by which workers know that it is the driver's; gives the file's content.

    Its name is always the same, so that the next run replaces and removes what a killed driver left.

    Raises:
        DepthcueError: the store cannot be written.
    """
    sign = uuid.uuid4().hex
    new = store.local is not None and not store.local.exists()
    with store.writing(SIGN) as file:
        file.write(sign.encode())
    try:
        yield sign
    finally:
        store.delete(SIGN)
        if new and store.local is not None:
            with suppress(OSError):  # something lies in it
                store.local.rmdir()


def _with_earlier(items: Iterable[Item], earlier: dict[str, str]) -> list[Item]:
    """The items, each with its entry of the run that is resumed."""
    return [replace(item, earlier=json.loads(earlier.pop(shown(item.label))))
            if shown(item.label) in earlier else item for item in items]
