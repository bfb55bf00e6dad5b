"""What `depthcue mask` does: every input to its masks, and a summary that tells what became of each."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from depthcue.device import resolve_device
from depthcue.errors import DepthcueError
from depthcue.frames import Input, LiveOptions, find_inputs, open_input
from depthcue.progress import Progress
from depthcue.runtime.interruption import interruptible
from depthcue.runtime.jobs import Outcome
from depthcue.runtime.mask_options import MaskOptions, check_codecs, checked
from depthcue.runtime.masking import Masking, MaskJob, entry_of
from depthcue.runtime.plan import Plan
from depthcue.runtime.saving import Cut, Saver
from depthcue.runtime.summary import Summary, unreadable_entry

__all__ = ["MaskOptions", "mask_sources"]

LONG_VIDEO = 1000
"""How many frames a video is taken to have before it is opened."""

log = logging.getLogger(__name__)


def mask_sources(sources: Sequence[str], out: Path, options: MaskOptions, progress: Progress) -> dict[str, Any]:
    """Mask every picture and video of `sources` into the folder `out`; return the summary, also `out`/summary.json.

    An input that fails has its error in the summary, and the others go on. Interrupted by Ctrl-C or SIGTERM, what is
    finished stays, the summary says how far it came, and the interruption is raised. Live sources have no end of their
    own: there the first Ctrl-C or SIGTERM ends the recording, whose files are finished.

    Raises:
        DepthcueError: nothing to work on, a wrong option, weights that do not load, a folder that cannot be written.
    """
    options = checked(options)
    skipped: list[tuple[str, str]] = []
    inputs, unreadable = _find(sources, out, skipped)
    check_codecs(options, inputs)
    live = [each for each in inputs if each.kind == "live"]
    if live:
        _check_live(inputs, out, options)
    plan = Plan.for_device(resolve_device(options.device), options.batch_size, len(live))
    masking = Masking(options, plan, sum(1 if each.kind == "image" else LONG_VIDEO for each in inputs))
    summary = Summary(out, options.resume, masking.record, {"backend": masking.name})
    for source, error in unreadable:
        log.error("%s", error)
        summary.add(unreadable_entry(source, error))
    for path, why in skipped:
        summary.skip(path, why)
    reading = LiveOptions(options.stall_s, options.duration_s)
    jobs = [masking.job(each, out, reading) for each in inputs if not summary.keep_finished(each)]
    progress.start("masking", _total_frames(jobs))

    def done(outcome: Outcome) -> None:
        if outcome.error is not None:
            path = outcome.job.source.label
            log.error("%s", outcome.error if path in str(outcome.error) else f"{path}: {outcome.error}")
        summary.add(entry_of(outcome, out))

    def look_up(frames: int) -> None:
        raise_interruption()
        progress.advance(frames)
        summary.save_now_and_then()

    with interruptible(reading.ending.set if live else None) as raise_interruption, summary, masking:
        summary.know(backend=masking.name)
        masking.run(jobs, done, look_up)
    return summary.document()


def _find(sources: Sequence[str], out: Path, skipped: list[tuple[str, str]],
          ) -> tuple[list[Input], list[tuple[str, DepthcueError]]]:
    unreadable: list[tuple[str, DepthcueError]] = []
    inputs = find_inputs(sources, without=out, on_error=lambda source, error: unreadable.append((source, error)),
                         on_skip=lambda path, why: skipped.append((path, why)))
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
        saver = Saver(each, out, options.save, Cut())
        there = [path for path in map(saver.path, options.save) if path.exists()]
        if there:  # a file is masked again at will; what a camera saw does not come back
            raise DepthcueError(f"{there[0]} is there already, and a recording is not overwritten",
                                "Choose another --out, or move it away.")


def _total_frames(jobs: Sequence[MaskJob]) -> int | None:
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
