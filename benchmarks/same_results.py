"""Every command, run by two checkouts on the same inputs: whether their results agree.

    python benchmarks/same_results.py OLD NEW [--only mask,probe] [--out FILE]

Inputs are small and made here. OLD and NEW are folders of checkouts (`git worktree add OLD REVISION`). Compared are
every JSON document without times and without the words of the command, numbers up to rounding; every other file byte by
byte; and of figures and stills the names. A field that only NEW has is no difference: documents may grow. Writes
benchmarks/results/same-results.json; exit status 1 where anything differs.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from killed import contents, make_inputs

from depthcue import files

RESULTS = Path(__file__).resolve().parent / "results"
FIGURES = (".png", ".svg", ".jpg")
"""Drawn with the library that is installed; their design may change."""
ROUNDING, SMALLEST = 1e-4, 1e-7
"""Relative and absolute difference of numbers that comes of another order of additions."""


def commands(inputs: Path) -> dict[str, list[str]]:
    """Words of each command; OUT is its output, PREVIOUS/NAME that of another command."""
    mask, depth = str(inputs / "mask.safetensors"), str(inputs / "depth.safetensors")
    data = ["--data", f"folder:{inputs / 'data'}"]
    nets = ["--weights", mask, "--target", depth]
    few = ["--device", "cpu", "--out", "OUT"]
    steps = ["--steps", "3", "--batch-size", "2", *data, *few]
    return {
        "mask-pictures": ["mask", str(inputs / "pictures"), "--weights", mask, "--lambda", "2", "--backend", "torch",
                          "--save", "mask", "--save", "npy", *few],
        "mask-video": ["mask", str(inputs / "drive.mp4"), "--weights", mask, "--lambda", "2", "--backend", "torch",
                       "--save", "npy", *few],
        "compare-edges": ["compare-edges", *nets, *data, "--against", "sobel", "--against", "contrast", "--against",
                          "random", *few],
        "evaluate": ["evaluate", *nets, *data, *few],
        "compare-nets": ["compare-nets", *nets, *nets, *data, *few],
        "findings": ["findings", *nets, "--data", "scenes:indoor:4", *few],
        "optimize": ["optimize", *nets, *data, "--steps", "4", "--limit", "2", *few],
        "probe": ["probe", "haze", "pitch", "--target", depth, "--limit", "2", *few],
        "train": ["train", "--net", "compact", "--target", depth, "--lambda", "2", *steps],
        "train-depth": ["train-depth", "--size", "48x32", *steps],
        "compare-losses": ["compare-losses", "--size", "48x32", "--mask-steps", "1", "--lambda", "2", *steps],
        "scenes": ["scenes", "road", "--count", "3", "--size", "64x48", "--truth", "--out", "OUT"],
        "export": ["export", "--weights", mask, "--out", "OUT/mask.onnx"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=RESULTS / "same-results.json")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "inputs")
        inputs.mkdir()
        make_inputs(inputs)
        chosen = commands(inputs)
        for name in options.only.split(",") if options.only else chosen:
            made = []
            for checkout, label in ((options.old, "old"), (options.new, "new")):
                out = Path(folder, label, name)
                out.mkdir(parents=True)
                run(checkout, [str(out / "results") + word[3:] if word.startswith("OUT") else word
                               for word in chosen[name]])
                made.append(contents(out))
            wrong = differences(*made)
            found[name] = {"files": len(made[0]), "differences": wrong}
            print(f"{name}: {len(made[0])} files, {'alike' if not wrong else '; '.join(wrong[:5])}", flush=True)
    files.write_public(options.out, files.document("same-results", commands=found))
    if any(each["differences"] for each in found.values()):
        raise SystemExit(1)


def run(checkout: Path, words: list[str]) -> None:
    """Run a command with the package of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "depthcue.cli", *words], env=environment, capture_output=True,
                          text=True, cwd=checkout)
    if done.returncode:
        raise SystemExit(f"{checkout}: depthcue {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Files and fields of `old` that `new` lacks or has otherwise."""
    wrong = [f"{name} is missing" for name in old if name not in new]
    for name in old.keys() & new.keys():
        if Path(name).suffix not in FIGURES:
            wrong += [f"{name}{difference}" for difference in lacking(old[name], new[name])]
    return wrong


def lacking(old: Any, new: Any, where: str = "") -> list[str]:
    """Where a document has not what an older one has; more fields are no difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [each for key, value in old.items() for each in (
            lacking(value, new[key], f"{where}.{key}") if key in new else [f"{where}.{key} is missing"])]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [each for index, pair in enumerate(zip(old, new, strict=True))
                for each in lacking(*pair, f"{where}[{index}]")]
    if old == new or (isinstance(old, float) and isinstance(new, float)
                      and math.isclose(old, new, rel_tol=ROUNDING, abs_tol=SMALLEST)):
        return []
    shown = "" if isinstance(old, bytes) else f" was {str(old)[:60]!r} and is {str(new)[:60]!r}"
    return [f"{where} differs{shown}"]


if __name__ == "__main__":
    main()
