"""Commands that are ended at random moments and called again: whether they give what an undisturbed run gives.

    python benchmarks/killed.py [--moments 20] [--only mask-folder,train] [--seed 0] [--anew]

Each command works on the smallest of inputs, made here: twice undisturbed, then for each of `--moments` it is begun in
a folder of its own, ended by SIGKILL, SIGINT or SIGTERM in turns at a moment between its start and its usual end, and
called again, with --resume where it has that and there is something to resume. Afterwards the second run must have
ended with status 0, every file of the undisturbed run must be there with the same content, and no other, hidden or
half-written ones included, and no process that a run has started may be left. A run that SIGINT or SIGTERM ended must
have the exit status of the signal, and no traceback. JSON is compared without times and without the words of the
command; of figures in SVG, which carry dates, only the names are compared.

Commands are forked from a process that has imported the libraries, so that no run spends seconds on that. Moments are
shares of the processor time of an undisturbed run; every second moment is a share of its time from the first file on.
Processor time depends little on other load on the machine. A run that ends by itself before its moment is begun anew.

Writes benchmarks/results/killed.json after every moment. Called again at the same revision, it goes on with the moments
that are missing there; those of another revision are measured anew, and all with --anew. Two that are called with other
commands can run at a time. Exit status 1 where anything differed.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
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
SAID = {signal.SIGKILL: {-9}, signal.SIGINT: {130, 1, -2}, signal.SIGTERM: {143, 130, -15}}
"""Status of a command that a signal has ended: negative where it came before the command had begun to listen; what has
ended before it came says 0. Training ends alike after both."""
UNLIKE = re.compile(r"(^|_)(s|ms|h|seconds|time|times|started|per_second|latency)$|^(arguments|command|revision|"
                    r"machine|resumed|out|source|created|date|memory.*|rss.*|totals)$")
"""Fields of JSON that differ from run to run: times, and how and where it was called."""


PRELOADED = ["torch", "torch._dynamo", "torch.export", "torchvision", "av", "onnx", "onnx.reference", "onnxscript",
             "onnxscript.function_libs", "onnxruntime", "accelerate", "rich.console", "rich.progress", "rich.table",
             "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "networkx",
             "numpy.ma", "sympy.combinatorics", "ray", "depthcue.runtime.cluster", "depthcue.training.engine",
             "depthcue.probes.running", "depthcue.evaluation.compare_losses", "depthcue.scenes.api",
             "depthcue.export.onnx", "depthcue.report.page"]
MARK = "DEPTHCUE_KILLED"
"""Variable by which processes are known that a run has started."""
GONE_S = 120.0
"""How long these may take to end after their run."""
HANGS_S = 1800.0
"""When a run is given up."""
TRIES = 4
"""How often a run is begun that ends before its moment."""
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
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "killed.json")
    options = parser.parse_args()

    # a shell's background jobs ignore Ctrl-C, and so would what they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["OMP_NUM_THREADS"] = "1"
    _FORKS.set_forkserver_preload(PRELOADED)
    revision = files.revision().rstrip("+")
    with tempfile.TemporaryDirectory() as folder:
        chosen = commands(make_inputs(Path(folder)))
        for name in options.only.split(",") if options.only else chosen:
            entry = stored(options.out).get(name, {})
            if options.anew or entry.get("revision") != revision:
                entry = {"revision": revision, "resumes": chosen[name].resumes, "moments": []}
            for _ in disturb(name, chosen[name], Path(folder), entry, options.moments, options.seed):
                files.write_public(options.out, files.document("killed", commands={**stored(options.out), name: entry}))
            good = sum(each["wrong"] == [] for each in entry["moments"])
            print(f"{name}: {good} of {len(entry['moments'])} as undisturbed", flush=True)
    if any(each["wrong"] for one in stored(options.out).values() for each in one["moments"]):
        raise SystemExit(1)


def stored(path: Path) -> dict[str, Any]:
    """What is known of each command."""
    return dict(json.loads(path.read_text())["commands"]) if path.exists() else {}


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


def disturb(name: str, command: Command, folder: Path, entry: dict[str, Any], moments: int, seed: int
            ) -> Iterator[None]:
    """Run a command undisturbed, and disturbed at each moment that the entry lacks; yields when one is entered."""
    if len(entry["moments"]) >= moments:
        return
    plain = Run(command, folder / f"{name}-plain" / "out")  # for what is read and compiled once
    plain.end()
    usual = Run(command, folder / f"{name}-usual" / "out")
    begun_s = usual.await_file()
    usual.end()
    for run in (plain, usual):
        if run.status:
            raise SystemExit(f"{name} fails undisturbed: {run.complaint}")
    expected = contents(plain.folder)
    if wrong := differences(expected, contents(usual.folder)):
        raise SystemExit(f"{name} differs undisturbed: {wrong}")
    entry |= {"undisturbed_s": round(usual.seconds, 2), "files": len(expected)}
    for number in range(len(entry["moments"]), moments):
        draws = random.Random(f"{seed} {name} {number}")
        moment = moment_of(command, folder / f"{name}-{number}", number, draws, usual, begun_s, expected)
        entry["moments"].append(moment)
        if moment["wrong"]:
            print(f"{name}, {moment}", flush=True)
        yield


def moment_of(command: Command, folder: Path, number: int, draws: random.Random, usual: "Run", begun_s: float,
              expected: dict[str, Any]) -> dict[str, Any]:
    """End a run at a random moment and call it again; what was wrong."""
    end = SIGNALS[number % len(SIGNALS)]
    for _ in range(TRIES):
        share = draws.random()
        shutil.rmtree(folder, ignore_errors=True)
        first = Run(command, folder / "out")
        if number % 2:
            first.await_file()
            first.await_processor_s(first.processor_s + share * (usual.processor_s - begun_s))
        else:
            first.await_processor_s(share * usual.processor_s)
        sent = first.send(end)
        first.end()
        if sent:
            break
    left = first.helpers()
    second = Run(command, folder / "out", again=True)
    second.end()
    if second.status and "no run to resume" in second.complaint:  # training says so where nothing had begun
        second = Run(command, folder / "out")
        second.end()
    left += second.helpers()
    wrong = [] if second.status == 0 else [f"the second run failed: {second.complaint[-300:]}"]
    if first.status not in SAID[end] | {0} or "Traceback" in first.complaint:
        wrong.append(f"status {first.status}: {first.complaint[-300:]}")
    wrong += [f"a process is left: {words}" for words in left]
    wrong += differences(expected, contents(folder))
    shutil.rmtree(folder)
    return {"signal": end.name, "ended_s": round(first.seconds, 2), "sent": sent, "status": first.status,
            "wrong": wrong}


class Run:
    """A command on its way, in a folder of its own."""

    def __init__(self, command: Command, out: Path, again: bool = False) -> None:
        out = out.with_suffix(command.suffix)
        self.folder = out.parent
        self.folder.mkdir(exist_ok=True)
        words = [str(out) if word == "OUT" else word for word in command.words]
        words += ["--quiet", *(["--resume"] if again and command.resumes else [])]
        self._log = self.folder.with_name(f"{self.folder.name}-log")
        self._mark = secrets.token_hex(8)
        self._process = _FORKS.Process(target=call, args=(words, str(self._log), self._mark))
        self._began = time.perf_counter()
        self.seconds = self.processor_s = 0.0
        self._process.start()

    @property
    def status(self) -> int | None:
        return self._process.exitcode

    @property
    def complaint(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def running(self) -> bool:
        """Whether it has not ended; notes the processor time that it has taken, in seconds."""
        with suppress(OSError, IndexError):  # it may have ended
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            self.processor_s = max(self.processor_s, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        return self.status is None

    def await_file(self) -> float:
        """Wait for the first file in the folder, or the end; processor seconds since the beginning."""
        while self.running() and not any(path.is_file() for path in self.folder.rglob("*")):
            time.sleep(0.005)
        return self.processor_s

    def await_processor_s(self, seconds: float) -> None:
        """Wait until it has taken so much processor time, or ended."""
        while self.running() and self.processor_s < seconds:
            time.sleep(0.005)

    def send(self, number: signal.Signals) -> bool:
        """Send a signal, unless it has ended."""
        if self.status is not None or self._process.pid is None:
            return False
        os.kill(self._process.pid, number)
        return True

    def end(self) -> None:
        """Wait for its end."""
        while self.running():
            if time.perf_counter() - self._began > HANGS_S:
                self._process.kill()
                raise SystemExit(f"a command hangs: {self.complaint[-2000:]}")
            time.sleep(0.005)
        self.seconds = time.perf_counter() - self._began

    def helpers(self) -> list[str]:
        """What it has started and has not ended in time: the words of each process."""
        until = time.perf_counter() + GONE_S
        while (left := _marked(self._mark)) and time.perf_counter() < until:
            time.sleep(0.2)
        return left


def _marked(mark: str) -> list[str]:
    """Words of the processes, other than runs themselves, whose environment has the mark."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200])
    return found


def call(words: list[str], log: str, mark: str) -> None:
    """Be the command, in a process of its own."""
    from depthcue.cli.main import main as command

    os.setsid()
    os.environ[MARK] = mark
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
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
