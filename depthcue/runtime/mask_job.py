"""What `depthcue mask` does: every input to its masks, and a summary that tells what became of each."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.frames import Input, find_inputs, open_input
from depthcue.imaging import fit_size, resize_rgb
from depthcue.nets import load_depth_net
from depthcue.progress import Progress
from depthcue.runtime.depth_through_mask import DepthThroughMask
from depthcue.runtime.interruption import interruptible
from depthcue.runtime.opening import open_runner, resolve_device
from depthcue.runtime.pipeline import Infer, Outcome, Pipeline, Prepared
from depthcue.runtime.runner import Runner
from depthcue.runtime.saving import DEPTH_KINDS, PICTURE_KINDS, Kept, Saver, check_kinds
from depthcue.runtime.summary import Summary

THRESHOLD = 0.025
"""A pixel is kept where its mask is above this (Hu et al. 2019, sec. 4.2)."""

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
    batch_size: int = 8
    size: tuple[int, int] | None = None
    """(height, width) to work at in place of the net's own; other aspect ratios get about as many pixels."""
    resume: bool = False


def mask_sources(sources: Sequence[str], out: Path, options: MaskOptions, progress: Progress) -> dict[str, Any]:
    """Mask every picture and video of `sources` into the folder `out`; return the summary, also `out`/summary.json.

    An input that fails has its error in the summary, and the others go on. Interrupted by Ctrl-C or SIGTERM, what is
    finished stays, the summary says how far it came, and the interruption is raised.

    Raises:
        DepthcueError: nothing to work on, a wrong option, weights that do not load, a folder that cannot be written.
    """
    options = replace(options, save=check_kinds(options.save))
    if not options.save:
        raise DepthcueError("there is nothing to save", "Give --save.")
    if not 0 <= options.threshold < 1:
        raise DepthcueError(f"--threshold {options.threshold:g} is outside 0 to 1", "The paper uses 0.025.")
    inputs, unreadable = _find(sources, out)
    runner, depth = _open_nets(options, len(inputs) if all(each.kind == "image" for each in inputs) else 10**6)
    working, multiple = _working_size(runner, depth, options.size)
    summary = Summary(out, options.resume, {
        "weights": options.weights, "weights_identity": runner.identity, "lambda": runner.lam,
        "save": list(options.save), "threshold": options.threshold,
        "target": depth.description.name if depth is not None else None,
        "size": None if options.size is None else list(options.size), "precision": options.precision,
    }, {"backend": runner.name})
    for source, error in unreadable:
        summary.add_unreadable(source, error)
    jobs = [_MaskJob(each, out, options, working, multiple) for each in inputs if not summary.keep_finished(each)]
    progress.start("masking", _total_frames(jobs))
    with interruptible() as raise_interruption, summary:
        with ExitStack() as stack:
            infer = _inference(stack.enter_context(runner), depth and stack.enter_context(depth))

            def look_up(frames: int) -> None:
                raise_interruption()
                progress.advance(frames)
                summary.save_now_and_then()

            if jobs:
                _pipeline(infer, runner, options).run(jobs, lambda outcome: _finish(outcome, summary), look_up)
    return summary.document()


class _MaskJob:
    """One input for the pipeline."""

    def __init__(self, source: Input, out: Path, options: MaskOptions, working: tuple[int, int],
                 multiple: int) -> None:
        self.source = source
        self.is_video = source.kind != "image"
        self.notes: list[str] = []
        self.saver = Saver(source, out, options.save, options.threshold)
        self._working = working
        self._multiple = multiple
        self._keeps_picture = any(kind in PICTURE_KINDS for kind in options.save)

    @contextmanager
    def read(self) -> Iterator[Iterator[Prepared]]:
        with open_input(self.source) as stream:
            self.saver.stream = stream
            try:
                yield self._prepared(stream)
            finally:
                self.notes = stream.notes

    def _prepared(self, stream: Any) -> Iterator[Prepared]:
        for frame in stream:
            height, width = frame.rgb.shape[:2]
            small = resize_rgb(frame.rgb, *fit_size(height, width, self._working, self._multiple))
            kept = Kept(frame if self._keeps_picture else replace(frame, rgb=small), (height, width))
            # written results of the picture's size count as well: they exist while it waits to be written
            yield Prepared(small, kept, kept.frame.rgb.nbytes + height * width)

    def open_sink(self) -> Saver:
        return self.saver


def _find(sources: Sequence[str], out: Path) -> tuple[list[Input], list[tuple[str, DepthcueError]]]:
    unreadable: list[tuple[str, DepthcueError]] = []
    inputs = find_inputs(sources, without=out, on_error=lambda source, error: unreadable.append((source, error)))
    if not inputs:
        raise unreadable[0][1] if unreadable else DepthcueError("no source was given", "Name a picture or a video.")
    return inputs, unreadable


def _open_nets(options: MaskOptions, frames: int) -> tuple[Runner, DepthThroughMask | None]:
    device = resolve_device(options.device)
    runner = open_runner(options.weights, backend=options.backend, device=device, precision=options.precision,
                         lam=options.lam, batch_size=options.batch_size, size=options.size, frames=frames)
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

    return infer


def _pipeline(infer: Infer, runner: Runner, options: MaskOptions) -> Pipeline:
    cores = os.cpu_count() or 2
    # on a GPU the cores are free for decoding and encoding; on a CPU the net itself wants most of them
    threads = max(1, cores // 4 if runner.device == "cpu" else cores // 2)
    return Pipeline(infer, batch_size=options.batch_size, readers=min(threads, 16), writers=min(threads, 16))


def _total_frames(jobs: Sequence[_MaskJob]) -> int | None:
    """How many frames there are, where that can be told without opening many files."""
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
        path = str(job.source.path)
        log.error("%s", outcome.error if path in str(outcome.error) else f"{path}: {outcome.error}")
    frames = max(outcome.frames, 1)
    summary.add(job.source, frames=outcome.frames, share_kept=saver.kept_sum / frames if outcome.frames else None,
                mean_mask=saver.mask_sum / frames if outcome.frames else None, seconds=outcome.seconds,
                outputs=saver.outputs if outcome.complete else [], notes=job.notes, error=outcome.error)

