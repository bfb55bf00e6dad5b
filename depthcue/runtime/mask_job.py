"""`depthcue mask`: masks of every input, and a summary with the outcome of each.

Inputs are listed by a thread ahead of the masking, so that a run on very many pictures begins at once.
"""

import logging
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from depthcue.backends.device import resolve_device
from depthcue.errors import DepthcueError
from depthcue.frames import Input, LiveOptions, open_input, stream_inputs
from depthcue.progress import Progress
from depthcue.runtime.jobs import Outcome, interruptible
from depthcue.runtime.masking import Masking, MaskJob, MaskOptions, Plan, check_codecs, checked, entry_of
from depthcue.runtime.saving import Cut, Saver
from depthcue.runtime.summary import Summary, unreadable_entry

LISTED_FIRST = 1000
"""Number of inputs that are listed before the nets are opened; the others are listed meanwhile."""
LONG_VIDEO = 1000
"""Number of frames that a video is taken to have before it is opened."""

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
    unreadable: list[tuple[str, DepthcueError]] = []
    skipped: list[tuple[str, str]] = []
    listing = stream_inputs(sources, out, lambda source, error: unreadable.append((source, error)),
                            lambda path, why: skipped.append((path, why)))
    first = list(islice(listing, LISTED_FIRST))
    if not first:
        raise unreadable[0][1] if unreadable else DepthcueError("no source was given", "Name a picture or a video.")
    check_codecs(options, first)
    live = [each for each in first if each.kind == "live"]
    if live:
        _check_live(first, out, options)
    plan = Plan.for_device(resolve_device(options.device), options.batch_size, len(live))
    with closing(_Listed(listing, first)) as inputs:
        masking = Masking(options, plan, _expected_frames(first))
        summary = Summary(out, options.resume, masking.record, {"backend": masking.name})
        for source, error in unreadable:
            log.error("%s", error)
            summary.add(unreadable_entry(source, error))
        reading = LiveOptions(options.stall_s, options.duration_s)

        def jobs() -> Iterator[MaskJob]:
            kinds = {each.kind for each in first}
            for each in inputs:
                if each.kind not in kinds:
                    check_codecs(options, [each])
                    kinds.add(each.kind)
                if summary.keep_finished(each):
                    inputs.kept += 1
                    continue
                job = MaskJob(masking, each, out, reading)
                if not summary.follows_another:
                    _check_free(job.saver, options)
                yield job
            for path, why in skipped:  # which are known once all are listed
                summary.skip(path, why)

        def done(outcome: Outcome) -> None:
            if outcome.error is not None:
                path = outcome.job.source.label
                log.error("%s", outcome.error if path in str(outcome.error) else f"{path}: {outcome.error}")
            summary.add(entry_of(outcome, out))

        def poll(frames: int) -> None:
            raise_interruption()
            progress.advance(frames + inputs.report(progress))
            summary.save_now_and_then()

        with interruptible(reading.ending.set if live else None) as raise_interruption, summary, masking:
            summary.know(backend=masking.name)
            summary.begin()
            todo: Iterable[MaskJob] = jobs()
            if inputs.few:
                todo = list(todo)
                progress.start("masking", _total_frames(todo))
            else:
                progress.start("masking", None)
            masking.run(todo, done, poll)
    return summary.document()


class _Listed:
    """Inputs, listed by a thread ahead of the masking, so that their number is known soon."""

    def __init__(self, listing: Iterator[Input], first: Sequence[Input]) -> None:
        self._listed: queue.SimpleQueue[Input | BaseException | None] = queue.SimpleQueue()
        self._ending = False
        self._count = len(first)
        self._pictures_alone = all(each.kind == "image" for each in first)
        self._counted = False
        self.kept, self._reported = 0, 0
        """Number of inputs that needed no masking, and how many of them the progress has counted."""
        for each in first:
            self._listed.put(each)
        self.few = len(first) < LISTED_FIRST
        """They were all known from the beginning."""
        if self.few:
            self._listed.put(None)
        else:
            threading.Thread(target=self._list, args=[listing], name="depthcue-listing", daemon=True).start()

    def __iter__(self) -> Iterator[Input]:
        while (each := self._listed.get()) is not None:
            if isinstance(each, BaseException):
                raise each
            yield each

    def report(self, progress: Progress) -> int:
        """Give the progress its total once all pictures are listed; return how many inputs were kept since the last
        call."""
        if self.few:
            return 0
        if self._counted and self._pictures_alone:
            self._counted = False
            progress.start("masking", self._count)
        since, self._reported = self.kept - self._reported, self.kept
        return since

    def close(self) -> None:
        """End the listing."""
        self._ending = True

    def _list(self, listing: Iterator[Input]) -> None:
        try:
            for each in listing:
                if self._ending:
                    return
                self._count += 1
                self._pictures_alone &= each.kind == "image"
                self._listed.put(each)
            self._listed.put(None)
            self._counted = True
        except BaseException as error:
            self._listed.put(error)


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
        # a file is masked again at will; what a camera saw does not come back
        _check_free(saver, options, "a recording is not overwritten")


def _check_free(saver: Saver, options: MaskOptions, why: str = "no earlier run wrote it") -> None:
    """
    Raises:
        DepthcueError: a file that is to be written is there already.
    """
    for path in map(saver.path, options.save):
        if path.exists():
            raise DepthcueError(f"{path} is there already, and {why}", "Choose another --out, or move it away.")


def _total_frames(jobs: Sequence[MaskJob]) -> int | None:
    """Number of frames, where it can be found without opening many files."""
    if sum(job.is_video for job in jobs) > 20:
        return None
    counts = [_frame_count(job.source) for job in jobs]
    return None if None in counts else sum(count for count in counts if count is not None)


def _expected_frames(inputs: Iterable[Input]) -> int:
    """Least number of frames; counting ends at LONG_VIDEO, for which a backend is chosen with care."""
    total = 0
    for each in inputs:
        count = _frame_count(each)
        total += LONG_VIDEO if count is None else count
        if total >= LONG_VIDEO:
            break
    return total


def _frame_count(source: Input) -> int | None:
    """Number of frames of an input: None where the file does not state it, 0 for a video that cannot be read."""
    if source.kind == "image":
        return 1
    if source.kind == "live":
        return None
    try:
        with open_input(source) as stream:
            return stream.frame_count
    except DepthcueError:
        return 0  # the error is raised again, and reported, when its turn comes
