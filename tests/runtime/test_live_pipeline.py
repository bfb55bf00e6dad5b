"""Live jobs in the pipeline: no frame grows old in a queue, several sources share it, and their ends are clean."""

import threading
import time

import numpy as np
from toy_jobs import ToyJob, first_channel, run

from depthcue.runtime.jobs import Prepared


class LiveToy(ToyJob):
    """A clock: each frame carries the moment it was asked for."""

    def __init__(self, name, frames, **options):
        super().__init__(name, frames, **options)
        self.is_live = True
        self.ages, self.most_at_once, self.under_way = [], 0, 0
        self.lock = threading.Lock()

    def prepared(self):
        for number in range(self.frames):
            with self.lock:
                self.under_way += 1
                self.most_at_once = max(self.most_at_once, self.under_way)
            yield Prepared(np.full((4, 4, 3), number % 251, np.uint8), (number, time.monotonic()), 100)

    def write(self, frame, maps):
        number, asked = frame.kept
        assert (maps[0] == number % 251).all()
        time.sleep(self.delay)
        self.written.append(number)
        self.ages.append(time.monotonic() - asked)
        with self.lock:
            self.under_way -= 1


def slowly(seconds):
    def infer(frames):
        time.sleep(seconds)
        return first_channel(frames)
    return infer


def test_no_frame_waits_behind_others():
    """The source could give any number at once; a frame's age is its own inference and writing."""
    job = LiveToy("camera", 40)
    run([job], slowly(0.01), batch_size=1, readers=1, writers=1)
    assert job.written == list(range(40)) and job.ended == ["finished"]
    assert np.median(job.ages) < 0.025, "one frame takes 0.01 s"
    assert job.most_at_once <= 2, "one inferred, one written"


def test_a_slow_writer_lets_two_frames_wait_at_most():
    job = LiveToy("camera", 20, delay=0.02)
    run([job], batch_size=1, writers=1)
    assert job.written == list(range(20)) and job.most_at_once <= 3 and np.median(job.ages) < 0.06


def test_inferring_and_writing_overlap():
    slept = []

    def sleep(seconds):
        start = time.perf_counter()
        time.sleep(seconds)
        slept.append(time.perf_counter() - start)  # on a busy machine longer than asked for

    def infer(frames):
        sleep(0.01)
        return first_channel(frames)

    job = LiveToy("camera", 40)
    job.write = lambda frame, maps: sleep(0.01)
    start = time.perf_counter()
    run([job], infer, batch_size=1, writers=1)
    assert time.perf_counter() - start < 0.8 * sum(slept)


def test_several_cameras_share_batches_and_none_waits_for_another():
    sizes = []

    def infer(frames):
        sizes.append(len(frames))
        time.sleep(0.005)
        return first_channel(frames)

    quick, slow = LiveToy("quick", 60), LiveToy("slow", 5, delay=0.05)
    run([quick, slow, LiveToy("third", 60)], infer, batch_size=3, writers=3)
    assert len(quick.written) == 60 and len(slow.written) == 5 and max(sizes) > 1
    assert np.median(quick.ages) < 0.03


def test_a_live_job_whose_results_cannot_be_written_ends_and_the_others_go_on():
    full = OSError(28, "no space")
    bad, good = LiveToy("bad", 10**9), LiveToy("good", 30)
    bad.write = lambda frame, maps: (_ for _ in ()).throw(full)
    outcomes = run([bad, good], batch_size=2)
    assert outcomes["bad"].error is full and bad.ended == ["discarded"] and bad.closed
    assert outcomes["good"].complete
