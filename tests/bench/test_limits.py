"""Limits of a device, memory that work adds, and how much arithmetic a net is."""

import numpy as np
import pytest
import torch

from depthcue.bench import limits
from depthcue.bench.candidates import mask_net_of
from depthcue.bench.limits import Work, highest, measure_limits, peak_memory_mib, work_per_frame

SIZE = (32, 48)


def test_work_is_counted_as_written_down(mask_net, depth_net):
    # one convolution, 3x3, of three channels to one: three maps read and one written, 27 weights and a bias
    assert work_per_frame(mask_net, SIZE, rewrite=False) == Work(2 * 27 * SIZE[0] * SIZE[1], 4 * SIZE[0] * SIZE[1] + 28)
    assert work_per_frame(depth_net, SIZE, rewrite=False) == Work()  # no convolution and no product
    assert next(mask_net.parameters()).device.type == "cpu"


def test_the_paper_network_has_the_arithmetic_that_is_stated():
    net, trained = mask_net_of("drn22", torch.rand(2, 3, 32, 32))
    assert not trained
    assert work_per_frame(net, (228, 304), rewrite=False).flops == pytest.approx(222.4e9, rel=1e-3)
    given, rewritten = (work_per_frame(net, (224, 304), rewrite=rewrite).flops for rewrite in (False, True))
    assert rewritten < 0.8 * given


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
