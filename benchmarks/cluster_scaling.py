"""`depthcue mask --cluster local`: pictures a second with 1, 2, … workers, and what a task costs the driver.

    python benchmarks/cluster_scaling.py FOLDER [--workers 1 2] [--times 4] [--rounds 3]

Pictures are those of FOLDER, `--times` over under names of their own, so that a run is long against its ends. Each run
is timed between the first and the last report that workers give, weighted by the pictures in between: starting Ray and
opening nets take seconds however many pictures there are, and are reported separately. Every worker gets as many cores,
and a run, driver included, may use the cores of its workers alone: a single worker's decoding and encoding would
otherwise use idle cores, and hide what a second worker adds. Rounds take turns, medians are reported. The driver's cost
is measured with a worker that does nothing: tasks a second through Ray Data, seconds an entry takes the journal, memory
a name takes.

Writes benchmarks/results/cluster-scaling.json.

On to 1,000 GPUs, on paper. A worker needs nothing of another, so what scales badly is what is shared: storage, and the
driver.

- *Storage* comes first. At R pictures a second for each GPU and 0.1 to 0.5 MB a picture, 1,000 GPUs read R times 100 to
  500 MB/s; R is set by decoding and encoding on the cores beside a GPU long before it is set by the network, some
  hundreds. That is 20 to 200 GB/s and 10^5 to 10^6 requests a second each way: beyond a shared disk, and for an object
  store a matter of many prefixes (S3 answers 5,500 reads and 3,500 writes a second for each). Larger objects, videos
  above all, take the requests away: one second of video is one read of some hundred kilobytes for 25 frames.
- *Decoding and encoding* are next, and are each worker's own. A core decodes and shrinks about as many JPEGs of a
  megapixel as it encodes PNGs of that size, some tens a second, where a GPU infers hundreds or thousands: a GPU with 12
  cores beside it waits for them. `--decoder gpu`, `--save mask` in place of overlays and panels, smaller pictures and
  videos in place of pictures each help here.
- *The driver* takes reports, not pictures: a line of about 400 bytes an input, in tasks of 1,024 pictures. At the rate
  that is measured here (tasks a second) it keeps up with `1,024 x rate` pictures a second. A name takes it one to two
  kilobytes (measured here too), so that a hundred million pictures are a matter of several runs, each into a folder of
  its own, and no loss.
- *The end of a run*: videos go first and pictures in tasks of a second, so that workers wait for the last of them about
  as long as one task takes, or the longest video; a single film of hours stays on one worker.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depthcue import files
from depthcue.frames import find_inputs
from depthcue.progress import Silent
from depthcue.runtime import MaskOptions, cluster_ray
from depthcue.runtime.cluster import ClusterOptions, Journal, mask_on_cluster
from depthcue.runtime.cluster_ray import Slots
from depthcue.runtime.cluster_storage import Store
from depthcue.runtime.cluster_worker import WorkerSettings

RESULTS = Path(__file__).resolve().parent / "results"
LINE = json.dumps({"path": "a/path/of/usual/length/0000000.jpg", "error": None, "resumed": False, "filling": "x" * 300})

NAMING = """
import sys
from depthcue.runtime.cluster_storage import Store, find_items, portions, to_text
held = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096
Store("/nowhere")  # loads what it needs
before = held()
items = find_items(sys.argv[1:], Store("/nowhere")).items
texts = [to_text(portion) for portion in portions(items, 64)]
print(held() - before)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", default="compact-indoor")
    parser.add_argument("--save", nargs="+", default=["mask", "overlay"])
    parser.add_argument("--tasks", type=int, default=500, help="of the driver's measurement")
    parser.add_argument("--out", type=Path, default=RESULTS / "cluster-scaling.json")
    options = parser.parse_args()

    runs: dict[int, list[dict[str, float]]] = {workers: [] for workers in options.workers}
    each = max((os.cpu_count() or 1) // max(options.workers), 1)
    with tempfile.TemporaryDirectory() as scratch:
        pictures = repeated(options.folder, options.times, Path(scratch, "in"))
        for number in range(options.rounds):
            for workers, measured in runs.items():
                out = Path(scratch, f"out{number}-{workers}")
                with cluster_of(workers * each):
                    measured.append(run(pictures, out, workers, options.weights, tuple(options.save)))
                shutil.rmtree(out)
        driver = driver_cost(options.tasks, Path(scratch, "nothing"))

    rates = {workers: statistics.median(one["pictures_per_second"] for one in measured)
             for workers, measured in runs.items()}
    fewest = min(rates)
    rows = [{"workers": workers, "pictures_per_second": rate, "runs": runs[workers],
             "times_the_fewest": rate / rates[fewest], "share_of_linear": rate / rates[fewest] * fewest / workers,
             "start_s": statistics.median(one["start_s"] for one in runs[workers])}
            for workers, rate in rates.items()]
    for row in rows:
        print(f"{row['workers']} workers: {row['pictures_per_second']:.1f} pictures/s, "
              f"{row['share_of_linear']:.2f} of linear, first report after {row['start_s']:.1f} s")
    print(f"driver: {driver['tasks_per_second']:.0f} tasks/s that do nothing, "
          f"{1e6 * driver['journal_s_per_entry']:.1f} us an entry in the journal, "
          f"{driver['bytes_per_name']:.0f} bytes a name")
    files.write_public(options.out, files.document(
        "cluster-scaling", pictures=len(find_inputs([options.folder])) * options.times, weights=options.weights,
        save=options.save, rounds=options.rounds, cores_per_worker=each, scaling=rows,
        driver=driver))


def run(pictures: Path, out: Path, workers: int, weights: str, save: tuple[str, ...]) -> dict[str, float]:
    """One run: pictures a second once all workers are at work, and seconds until the first report."""
    arrivals: list[tuple[float, int]] = []

    class Noted(Silent):
        def advance(self, steps: int = 1, **figures: float) -> None:
            arrivals.append((time.perf_counter(), steps))

    start = time.perf_counter()
    summary = mask_on_cluster([str(pictures)], str(out), MaskOptions(weights=weights, backend="torch", save=save),
                              ClusterOptions(workers=workers), Noted())
    if summary["totals"]["failed"]:
        raise SystemExit(f"{summary['totals']['failed']} pictures failed")
    # a worker may be a second later than another to open its nets: the first quarter of the pictures does not count
    total, seen, first = sum(steps for _, steps in arrivals), 0, 0
    while seen < total / 4:
        seen += arrivals[first][1]
        first += 1
    span = arrivals[-1][0] - arrivals[first - 1][0]
    return {"pictures_per_second": (total - seen) / span, "start_s": arrivals[0][0] - start,
            "whole_s": time.perf_counter() - start}


@contextmanager
def cluster_of(cores: int) -> Iterator[None]:
    """A cluster of this machine that takes so many of its cores: what is started here inherits where it may run."""
    import ray

    whole = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(whole)[:cores])
    ray.init("local", num_cpus=cores, include_dashboard=False, object_store_memory=256 * 2**20, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
        os.sched_setaffinity(0, whole)


def driver_cost(tasks: int, folder: Path) -> dict[str, Any]:
    """Rate of tasks of a worker that does nothing, and seconds that the journal takes for an entry."""
    settings = WorkerSettings(MaskOptions(), str(folder), "", 1, "")
    portions = [(number, "x" * 64 * 1024) for number in range(tasks)]
    with cluster_of(1):
        reports = cluster_ray.stream(portions, settings, Slots(1, 1, "cpu"), lambda: None, tries=1, worker=Idle)
        arrivals = [time.perf_counter() for _ in reports]
    journal = Journal(Store(str(folder)), resume=False)
    journal.know({}, {})
    start = time.perf_counter()
    for _ in range(100):
        journal.add([LINE] * 1024)
    journal.finish("done")
    return {"tasks": tasks, "tasks_per_second": (tasks - 1) / (arrivals[-1] - arrivals[0]),
            "journal_s_per_entry": (time.perf_counter() - start) / (100 * 1024),
            "bytes_per_name": bytes_per_name(folder / "names")}


def bytes_per_name(folder: Path, count: int = 20_000) -> float:
    """Memory that a process of its own takes to find a picture and put it into a portion."""
    for number in range(count):
        path = folder / f"drive_{number // 1000:04d}" / f"frame_{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = subprocess.run([sys.executable, "-c", NAMING, str(folder)], capture_output=True, text=True, check=True)
    return float(done.stdout) / count


class Idle:
    """In place of a worker: gives back a report as long as one of 1,024 pictures, at once."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._report = LINE * 1024

    def __call__(self, portion: dict[str, Any]) -> dict[str, Any]:
        return {"number": portion["number"], "report": self._report}


def repeated(folder: str, times: int, target: Path) -> Path:
    """The pictures of a folder `times` over: copies, since what several links lead to is masked once."""
    target.mkdir()
    for source in find_inputs([folder]):
        for number in range(times):
            path = target / f"{source.name.replace('/', '_')}-{number}{source.path.suffix}"
            shutil.copyfile(source.path, path)
    return target


if __name__ == "__main__":
    main()
