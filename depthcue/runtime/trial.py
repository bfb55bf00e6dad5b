"""Which of several runners is the fastest here, found by a short trial of all on frames like those to come."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from statistics import median

from depthcue.errors import DepthcueError
from depthcue.runtime.halving import OutOfDeviceMemory
from depthcue.runtime.runner import Frames, Runner

ROUNDS = 5
LONGEST_S = 3.0
"""After so long no further round is begun: what takes longer is told apart by one."""
HOPELESS = 2.0
"""Times the best's time from which a runner is not tried again."""
FASTER = 0.95
"""Share of another's time a runner must need to be called faster: less is noise."""

log = logging.getLogger(__name__)


def fastest(makes: Sequence[Callable[[], Runner]], frames: Frames) -> Runner:
    """The fastest of the runners that work here, not entered; of those about as fast, the first.

    Args:
        makes: each makes a runner; one alone is made and not tried.
        frames: uint8 (B, H, W, 3).

    Raises:
        DepthcueError: none works; what the first says.
    """
    if len(makes) == 1:
        return makes[0]()
    runners, taken_s = _times(makes, frames)
    chosen = 0
    for number in range(1, len(runners)):
        if taken_s[number] < FASTER * taken_s[chosen]:
            chosen = number
    log.info("%s; taking %s", ", ".join(f"{runner.name}: {1e3 * seconds / len(frames):.1f} ms a frame"
                                        for runner, seconds in zip(runners, taken_s, strict=True)),
             runners[chosen].name)
    return runners[chosen]


def _times(makes: Sequence[Callable[[], Runner]], frames: Frames) -> tuple[list[Runner], list[float]]:
    """The runners that work and the median seconds that each takes for `frames`.

    They run in turns, so that what disturbs one disturbs all.
    """
    runners: list[Runner] = []
    times: list[list[float]] = []
    errors: list[DepthcueError | OutOfDeviceMemory] = []
    with ExitStack() as stack:
        start = time.perf_counter()
        for make in makes:
            try:
                runner = make()
                stack.enter_context(runner)
                runner.infer(frames)  # the first call allocates and chooses algorithms
            except (DepthcueError, OutOfDeviceMemory) as error:
                log.info("left out: %s", error)
                errors.append(error)
                continue
            runners.append(runner)
            times.append([])
        if not runners:
            raise errors[0]
        in_it = list(range(len(runners)))
        for _ in range(ROUNDS):
            for number in in_it:
                begun = time.perf_counter()
                runners[number].infer(frames)
                times[number].append(time.perf_counter() - begun)
            best_s = min(min(times[number]) for number in in_it)
            in_it = [number for number in in_it if min(times[number]) < HOPELESS * best_s]
            if len(in_it) == 1 or time.perf_counter() - start > LONGEST_S:
                break
    return runners, [median(each) for each in times]
