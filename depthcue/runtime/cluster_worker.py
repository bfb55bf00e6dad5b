"""One of many machines' workers: opens the nets once, then masks one portion of inputs after the other.

What it does is what one machine does, `masking`; inputs that lie in an object store are fetched by the threads that
decode them, and results that belong there are put by the threads that write them.

summary.json of a run on many machines, in memory that does not grow with the number of inputs.

Entries are written as they come, in parts of a few seconds, `summary.parts/000000.jsonl`; each part is whole or absent,
so a run whose driver dies loses some seconds of entries, and none that was written. At the end the parts become
summary.json, one line an entry, and summary.csv, and are removed.
"""

import codecs
import json
import logging
import os
import queue
import socket
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self, TextIO

from depthcue import __version__, documents
from depthcue.errors import DepthcueError
from depthcue.files import document, json_text
from depthcue.frames import Input
from depthcue.runtime.cluster_storage import Item, Store, from_text
from depthcue.runtime.jobs import Outcome, Prepared
from depthcue.runtime.mask_job import LONG_VIDEO
from depthcue.runtime.masking import Masking, MaskJob, MaskOptions, Plan, check_codecs, entry_of
from depthcue.runtime.saving import Rendered, Saver
from depthcue.runtime.summary import (
    SAVE_INTERVAL_S,
    SUMMARY,
    TABLE,
    TABLE_ROWS,
    fingerprint,
    keep_entry,
    read_summary,
    still_holds,
    totals,
    write_summary,
    write_table,
)
from depthcue.text import shown

SIGN = ".depthcue-running"
WAITING_READERS = 4
"""Times as many readers and writers where files come from or go to an object store: most of the time they wait."""


@dataclass(frozen=True)
class Order:
    """What every worker of a run is told."""

    options: MaskOptions
    """Its device is the kind of each worker's own: cpu, cuda, mps."""
    out: str
    """Place of the results."""
    here: str
    """The driver's working folder, to which paths are relative."""
    cores: int
    """CPU cores of a worker."""
    sign: str
    """What stands in the file SIGN in `out`, by which a worker sees that it is the same folder as the driver's."""
    earlier: dict[str, Any] | None = None
    """What decided the results of the run that is resumed."""


class MaskWorker:
    """Called with a portion of inputs, gives their entries; by several threads at the same time, too.

    It lives as long as its process. What goes wrong is given back, not raised: an exception would look like a fault of
    the machine, and be tried again.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._heard = _Heard()
        logging.getLogger("depthcue").addHandler(self._heard)
        self._trouble: dict[str, Any] = {}
        try:
            self._open(order)
        except DepthcueError as error:
            self._trouble = {"message": error.message, "hint": error.hint}
        except Exception:
            self._trouble = {"bug": traceback.format_exc()}

    def __call__(self, portion: dict[str, Any]) -> dict[str, Any]:
        """
        Args:
            portion: `number`, and `items` as `cluster_tasks.to_text` writes them.

        Returns:
            The `number`, and a `report` (JSON): entries as `lines` of JSON, which of them have `failed`, how many are
            `resumed`, how many `frames` were masked; or the `message` and `hint` of what stops all; or a `bug`.
            Always: `worker`, what was `heard` of its log, and once the nets are open their `record` and `name`.
        """
        report: dict[str, Any] = {"worker": {"host": socket.gethostname(), "pid": os.getpid(), "version": __version__}}
        try:
            report |= self._trouble or self._mask(from_text(portion["items"]))
        except DepthcueError as error:
            report |= {"message": error.message, "hint": error.hint}
        except Exception:
            report |= {"bug": traceback.format_exc()}
        return {"number": portion["number"], "report": json_text({**report, "heard": self._heard.take()})}

    def _open(self, order: Order) -> None:
        if os.path.isdir(order.here):
            os.chdir(order.here)  # specs of nets may hold relative paths
        self._store = Store(order.out)
        if not self._store.are_there([SIGN]) or not self._sees(order.sign):
            raise DepthcueError(f"{socket.gethostname()} does not see the folder {self._store.label}",
                                "Choose an --out on a disk that all machines share, or an address such as s3://….")
        plan = Plan.for_device(order.options.device, order.options.batch_size, cores=order.cores)
        if self._store.local is None:
            plan = replace(plan, writers=WAITING_READERS * plan.writers)
        self._masking = Masking(order.options, replace(plan, readers=WAITING_READERS * plan.readers), LONG_VIDEO)
        self._masking.__enter__()  # left when the process ends

    def _sees(self, sign: str) -> bool:
        with self._store.open(SIGN) as file:
            return file.read().decode() == sign

    def _mask(self, items: list[Item]) -> dict[str, Any]:
        resumes = self._order.earlier == self._masking.record
        entries: list[dict[str, Any]] = []
        todo: list[Item] = []
        for item in items:
            if resumes and item.earlier is not None and self._still_there(item, item.earlier):
                entries.append({**item.earlier, "resumed": True})
            else:
                todo.append(item)
        resumed = len(entries)
        with tempfile.TemporaryDirectory(prefix="depthcue-") as folder:
            out = self._store.local or Path(folder, "out")
            jobs = [self._job(item, out, Path(folder, "in")) for item in todo]
            check_codecs(self._order.options, [job.source for job in jobs])
            self._masking.run(jobs, lambda outcome: entries.append(outcome.job.entry(outcome)))
        return {"record": self._masking.record, "name": self._masking.name, "resumed": resumed,
                "frames": sum(entry["frames"] for entry in entries[resumed:]),
                "failed": [number for number, entry in enumerate(entries) if entry["error"]],
                "lines": [json_text(entry) for entry in entries]}

    def _still_there(self, item: Item, earlier: dict[str, Any]) -> bool:
        source = item.stamp or fingerprint(self._input(item))
        return still_holds(earlier, item.name, source) and (
            self._store.sizes(earlier["outputs"]) == earlier.get("output_bytes"))

    def _input(self, item: Item, fetched: Path = Path()) -> Input:
        """An input as it is opened here: where it lies, or in the folder it is fetched to."""
        if item.store is None:
            return Input(Path(self._order.here, item.label), item.kind, item.name)
        return Input(fetched / f"{item.name}{PurePosixPath(item.key).suffix}", item.kind, item.name)

    def _job(self, item: Item, out: Path, fetched: Path) -> "WorkerJob":
        job = self._masking.job(self._input(item, fetched), out, make=WorkerJob)
        assert isinstance(job, WorkerJob)
        job.item = item
        job.origin = None if item.store is None else Store(item.store)
        job.target = None if self._store.local is not None else self._store
        job.out = out
        return job


class WorkerJob(MaskJob):
    """A job whose input may have to be fetched, and whose results may have to be put elsewhere."""

    item: Item
    origin: Store | None
    """Where to fetch the input from; None: it lies where it is opened."""
    target: Store | None
    """Where to put the results; None: they are written to their place."""
    out: Path

    @contextmanager
    def read(self) -> Iterator[Iterator[Prepared]]:
        if self.origin is None:
            with super().read() as frames:
                yield frames
            return
        self.origin.fetch(self.item.key, self.source.path)
        try:
            with super().read() as frames:
                yield frames
        finally:
            self.source.path.unlink()  # a portion of them might fill the disk

    def open_sink(self) -> "Saver | _Putting":  # type: ignore[override]
        return self.saver if self.target is None else _Putting(self.saver, self.out, self.target)

    def entry(self, outcome: Outcome) -> dict[str, Any]:
        """As `entry_of`, under the name the input has for the user."""
        entry = {**entry_of(outcome, self.out), "path": shown(self.item.label)}
        if self.origin is not None:
            entry["source"] = self.item.stamp
            entry["error"] = entry["error"] and entry["error"].replace(
                shown(str(self.source.path)), shown(self.item.label))
        return entry


class _Putting:
    """A sink whose files go to a store when they are whole; see `jobs.JobSink`."""

    def __init__(self, saver: Saver, out: Path, target: Store) -> None:
        self._saver, self._out, self._target = saver, out, target

    def write(self, frame: Prepared, rendered: Rendered) -> None:
        self._saver.write(frame, rendered)

    def finish(self) -> None:
        self._saver.finish()
        for output in self._saver.outputs:
            for file in sorted(output.iterdir()) if output.is_dir() else [output]:
                self._target.put(file, file.relative_to(self._out).as_posix())
                file.unlink()

    def discard(self) -> None:
        self._saver.discard()


class _Heard(logging.Handler):
    """Keeps what is logged, to be told where someone reads it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.put(record.getMessage())

    def take(self) -> list[str]:
        """What has come since the last call."""
        taken = []
        while not self._messages.empty():
            taken.append(self._messages.get())
        return taken


PARTS = "summary.parts"
PART_BYTES = 16 * 2**20
"""A part is written when it has grown to this, or every few seconds."""
MAX_SHOWN = 1000
"""How many entries are kept to be shown to a person."""

log = logging.getLogger(__name__)


class Journal:
    """Collects the entries of a run and writes its summary; a context manager around the run."""

    def __init__(self, store: Store, resume: bool) -> None:
        """
        Args:
            store: the run's folder; untouched until a worker has opened its nets.
            resume: what an earlier run has told there is kept until this one has its own summary.
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
        """Take what decides the results, and more to record; the first that is told counts.

        Raises:
            DepthcueError: the folder cannot be read or written.
        """
        if self._options is not None:
            return
        self._options, self._facts = options, facts
        if self._resumed:
            self._next = 1 + max((int(name.partition(".")[0]) for name in self._store.names(PARTS)), default=-1)
        else:
            self._store.delete_folder(PARTS)
            self._store.delete(SUMMARY)
            self._store.delete(TABLE)

    def skip(self, skipped: Sequence[tuple[str, str]]) -> None:
        """Record pictures and videos, each with the reason, that were left out because of their kind."""
        self._skipped += [{"path": path, "why": why} for path, why in skipped]

    def add(self, lines: Sequence[str], *, failed: Sequence[int] = (), resumed: int = 0, frames: int = 0) -> None:
        """Add entries, each a line of JSON.

        Args:
            failed: which of them tell an error.
            resumed: how many of them are an earlier run's.
            frames: how many frames were masked for the others.
        """
        self._lines += lines
        self._nbytes += sum(map(len, lines))
        self._counts.update(inputs=len(lines), failed=len(failed), resumed=resumed, frames=frames)
        first = range(min(len(lines), max(TABLE_ROWS - len(self._shown), 0)))
        shown = [*first, *(number for number in failed if number not in first)]
        self._shown += [json.loads(lines[number]) for number in shown[:max(MAX_SHOWN - len(self._shown), 0)]]
        if self._nbytes >= PART_BYTES:
            self._write_part()

    def write_now_and_then(self) -> None:
        """Write what has come if that is some time ago.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        if time.perf_counter() - self._written_at > SAVE_INTERVAL_S:
            self._write_part()

    def finish(self, status: str) -> None:
        """Make summary.json and summary.csv of the parts and remove them; call after `know`.

        Where not all was done, entries of an earlier run that this one was to resume and did not come to are kept.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        self._write_part()
        kept = self._not_come_to() if self._resumed and status != "done" else []
        self._counts.update(inputs=len(kept), resumed=len(kept))
        document_fields = document("mask", status=status, options=self._options, **self._facts,
                                   totals=totals(self._counts, len(self._skipped), time.perf_counter() - self._started),
                                   skipped=self._skipped)
        with self._store.writing(SUMMARY) as file:
            write_summary(file, document_fields, self._document_lines(kept))
        with self._store.writing(TABLE) as file:
            write_table(file, self._document_lines(kept))
        self._store.delete_folder(PARTS)
        self._document = {**document_fields, "inputs": self._shown}

    def document(self) -> dict[str, Any]:
        """What summary.json says, once it is finished; of the inputs the first and those that failed alone."""
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

    def _not_come_to(self) -> list[str]:
        options, earlier = read_earlier(self._store)
        if options != self._options:
            return []
        for line in self._document_lines():
            earlier.pop(json.loads(line)["path"], None)
        return list(earlier.values())


def read_earlier(store: Store) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """What an earlier run into the same folder has finished: its options, and the entries (JSON) of inputs by label.

    A run that was cut off has left parts; they count for more than the summary.json of a run before it, whose entries
    stay only if its options were the same. Inputs that failed are left out. What cannot be understood is told and left.
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


def copy_summary(store: Store, to: TextIO) -> None:
    """Write the whole summary.json to a text stream."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with store.open(SUMMARY) as file:
        while chunk := file.read(2**20):
            to.write(decoder.decode(chunk))


def _read_part(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    head, *lines = text.removesuffix("\n").split("\n")
    entries: dict[str, str] = {}
    for line in lines:
        keep_entry(documents.parse(line), entries)
    return documents.checked_text(head, documents.SummaryPart)["options"], entries
