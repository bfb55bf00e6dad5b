"""Measuring the contenders for one net: right answers first, then memory, then time over batch sizes."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.bench.agreement import Agreement, Answers
from depthcue.bench.contenders import Contender, Runs, Staging
from depthcue.bench.memory import peak_memory_mib
from depthcue.bench.timing import MIN_ROUNDS, take_turns
from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet
from depthcue.progress import Progress
from depthcue.runtime.runner import Frames, Masks

NETWORK, RUNNER = "network", "runner"
"""What a clock is put around: the net alone, its frames on the device; or all of a runner, arrays in and out."""
USUAL_BATCH = {"cpu": 2, "cuda": 32, "mps": 32}
"""What `depthcue mask` takes where it is told nothing; memory is measured at it."""
PATIENCE = 4
"""A batch size is left out where its least number of rounds would take this many times the seconds allowed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Subject:
    """A net, and how its frames look."""

    net: MaskNet | DepthNet
    """On the CPU."""
    size: tuple[int, int]
    """(height, width) of the frames."""
    dial: float | None
    """The share or λ that a mask net is set to; None for a depth net."""
    pictures: Sequence[NDArray[np.uint8]]
    """uint8 (H, W, 3), to compare answers on and to time with."""


@dataclass
class Entry:
    """What is known of one contender."""

    contender: Contender
    agreement: Agreement
    host_mib: float | None
    device_mib: float | None
    timings: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    """Batch sizes that did not work, each with its reason."""

    def best(self, scope: str = RUNNER) -> dict[str, Any] | None:
        """The timing with most frames a second."""
        timings = [timing for timing in self.timings if timing["scope"] == scope]
        return max(timings, key=lambda timing: float(timing["frames_per_second"]), default=None)

    def as_json(self) -> dict[str, Any]:
        way = self.contender
        return {"name": way.name, "backend": way.backend, "device": way.device, "precision": way.precision,
                "rewritten": way.rewritten, "agreement": self.agreement.as_json(), "host_mib": _whole(self.host_mib),
                "device_mib": _whole(self.device_mib), "timings": self.timings, "left_out": self.left_out}


@dataclass(frozen=True)
class Measured:
    """All contenders for a net: those that ran, and why the others did not."""

    entries: list[Entry]
    failed: list[dict[str, str]]
    left_out: list[dict[str, Any]]
    """Batch sizes that would have taken too long."""
    reference: str
    """The contender that ratios are to."""


def measure(subject: Subject, contenders: Sequence[Contender], batch_sizes: Sequence[int], seconds: float,
            progress: Progress) -> Measured:
    """Open every contender, check its answers, and time all that run, in turns, at every batch size.

    Those with wrong answers are timed too, so that it can be seen what the error buys; they are marked.

    Args:
        contenders: all on one device; the first is the reference.
        seconds: about how long to time one batch size in one scope.
    """
    what = "mask net" if isinstance(subject.net, MaskNet) else "depth net"
    reference = contenders[0].name
    answers = Answers(subject.net, subject.dial, subject.pictures, subject.size)
    with ExitStack() as stack:
        progress.start(f"checking the {what}", len(contenders))
        entries: list[Entry] = []
        running: dict[str, Runs] = {}
        failed: list[dict[str, str]] = []
        for contender in contenders:
            try:
                entry, runs = _opened(contender, answers, stack)
                entries.append(entry)
                running[contender.name] = runs
            except Exception as error:  # whatever a library raises that is half installed or lacks an algorithm
                reason = reason_of(error)
                log.info("%s does not run here: %s", contender.name, reason)
                failed.append({"name": contender.name, "reason": reason})
            progress.advance()
        # on a CPU frames are where the net computes already: one scope says it all
        with_staging = contenders[0].device != "cpu"
        left_out: list[dict[str, Any]] = []
        by_name = {entry.contender.name: entry for entry in entries}
        expected_s = 0.0
        for batch in sorted(batch_sizes):
            if expected_s * batch * MIN_ROUNDS > PATIENCE * seconds:
                left_out.append({"batch": batch, "reason": f"a round of it takes about {expected_s * batch:.0f} s"})
                continue
            frames = _batch_of(answers.frames, batch)
            progress.start(f"timing the {what}, batch {batch}")
            failing = _noted(by_name, batch)
            for scope, calls in _scopes(running, frames, with_staging, failing).items():
                timed = take_turns(calls, seconds, failing)
                for name, times in timed.items():
                    by_name[name].timings.append(
                        {"batch": batch, "scope": scope, **times.as_json(batch, timed.get(reference))})
            expected_s = sum(_seconds_a_frame(entry, batch) for entry in entries)
    return Measured(entries, failed, left_out, reference)


def reason_of(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, DepthcueError):
        return error.message.splitlines()[0]
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _opened(contender: Contender, answers: Answers, stack: ExitStack) -> tuple[Entry, Runs]:
    """Enter a contender, for as long as `stack` lasts, and see what it answers and how much memory that takes."""
    kind = contender.device.partition(":")[0]
    batch = USUAL_BATCH[kind]
    runs = contender.open()  # exports or builds where that was not done before, which is no memory of running

    def start() -> None:
        stack.enter_context(runs)
        runs.infer(_batch_of(answers.frames, batch))

    host, device = peak_memory_mib(start, contender.device, contender.backend == "torch")
    chunks = [runs.infer(answers.frames[row:row + batch]) for row in range(0, len(answers.frames), batch)]
    return Entry(contender, answers.agreement(np.concatenate(chunks), contender.precision), host, device), runs


def _scopes(running: dict[str, Runs], frames: Frames, with_staging: bool,
            failing: Callable[[str, Exception], None]) -> dict[str, dict[str, Callable[[], object]]]:
    """What to time, by scope and contender."""
    def infer(runs: Runs) -> Callable[[], Masks]:
        return lambda: runs.infer(frames)

    scopes: dict[str, dict[str, Callable[[], object]]] = {RUNNER: {name: infer(runs) for name, runs in running.items()}}
    if with_staging:
        scopes[NETWORK] = {}
        for name, runs in running.items():
            if isinstance(runs, Staging):
                try:
                    scopes[NETWORK][name] = runs.staged(frames)
                except Exception as error:  # as in timing: memory or a shape that is missing, in any class
                    failing(name, error)
    return scopes


def _noted(entries: dict[str, Entry], batch: int) -> Callable[[str, Exception], None]:
    def failed(name: str, error: Exception) -> None:
        if not any(each["batch"] == batch for each in entries[name].left_out):
            entries[name].left_out.append({"batch": batch, "reason": reason_of(error)})

    return failed


def _seconds_a_frame(entry: Entry, batch: int) -> float:
    return sum(1.0 / timing["frames_per_second"] for timing in entry.timings if timing["batch"] == batch)


def _batch_of(frames: Frames, batch: int) -> Frames:
    """`batch` frames, the pictures over and over."""
    return np.ascontiguousarray(frames[np.arange(batch) % len(frames)])


def _whole(mib: float | None) -> int | None:
    return None if mib is None else round(mib)

