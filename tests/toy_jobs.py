"""Jobs for the pipeline whose frames carry their number, and a way to run them that turns a hang into a failure."""

import threading
import time
from contextlib import contextmanager

import numpy as np

from depthcue.runtime.jobs import Prepared
from depthcue.runtime.pipeline import Pipeline


class ToyJob:
    """Frames that carry their number in every pixel; the sink remembers what it was told."""

    def __init__(self, name, frames, sizes=((4, 4),), is_video=True, read_error=None, write_error=None, at=None,
                 finish_error=None, delay=0.0):
        self.name, self.frames, self.sizes, self.is_video = name, frames, sizes, is_video
        self.read_error, self.write_error, self.finish_error, self.at = read_error, write_error, finish_error, at
        self.delay, self.is_live = delay, False
        self.written, self.ended, self.closed, self.was_read = [], [], False, 0

    @contextmanager
    def read(self):
        try:
            yield self.prepared()
        finally:
            self.closed = True

    def prepared(self):
        for number in range(self.frames):
            if self.read_error and number == self.at:
                raise self.read_error
            self.was_read += 1
            size = self.sizes[number % len(self.sizes)]
            yield Prepared(np.full((*size, 3), number % 251, np.uint8), number, 100)
        if self.read_error and self.at is None:
            raise self.read_error

    def render(self, frame, maps):
        return maps

    def open_sink(self):
        return self

    def write(self, frame, maps):
        time.sleep(self.delay)
        if self.write_error and frame.kept == self.at:
            raise self.write_error
        assert (maps[0] == frame.kept % 251).all(), "another frame's map"
        self.written.append(frame.kept)

    def finish(self):
        if self.finish_error:
            raise self.finish_error
        self.ended.append("finished")

    def discard(self):
        self.ended.append("discarded")


def first_channel(frames):
    return (frames[..., 0].astype(np.float32),)


def run(jobs, infer=first_channel, poll=lambda frames: None, limit_s=60.0, **options):
    """Run in a thread of its own so that a hang fails the test; outcomes by name, or what was raised."""
    outcomes, raised = {}, []

    def body():
        try:
            pipeline = Pipeline(lambda frames, jobs: infer(frames), **options)
            pipeline.run(jobs, lambda outcome: outcomes.update({outcome.job.name: outcome}), poll)
        except BaseException as error:
            raised.append(error)

    before = threading.active_count()
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(limit_s)
    assert not thread.is_alive(), "the pipeline hangs"
    # one of an earlier test may end meanwhile
    assert threading.active_count() <= before, "threads are left"
    if raised:
        raise raised[0]
    return outcomes
