"""What `depthcue mask one.jpg` costs from the shell to the files, beside an earlier revision and the import of torch.

    python benchmarks/one_picture.py OLD NEW --picture room.jpg [--rounds 5]

OLD and NEW are working trees. The commands run one after another, in turns, each as a process of its own with one
thread; what is counted is processor time, user and system, so that other work disturbs little. Of each the median over
rounds is kept. Writes benchmarks/results/one-picture.json.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from depthcue import files

RESULT = Path(__file__).resolve().parent / "results" / "one-picture.json"
COMMAND = "from depthcue.cli.main import main; raise SystemExit(main())"


def main() -> None:
    """Run the rounds and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    picture = str(options.picture.resolve())
    taken: dict[str, list[float]] = {"torch": [], "before": [], "after": [], "help_before": [], "help_after": []}
    for number in range(options.rounds + 1):
        with tempfile.TemporaryDirectory() as scratch:
            for name, tree in (("before", options.old), ("after", options.new)):
                mask = ["-c", COMMAND, "mask", picture, "--device", "cpu", "-q", "--out", str(Path(scratch) / name)]
                seconds = processor_s(mask, tree)
                asked_s = processor_s(["-c", COMMAND, "--help"], tree)
                if number:  # the first round fills the caches of files and compiled modules
                    taken[name].append(seconds)
                    taken[f"help_{name}"].append(asked_s)
            if number:
                taken["torch"].append(processor_s(["-c", "import torch"], options.new))
    middle = {name: round(statistics.median(each), 3) for name, each in taken.items()}
    files.write_public(RESULT, files.document("one-picture", rounds=options.rounds, processor_s=taken, median_s=middle))
    for name, seconds in middle.items():
        print(f"{name}: {seconds:.2f} s")


def processor_s(arguments: list[str], tree: Path) -> float:
    """Processor seconds of Python with these arguments, in a working tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree.resolve()), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    # Python looks for modules in the working folder first
    process = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=tree, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{arguments} failed with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
