"""Candidates that lie, fail or are slow: each is found out."""

from types import SimpleNamespace

import numpy as np
import pytest

from depthcue.backends.torch_backend import TorchSession
from depthcue.bench import measure as measuring
from depthcue.bench.candidates import REFERENCE, Candidate, depth_candidates, mask_candidates
from depthcue.bench.measure import NETWORK, RUNNER, Subject, measure
from depthcue.errors import DepthcueError
from depthcue.progress import Silent

SIZE = (32, 48)


class Through:
    """Gives a net's answers, changed, after a while for each frame."""

    def __init__(self, net, change=lambda maps: maps, wait=lambda frames: None, most=99):
        self.session, self.change, self.wait, self.most = TorchSession(net, as_given=True), change, wait, most
        self.batches = []

    def __enter__(self):
        self.session.__enter__()
        return self

    def __exit__(self, *reason):
        self.session.__exit__(*reason)

    def run(self, frames):
        if len(frames) > self.most:
            raise MemoryError(f"{len(frames)} frames do not fit")
        self.batches.append(len(frames))
        self.wait(len(frames))
        return self.change(self.session.run(frames))


def candidate(name, runs, device="cpu"):
    return Candidate(name, "torch", device, "fp32", False, runs if callable(runs) else lambda: runs)


def absent():
    raise DepthcueError("openvino is not installed", "pip install it")


@pytest.fixture
def subject(mask_net, pictures):
    return Subject(mask_net, SIZE, None, pictures)


def test_right_wrong_and_absent(patient, subject, mask_net, clock):
    measured = measure(subject, [
        candidate(REFERENCE, Through(mask_net, wait=lambda frames: clock.wait(0.02 * frames))),
        candidate("fast", Through(mask_net, wait=lambda frames: clock.wait(0.005 * frames))),
        candidate("wrong", Through(mask_net, lambda maps: 1 - maps, lambda frames: clock.wait(0.01))),
        candidate("nan", Through(mask_net, lambda maps: maps * np.nan, lambda frames: clock.wait(0.01))),
        candidate("absent", absent),
    ], (1, 2), 1e-6, Silent())
    by_name = {entry.candidate.name: entry for entry in measured.entries}
    assert {name: entry.agreement.right for name, entry in by_name.items()} == {
        REFERENCE: True, "fast": True, "wrong": False, "nan": False}
    assert measured.failed == [{"name": "absent", "reason": "openvino is not installed"}]
    assert [(timing["scope"], timing["ratio"]) for timing in by_name["fast"].timings] == [(RUNNER, 4.0)] * 2
    assert by_name[REFERENCE].timings[0]["ratio"] == 1.0
    assert [timing["batch"] for timing in by_name["wrong"].timings] == [1, 2]
    assert by_name["fast"].best()["frames_per_second"] == 200 and measured.reference == REFERENCE


def test_a_batch_that_does_not_fit_is_told_of_its_candidate_alone(patient, subject, mask_net):
    ways = [candidate(REFERENCE, Through(mask_net)), candidate("small", Through(mask_net, most=2))]
    measured = measure(subject, ways, (1, 4), 1e-6, Silent())
    small = measured.entries[1]
    assert [timing["batch"] for timing in small.timings] == [1]
    assert small.left_out == [{"batch": 4, "reason": "MemoryError: 4 frames do not fit"}]
    assert [timing["batch"] for timing in measured.entries[0].timings] == [1, 4]


def test_batches_that_would_take_too_long_are_left_out(subject, mask_net, clock):
    slow = Through(mask_net, wait=lambda frames: clock.wait(0.03 * frames))
    measured = measure(subject, [candidate(REFERENCE, slow)], (1, 64), 0.05, Silent())
    assert [each["batch"] for each in measured.left_out] == [64]
    assert max(slow.batches) < 64


def test_on_a_device_the_network_is_timed_alone_too(subject, mask_net, monkeypatch):
    class Staged(Through):
        def staged(self, frames):
            return lambda: None

    # the device is only a name here
    monkeypatch.setattr(measuring, "peak_memory_mib", lambda work, *where: (work(), (1.0, 2.0))[1])
    measured = measure(subject, [candidate(REFERENCE, Staged(mask_net), "cuda"),
                                 candidate("other", Through(mask_net), "cuda")], (1,), 1e-6, Silent())
    assert sorted(timing["scope"] for timing in measured.entries[0].timings) == [NETWORK, RUNNER]
    assert [timing["scope"] for timing in measured.entries[1].timings] == [RUNNER]


def test_frames_that_cannot_be_put_on_the_device_are_told(subject, mask_net, monkeypatch):
    class Full(Through):
        def staged(self, frames):
            raise RuntimeError("no room")

    monkeypatch.setattr(measuring, "peak_memory_mib", lambda work, *where: (work(), (1.0, 2.0))[1])
    measured = measure(subject, [candidate(REFERENCE, Full(mask_net), "cuda")], (1,), 1e-6, Silent())
    assert measured.entries[0].left_out == [{"batch": 1, "reason": "RuntimeError: no room"}]
    assert [timing["scope"] for timing in measured.entries[0].timings] == [RUNNER]


@pytest.mark.parametrize(("device", "present", "missing"), [
    ("cpu", {"torch bf16", "openvino bf16", "onnx fp32"}, {"torch fp16", "tensorrt fp16"}),
    ("cuda:1", {"torch fp16", "tensorrt fp16", "onnx fp16"}, {"openvino fp32"}),
    ("mps", {"torch fp32"}, {"onnx fp32"})])
def test_every_device_has_its_candidates(mask_net, depth_net, device, present, missing):
    for found in (mask_candidates(mask_net, "spec", None, device, 1), depth_candidates(depth_net, device, 1)):
        names = [each.name for each in found]
        assert names[0] == REFERENCE and present <= set(names) and not missing & set(names)
        assert all(each.device == device for each in found)


def test_mask_candidates_are_opened_as_the_command_opens_them(mask_net, monkeypatch):
    asked = []
    monkeypatch.setattr("depthcue.bench.candidates.open_session",
                        lambda spec, **options: asked.append((spec, options)) or SimpleNamespace())
    ways = {each.name: each for each in mask_candidates(mask_net, "some-net", 2.0, "cpu", 3, 8)}
    ways["openvino bf16"].open()
    assert asked == [("some-net", {"backend": "openvino", "device": "cpu", "precision": "bf16",
                                   "keep": None, "lam": 2.0, "threads": 3, "batch_size": 8, "size": None})]
    assert ways["openvino bf16"].in_jobs and not ways[REFERENCE].in_jobs
