"""summary.json of a run on many machines, in memory that does not grow with the number of inputs.

Entries are written as they come, in parts of a few seconds, `summary.parts/000000.jsonl`; each part is whole or absent,
so a run whose driver dies loses some seconds of entries, and none that was written. At the end the parts become
summary.json, one line an entry, and are removed.
"""

import codecs
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from types import TracebackType
from typing import Any, Self, TextIO

from depthcue import documents
from depthcue.errors import DepthcueError
from depthcue.record import document, json_text
from depthcue.runtime.cluster_storage import Store
from depthcue.runtime.summary import (
    SAVE_INTERVAL_S,
    SUMMARY,
    TABLE_ROWS,
    keep_entry,
    read_summary,
    totals,
    write_summary,
)

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
        """Make summary.json of the parts and remove them; call after `know`.

        Where not all was done, entries of an earlier run that this one was to resume and did not come to are kept.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        self._write_part()
        kept = self._not_come_to() if self._resumed and status != "done" else []
        self._counts.update(inputs=len(kept), resumed=len(kept))
        told = document("mask", status=status, options=self._options, **self._facts,
                        totals=totals(self._counts, len(self._skipped), time.perf_counter() - self._started),
                        skipped=self._skipped)
        with self._store.writing(SUMMARY) as file:
            write_summary(file, told, chain(self._told(), (line.encode() for line in kept)))
        self._store.delete_folder(PARTS)
        self._document = {**told, "inputs": self._shown}

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

    def _told(self) -> Iterator[bytes]:
        """This run's entries, from its parts."""
        for name in self._parts:
            with self._store.open(name) as file:
                yield from file.read().split(b"\n")[1:-1]

    def _not_come_to(self) -> list[str]:
        options, earlier = read_earlier(self._store)
        if options != self._options:
            return []
        for line in self._told():
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
            told, lines = read_summary(text) if key == SUMMARY else _read_part(text)
            if told != options:
                options, entries = told, {}
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
    return documents.checked_text(head, documents.Part)["options"], entries
