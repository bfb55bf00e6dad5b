"""What `depthcue compare-edges` costs a picture on one core, beside an earlier revision, and whether its answers agree.

    python benchmarks/measuring_cost.py OLD NEW --data nyu:NYU/nyu2_test.csv [--counts 8 24] [--rounds 2]

OLD and NEW are working trees. Both run the same command, with the nets of NEW and otherwise the defaults of each, on
two counts of pictures, `--rounds` times, each as a process of its own with one thread. The runs of one count go on at
the same time, so that what else goes on disturbs all alike: for undisturbed numbers give one core to the script
(`taskset -c 1`). What is counted is processor time, user and system. A picture costs the difference of the two counts;
the rest is the start and the figures. Run NEW once before, which fills the cache of graphs. The difference of the
answers is the largest share by which an RMSE of a curve has changed. Writes benchmarks/results/measuring-cost.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from depthcue import files

HERE = Path(__file__).resolve().parent
METHODS = ("sobel", "random")
"""The scorers that are compared by default."""
ALLOWED = 1e-4
"""Largest share by which an RMSE may change: six digits are written."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--counts", type=int, nargs=2, default=[8, 24])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--against", nargs="+", default=list(METHODS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "measuring-cost.json")
    options = parser.parse_args()

    trees = {"before": options.old.resolve(), "after": options.new.resolve()}
    seconds: dict[str, list[list[float]]] = {name: [] for name in trees}
    off = 0.0
    for count in options.counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            running = {(name, number): start(tree, trees["after"], folder / f"{name}-{number}", options.data, count,
                                             options.against)
                       for number in range(options.rounds) for name, tree in trees.items()}
            taken = {key: finish(process) for key, process in running.items()}
            off = max(off, *(difference(*(json.loads((folder / f"{name}-{number}" / "results.json").read_text())
                                          for name in trees)) for number in range(options.rounds)))
        for name in trees:
            seconds[name].append([taken[name, number] for number in range(options.rounds)])
    few, many = options.counts
    a_picture_s, rest_s = {}, {}
    for name, (of_few, of_many) in seconds.items():
        a_picture_s[name] = (statistics.median(of_many) - statistics.median(of_few)) / (many - few)
        rest_s[name] = statistics.median(of_few) - few * a_picture_s[name]
    files.write_public(options.out, files.document(
        "measuring-cost", data=options.data.partition(":")[0], against=options.against, counts=options.counts,
        rounds=options.rounds, core_seconds=seconds, a_picture_s=a_picture_s, rest_s=rest_s, rmse_changed_by=off,
        load=os.getloadavg()[0]))
    print(f"{a_picture_s['before']:.2f} core-seconds a picture before, {a_picture_s['after']:.2f} now; RMSE changed by "
          f"up to {off:.1e}")
    if off > ALLOWED:
        raise SystemExit(1)


def start(tree: Path, nets: Path, out: Path, data: str, count: int, against: list[str]) -> "subprocess.Popen[bytes]":
    """The command, run from a working tree, with the indoor nets of the tree `nets`."""
    weights = nets / "weights"
    code = "from depthcue.cli.main import main; raise SystemExit(main())"
    command = [sys.executable, "-c", code, "compare-edges", "--weights",
               str(weights / "compact-indoor-mask.safetensors"), "--target",
               str(weights / "compact-indoor-depth.safetensors"), "--data", data, "-n", str(count), "--device", "cpu",
               "--out", str(out), "-q", *(part for name in against for part in ("--against", name))]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, cwd=out.parent, stdout=subprocess.DEVNULL)


def finish(process: "subprocess.Popen[bytes]") -> float:
    """Processor seconds of the command, once it is done."""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the command failed with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def difference(before: dict[str, Any], after: dict[str, Any]) -> float:
    """The largest share by which an RMSE of a curve has changed."""
    return max(abs(new[error] / old[error] - 1) for method, curve in before["curves"].items()
               for old, new in zip(curve, after["curves"][method], strict=True) for error in ("rmse", "rmse_to_target"))


if __name__ == "__main__":
    main()
