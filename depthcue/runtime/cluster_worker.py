"""One of many machines' workers: opens the nets once, then masks one portion of inputs after the other.

What it does is what one machine does, `masking`; inputs that lie in an object store are fetched by the threads that
decode them, and results that belong there are put by the threads that write them.
"""

import logging
import os
import queue
import socket
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from depthcue import __version__
from depthcue.errors import DepthcueError
from depthcue.frames import Input
from depthcue.record import json_text
from depthcue.runtime.cluster_storage import Store
from depthcue.runtime.cluster_tasks import Item, from_text
from depthcue.runtime.jobs import Outcome, Prepared
from depthcue.runtime.mask_job import LONG_VIDEO
from depthcue.runtime.mask_options import MaskOptions, check_codecs
from depthcue.runtime.masking import Masking, MaskJob, entry_of
from depthcue.runtime.plan import Plan
from depthcue.runtime.saving import Rendered, Saver
from depthcue.runtime.summary import fingerprint, still_holds
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
    """Of a worker."""
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
