"""The short trial, among sessions that take as long as they are told to, on a clock of their own."""

from types import SimpleNamespace

import numpy as np
import pytest

from depthcue.backends.session import OutOfDeviceMemory
from depthcue.errors import DepthcueError
from depthcue.runtime import opening
from depthcue.runtime.opening import fastest

FRAMES = np.zeros((2, 8, 8, 3), np.uint8)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sessions move."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(opening, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


class Timed:
    """Takes `seconds` a batch, the first `first_s`."""

    def __init__(self, clock, name, seconds, first_s=0.0, error=None):
        self.clock, self.name, self.seconds, self.error = clock, name, seconds, error
        self.first_s = first_s
        self.calls = 0
        self.inside = False

    def __enter__(self):
        self.inside = True
        return self

    def __exit__(self, *error):
        self.inside = False

    def run(self, frames):
        assert self.inside
        if self.error is not None:
            raise self.error
        self.calls += 1
        self.clock.now += self.seconds if self.calls > 1 else self.first_s


def chosen(*sessions):
    found = fastest([lambda session=session: session for session in sessions], FRAMES)
    assert not any(session.inside for session in sessions)
    return found.name


def test_the_fastest_is_taken_whatever_its_first_call_costs(clock):
    assert chosen(Timed(clock, "torch", 0.2), Timed(clock, "onnx", 0.15), Timed(clock, "openvino", 0.1, 2.0)) == \
        "openvino"


def test_of_those_about_as_fast_the_first_is_taken(clock):
    assert chosen(Timed(clock, "torch", 0.1), Timed(clock, "onnx", 0.097), Timed(clock, "openvino", 0.096)) == "torch"


def test_one_alone_is_not_tried(clock):
    session = Timed(clock, "torch", 0.1)
    assert chosen(session) == "torch" and session.calls == 0


def test_the_hopeless_are_not_tried_again(clock):
    slow, fast, near = Timed(clock, "slow", 0.5), Timed(clock, "fast", 0.1), Timed(clock, "near", 0.12)
    assert chosen(slow, near, fast) == "fast"
    assert (slow.calls, near.calls, fast.calls) == (2, 6, 6)


def test_a_trial_of_slow_nets_ends_early(clock):
    sessions = [Timed(clock, name, seconds) for name, seconds in (("torch", 2.0), ("onnx", 1.5))]
    assert chosen(*sessions) == "onnx" and [session.calls for session in sessions] == [2, 2]


def test_what_does_not_work_here_is_left_out(clock, caplog):
    caplog.set_level("INFO", logger="depthcue")
    assert chosen(Timed(clock, "big", 0.1, error=OutOfDeviceMemory("CUDA out of memory")),
                  Timed(clock, "broken", 0.1, error=DepthcueError("no such library")), Timed(clock, "slow", 9.0)) == \
        "slow"
    assert "no such library" in caplog.text

    def unmakeable():
        raise DepthcueError("no such graph")

    assert fastest([unmakeable, lambda: Timed(clock, "other", 1.0)], FRAMES).name == "other"


def test_where_nothing_works_the_first_says_why(clock):
    with pytest.raises(DepthcueError, match="first"):
        chosen(Timed(clock, "a", 0.1, error=DepthcueError("first")), Timed(clock, "b", 0.1, error=DepthcueError("2")))


def test_a_bug_is_not_hidden(clock):
    with pytest.raises(ZeroDivisionError):
        chosen(Timed(clock, "a", 0.1, error=ZeroDivisionError()), Timed(clock, "b", 0.1))
