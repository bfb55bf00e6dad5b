"""What `depthcue mask` does: every input to its masks, and a summary that tells what became of each."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from depthcue.device import resolve_device
from depthcue.errors import DepthcueError
from depthcue.frames import FrameSource, Input, LiveOptions, LiveSource, find_inputs, open_input
from depthcue.frames.encoders import SOFTWARE, find_encoder
from depthcue.frames.hardware import hardware_decoding
from depthcue.imaging import fit_size
from depthcue.nets import load_depth_net
from depthcue.progress import Progress
from depthcue.runtime.depth_through_mask import DepthThroughMask
from depthcue.runtime.halving import halving
from depthcue.runtime.interruption import interruptible
from depthcue.runtime.jobs import Infer, Maps, Outcome, Prepared
from depthcue.runtime.opening import open_runner, torch_threads
from depthcue.runtime.pipeline import Pipeline
from depthcue.runtime.runner import Runner
from depthcue.runtime.saving import DEPTH_KINDS, PICTURE_KINDS, Kept, Rendered, Saver, check_kinds
from depthcue.runtime.summary import Summary

THRESHOLD = 0.025
"""A pixel is kept where its mask is above this (Hu et al. 2019, sec. 4.2)."""

LONG_VIDEO = 1000
"""How many frames a video is taken to have before it is opened."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskOptions:
    """How to mask; the defaults are the command's."""

    weights: str = "compact-indoor"
    lam: float | None = None
    save: tuple[str, ...] = ("mask", "overlay")
    threshold: float = THRESHOLD
    target: str | None = None
    """Depth net for the kinds that show depth; None: the one the mask net was trained for."""
    backend: str = "auto"
    device: str = "auto"
    precision: str = "fp32"
    batch_size: int | None = None
    """None: 2 on a CPU, 32 elsewhere."""
    size: tuple[int, int] | None = None
    """(height, width) to work at in place of the net's own; other aspect ratios get about as many pixels."""
    resume: bool = False
    encoder: str = SOFTWARE.name
    """Of videos: a name of `frames.encoders`, or auto."""
    decoder: str = "cpu"
    """cpu or gpu."""
    duration_s: float | None = None
    """How long to read live sources; None: until Ctrl-C."""
    stall_s: float = 10.0
    """After how long without a frame a live source counts as gone."""


def mask_sources(sources: Sequence[str], out: Path, options: MaskOptions, progress: Progress) -> dict[str, Any]:
    """Mask every picture and video of `sources` into the folder `out`; return the summary, also `out`/summary.json.

    An input that fails has its error in the summary, and the others go on. Interrupted by Ctrl-C or SIGTERM, what is
    finished stays, the summary says how far it came, and the interruption is raised. Live sources have no end of their
    own: there the first Ctrl-C or SIGTERM ends the recording, whose files are finished.

    Raises:
        DepthcueError: nothing to work on, a wrong option, weights that do not load, a folder that cannot be written.
    """
    options = replace(options, save=check_kinds(options.save))
    if not options.save:
        raise DepthcueError("there is nothing to save", "Give --save.")
    if not 0 <= options.threshold < 1:
        raise DepthcueError(f"--threshold {options.threshold:g} is outside 0 to 1", "The paper uses 0.025.")
    _check_video_options(options)
    inputs, unreadable = _find(sources, out)
    live = [each for each in inputs if each.kind == "live"]
    if live:
        _check_live(inputs, out, options)
    plan = _Plan.for_device(resolve_device(options.device), options.batch_size, len(live))
    with torch_threads(plan.threads):
        runner, depth = _open_nets(options, plan, inputs)
    working, multiple = _working_size(runner, depth, options.size)
    summary = Summary(out, options.resume, {
        "weights": options.weights, "weights_identity": runner.identity, "lambda": runner.lam,
        "save": list(options.save), "threshold": options.threshold,
        "target": depth.description.name if depth is not None else None,
        "size": None if options.size is None else list(options.size), "precision": options.precision,
    }, {"backend": runner.name})
    for source, error in unreadable:
        summary.add_unreadable(source, error)
    metres = depth is None or not depth.description.relative
    reading = LiveOptions(options.stall_s, options.duration_s)
    jobs = [_MaskJob(each, out, options, working, multiple, metres, reading)
            for each in inputs if not summary.keep_finished(each)]
    progress.start("masking", _total_frames(jobs))
    with interruptible(reading.ending.set if live else None) as raise_interruption, summary:
        with ExitStack() as stack:
            stack.enter_context(torch_threads(plan.threads))
            infer = _inference(stack.enter_context(runner), depth and stack.enter_context(depth))

            def look_up(frames: int) -> None:
                raise_interruption()
                progress.advance(frames)
                summary.save_now_and_then()

            if jobs:
                pipeline = Pipeline(infer, batch_size=plan.batch_size, streams=plan.streams, readers=plan.readers,
                                    video_readers=plan.video_readers, writers=plan.writers,
                                    renderers=plan.renderers)
                pipeline.run(jobs, lambda outcome: _finish(outcome, summary), look_up)
    return summary.document()


@dataclass(frozen=True)
class _Plan:
    """How the cores are shared out."""

    batch_size: int
    streams: int
    """Batches inferred at the same time."""
    threads: int | None
    """Of one operation; None leaves it to the backend."""
    readers: int
    video_readers: int
    writers: int
    renderers: int

    @classmethod
    def for_device(cls, device: str, batch_size: int | None, live: int = 0) -> Self:
        """For the files or for `live` live sources, which a device masks together."""
        cores = os.cpu_count() or 2
        if live:
            # all cores for the frame that is there: the soonest answer, not the most answers
            return cls(batch_size or live, 1, cores if device == "cpu" else None, 1, 1, live, 0)
        if device != "cpu":
            # the cores are free for decoding and encoding; the second stream copies while the first computes
            half = min(max(cores // 2, 1), 16)
            return cls(batch_size or 32, 2, None, half, min(max(cores // 4, 1), 4), half, half)
        # threads that share one operation wait for each other at its end, and longer when decoding and encoding
        # interrupt one of them; batches side by side do not. More than a few would take much memory.
        streams = min(cores, 4)
        return cls(batch_size or 2, streams, cores // streams, max(cores // 4, 1), 1, max(cores // 4, 1), cores // 8)


class _MaskJob:
    """One input for the pipeline."""

    def __init__(self, source: Input, out: Path, options: MaskOptions, working: tuple[int, int],
                 multiple: int, metres: bool, live: LiveOptions) -> None:
        self.source = source
        self.is_video = source.kind != "image"
        self.is_live = source.kind == "live"
        self.notes: list[str] = []
        self.live: dict[str, Any] | None = None
        """What is told of a live source alone."""
        self.saver = Saver(source, out, options.save, options.threshold, metres, options.encoder)
        self._live_options = live
        self._decoder = options.decoder
        self._working = working
        self._multiple = multiple
        self._keeps_picture = any(kind in PICTURE_KINDS for kind in options.save)

    @contextmanager
    def read(self) -> Iterator[Iterator[Prepared]]:
        with open_input(self.source, live=self._live_options, decoder=self._decoder) as stream:
            self.saver.stream = stream
            try:
                yield self._prepared(stream)
            finally:
                self.notes = stream.notes
                if isinstance(stream, LiveSource):
                    self.live = {"dropped": stream.dropped, "reconnects": stream.reconnects}

    def _prepared(self, stream: FrameSource) -> Iterator[Prepared]:
        for frame in stream:
            height, width = frame.size
            small = frame.resized(*fit_size(height, width, self._working, self._multiple))
            kept = Kept(frame if self._keeps_picture else frame.without_picture(), (height, width))
            yield Prepared(small, kept, small.nbytes + kept.frame.nbytes)

    def render(self, frame: Prepared, maps: Maps) -> Rendered:
        return self.saver.render(frame, maps)

    def open_sink(self) -> Saver:
        return self.saver


def _find(sources: Sequence[str], out: Path) -> tuple[list[Input], list[tuple[str, DepthcueError]]]:
    unreadable: list[tuple[str, DepthcueError]] = []
    inputs = find_inputs(sources, without=out, on_error=lambda source, error: unreadable.append((source, error)))
    if not inputs:
        raise unreadable[0][1] if unreadable else DepthcueError("no source was given", "Name a picture or a video.")
    return inputs, unreadable


def _check_live(inputs: Sequence[Input], out: Path, options: MaskOptions) -> None:
    """
    Raises:
        DepthcueError: not all inputs are live, or results of an earlier recording would be lost.
    """
    files = [each for each in inputs if each.kind != "live"]
    if files:
        raise DepthcueError(f"{files[0].label} is not live and other sources are",
                            "Files would make live frames wait: mask them in a run of their own.")
    for each in inputs:
        saver = Saver(each, out, options.save, options.threshold)
        there = [path for path in map(saver.path, options.save) if path.exists()]
        if there:  # a file is masked again at will; what a camera saw does not come back
            raise DepthcueError(f"{there[0]} is there already, and a recording is not overwritten",
                                "Choose another --out, or move it away.")


def _check_video_options(options: MaskOptions) -> None:
    """Tell before the work what would fail at the first video.

    Raises:
        DepthcueError: an encoder or decoder that does not work here, or times that are no times.
    """
    find_encoder(options.encoder, (480, 640))
    hardware_decoding(options.decoder)
    for name, seconds in (("--duration", options.duration_s), ("--stall-timeout", options.stall_s)):
        if seconds is not None and not 0 < seconds < float("inf"):
            raise DepthcueError(f"{name} {seconds:g} is no length of time", "Give seconds above 0.")


def _open_nets(options: MaskOptions, plan: _Plan, inputs: Sequence[Input]) -> tuple[Runner, DepthThroughMask | None]:
    device = resolve_device(options.device)
    runner = open_runner(options.weights, backend=options.backend, device=device, precision=options.precision,
                         lam=options.lam, batch_size=plan.batch_size, size=options.size,
                         frames=sum(1 if each.kind == "image" else LONG_VIDEO for each in inputs),
                         threads=plan.threads)
    if not any(kind in DEPTH_KINDS for kind in options.save):
        return runner, None
    target = options.target or runner.description.target
    try:
        return runner, DepthThroughMask(load_depth_net(target), device)
    except DepthcueError as error:
        raise DepthcueError(f"--save {' and '.join(k for k in options.save if k in DEPTH_KINDS)} needs the depth net: "
                            f"{error.message}", "Name it with --target, or save other kinds.") from error


def _working_size(runner: Runner, depth: DepthThroughMask | None,
                  size: tuple[int, int] | None) -> tuple[tuple[int, int], int]:
    """(height, width) to work at, and what sides must be multiples of, so that each net in use can take the frames."""
    description = runner.description
    multiple = description.multiple if depth is None else lcm(description.multiple, depth.description.multiple)
    height, width = size or (description.height, description.width)
    near = _nearest(height, multiple), _nearest(width, multiple)
    if size is not None and (size[0] % multiple or size[1] % multiple):
        raise DepthcueError(f"--size {size[1]}x{size[0]}: both sides must be multiples of {multiple} for "
                            f"{description.name}", f"Try --size {near[1]}x{near[0]}.")
    return near, multiple


def _nearest(side: int, multiple: int) -> int:
    return max(round(side / multiple), 1) * multiple


def _inference(runner: Runner, depth: DepthThroughMask | None) -> Infer:
    def infer(frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        masks = runner.infer(frames)
        return (masks,) if depth is None else (masks, *depth.depths(frames, masks))

    return halving(infer, runner.device)


def _total_frames(jobs: Sequence[_MaskJob]) -> int | None:
    """How many frames there are, where that can be told without opening many files."""
    if any(job.is_live for job in jobs):
        return None
    videos = [job for job in jobs if job.is_video]
    if len(videos) > 20:
        return None
    total = len(jobs) - len(videos)
    for job in videos:
        try:
            with open_input(job.source) as stream:
                if stream.frame_count is None:
                    return None
                total += stream.frame_count
        except DepthcueError:
            pass  # told when its turn comes
    return total


def _finish(outcome: Outcome, summary: Summary) -> None:
    job: _MaskJob = outcome.job
    saver = job.saver
    if outcome.error is not None:
        path = job.source.label
        log.error("%s", outcome.error if path in str(outcome.error) else f"{path}: {outcome.error}")
    frames = max(outcome.frames, 1)
    summary.add(job.source, frames=outcome.frames, share_kept=saver.kept_sum / frames if outcome.frames else None,
                mean_mask=saver.mask_sum / frames if outcome.frames else None, seconds=outcome.seconds,
                outputs=saver.outputs if outcome.complete else [], notes=job.notes, error=outcome.error,
                live=None if job.live is None else {**job.live, "latency_ms": saver.latencies.as_json()})

