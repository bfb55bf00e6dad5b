"""summary.json of a mask run: what became of each input; and picking up from one that was interrupted."""

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from depthcue.atomic import shown
from depthcue.errors import DepthcueError
from depthcue.frames import Input
from depthcue.frames.inputs import sequence_files
from depthcue.record import SCHEMA, document, write_json

SUMMARY = "summary.json"
SAVE_INTERVAL_S = 5.0
TABLE_ROWS = 20

log = logging.getLogger(__name__)


class Summary:
    """Collects entries and keeps OUT/summary.json up to date; a context manager around the run."""

    def __init__(self, out: Path, resume: bool, options: dict[str, Any], facts: dict[str, Any]) -> None:
        """
        Args:
            options: what decides the results; entries of an earlier run are only taken over if these are the same.
            facts: more to record.

        Raises:
            DepthcueError: the folder cannot be written.
        """
        self._out = out
        self._entries: list[dict[str, Any]] = []
        self._status = "running"
        self._started = time.perf_counter()
        self._seconds: float | None = None
        self._document = document("mask", status=self._status, options=options, **facts)
        self._finished = self._read_finished(options) if resume else {}
        self._saved_at = time.perf_counter()
        self._save_cost_s = 0.0
        self._save()  # a folder that cannot be written should be known before the work

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if error is None:
            self._status = "done"
        else:
            self._status = "failed" if isinstance(error, Exception) else "interrupted"
        self._seconds = time.perf_counter() - self._started
        try:
            self._save()
        except DepthcueError as reason:
            if error is None:
                raise
            log.error("%s", reason)  # the first error is the one to raise

    def keep_finished(self, source: Input) -> bool:
        """Whether an earlier run has finished this very input and its files are still there; if so, keep its entry."""
        entry = self._finished.get(shown(source.label))
        if entry is None or not still_holds(entry, source.name, fingerprint(source)):
            return False
        if not all((self._out / output).exists() for output in entry["outputs"]):
            return False
        self._entries.append({**entry, "resumed": True})
        return True

    def add(self, entry: dict[str, Any]) -> None:
        """Add an input that has ended, or a source that gave none."""
        self._entries.append(entry)

    def save_now_and_then(self) -> None:
        """Save if that was some time ago; the longer saving takes, the rarer."""
        if time.perf_counter() - self._saved_at > max(SAVE_INTERVAL_S, 50 * self._save_cost_s):
            self._save()

    def know(self, **facts: Any) -> None:
        """Record more, or what has turned out otherwise."""
        self._document.update(facts)

    def document(self) -> dict[str, Any]:
        """The whole document."""
        new = [entry for entry in self._entries if not entry["resumed"]]
        seconds = time.perf_counter() - self._started if self._seconds is None else self._seconds
        frames = sum(entry["frames"] for entry in new)
        failed = sum(entry["error"] is not None for entry in self._entries)
        totals = {
            "inputs": len(self._entries), "failed": failed, "resumed": len(self._entries) - len(new),
            "frames": frames, "seconds": seconds, "frames_per_second": frames / seconds if frames else None,
        }
        return {**self._document, "status": self._status, "totals": totals, "inputs": self._entries}

    def _save(self) -> None:
        start = time.perf_counter()
        write_json(self._out / SUMMARY, self.document())
        self._saved_at = time.perf_counter()
        self._save_cost_s = self._saved_at - start

    def _read_finished(self, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        path = self._out / SUMMARY
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if earlier["schema"] != SCHEMA or earlier["command"] != "mask":
                raise ValueError("another kind of document")
            if earlier["options"] != options:
                changed = sorted(key for key in options if earlier["options"].get(key) != options[key])
                log.warning("nothing is resumed: other %s than in %s", ", ".join(changed), path)
                return {}
            return {entry["path"]: entry for entry in earlier["inputs"] if entry["error"] is None}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("nothing is resumed: %s cannot be used: %s", path, error)
            return {}


def finished_entry(source: Input, *, frames: int, share_kept: float | None, mean_mask: float | None, seconds: float,
                   outputs: Sequence[str], notes: Sequence[str], error: DepthcueError | OSError | None,
                   live: dict[str, Any] | None = None) -> dict[str, Any]:
    """The entry of an input that has ended.

    Args:
        outputs: relative to the run's folder.
        live: what is told of a live source alone.
    """
    return {
        "path": shown(source.label), "name": source.name, "kind": source.kind, "frames": frames,
        "share_kept": share_kept, "mean_mask": mean_mask, "seconds": seconds,
        "outputs": list(outputs), "notes": list(notes),
        "error": None if error is None else shown(str(error)), "source": fingerprint(source), "resumed": False,
        **({} if live is None else {"live": live}),
    }


def unreadable_entry(source: str, error: DepthcueError) -> dict[str, Any]:
    """The entry of a source that gave no inputs."""
    return {
        "path": shown(source), "name": None, "kind": None, "frames": 0, "share_kept": None, "mean_mask": None,
        "seconds": 0.0, "outputs": [], "notes": [], "error": shown(str(error)), "source": None, "resumed": False,
    }


def still_holds(entry: dict[str, Any], name: str, source: dict[str, int] | None) -> bool:
    """Whether the entry of an earlier run is of an input of this name and fingerprint."""
    if entry["source"] is None:  # of a live source there is always more
        return False
    return bool(entry["source"] == source and entry["name"] == name)


def fingerprint(source: Input) -> dict[str, int] | None:
    """What changes when the input's file is changed; None where there is none to look at."""
    if source.kind == "live":
        return None
    try:
        files = [file.stat() for file in _fingerprint_files(source)]
    except (OSError, DepthcueError):
        return None
    return {"files": len(files), "bytes": sum(file.st_size for file in files),
            "modified_ns": max(file.st_mtime_ns for file in files)}


def _fingerprint_files(source: Input) -> list[Path]:
    return [file for _, file in sequence_files(source.path)] if source.kind == "sequence" else [source.path]


def summary_table(summary: dict[str, Any], out: Path | str) -> tuple[str, list[str], list[list[str]]]:
    """The summary for a person: title, columns and rows; of many inputs the first and those that failed."""
    totals = summary["totals"]
    title = (f"{totals['inputs'] - totals['failed']} of {totals['inputs']} masked, {totals['frames']} frames in "
             f"{totals['seconds']:.1f} s ({summary['backend']}), written to {out}")
    shown = [entry for number, entry in enumerate(summary["inputs"]) if number < TABLE_ROWS or entry["error"]]
    rows = [[entry["path"], str(entry["frames"]),
             "" if entry["share_kept"] is None else f"{100 * entry['share_kept']:.1f} %",
             f"{entry['seconds']:.2f}", _state(entry)] for entry in shown]
    if len(shown) < totals["inputs"]:
        rows.append([f"and {totals['inputs'] - len(shown)} more, see {SUMMARY}", "", "", "", ""])
    return title, ["input", "frames", "pixels kept", "seconds", ""], rows


def _state(entry: dict[str, Any]) -> str:
    state = "failed" if entry["error"] else "as before" if entry["resumed"] else "done"
    live = entry.get("live")
    if live is None or live["latency_ms"]["median"] is None:
        return state
    return f"{state}, {live['latency_ms']['median']:.0f} ms behind, {live['dropped']} frames dropped"
