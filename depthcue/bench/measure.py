"""Measuring the candidates for one net: right answers first, then memory, then time over batch sizes.

A fast candidate with wrong answers is not ranked. The answers are compared with those of the net as given, in float32
on the CPU; the allowed differences depend on the precision and are those that exported graphs have to pass
(`backends.session.TOLERANCES`).

The candidates are timed in turns: each round times every candidate once, a few milliseconds apart, and ratios are taken
within rounds, so that a disturbance of the machine slows both sides of the fraction.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.backends.session import TOLERANCES, Frames, Maps, Session
from depthcue.backends.torch_backend import TorchSession
from depthcue.bench.candidates import Candidate
from depthcue.bench.limits import peak_memory_mib, short
from depthcue.errors import DepthcueError
from depthcue.export.parity import kept_pixels
from depthcue.imaging import resize_rgb
from depthcue.nets import DepthNet, MaskNet
from depthcue.progress import Progress

MIN_ROUNDS = 5
MAX_ROUNDS = 200
WARM_UP = 2
"""Calls before the clock starts: the first allocates and chooses algorithms, the second runs as all later ones."""
NETWORK, RUNNER = "network", "runner"
"""Scopes of a timing: the net alone, its frames on the device; or all of a runner, arrays in and out."""
USUAL_BATCH = {"cpu": 2, "cuda": 32, "mps": 32}
"""Default batch size of `depthcue mask`; memory is measured at it."""
PATIENCE = 4
"""A batch size is left out where its least number of rounds would take this many times the seconds allowed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timed:
    """The seconds that each call took, in the order of rounds."""

    seconds: tuple[float, ...]

    def as_json(self, batch: int, reference: "Timed | None" = None) -> dict[str, Any]:
        """Times of the calls on batches of `batch` frames.

        `median_ms` and `p95_ms` a call; `frames_per_second` by the median; `calls`; with a reference of the same
        rounds, `ratio`: how many times as fast as it, the median over rounds.
        """
        middle = median(self.seconds)
        numbers = {"median_ms": short(1e3 * middle), "p95_ms": short(1e3 * float(np.quantile(self.seconds, 0.95))),
                   "frames_per_second": short(batch / middle), "calls": len(self.seconds)}
        if reference is not None:
            numbers["ratio"] = short(median(theirs / own for theirs, own
                                             in zip(reference.seconds, self.seconds, strict=True)))
        return numbers


def take_turns(calls: Mapping[str, Callable[[], object]], seconds: float,
               failed: Callable[[str, Exception], None]) -> dict[str, Timed]:
    """Time every call again and again, in turns, for about `seconds` in all, and at least MIN_ROUNDS times each.

    Args:
        failed: called for a call that raised, in warming up or later, which is left out of the result.
    """
    calls = dict(calls)

    def timed(name: str) -> float | None:
        start = time.perf_counter()
        try:
            calls[name]()
        except Exception as error:  # libraries may raise anything when memory or an algorithm is missing
            failed(name, error)
            del calls[name]
            return None
        return time.perf_counter() - start

    a_round = 0.0
    for _ in range(WARM_UP):
        a_round = sum(timed(name) or 0.0 for name in tuple(calls))
    taken: dict[str, list[float]] = {name: [] for name in calls}
    rounds = int(min(max(seconds / max(a_round, 1e-9), MIN_ROUNDS), MAX_ROUNDS))
    for number in range(rounds):
        for name in _turned(tuple(calls), number):
            spent = timed(name)
            if spent is not None:
                taken[name].append(spent)
    return {name: Timed(tuple(taken[name])) for name in calls}


def _turned(names: Sequence[str], number: int) -> Sequence[str]:
    """The names in turn, another one first in every round: a call after a heavy one finds the caches cold."""
    start = number % len(names) if names else 0
    return [*names[start:], *names[:start]]


@dataclass(frozen=True)
class TorchAgreement:
    """Differences of answers from those of the net as given."""

    right: bool
    """Within the tolerance of the precision."""
    max_abs: float | None
    """Largest difference: of masks; of depths as a share of the depth (of 1 m where it is less). None for NaN."""
    mean_abs: float | None
    changed_side: float | None
    """Share of pixels of masks that change side, by the share kept or the threshold; None for depths and for NaN."""


class Answers:
    """Answers of the net as given, in float32 on the CPU, to some pictures."""

    def __init__(self, net: MaskNet | DepthNet, dial: float | None, pictures: Sequence[NDArray[np.uint8]],
                 size: tuple[int, int]) -> None:
        """
        Args:
            dial: of a mask net, the share or λ it is set to; None for its own.
            pictures: uint8 (H, W, 3) of any sizes.
            size: (height, width) at which the net sees them.
        """
        self.frames: Frames = np.stack([resize_rgb(picture, *size) for picture in pictures])
        self._of_masks = isinstance(net, MaskNet)
        self._keep = dial if isinstance(net, MaskNet) and net.keeps_shares else None
        with TorchSession(net, dial, as_given=True) as session:
            self.maps = np.concatenate([session.run(self.frames[row:row + 1]) for row in range(len(self.frames))])

    def agreement(self, maps: Maps, precision: str) -> TorchAgreement:
        """Compare `maps`, made of the same frames in `precision`, with these answers."""
        if maps.shape != self.maps.shape or not np.isfinite(maps).all():
            return TorchAgreement(False, None, None, None)
        difference = np.abs(maps - self.maps)
        if not self._of_masks:
            difference = difference / np.maximum(self.maps, 1.0)
        largest, mean = float(difference.max()), float(difference.mean())
        changed = None
        if self._of_masks:
            changed = float(np.mean(kept_pixels(maps, self._keep) != kept_pixels(self.maps, self._keep)))
        limit = TOLERANCES[precision]
        limit = limit.for_depths() if not self._of_masks else limit if self._keep is None else limit.for_shares()
        right = largest <= limit.max_abs and mean <= limit.mean_abs and (changed or 0.0) <= limit.changed_side
        return TorchAgreement(right, largest, mean, changed)


@dataclass(frozen=True)
class Subject:
    """A net, with the setting, size and pictures that it is measured at."""

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
    """Results of one candidate."""

    candidate: Candidate
    agreement: TorchAgreement
    host_mib: float | None
    device_mib: float | None
    timings: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    """Batch sizes that did not work, each with its reason."""

    def best(self) -> dict[str, Any] | None:
        """The timing of a whole runner, arrays in and out, with most frames a second."""
        timings = [timing for timing in self.timings if timing["scope"] == RUNNER]
        return max(timings, key=lambda timing: float(timing["frames_per_second"]), default=None)

    def as_json(self) -> dict[str, Any]:
        """The record of the candidate for results."""
        one = self.candidate
        return {"name": one.name, "backend": one.backend, "device": one.device, "precision": one.precision,
                "rewritten": one.rewritten, "agreement": asdict(self.agreement), "host_mib": _whole(self.host_mib),
                "device_mib": _whole(self.device_mib), "timings": self.timings, "left_out": self.left_out}


@dataclass(frozen=True)
class Measured:
    """All candidates for a net: those that ran, and why the others did not."""

    entries: list[Entry]
    failed: list[dict[str, str]]
    left_out: list[dict[str, Any]]
    """Batch sizes that would have taken too long."""
    reference: str
    """The candidate that ratios are to."""


def measure(subject: Subject, candidates: Sequence[Candidate], batch_sizes: Sequence[int], seconds: float,
            progress: Progress) -> Measured:
    """Open every candidate, check its answers, and time all that run, in turns, at every batch size.

    Those with wrong answers are timed too, and marked.

    Args:
        candidates: all on one device; the first is the reference.
        seconds: about how long to time one batch size in one scope.
    """
    what = "mask net" if isinstance(subject.net, MaskNet) else "depth net"
    reference = candidates[0].name
    answers = Answers(subject.net, subject.dial, subject.pictures, subject.size)
    with ExitStack() as stack:
        progress.start(f"checking the {what}", len(candidates))
        entries: list[Entry] = []
        running: dict[str, Session] = {}
        failed: list[dict[str, str]] = []
        for candidate in candidates:
            try:
                entry, session = _opened(candidate, answers, stack)
                entries.append(entry)
                running[candidate.name] = session
            except Exception as error:  # whatever a library raises that is half installed or lacks an algorithm
                reason = reason_of(error)
                log.info("%s does not run here: %s", candidate.name, reason)
                failed.append({"name": candidate.name, "reason": reason})
            progress.advance()
        # on a CPU the frames are where the net computes already, so the two scopes would be the same
        with_staging = candidates[0].device != "cpu"
        left_out: list[dict[str, Any]] = []
        by_name = {entry.candidate.name: entry for entry in entries}
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
            expected_s = sum(1.0 / timing["frames_per_second"] for entry in entries for timing in entry.timings
                             if timing["batch"] == batch)
    return Measured(entries, failed, left_out, reference)


def reason_of(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, DepthcueError):
        return error.message.splitlines()[0]
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _opened(candidate: Candidate, answers: Answers, stack: ExitStack) -> tuple[Entry, Session]:
    """Enter a candidate, for as long as `stack` lasts, and measure its answers and memory."""
    kind = candidate.device.partition(":")[0]
    batch = USUAL_BATCH[kind]
    session = candidate.open()  # exports or builds where that was not done before, which is no memory of running

    def start() -> None:
        stack.enter_context(session)
        session.run(_batch_of(answers.frames, batch))

    host, device = peak_memory_mib(start, candidate.device, candidate.backend == "torch")
    chunks = [session.run(answers.frames[row:row + batch]) for row in range(0, len(answers.frames), batch)]
    return Entry(candidate, answers.agreement(np.concatenate(chunks), candidate.precision), host, device), session


def _scopes(running: dict[str, Session], frames: Frames, with_staging: bool,
            failing: Callable[[str, Exception], None]) -> dict[str, dict[str, Callable[[], object]]]:
    """Functions to time, by scope and candidate."""
    scopes: dict[str, dict[str, Callable[[], object]]] = {
        RUNNER: {name: partial(session.run, frames) for name, session in running.items()}}
    if with_staging:
        scopes[NETWORK] = {}
        for name, session in running.items():
            try:
                scopes[NETWORK][name] = session.staged(frames)
            except Exception as error:  # as in timing: memory or a shape that is missing, in any class
                failing(name, error)
    return scopes


def _noted(entries: dict[str, Entry], batch: int) -> Callable[[str, Exception], None]:
    def failed(name: str, error: Exception) -> None:
        if not any(each["batch"] == batch for each in entries[name].left_out):
            entries[name].left_out.append({"batch": batch, "reason": reason_of(error)})

    return failed


def _batch_of(frames: Frames, batch: int) -> Frames:
    """`batch` frames, the pictures over and over."""
    return np.ascontiguousarray(frames[np.arange(batch) % len(frames)])


def _whole(mib: float | None) -> int | None:
    return None if mib is None else round(mib)
