"""summary.json and summary.csv of a mask run: the outcome of each input; and resuming a run that was interrupted."""

import csv
import hashlib
import io
import json
import logging
import re
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from depthcue import documents
from depthcue.errors import DepthcueError, shown, without_password, without_secrets
from depthcue.files import atomic_path, document, json_text, make_folder, require_own
from depthcue.frames import Input
from depthcue.frames.inputs import sequence_files

SUMMARY = "summary.json"
TABLE = "summary.csv"
TABLE_COLUMNS = ("path", "kind", "frames", "share_kept", "mean_mask", "depth_change", "seconds", "error")
"""Numbers of an entry that a spreadsheet takes; see `masking.entry_of`."""
SAVE_INTERVAL_S = 5.0
TABLE_ROWS = 20
"""Inputs that the table on the terminal shows, beside those that failed."""
HASHED_BYTES = 2**16
"""Bytes of a file's beginning and of its end in its fingerprint, beside its size and time."""

_ENTRIES = '"inputs": ['
_BETWEEN = re.compile(r"[\s,]*")

log = logging.getLogger(__name__)


class Summary:
    """Collects entries and keeps OUT/summary.json up to date; a context manager around the run.

    Entries wait in a file without a name, so that memory does not grow with their number. The summary of an earlier run
    stays until `begin`, and a run that resumes it keeps all its entries until their inputs have had their turn: it may
    be killed at any moment without losing any. May be used from several threads.
    """

    def __init__(self, out: Path, resume: bool, options: dict[str, Any], facts: dict[str, Any]) -> None:
        """
        Args:
            options: what decides the results; entries of an earlier run are only taken over if these are the same.
            facts: other fields of the document.

        Raises:
            DepthcueError: the folder cannot be written, or holds a summary of another program.
        """
        self._out = make_folder(out)
        self.follows_another = require_own(self._out / "summary.json")
        """Whether an earlier run wrote to the folder."""
        if not self.follows_another and (self._out / "summary.csv").exists():
            raise DepthcueError(f"{self._out / 'summary.csv'} is there already, and depthcue did not write it",
                                "Choose another --out, or move it away.")
        self._lock = threading.Lock()
        self._skipped: list[dict[str, str]] = []
        self._counts: Counter[str] = Counter()
        self._status = "running"
        self._started = time.perf_counter()
        self._seconds: float | None = None
        self._begun = False
        self._document = document("mask", status=self._status, options=options, **facts)
        self._earlier = self._read_finished(options) if resume else {}
        self._saved_at = time.perf_counter()
        self._save_cost_s = 0.0
        try:
            self._lines: IO[bytes] = tempfile.TemporaryFile(dir=out)
        except OSError as error:
            raise DepthcueError(f"the folder {out} cannot be written: {error.strerror}",
                                "Choose another --out, or change its rights.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if error is None:
            self._status = "done"
        else:
            self._status = "failed" if isinstance(error, Exception) else "interrupted"
        self._seconds = time.perf_counter() - self._started
        if error is not None and not self._begun:
            return  # nothing was done
        try:
            self._save()
            self._save_table()
        except DepthcueError as reason:
            if error is None:
                raise
            log.error("%s", reason)  # the first error is the one to raise

    def begin(self) -> None:
        """Replace the summary of an earlier run; call when the work begins.

        Raises:
            DepthcueError: it cannot be written.
        """
        self._begun = True
        self._save()

    def keep_finished(self, source: Input) -> bool:
        """Keep the entry of an earlier run that has finished this input and whose files are still as it left them.

        Returns:
            Whether there is such an entry: then the input needs no masking.
        """
        with self._lock:
            line = self._earlier.pop(shown(source.label), None)
        if line is None:
            return False
        entry = json.loads(line)
        if not still_holds(entry, source.name, fingerprint(source)):
            return False
        if [nbytes_of(self._out / output) for output in entry["outputs"]] != entry.get("output_bytes"):
            return False
        self.add({**entry, "resumed": True})
        return True

    def add(self, entry: dict[str, Any]) -> None:
        """Add an input that has ended, or a source that gave none."""
        with self._lock:
            self._lines.write(json_text(entry).encode() + b"\n")
            self._counts.update(inputs=1, failed=entry["error"] is not None, resumed=entry["resumed"],
                                frames=0 if entry["resumed"] else entry["frames"])

    def skip(self, path: str, why: str) -> None:
        """Record a picture or video that was left out because files of its kind are not read."""
        with self._lock:
            self._skipped.append({"path": shown(path), "why": why})

    def save_now_and_then(self) -> None:
        """Save if the last time was some seconds ago; less often where saving takes long."""
        if time.perf_counter() - self._saved_at > max(SAVE_INTERVAL_S, 50 * self._save_cost_s):
            self._save()

    def know(self, **facts: Any) -> None:
        """Record more facts, or replace those that have changed."""
        self._document.update(facts)

    def document(self) -> dict[str, Any]:
        """The whole document."""
        with self._lock:
            fields, lines = self._document_parts()
            return {**fields, "inputs": [json.loads(line) for line in lines]}

    def _document_parts(self) -> tuple[dict[str, Any], Iterator[bytes]]:
        """The document but for its entries, and those, a line each; with the lock held while they are iterated."""
        seconds = time.perf_counter() - self._started if self._seconds is None else self._seconds
        kept = [] if self._status == "done" else list(self._earlier.values())
        counts = self._counts + Counter(inputs=len(kept), resumed=len(kept))
        fields = {**self._document, "status": self._status, "totals": totals(counts, len(self._skipped), seconds),
                  "skipped": list(self._skipped)}
        self._lines.seek(0)
        return fields, chain((line.rstrip(b"\n") for line in self._lines), (line.encode() for line in kept))

    def _save(self) -> None:
        start = time.perf_counter()
        with self._lock, atomic_path(self._out / SUMMARY) as partial, partial.open("wb") as file:
            write_summary(file, *self._document_parts())
        self._saved_at = time.perf_counter()
        self._save_cost_s = self._saved_at - start

    def _save_table(self) -> None:
        with self._lock, atomic_path(self._out / TABLE) as partial, partial.open("wb") as file:
            write_table(file, self._document_parts()[1])

    def _read_finished(self, options: dict[str, Any]) -> dict[str, str]:
        path = self._out / SUMMARY
        try:
            earlier, entries = read_summary(documents.read_text(path, documents.SUMMARY_BYTES))
            if earlier != options:
                changed = sorted(key for key in options if earlier.get(key) != options[key])
                log.warning("nothing is resumed: other %s than in %s", ", ".join(changed), path)
                return {}
            return entries
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("nothing is resumed: %s cannot be used: %s", path, error)
            return {}


def totals(counts: Counter[str], skipped: int, seconds: float) -> dict[str, Any]:
    """Totals of a summary over all entries, from `inputs`, `failed`, `resumed` and `frames`."""
    frames = counts["frames"]
    return {**{name: counts[name] for name in ("inputs", "failed", "resumed", "frames")}, "skipped": skipped,
            "seconds": seconds, "frames_per_second": frames / seconds if frames else None}


def write_summary(file: IO[bytes], fields: dict[str, Any], lines: Iterable[bytes]) -> None:
    """Write a summary's document whose `inputs` are lines of JSON, one each, without holding them all."""
    opening = json_text(fields, indent=2).removesuffix("\n}")
    file.write(f"{opening},\n  {_ENTRIES}".encode())
    before = b"\n    "
    for line in lines:
        file.write(before + line)
        before = b",\n    "
    file.write(b"\n  ]\n}\n")


def write_table(file: IO[bytes], lines: Iterable[bytes]) -> None:
    """Write the numbers of entries, each a line of JSON, as a table for a spreadsheet (CSV in UTF-8)."""
    row = io.StringIO()
    writer = csv.DictWriter(row, TABLE_COLUMNS, extrasaction="ignore")
    writer.writeheader()
    for line in lines:
        writer.writerow(json.loads(line))
        file.write(row.getvalue().encode())
        row.seek(0)
        row.truncate()
    file.write(row.getvalue().encode())  # the header alone, where there are no entries


def read_summary(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Options of a summary, and its finished entries as JSON by label; read entry by entry, for there may be millions.

    Raises:
        ValueError, RecursionError: it is no summary.
    """
    head, found, rest = text.partition(_ENTRIES)
    fields = documents.checked_text(f"{head}{_ENTRIES}]}}" if found else text, documents.SummaryDocument)
    entries: dict[str, str] = {}
    decoder, position = documents.decoder(), 0
    while True:
        between = _BETWEEN.match(rest, position)
        position = between.end() if between is not None else position
        if rest.startswith("]", position):
            return fields["options"], entries
        entry, position = decoder.raw_decode(rest, position)
        keep_entry(entry, entries)


def keep_entry(entry: Any, entries: dict[str, str]) -> None:
    """Add an entry to those by label if its input was finished.

    Raises:
        documents.Malformed: it is no entry.
    """
    documents.checked(entry, documents.SummaryEntry)
    if entry["error"] is None:
        entries[entry["path"]] = json_text(entry)


def unreadable_entry(source: str, error: DepthcueError) -> dict[str, Any]:
    """The entry of a source that gave no inputs."""
    return {
        "path": shown(without_password(source)), "name": None, "kind": None, "frames": 0, "share_kept": None,
        "mean_mask": None, "depth_change": None, "seconds": 0.0, "outputs": [], "output_bytes": [], "notes": [],
        "error": shown(without_secrets(str(error))), "source": None, "resumed": False,
    }


def still_holds(entry: dict[str, Any], name: str, source: dict[str, int] | None) -> bool:
    """Whether the entry of an earlier run is of an input of this name and fingerprint; never of a live source."""
    return bool(entry["source"] is not None and entry["source"] == source and entry["name"] == name)


def fingerprint(source: Input) -> dict[str, int] | None:
    """Numbers that change with the input's file: size, time, and a hash; None where there is no file.

    The hash is of both ends of a file; of a sequence of names, sizes and times of its files.
    """
    if source.kind == "live":
        return None
    digest, nbytes, modified = hashlib.blake2b(digest_size=6), 0, 0  # as a number exact in every reader of JSON
    try:
        files = ([file for _, file in sequence_files(source.path)] if source.kind == "sequence" else [source.path])
        for file in files:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                return None
            nbytes, modified = nbytes + status.st_size, max(modified, status.st_mtime_ns)
            if source.kind == "sequence":
                digest.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode(errors="surrogateescape"))
            else:
                with file.open("rb") as opened:
                    digest.update(opened.read(HASHED_BYTES))
                    opened.seek(max(status.st_size - HASHED_BYTES, opened.tell()))
                    digest.update(opened.read(HASHED_BYTES))
    except (OSError, DepthcueError):
        return None
    return {"files": len(files), "bytes": nbytes, "modified_ns": modified, "hash": int.from_bytes(digest.digest())}


def nbytes_of(output: Path) -> int | None:
    """Size of an output, a file or a folder with a file a frame; None where it is not there."""
    try:
        if output.is_dir():
            return sum(file.stat().st_size for file in output.iterdir() if not file.name.startswith("."))
        return output.stat().st_size
    except OSError:
        return None


def summary_table(summary: dict[str, Any], out: Path | str) -> tuple[str, list[str], list[list[str]]]:
    """The summary for a person: title, columns and rows; of many inputs the first and those that failed.

    Inputs are worked on side by side: their seconds add up to more than the run took.
    """
    totals = summary["totals"]
    note = f" ({summary['options']['note']})" if "note" in summary["options"] else ""
    frames = f"{totals['frames']} frame{'' if totals['frames'] == 1 else 's'}"
    title = (f"{totals['inputs'] - totals['failed']} of {totals['inputs']} masked{note}, {frames} in "
             f"{totals['seconds']:.1f} s ({summary['backend']}), written to {out}")
    if totals["skipped"]:
        title += f"; {totals['skipped']} left out, of kinds that are not read"
    shown = [entry for number, entry in enumerate(summary["inputs"]) if number < TABLE_ROWS or entry["error"]]
    rows = [[entry["path"], str(entry["frames"]),
             "" if entry["share_kept"] is None else f"{100 * entry['share_kept']:.1f} %",
             f"{entry['seconds']:.2f}", _state(entry)] for entry in shown]
    if len(shown) < totals["inputs"]:
        rows.append([f"and {totals['inputs'] - len(shown)} more, see {SUMMARY}", "", "", "", ""])
    return title, ["input", "frames", "pixels kept", "open to done (s)", ""], rows


def _state(entry: dict[str, Any]) -> str:
    state = "failed" if entry["error"] else "as before" if entry["resumed"] else "done"
    live = entry.get("live")
    if live is None or live["latency_ms"]["median"] is None:
        return state
    return f"{state}, {live['latency_ms']['median']:.0f} ms behind, {live['dropped']} frames dropped"
