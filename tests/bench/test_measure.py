"""Candidates that lie, fail or are slow are found out; right answers; times by turns."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_nets import TopShare

from depthcue.backends.session import TOLERANCES
from depthcue.backends.torch_backend import TorchSession
from depthcue.bench import measure as measuring
from depthcue.bench.candidates import REFERENCE, Candidate, depth_candidates, mask_candidates
from depthcue.bench.limits import work_per_frame
from depthcue.bench.measure import MIN_ROUNDS, NETWORK, RUNNER, Answers, Subject, Timed, measure, take_turns
from depthcue.errors import DepthcueError
from depthcue.imaging import resize_rgb
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


def test_a_batch_that_does_not_fit_is_left_out_of_its_candidate_alone(patient, subject, mask_net):
    methods = [candidate(REFERENCE, Through(mask_net)), candidate("small", Through(mask_net, most=2))]
    measured = measure(subject, methods, (1, 4), 1e-6, Silent())
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


def test_frames_that_cannot_be_put_on_the_device_leave_the_batch_out(subject, mask_net, monkeypatch):
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
    methods = {each.name: each for each in mask_candidates(mask_net, "some-net", 2.0, "cpu", 3, 8)}
    methods["openvino bf16"].open()
    assert asked == [("some-net", {"backend": "openvino", "device": "cpu", "precision": "bf16",
                                   "keep": None, "lam": 2.0, "threads": 3, "batch_size": 8, "size": None})]
    assert methods["openvino bf16"].in_jobs and not methods[REFERENCE].in_jobs


def test_answers_are_those_of_the_net(mask_net, depth_net, pictures):
    frames = np.stack([resize_rgb(picture, *SIZE) for picture in pictures])
    rgb = torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255
    depths = Answers(depth_net, None, pictures, SIZE)
    np.testing.assert_array_equal(depths.frames, frames)
    wanted = 5 * torch.nn.functional.avg_pool2d(rgb.mean(1, keepdim=True), 2)[:, 0].numpy()
    # float32 means of bytes
    np.testing.assert_allclose(depths.maps, wanted, rtol=1e-5)
    with torch.inference_mode():
        masks = mask_net(mask_net.normalise(rgb.float()))[:, 0].numpy()
    np.testing.assert_allclose(Answers(mask_net, None, pictures, SIZE).maps, masks, atol=1e-6)


def test_an_answer_is_right_within_its_precision_alone(mask_net, pictures):
    answers = Answers(mask_net, None, pictures, SIZE)
    limit = TOLERANCES["fp32"].max_abs
    near, far = answers.maps.copy(), answers.maps.copy()
    near[0, 0, 0] += 0.9 * limit
    far[0, 0, 0] += 1.1 * limit
    assert answers.agreement(near, "fp32").right
    found = answers.agreement(far, "fp32")
    assert not found.right and found.max_abs == pytest.approx(1.1 * limit, rel=1e-3)
    shifted = answers.maps + np.float32(2 * TOLERANCES["fp32"].mean_abs)
    assert not answers.agreement(shifted, "fp32").right


def test_pixels_that_change_side_count(mask_net, pictures):
    answers = Answers(mask_net, None, pictures, SIZE)
    answers.maps[:] = 0.025 + 1e-6  # just above the threshold
    below = answers.maps - np.float32(2e-6)
    found = answers.agreement(below, "fp32")
    assert found.changed_side == 1.0 and not found.right


def test_masks_of_a_share_are_judged_by_the_pixels_they_keep(pictures):
    answers = Answers(TopShare(), 0.3, pictures, SIZE)
    np.testing.assert_allclose(answers.maps.mean(axis=(1, 2)), 0.3, atol=1e-4)
    assert answers.agreement(answers.maps.copy(), "fp32").right
    moved = answers.maps.copy()
    highest = np.unravel_index(moved[0].argmax(), SIZE)
    moved[0][highest] = 0.0  # one pixel less, and in its place the next
    assert answers.agreement(moved, "fp32").changed_side == pytest.approx(2 / moved.size)
    assert work_per_frame(TopShare(), SIZE, rewrite=True).flops == 2 * 27 * SIZE[0] * SIZE[1]


def test_depths_are_judged_by_their_share(depth_net, pictures):
    answers = Answers(depth_net, None, pictures, SIZE)
    answers.maps[:] = 8.0
    found = answers.agreement(answers.maps + np.float32(0.008), "fp32")
    assert found.max_abs == pytest.approx(1e-3, rel=1e-2) and found.changed_side is None


@pytest.mark.parametrize("spoil", [lambda maps: np.full_like(maps, np.nan), lambda maps: maps[:, :-1]])
def test_nan_and_other_shapes_are_wrong(mask_net, pictures, spoil):
    answers = Answers(mask_net, None, pictures, SIZE)
    found = answers.agreement(spoil(answers.maps), "fp32")
    assert not found.right and found.max_abs is None


def test_a_net_is_run_in_torch_as_given(mask_net, pictures):
    answers = Answers(mask_net, None, pictures, SIZE)
    for options in ({"as_given": True}, {}, {"precision": "bf16"}, {"precision": "bf16", "as_given": True}):
        with TorchSession(mask_net, **options) as session:
            maps = session.run(answers.frames)
            session.staged(answers.frames)()
        assert maps.dtype == np.float32
        # bfloat16 has 8 bits of mantissa
        np.testing.assert_allclose(maps, answers.maps, atol=3e-2 if "precision" in options else 1e-5)
    with pytest.raises(RuntimeError, match="not entered"):
        session.run(answers.frames)
    with pytest.raises(DepthcueError, match="--precision must be one of"):
        TorchSession(mask_net, precision="int4")


def never(name, error):
    raise AssertionError(f"{name}: {error}")


def test_calls_take_turns_and_each_leads_a_round():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    timed = take_turns(calls, 0.0, never)
    rounds = [order[start:start + 3] for start in range(0, len(order), 3)][measuring.WARM_UP:]
    assert [len(each.seconds) for each in timed.values()] == [MIN_ROUNDS] * 3
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert {each[0] for each in rounds} == {"a", "b", "c"}


def test_warm_up_does_not_count(clock):
    waits = iter([0.2, 0.2] + [0.001] * 20)
    timed = take_turns({"a": lambda: clock.wait(next(waits))}, 0.0, never)
    assert timed["a"].seconds == pytest.approx([0.001] * MIN_ROUNDS)


def test_as_many_rounds_as_the_time_allows(clock):
    calls = {name: lambda: clock.wait(0.0625) for name in "ab"}
    assert len(take_turns(calls, 1.0, never)["a"].seconds) == 8


def test_a_call_that_fails_is_left_out_and_reported():
    calls = {"good": 0}
    failed = []

    def later():
        calls["good"] += 1
        if calls["good"] > 4:
            raise MemoryError("too large")

    def at_once():
        raise RuntimeError("no such kernel")

    timed = take_turns({"fine": lambda: None, "later": later, "at once": at_once}, 0.0,
                       lambda name, error: failed.append((name, str(error))))
    assert list(timed) == ["fine"] and len(timed["fine"].seconds) == MIN_ROUNDS
    assert failed == [("at once", "no such kernel"), ("later", "too large")]


def test_what_times_come_to():
    own = Timed(tuple(each / 1000 for each in range(10, 31)))  # 10, 11, … 30 ms
    numbers = own.as_json(4, Timed(tuple(3 * each for each in own.seconds)))
    assert numbers == {"median_ms": 20.0, "p95_ms": 29.0, "frames_per_second": 200.0, "calls": 21, "ratio": 3.0}


def test_the_ratio_is_taken_within_rounds():
    # the machine is ten times as slow in half of the rounds; each round says twice as fast
    slow = (1, 10) * 3
    own, theirs = Timed(tuple(0.1 * each for each in slow)), Timed(tuple(0.2 * each for each in slow))
    assert own.as_json(1, theirs)["ratio"] == 2.0
