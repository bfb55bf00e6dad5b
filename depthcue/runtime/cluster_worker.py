"""A worker on one of many machines: opens the nets once, then masks one portion of inputs after the other.

It works as one machine does, by `masking`. The threads that decode inputs fetch those in an object store, and the
threads that write results put them there.
"""

import logging
import os
import queue
import socket
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from depthcue import __version__
from depthcue.errors import DepthcueError, shown
from depthcue.files import json_text
from depthcue.frames import Input
from depthcue.runtime.cluster_storage import Item, Store, from_text
from depthcue.runtime.jobs import Outcome, Prepared
from depthcue.runtime.mask_job import LONG_VIDEO
from depthcue.runtime.masking import Masking, MaskJob, MaskOptions, Plan, check_codecs, entry_of
from depthcue.runtime.saving import Rendered, Saver
from depthcue.runtime.summary import fingerprint, still_holds

SIGN = ".depthcue-running"
"""File in the results' folder by which a worker knows that it is the driver's."""
WAITING_READERS = 4
"""Factor of readers and writers where files come from or go to an object store: they wait most of the time."""


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of a run, the same for each of its workers."""

    options: MaskOptions
    """Its device is the kind of each worker's own: cpu, cuda, mps."""
    out: str
    """Path or address of the results."""
    here: str
    """The driver's working folder, to which paths are relative."""
    cores: int
    """CPU cores of a worker."""
    sign: str
    """Content of the file SIGN in `out`."""
    earlier: dict[str, Any] | None = None
    """Options that decided the results of the run that is resumed."""


class MaskWorker:
    """Callable that masks a portion of inputs and returns their entries; several threads may call it at a time.

    It lives as long as its process. Errors are returned, not raised: Ray would take an exception for a fault of the
    machine and try again.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._warnings = _Warnings()
        logging.getLogger("depthcue").addHandler(self._warnings)
        self._trouble: dict[str, Any] = {}
        try:
            self._open(settings)
        except DepthcueError as error:
            self._trouble = {"message": error.message, "hint": error.hint}
        except Exception:
            self._trouble = {"bug": traceback.format_exc()}

    def __call__(self, portion: dict[str, Any]) -> dict[str, Any]:
        """
        Args:
            portion: `number`, and `items` as `cluster_storage.to_text` writes them.

        Returns:
            The `number`, and a `report` (JSON). It holds entries as `lines` of JSON, the indices of those that
            `failed`, the number of those `resumed`, the number of `frames` masked, and the `record` and `name` of the
            opened nets; or the `message` and `hint` of an error that ends the run; or the traceback of a `bug`. It
            always holds `worker` and the `warnings` of its log.
        """
        report: dict[str, Any] = {"worker": {"host": socket.gethostname(), "pid": os.getpid(), "version": __version__}}
        try:
            report |= self._trouble or self._mask(from_text(portion["items"]))
        except DepthcueError as error:
            report |= {"message": error.message, "hint": error.hint}
        except Exception:
            report |= {"bug": traceback.format_exc()}
        return {"number": portion["number"], "report": json_text({**report, "warnings": self._warnings.take()})}

    def _open(self, settings: WorkerSettings) -> None:
        if os.path.isdir(settings.here):
            os.chdir(settings.here)  # specs of nets may hold relative paths
        self._store = Store(settings.out)
        if self._sign() != settings.sign:
            raise DepthcueError(f"{socket.gethostname()} does not see the folder {self._store.label}",
                                "Choose an --out on a disk that all machines share, or an address such as s3://….")
        plan = Plan.for_device(settings.options.device, settings.options.batch_size, cores=settings.cores)
        if self._store.local is None:
            plan = replace(plan, writers=WAITING_READERS * plan.writers)
        self._masking = Masking(settings.options, replace(plan, readers=WAITING_READERS * plan.readers), LONG_VIDEO)
        self._masking.__enter__()  # left when the process ends

    def _sign(self) -> str | None:
        with suppress(FileNotFoundError), self._store.open(SIGN) as file:
            return file.read().decode()
        return None

    def _mask(self, items: list[Item]) -> dict[str, Any]:
        resumes = self._settings.earlier == self._masking.record
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
            jobs = [WorkerJob(self._masking, item, self._input(item, Path(folder, "in")), out, self._store)
                    for item in todo]
            check_codecs(self._settings.options, [job.source for job in jobs])
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
        """The input to open here: at its path, or in the folder `fetched`."""
        if item.store is None:
            return Input(Path(self._settings.here, item.label), item.kind, item.name)
        return Input(fetched / f"{item.name}{PurePosixPath(item.key).suffix}", item.kind, item.name)


class WorkerJob(MaskJob):
    """A mask job that fetches its input from a store and puts its results into one, where they lie in one."""

    def __init__(self, masking: Masking, item: Item, source: Input, out: Path, results: Store) -> None:
        """
        Args:
            source: the item as an input at its path, or at the one that it is fetched to.
            out: local folder of the results.
            results: where they go in the end.
        """
        super().__init__(masking, source, out)
        self.item = item
        self.out = out
        self.origin = None if item.store is None else Store(item.store)
        """Store of the input; None: it is on a disk."""
        self.target = None if results.local is not None else results
        """Store of the results; None: they are written to a disk."""

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

    def open_sink(self) -> "Saver | _StoreSink":  # type: ignore[override]
        return self.saver if self.target is None else _StoreSink(self.saver, self.out, self.target)

    def entry(self, outcome: Outcome) -> dict[str, Any]:
        """The entry of `entry_of`, with the input's label in place of the path that it was fetched to."""
        entry = {**entry_of(outcome, self.out), "path": shown(self.item.label)}
        if self.origin is not None:
            entry["source"] = self.item.stamp
            entry["error"] = entry["error"] and entry["error"].replace(
                shown(str(self.source.path)), shown(self.item.label))
        return entry


class _StoreSink:
    """Sink whose files go to a store when they are whole; see `jobs.JobSink`."""

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


class _Warnings(logging.Handler):
    """Collects warnings for the driver's log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.put(record.getMessage())

    def take(self) -> list[str]:
        """Remove and return the warnings since the last call."""
        taken = []
        while not self._messages.empty():
            taken.append(self._messages.get())
        return taken
