"""The border to Ray: a cluster joined or started, its slots for workers counted, tasks streamed through an actor pool.

Ray Data holds the tasks, starts the workers again that die, and keeps no more results than the driver has taken.
"""

import logging
import os
import queue
import secrets
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from depthcue.errors import DepthcueError, first_line, without_password, without_secrets
from depthcue.runtime.cluster_worker import MaskWorker, WorkerSettings

LOCAL = "local"
CPU_SLOT = 4
"""Cores that make a slot for a worker where there is no GPU; as many as a run on one machine uses well."""
POLL_S = 0.2
"""Longest wait of the driver between two calls of `poll`."""
TASKS_AT_ONCE = 2
"""Tasks at a time of a worker: one keeps the device busy while the other decodes its first or writes its last."""

_NAMES_BYTES = 256 * 2**20
"""Shared memory of a cluster on this machine: only names pass through it."""


@dataclass(frozen=True)
class Slots:
    """Slots for workers in a cluster."""

    workers: int
    cores: int
    """CPU cores of each worker."""
    device: str
    """cuda, or the device that workers in CPU slots use."""

    @property
    def gpus(self) -> int:
        """GPUs of each worker."""
        return int(self.device == "cuda")


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Join a cluster inside the context; `local` starts one on this machine and ends it afterwards.

    Where the process is part of a cluster already, that one is used and left as it is.

    Raises:
        DepthcueError: Ray is not installed, or nothing answers at the address.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what its core logs is of no use to a user
    # a thread that still waits for reports when the cluster is left must not start another one
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DepthcueError("many machines need Ray, which is not installed",
                            "Install it with: pip install 'depthcue[ray]'") from error
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _closed_to_others() if address == LOCAL else nullcontext():
        try:
            with _own_sigterm():
                if address == LOCAL:
                    ray.init(LOCAL, include_dashboard=False, object_store_memory=_NAMES_BYTES, **quiet)
                else:
                    ray.init(address, **quiet)
        except Exception as error:  # Ray raises that itself where a cluster is too slow to come up
            raise DepthcueError(f"no cluster is joined at {without_password(address)}: "
                                f"{without_secrets(first_line(error), address)}",
                                "Try again when this machine is less busy." if address == LOCAL else
                                "Give the address that ray start --head tells, HOST:6379, or local.") from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces; inside the context too, SIGTERM exits with 143, not Ray's 15."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as end:
        raise SystemExit(128 + signal.SIGTERM if end.code == signal.SIGTERM else end.code) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _closed_to_others() -> Iterator[None]:
    """Let a cluster of this context listen on the loopback alone, and take tasks from this process alone.

    Ray runs any code that is sent to one of its ports, and by default it listens on all networks of the machine.
    """
    from ray._private import ray_constants

    core: Any = import_module("ray._raylet")
    node: Any = import_module("ray._private.node").Node

    def apply(loopback: bool) -> None:
        """Let Ray read the environment anew, which it read when it was imported."""
        ray_constants.ENABLE_RAY_CLUSTER = not loopback
        core.Config.initialize("")
        core.AuthenticationTokenLoader.instance().reset_cache()

    # switched off, Ray takes the loopback as its address, as on systems whose firewall asks the user; the loopback as a
    # given address it would exchange for one that others reach
    settings = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    if "RAY_AUTH_MODE" not in os.environ:  # by itself Ray would keep a token in the home folder
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before, loopback = {name: os.environ.get(name) for name in settings}, not ray_constants.ENABLE_RAY_CLUSTER
    start_reports = node.start_api_server
    os.environ.update(settings)
    try:
        apply(True)
        # without a dashboard this process would only ask clouds' metadata servers where it is, and report that reports
        # are off
        node.start_api_server = lambda *_, **__: None
        yield
    finally:
        node.start_api_server = start_reports
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        apply(loopback)


def find_slots(device: str, workers: int | None) -> Slots:
    """Slots for workers on the cluster that is joined: one for each GPU, else one for every four cores.

    Args:
        device: auto, cpu, cuda or mps.
        workers: number of workers; None: as many as there are slots.

    Raises:
        DepthcueError: the device is not there, or not so many times.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return share_out([(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes], device, workers)


def share_out(nodes: Sequence[tuple[int, int]], device: str, workers: int | None) -> Slots:
    """As `find_slots`, for machines given as (cores, GPUs).

    Raises:
        DepthcueError: the device is one of one machine, or the machines have too few cores or GPUs.
    """
    if device.startswith("cuda:"):
        raise DepthcueError(f"--device {device} is one GPU of one machine", "With --cluster say cuda, or leave it out.")
    gpus = sum(node[1] for node in nodes)
    if device == "cuda" or (device == "auto" and gpus):
        if not gpus:
            raise DepthcueError("the cluster has no GPU", "Leave --device out, or join a cluster that has one.")
        if (workers or 1) > gpus:
            raise DepthcueError(f"{workers} workers were asked for, and the cluster has {gpus} GPUs",
                                f"Give --workers {gpus}, or leave it out.")
        return Slots(workers or gpus, max(min(node[0] // node[1] for node in nodes if node[1]), 1), "cuda")
    cores = [node[0] for node in nodes]
    if (workers or 1) > sum(cores):
        raise DepthcueError(f"{workers or 1} workers were asked for, and the cluster has {sum(cores)} cores",
                            f"Give --workers {sum(cores)}, or leave it out.")
    largest = max(cores) if workers else min(max(cores), CPU_SLOT)
    slot = next(size for size in range(largest, 0, -1) if sum(count // size for count in cores) >= (workers or 1))
    return Slots(workers or sum(count // slot for count in cores), slot, "cpu" if device == "auto" else device)


def stream(tasks: Sequence[tuple[int, str]], settings: WorkerSettings, slots: Slots, poll: Callable[[], None],
           *, tries: int, alone: bool = False, worker: type = MaskWorker) -> Iterator[tuple[int, str]]:
    """Stream the workers' reports on tasks, in the sequence in which they come.

    Args:
        tasks: number and items of each, as `MaskWorker` takes them.
        poll: called several times a second; what it raises ends the iteration.
        tries: number of times that a task whose worker dies is begun; after that it is left out.
        alone: a worker has one task at a time, so that it takes no other with it when it dies.
        worker: made with the settings, called with tasks.

    Yields:
        A task's number, and its report.
    """
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # the caller reports workers that die
    dataset = ray.data.from_items([{"number": number, "items": items} for number, items in tasks],
                                  override_num_blocks=len(tasks))
    dataset.context.enable_progress_bars = False
    dataset.context.print_on_execution_start = False
    dataset.context.max_errored_blocks = -1
    dataset.context.execution_no_progress_timeout_s = -1  # a long video is long without a word
    at_once = 1 if alone else TASKS_AT_ONCE
    pool = ray.data.ActorPoolStrategy(
        size=min(slots.workers, len(tasks)), max_concurrent_calls_per_actor=at_once, enable_true_multi_threading=True,
        max_tasks_in_flight_per_actor=1 if alone else at_once + 1)
    with warnings.catch_warnings():
        # a warning that the last two arguments change from Ray 2.64 on, which names no others for them
        warnings.simplefilter("ignore", DeprecationWarning)
        reports = dataset.map(worker, fn_constructor_args=(settings,), compute=pool, num_cpus=slots.cores,
                              num_gpus=slots.gpus, max_restarts=-1, max_task_retries=tries - 1)
    for table in _polling(reports.iter_batches(batch_size=None, batch_format="pyarrow"), poll):
        for row in table.to_pylist():
            yield row["number"], row["report"]


def _polling(iterable: Iterable[Any], poll: Callable[[], None]) -> Iterator[Any]:
    """The same elements; between them, and while the next is waited for, `poll` is called."""
    waiting: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=1)
    left = threading.Event()
    end = object()

    def pass_on() -> None:
        error: BaseException | None = None
        try:
            for element in iterable:
                waiting.put((element, None))
                if left.is_set():
                    return
        except BaseException as reason:
            error = reason
        waiting.put((end, error))

    threading.Thread(target=pass_on, name="depthcue-reports", daemon=True).start()
    try:
        while True:
            poll()
            try:
                element, error = waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if element is end:
                return
            yield element
    finally:
        left.set()
        with suppress(queue.Empty):
            waiting.get_nowait()  # it may wait for room
