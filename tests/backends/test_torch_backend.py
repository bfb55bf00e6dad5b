"""What a GPU session does with shapes, threads and failures, on a lane that stands in for a GPU's streams."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from depthcue.backends.torch_backend import ModuleOnGpu


class Lane:
    """Runs at once what a GPU would queue; what is recorded runs without being recorded again."""

    made = 0
    fails = None

    def __init__(self, device):
        Lane.made += 1
        self.recorded = []

    @contextmanager
    def active(self):
        yield

    def host(self, shape, dtype):
        return torch.full(tuple(shape), 77, dtype=dtype)

    device = host

    def record(self, work):
        if Lane.fails is not None:
            raise Lane.fails
        self.recorded.append(work)
        return work

    def wait(self):
        pass


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(Lane, "made", 0)
    monkeypatch.setattr(Lane, "fails", None)


def frames_of(count, first=0, side=4):
    """Frame n is n everywhere."""
    return np.arange(first, first + count, dtype=np.uint8)[:, None, None, None] * np.ones((1, side, 6, 3), np.uint8)


class Red:
    """The red channel as the mask; notes the shapes it is run on."""

    def __init__(self, fits=99):
        self.fits = fits
        self.seen = []

    def __call__(self, frames, dial=None):
        self.seen.append(tuple(frames.shape))
        if len(frames) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return frames[..., 0].float()


def test_masks_are_right_however_often_and_the_callers_own():
    on_gpu = ModuleOnGpu(Red(), "cuda", Lane)
    kept = [on_gpu.run(frames_of(3, first)) for first in range(5)]
    for first, masks in enumerate(kept):
        assert masks.shape == (3, 4, 6) and masks[:, 0, 0].tolist() == [first, first + 1, first + 2]
    assert Lane.made == 1


def test_every_run_takes_its_own_dial_and_maps_may_be_smaller_than_frames():
    def module(frames, dial):
        return frames[:, ::2, ::2, 0].float() * dial

    on_gpu = ModuleOnGpu(module, "cuda", Lane)
    for dial in (1.0, 2.0, 3.0, 4.0):
        maps = on_gpu.run(frames_of(2, 5), dial)
        assert maps.shape == (2, 2, 3) and maps[:, 0, 0].tolist() == [5 * dial, 6 * dial]


def test_a_shape_is_recorded_when_it_has_come_twice():
    lanes = []

    def lane(device):
        lanes.append(Lane(device))
        return lanes[-1]

    on_gpu = ModuleOnGpu(Red(), "cuda", lane)
    counts = []
    for _ in range(4):
        on_gpu.run(frames_of(2))
        counts.append(len(lanes[0].recorded))
    assert counts == [0, 1, 1, 1]


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted when stream is capturing"),
                                   torch.OutOfMemoryError("CUDA out of memory")])
def test_what_cannot_be_recorded_is_run_as_it_is(error):
    Lane.fails = error
    on_gpu = ModuleOnGpu(Red(), "cuda", Lane)
    for first in range(4):
        assert on_gpu.run(frames_of(2, first))[:, 0, 0].tolist() == [first, first + 1]


def test_batches_of_every_size_are_run_in_few_shapes():
    module = Red()
    on_gpu = ModuleOnGpu(module, "cuda", Lane)
    for count in (24, 1, 2, 3, 5, 7, 9, 15, 17, 23, 24):
        assert on_gpu.run(frames_of(count, 3))[:, 1, 1].tolist() == list(range(3, 3 + count))
    assert sorted({shape[0] for shape in module.seen}) == [1, 2, 4, 8, 16, 24]


def test_memory_held_for_other_shapes_is_given_back_before_a_batch_is_said_not_to_fit():
    held = []

    def module(frames, dial=None):
        if Lane.made == 2 and not held:
            held.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return frames[..., 0].float()

    on_gpu = ModuleOnGpu(module, "cuda", Lane)
    on_gpu.run(frames_of(2, side=4))
    assert on_gpu.run(frames_of(2, 5, side=8))[:, 0, 0].tolist() == [5, 6]


def test_after_a_batch_too_many_the_smaller_ones_are_not_rounded_up():
    module = Red(fits=6)
    on_gpu = ModuleOnGpu(module, "cuda", Lane)
    with pytest.raises(torch.OutOfMemoryError):
        on_gpu.run(frames_of(12))
    assert on_gpu.run(frames_of(6)).shape == (6, 4, 6)
    assert [shape[0] for shape in module.seen] == [12, 6]


def test_threads_do_not_share_a_seat():
    barrier = threading.Barrier(2)

    def module(frames, dial=None):
        barrier.wait(20)  # passes only if both are inside at the same time
        return frames[..., 0].float()

    on_gpu = ModuleOnGpu(module, "cuda", Lane)
    results = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: on_gpu.run(frames_of(2, n))[:, 0, 0].tolist()}))
               for n in (10, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {10: [10, 11], 20: [20, 21]} and Lane.made == 2


def test_staged_frames_stay_on_the_device():
    module = Red()
    lanes = []

    def lane(device):
        lanes.append(Lane(device))
        return lanes[-1]

    run = ModuleOnGpu(module, "cuda", lane).staged(frames_of(3))
    before = len(module.seen)
    run()
    run()
    assert module.seen[before:] == [(3, 4, 6, 3)] * 2 and len(lanes[0].recorded) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_recorded_or_not_a_gpu_gives_the_same_masks(weights, precision):
    from depthcue.backends.torch_backend import TorchSession
    from depthcue.nets import load_mask_net

    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    net = load_mask_net(str(weights))
    with TorchSession(net) as on_cpu, TorchSession(net, device="cuda", precision=precision) as session:
        wanted = on_cpu.run(frames)
        for _ in range(4):
            # TF32 and fp16 have 10 bits of mantissa, bf16 has 7
            np.testing.assert_allclose(session.run(frames), wanted, atol=5e-2 if precision == "bf16" else 1e-2)
        np.testing.assert_allclose(session.run(frames[:2]), wanted[:2], atol=5e-2)
