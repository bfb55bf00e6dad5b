"""Whole jobs timed: from files to masks on disk, as `depthcue mask` does it, with each candidate in turn.

A video and a folder of pictures to time whole jobs on, made here: a camera that glides over rendered scenes.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue import scenes
from depthcue.bench.candidates import Candidate
from depthcue.bench.measure import reason_of
from depthcue.errors import DepthcueError
from depthcue.files import write_bytes
from depthcue.frames import ENCODINGS, Frame, Input, VideoSink, find_inputs
from depthcue.progress import Progress
from depthcue.runtime.jobs import Outcome
from depthcue.runtime.masking import Masking, MaskOptions, Plan, checked

ROUNDS = 3
_LONG = 1000
"""Frames that a job is said to have, so that nothing is decided by its shortness."""


class Job:
    """The nets of one way of masking, and masking with them, again and again; a context manager."""

    def __init__(self, candidate: Candidate, spec: str, lam: float | None = None,
                 size: tuple[int, int] | None = None, keep: float | None = None) -> None:
        """
        Args:
            candidate: one of `in_jobs`.
            spec: of the mask net.
            lam, keep: λ, or the share to keep; None for the net's own.
            size: (height, width) to work at; None for the net's own.

        Raises:
            DepthcueError: the net cannot be opened so.
        """
        options = checked(MaskOptions(weights=spec, keep=keep, lam=lam, save=("mask",), backend=candidate.backend,
                                      device=candidate.device, precision=candidate.precision, size=size))
        self._masking = Masking(options, Plan.for_device(candidate.device, None), _LONG)

    def __enter__(self) -> "Job":
        self._masking.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        self._masking.__exit__(*reason)

    def mask(self, inputs: Sequence[Input]) -> tuple[int, float]:
        """Mask the inputs into a folder that is thrown away: how many frames, and the seconds it took.

        The clock runs from the first file opened to the last mask written.

        Raises:
            DepthcueError: an input that cannot be read, or gives no frames.
        """
        outcomes: list[Outcome] = []
        with tempfile.TemporaryDirectory() as folder:
            jobs = [self._masking.job(each, Path(folder)) for each in inputs]
            start = time.perf_counter()
            self._masking.run(jobs, outcomes.append)
            seconds = time.perf_counter() - start
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        return sum(outcome.frames for outcome in outcomes), seconds


def time_jobs(candidates: Sequence[Candidate], opened: Callable[[Candidate], Job], sources: Mapping[str, str],
              progress: Progress) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Mask every source with every candidate, ROUNDS times, in turns, after one round that does not count.

    Nets are open before the clock starts, as they are in all but the first seconds of a long job. Masks alone are
    saved.

    Args:
        sources: what to call it, and the path.

    Returns:
        An entry for each candidate and source that went well: `name`, `source`, `frames`, `frames_per_second` (the
        median) and `all`; and `name`, `source` and `reason` of those that did not.
    """
    taken: dict[tuple[str, str], list[float]] = {}
    frames: dict[str, int] = {}
    failed: dict[tuple[str, str], str] = {}
    progress.start("timing whole jobs", (ROUNDS + 1) * len(sources) * len(candidates))
    with ExitStack() as stack:
        jobs: dict[str, Job] = {}
        for number in range(ROUNDS + 1):
            for source, path in sources.items():
                for candidate in [*candidates[number:], *candidates[:number]]:
                    key = candidate.name, source
                    progress.advance()
                    if key in failed:
                        continue
                    try:
                        if candidate.name not in jobs:
                            jobs[candidate.name] = stack.enter_context(opened(candidate))
                        frames[source], seconds = jobs[candidate.name].mask(_inputs(path))
                    except Exception as error:  # as when it was checked: libraries raise what they like
                        failed[key] = reason_of(error)
                        continue
                    if number:
                        taken.setdefault(key, []).append(frames[source] / seconds)
    done = [{"name": name, "source": source, "frames": frames[source], "frames_per_second": _short(median(rates)),
             "all": [_short(rate) for rate in rates]}
            for (name, source), rates in taken.items() if (name, source) not in failed]
    return done, [{"name": name, "source": source, "reason": reason} for (name, source), reason in failed.items()]


def _inputs(path: str) -> list[Input]:
    inputs = find_inputs([path])
    if any(each.kind == "live" for each in inputs):
        raise DepthcueError(f"{path} is live and has no speed of its own", "Give --source pictures or a video.")
    return inputs


def _short(value: float) -> float:
    return float(f"{value:.4g}")


PIXELS = 640 * 480
"""Pixels of a frame, about as many as webcams and robots give."""
SCENES = 6
RATE = 25
_MARGIN = 1.125
"""How much larger than a frame a rendered scene is, so that there is something to glide over."""
_WIDE = 2.0
"""Frames wider than this many times their height are roads."""


def write_sources(folder: Path, working: tuple[int, int], count: int) -> dict[str, str]:
    """Write FOLDER/video.mp4 and FOLDER/pictures/ (JPEG), `count` frames each; the paths by `video` and `pictures`.

    Args:
        working: (height, width) that the net works at, whose aspect ratio the frames have.

    Raises:
        DepthcueError: the folder cannot be written.
    """
    video, pictures = folder / "video.mp4", folder / "pictures"
    height, width = frame_size(working)
    with VideoSink(video, Fraction(RATE), (height, width)) as sink:
        for number, rgb in enumerate(_frames(height, width, count)):
            sink.write(rgb, Frame(rgb, number, None, f"{number:06d}"))
            write_bytes(pictures / f"{number:06d}.jpg", ENCODINGS["rgb-jpg"].encode(rgb))
    return {"video": str(video), "pictures": str(pictures)}


def frame_size(working: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a frame for a net that works at `working`: the same aspect ratio, even sides."""
    scale = math.sqrt(PIXELS / (working[0] * working[1]))
    height, width = (2 * round(side * scale / 2) for side in working)
    return height, width


def _frames(height: int, width: int, count: int) -> Iterator[NDArray[np.uint8]]:
    kind = "road" if width > _WIDE * height else "indoor"
    tall, wide = round(height * _MARGIN), round(width * _MARGIN)
    each = math.ceil(count / SCENES)
    for number in range(count):
        scene, step = divmod(number, each)
        if step == 0:
            rgb = scenes.render(kind, [scene], tall, wide).rgb[0].permute(1, 2, 0)
            picture: NDArray[np.uint8] = (rgb * 255).round().byte().contiguous().numpy()
        top, left = ((side * step) // each for side in (tall - height, wide - width))
        yield np.ascontiguousarray(picture[top:top + height, left:left + width])
