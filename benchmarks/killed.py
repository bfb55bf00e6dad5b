"""Commands that are ended at moments of chance and called again: what comes out is what an undisturbed run gives.

    python benchmarks/killed.py [--moments 20] [--only mask-folder,train] [--seed 0]

Each command works on the smallest of inputs, made here: once undisturbed, then for each of `--moments` it is begun in a
folder of its own, ended by SIGKILL, SIGINT or SIGTERM in turns at a moment between its start and its usual end, and
called again, with --resume where it has that and there is something to resume. Afterwards the second run must have
ended with status 0, every file of the undisturbed run must be there with the same content, and no other, hidden or
half-written ones neither. A run that
SIGINT or SIGTERM ended must have said so by its status, without a traceback. JSON is compared without times and without
what says how the run was called, figures in SVG, which carry dates, by being there.

Commands are forked from a process that has imported the libraries, so that no run spends seconds on that; moments count
from there on, for every second of them from the first file that is there. Writes benchmarks/results/killed.json as it
goes, in which with --only the other commands stay; exit status 1 where anything differed.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from depthcue import files
from depthcue.frames import Frame, VideoSink
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net

RESULTS = Path(__file__).resolve().parent / "results"
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
SAID = {signal.SIGKILL: {-9}, signal.SIGINT: {130, 1, -2}, signal.SIGTERM: {143, 130}}
"""Status of a command that a signal has ended; what has ended before it came says 0. Training ends alike after both."""
UNLIKE = re.compile(r"(^|_)(s|ms|h|seconds|time|times|started|per_second|latency)$|^(arguments|command|revision|"
                    r"machine|resumed|out|source|created|date|memory.*|rss.*|totals)$")
"""Fields of JSON that differ from run to run: times, and how and where it was called."""


PRELOADED = ["torch", "torchvision", "av", "onnx", "onnxscript", "onnxruntime", "accelerate", "rich",
             "depthcue.runtime.cluster", "depthcue.training.engine", "depthcue.probes.running",
             "depthcue.evaluation.compare_losses", "depthcue.scenes.api", "depthcue.export.onnx"]
_FORKS = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Command:
    """Words of a command, without the output it is to write; OUT stands for that."""

    words: tuple[str, ...]
    resumes: bool = False
    suffix: str = ""
    """Of its output, where that is a file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "killed.json")
    options = parser.parse_args()

    # a shell's background jobs ignore Ctrl-C, and so would what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = "1"
    _FORKS.set_forkserver_preload(PRELOADED)
    draws = random.Random(options.seed)
    told: dict[str, Any] = {}
    if options.only and options.out.exists():  # what is not called again stays
        told = json.loads(options.out.read_text())["commands"]
    with tempfile.TemporaryDirectory() as place:
        chosen = commands(make_inputs(Path(place)))
        for name in options.only.split(",") if options.only else chosen:
            told[name] = disturb(name, chosen[name], Path(place), options.moments, draws)
            good = sum(each["wrong"] == [] for each in told[name]["moments"])
            print(f"{name}: {good} of {options.moments} as undisturbed", flush=True)
            files.write_public(options.out, files.document("killed", commands=told))
    if any(each["wrong"] for one in told.values() for each in one["moments"]):
        raise SystemExit(1)


def make_inputs(folder: Path) -> Path:
    """Pictures, a video, pictures with depth, and a pair of small networks."""
    generator = np.random.default_rng(0)

    def picture(height: int, width: int) -> Any:
        coarse = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        return np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))

    for number in range(24):
        path = folder / "pictures" / f"{number % 3}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(40, 60 if number % 5 else 44)).save(path)
    with VideoSink(folder / "drive.mp4", Fraction(25), (40, 60)) as sink:
        for index in range(150):
            sink.write(picture(40, 60), Frame(None, index, None, str(index)))
    (folder / "data").mkdir()
    for number in range(6):
        Image.fromarray(picture(32, 48)).save(folder / "data" / f"{number}.png")
        np.save(folder / "data" / f"{number}.npy", generator.uniform(1, 5, (32, 48)).astype(np.float32))
    depth = build_depth_net("compact", seed=2, config={"widths": [8] * 5}, height=32, width=48, name="small-depth")
    save_net(depth, folder / "depth.safetensors", architecture="compact")
    mask = build_mask_net("compact", seed=1, config={"widths": [8] * 5, "detail": 8}, height=32, width=48,
                          name="small", target="nowhere", lambda_range=(0.5, 6.0))
    torch.nn.init.normal_(mask.head.weight, std=2.0, generator=torch.Generator().manual_seed(1))
    save_net(mask, folder / "mask.safetensors", architecture="compact")
    return folder


def commands(inputs: Path) -> dict[str, Command]:
    """What is called."""
    masks = ("--weights", str(inputs / "mask.safetensors"), "--backend", "torch", "--device", "cpu", "--save", "mask",
             "--save", "npy")
    trains = ("--steps", "12", "--batch-size", "2", "--device", "cpu", "--data", f"folder:{inputs / 'data'}")
    return {
        "mask-folder": Command(("mask", str(inputs / "pictures"), "--out", "OUT", *masks), True),
        "mask-video": Command(("mask", str(inputs / "drive.mp4"), "--out", "OUT", *masks), True),
        "train": Command(("train", "--target", str(inputs / "depth.safetensors"), "--lambda", "2", "--out", "OUT",
                          *trains), True),
        "train-depth": Command(("train-depth", "--size", "48x32", "--out", "OUT", *trains), True),
        "export": Command(("export", "--weights", str(inputs / "mask.safetensors"), "--out", "OUT"), suffix=".onnx"),
        "scenes": Command(("scenes", "indoor", "--count", "24", "--size", "64x48", "--truth", "--out", "OUT")),
        "probe": Command(("probe", "haze", "--target", str(inputs / "depth.safetensors"), "--scenes", "indoor",
                          "--limit", "2", "--device", "cpu", "--out", "OUT")),
        "compare-losses": Command(("compare-losses", "--size", "48x32", "--mask-steps", "1", "--lambda", "2", "--steps",
                                   "1", *trains[2:], "--out", "OUT")),
        "cluster": Command(("mask", str(inputs / "pictures"), "--cluster", "local", "--workers", "1", "--out", "OUT",
                            *masks), True),
    }


def disturb(name: str, command: Command, folder: Path, moments: int, draws: random.Random) -> dict[str, Any]:
    """Run a command undisturbed, and disturbed at so many moments."""
    plain = folder / f"{name}-plain" / f"out{command.suffix}"
    plain.parent.mkdir()
    process = Run(command, plain)
    appeared_s = process.await_file(plain.parent)
    seconds = process.end()
    if process.status:
        raise SystemExit(f"{name} fails undisturbed: {process.complaint}")
    expected = contents(plain.parent)
    entries = []
    for number in range(moments):
        out = folder / f"{name}-{number}" / f"out{command.suffix}"
        out.parent.mkdir()
        end, share = SIGNALS[number % len(SIGNALS)], draws.random()
        first = Run(command, out)
        if number % 2:
            first.await_file(out.parent)
            first.wait(share * (seconds - appeared_s))
        else:
            first.wait(share * seconds)
        first.send(end)
        after_s, complaint = first.end(), first.complaint
        second = Run(command, out, again=True)
        second.end()
        if second.status and "no run to resume" in second.complaint:  # training says so where nothing had begun
            second = Run(command, out)
            second.end()
        wrong = [] if second.status == 0 else [f"the second run failed: {second.complaint[-300:]}"]
        if first.status not in SAID[end] | {0} or "Traceback" in complaint:
            wrong.append(f"status {first.status}: {complaint[-300:]}")
        wrong += differences(expected, contents(out.parent))
        entries.append({"signal": end.name, "ended_s": round(after_s, 2), "status": first.status, "wrong": wrong})
        if wrong:
            print(f"{name}, {end.name}, ended after {after_s:.2f} s of {seconds:.2f} s: {wrong}", flush=True)
        shutil.rmtree(out.parent)
    return {"undisturbed_s": round(seconds, 2), "resumes": command.resumes, "files": len(expected), "moments": entries}


class Run:
    """A command on its way."""

    def __init__(self, command: Command, out: Path, again: bool = False) -> None:
        words = [str(out) if word == "OUT" else word for word in command.words]
        words += ["--quiet", *(["--resume"] if again and command.resumes else [])]
        self._said = out.parent.with_name(f"{out.parent.name}-said")
        self._process = _FORKS.Process(target=call, args=(words, str(self._said)))
        self._began = time.perf_counter()
        self._process.start()

    @property
    def status(self) -> int | None:
        return self._process.exitcode

    @property
    def complaint(self) -> str:
        return self._said.read_text() if self._said.exists() else ""

    def await_file(self, folder: Path) -> float:
        """Wait for the first file in a folder, or the end; seconds since the beginning."""
        while self.status is None and not any(path.is_file() for path in folder.rglob("*")):
            time.sleep(0.005)
        return time.perf_counter() - self._began

    def wait(self, seconds: float) -> None:
        """Wait so long, or until it ends."""
        self._process.join(max(seconds, 0.01))

    def send(self, number: signal.Signals) -> None:
        if self.status is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def end(self) -> float:
        """Wait for its end; seconds since the beginning."""
        self._process.join(1200)
        if self.status is None:
            self._process.kill()
            raise SystemExit(f"a command hangs: {self.complaint[-2000:]}")
        return time.perf_counter() - self._began


def call(words: list[str], said: str) -> None:
    """Be the command, in a process of its own."""
    from depthcue.cli.main import main as command

    os.setsid()
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1), os.dup2(file, 2)
    sys.argv = ["depthcue", *words]
    os._exit(command(words))


def contents(folder: Path) -> dict[str, Any]:
    """What every file below a folder holds, as far as two runs of a command should agree on it."""
    return {path.relative_to(folder).as_posix(): content_of(path, folder) for path in sorted(folder.rglob("*"))
            if path.is_file()}


def content_of(path: Path, folder: Path) -> Any:
    if path.suffix == ".json":
        return without_times(json.loads(path.read_text()), str(folder))
    if path.suffix == ".jsonl":
        return [without_times(json.loads(line), str(folder)) for line in path.read_text().splitlines()]
    if path.name == "summary.csv":
        with path.open(newline="") as file:
            return without_times(sorted(csv.DictReader(file), key=lambda row: row["path"]), str(folder))
    if path.suffix == ".pt":  # a checkpoint
        return without_times(torch.load(path, weights_only=True), str(folder))
    return "a figure" if path.suffix == ".svg" else path.read_bytes()


def without_times(value: Any, folder: str) -> Any:
    """A document without what differs from run to run; of a summary, entries by name."""
    if isinstance(value, dict):
        return {key: without_times(entry, folder) for key, entry in value.items() if not UNLIKE.search(str(key))}
    if isinstance(value, list):
        plain = [without_times(entry, folder) for entry in value]
        return sorted(plain, key=lambda entry: entry["path"]) if plain and all(
            isinstance(entry, dict) and "path" in entry for entry in plain) else plain
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    return value.replace(folder, "OUT") if isinstance(value, str) else value


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What is missing, too much, or other."""
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is left" for name in found if name not in expected]
    for name in expected:
        if name in found and found[name] != expected[name]:
            wrong.append(f"{name} differs{where(expected[name], found[name])}")
    return wrong


def where(one: Any, other: Any) -> str:
    """The first place at which two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if one.get(key) != other.get(key):
                return f" at {key}{where(one.get(key), other.get(key))}"
    if isinstance(one, list) and isinstance(other, list):
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            if left != right:
                return f" at {number}{where(left, right)}"
        return f": {len(one)} and {len(other)} entries"
    return "" if isinstance(one, bytes) else f": {str(one)[:60]!r} and {str(other)[:60]!r}"


if __name__ == "__main__":
    main()
