"""Times by turns, memory and limits: what is measured is what was done."""

import numpy as np
import pytest

from depthcue.bench import limits, measure
from depthcue.bench.limits import highest, measure_limits, peak_memory_mib
from depthcue.bench.measure import MIN_ROUNDS, Timed, take_turns


def never(name, error):
    raise AssertionError(f"{name}: {error}")


def test_calls_take_turns_and_each_leads_a_round():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    timed = take_turns(calls, 0.0, never)
    rounds = [order[start:start + 3] for start in range(0, len(order), 3)][measure.WARM_UP:]
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


def test_a_call_that_fails_is_left_out_and_told():
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


@pytest.mark.skipif(not limits._CLEAR.exists(), reason="resident memory is told by Linux alone")
def test_peak_memory_is_what_work_adds_at_most():
    def work():
        array = np.ones(40 * 2**20, np.uint8)
        del array

    host, device = peak_memory_mib(work, "cpu")
    # the interpreter's own memory comes and goes beside it
    assert 35 < host < 60 and device is None
    again, _ = peak_memory_mib(lambda: np.ones(2**20, np.uint8).sum(), "cpu")
    assert again < 15


def test_limits_are_what_the_product_and_the_copy_reach(monkeypatch):
    monkeypatch.setitem(limits._SIDE, "cpu", 64)
    monkeypatch.setitem(limits._COPY_BYTES, "cpu", 2**16)
    monkeypatch.setattr(limits, "_seconds", lambda work, device: (work(), 1e-3)[1])
    found = measure_limits("cpu", ("fp32", "int8"))
    assert found == {"device": "cpu", "matrix_side": 64, "matmul_tflops": {"fp32": 0.0005243}, "memory_gb_s": 0.1311}


def test_of_two_measurements_the_higher_counts():
    one = {"device": "cpu", "matrix_side": 8, "matmul_tflops": {"fp32": 1.0, "bf16": 4.0}, "memory_gb_s": 7.0}
    other = {"device": "cpu", "matrix_side": 8, "matmul_tflops": {"fp32": 2.0, "bf16": 3.0}, "memory_gb_s": 5.0}
    assert highest(one, other) == {"device": "cpu", "matrix_side": 8, "matmul_tflops": {"fp32": 2.0, "bf16": 4.0},
                                   "memory_gb_s": 7.0}


@pytest.mark.gpu
def test_a_gpu_has_limits_and_memory_of_its_own():
    import torch

    found = measure_limits("cuda", ("fp32", "fp16"))
    assert found["matmul_tflops"]["fp16"] > found["matmul_tflops"]["fp32"] > 0
    assert found["to_device_gb_s"] > 0 and found["from_device_gb_s"] > 0
    _, device = peak_memory_mib(lambda: torch.ones(64 * 2**20, dtype=torch.uint8, device="cuda"), "cuda")
    assert 60 < device < 80
