"""What `depthcue mask --cluster` does: the same as on one machine, on many, through Ray Data.

The driver, this process, finds what is to be masked, by name alone; workers, one for each GPU or slot of cores, open
the nets once, read, mask and write; what they tell of each input comes back to the driver, which keeps the summary. So
no picture passes through the driver or the cluster's memory, and what the driver holds is names.

A worker that dies is started again, and the inputs it had are done again; none of its files is half-written under its
name. An input whose worker dies again and again, alone in it, has failed like one that cannot be read.

What many machines are to mask: inputs on disks and in object stores, by name alone, in portions for workers.
"""

import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from depthcue import __version__
from depthcue.errors import DepthcueError
from depthcue.files import json_text, remove_partials
from depthcue.progress import Progress
from depthcue.runtime import cluster_ray
from depthcue.runtime.cluster_ray import LOCAL, Slots
from depthcue.runtime.cluster_storage import Item, Store, find_items, from_text, portions, to_text
from depthcue.runtime.cluster_worker import SIGN, Journal, Order, copy_summary, read_earlier
from depthcue.runtime.jobs import interruptible
from depthcue.runtime.masking import MaskOptions, checked
from depthcue.runtime.summary import unreadable_entry
from depthcue.text import shown, without_password

PICTURES_PER_TASK = {"cuda": 1024, "cpu": 64}
"""A second or so of a worker's time: less, and starting tasks costs more than it should; more, and a worker that dies
loses more, and the last tasks leave more workers without one."""
TASKS_PER_WORKER = 4
"""At least so many tasks for each worker where there are pictures enough, so that all end at about the same time."""
TRIES = 2
"""How often a task is begun whose worker dies, before its inputs are tried one by one."""
TRIES_ALONE = 2
"""How often an input is tried alone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClusterOptions:
    """Which machines."""

    address: str = LOCAL
    """Address of a Ray cluster, `HOST:PORT`; or `local`."""
    workers: int | None = None
    """None: one for each GPU, or for every four cores."""


def mask_on_cluster(sources: Sequence[str], out: str, options: MaskOptions, cluster: ClusterOptions,
                    progress: Progress) -> dict[str, Any]:
    """Mask every picture and video of `sources` into `out`; return the summary, also `out`/summary.json.

    What is returned holds of the inputs only the first and those that failed: there may be millions. An input that
    fails has its error in the summary, and the others go on. Interrupted by Ctrl-C or SIGTERM, what is finished stays,
    the summary says how far it came, and the interruption is raised.

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
            order = Order(replace(options, device=slots.device), store.place, os.getcwd(), slots.cores, sign,
                          earlier_options)
            journal = Journal(store, options.resume)
            journal.skip(found.skipped)
            for source, error in found.unreadable:
                log.error("%s", error)
                journal.add([json_text(unreadable_entry(source, error))], failed=[0])
            progress.start("masking", len(found.items))
            run = _Run(order, slots, cluster.address, journal, progress)
            with interruptible() as raise_interruption, journal:
                run.mask(_with_earlier(found.items, earlier), raise_interruption)
            whole = not run.lost_workers
    finally:
        if store.local is not None and not whole:
            remove_partials(store.local, since=started)
    return journal.document()


def print_summary(out: str) -> None:
    """Print the whole summary of a run into `out` on stdout."""
    copy_summary(Store(out), sys.stdout)


class _Run:
    """Takes inputs to workers, and what they tell to the journal."""

    def __init__(self, order: Order, slots: Slots, address: str, journal: Journal, progress: Progress) -> None:
        self._order = order
        self._slots = slots
        self._cluster = {"address": without_password(address), **asdict(slots)}
        self._journal = journal
        self._progress = progress
        self._open: dict[int, str] = {}
        """Tasks that no report has come of."""
        self._workers: set[tuple[str, int]] = set()
        self._heard: set[str] = set()
        self.lost_workers = False

    def mask(self, items: Sequence[Item], raise_interruption: Callable[[], None]) -> None:
        """Mask all of them; those of workers that died again and again one by one."""
        def poll() -> None:
            raise_interruption()
            self._journal.write_now_and_then()

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
        """Afterwards, what the workers did not survive is in `_open`."""
        self._open = {number: to_text(items) for number, items in enumerate(tasks)}
        for number, report in cluster_ray.stream(list(self._open.items()), self._order, self._slots, poll, **how):
            # a worker that dies after its report has left may give another one
            if self._open.pop(number, None) is not None:
                self._take(json.loads(report))
        self.lost_workers |= bool(self._open) or len(self._workers) > self._slots.workers

    def _take(self, report: dict[str, Any]) -> None:
        worker = report["worker"]
        self._workers.add((worker["host"], worker["pid"]))
        for message in report["heard"]:
            if message not in self._heard:  # every worker says it
                self._heard.add(message)
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
    """A file in the store by which workers see that it is the same as the driver's; gives what stands in it.

    It has always the same name: one that a driver left which was killed is replaced, and removed, by the next run.

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
