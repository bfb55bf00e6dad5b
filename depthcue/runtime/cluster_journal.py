"""summary.json of a run on many machines, in memory that does not grow with the number of inputs.

Entries are written as they come, in parts of a few seconds, `summary.parts/000000.jsonl`: a line with the run's
options, then a line for each entry. Each part is whole or absent, so a run whose driver dies loses some seconds of
entries, and none that was written. At the end the parts become summary.json, one line an entry, and summary.csv, and
are removed.
"""

import io
import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from depthcue import documents
from depthcue.errors import DepthcueError
from depthcue.files import document, json_text
from depthcue.runtime.cluster_storage import Store
from depthcue.runtime.summary import (
    SAVE_INTERVAL_S,
    SUMMARY,
    TABLE,
    TABLE_ROWS,
    keep_entry,
    read_summary,
    totals,
    write_summary,
    write_table,
)

PARTS = "summary.parts"
PART_BYTES = 16 * 2**20
"""Size at which a part is written; a smaller one is written every few seconds."""
MAX_SHOWN = 1000
"""Number of entries that are kept to be shown to a person."""

log = logging.getLogger(__name__)


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


def copy_summary(store: Store, to: TextIO) -> None:
    """Write the whole summary.json to a text stream."""
    with store.open(SUMMARY) as file:
        shutil.copyfileobj(io.TextIOWrapper(file, "utf-8", newline=""), to)


def _read_part(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    head, *lines = text.removesuffix("\n").split("\n")
    entries: dict[str, str] = {}
    for line in lines:
        keep_entry(documents.parse(line), entries)
    return documents.checked_text(head, documents.SummaryPart)["options"], entries
