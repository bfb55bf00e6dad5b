"""Running out of device memory: batches are halved until they fit in a session of limited size."""

import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from depthcue.backends.session import OutOfDeviceMemory, catch_out_of_memory, halving
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError
from depthcue.frames import Input, open_input
from depthcue.nets import load_mask_net
from depthcue.progress import Silent
from depthcue.runtime import MaskOptions, mask_sources
from depthcue.runtime.masking import DepthThroughMask


class Limited:
    """Gives each frame's red corner as its mask; fails where the frames it holds at one time are more than fit."""

    def __init__(self, fits, rendezvous=None):
        self.fits = fits
        self.tried = []
        self.rendezvous = rendezvous
        self._held = 0
        self._lock = threading.Lock()

    def halved(self):
        whole = halving(lambda frames: (self.run(frames),), "cuda")
        return lambda frames: whole(frames)[0]

    def run(self, frames):
        with self._lock:
            self.tried.append(len(frames))
            self._held += len(frames)
        try:
            if self.rendezvous is not None:
                try:
                    self.rendezvous.wait(0.5)
                except threading.BrokenBarrierError:
                    pass
            if self._held > self.fits:
                raise OutOfDeviceMemory("CUDA out of memory. Tried to allocate 20.00 MiB.")
            return np.repeat(frames[:, :1, :1, 0], 2, axis=2).astype(np.float32)
        finally:
            with self._lock:
                self._held -= len(frames)


def batch(count, first=0):
    return np.arange(first, first + count, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(6, 2).repeat(3, 3)


def test_what_fits_is_passed_on_as_it_is(caplog):
    limited = Limited(fits=8)
    assert limited.halved()(batch(8)).shape == (8, 1, 2)
    assert limited.tried == [8] and not caplog.records


def test_a_batch_that_does_not_fit_is_halved_said_once_and_no_larger_one_tried_again(caplog):
    limited = Limited(fits=5)
    run = limited.halved()
    for first in (0, 16):
        masks = run(batch(13, first))
        np.testing.assert_array_equal(masks[:, 0, 0], np.arange(first, first + 13))
    # 13 and 7 are too many; then fours, with one left over, and nothing larger in the second batch
    assert limited.tried == [13, 7, 4, 4, 4, 1, 4, 4, 4, 1]
    assert [record.message for record in caplog.records] == ["cuda is out of memory: going on with batches of 4 frames"]


def test_one_frame_too_many_is_told():
    with pytest.raises(DepthcueError, match=r"6x4.*cuda.*20.00 MiB(?s:.*)--size"):
        Limited(fits=0).halved()(batch(4))


def test_other_failures_pass():
    def broken(frames):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        halving(broken, "cuda")(batch(2))


def test_every_output_is_put_together():
    limited = Limited(fits=2)
    whole, first = halving(lambda frames: (limited.run(frames), frames[:, 0, 0, 0]), "cuda")(batch(5))
    assert whole.shape == (5, 1, 2) and first.tolist() == [0, 1, 2, 3, 4]


def test_streams_that_do_not_fit_side_by_side_take_turns():
    # one frame fits, but two streams of one frame each do not: that must not end the run
    run = Limited(fits=1, rendezvous=threading.Barrier(2)).halved()
    results = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: run(batch(1, n))}), daemon=True) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {number: mask[0, 0, 0] for number, mask in results.items()} == {1: 1.0, 2: 2.0}


@pytest.mark.parametrize("short", [TorchSession, DepthThroughMask])
def test_a_mask_run_goes_on_with_smaller_batches(weights, tmp_path, monkeypatch, caplog, short):
    """The whole job, on a device that holds two frames of one of the nets at a time, and at first none."""
    generator = np.random.default_rng(0)
    for number in range(9):
        picture = generator.integers(0, 256, (32, 48, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    name = {TorchSession: "run", DepthThroughMask: "depths"}[short]
    whole = getattr(short, name)

    calls = []

    def limited(self, frames, *more):
        calls.append(len(frames))
        with catch_out_of_memory():
            if len(frames) > 2 or len(calls) == 1:  # how many frames a batch has is chance
                raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(self, frames, *more)

    monkeypatch.setattr(short, name, limited)
    options = MaskOptions(str(weights), save=("raw", "depth"), backend="torch", device="cpu", batch_size=8)
    summary = mask_sources([str(tmp_path)], tmp_path / "out", options, Silent())
    assert summary["totals"]["failed"] == 0 and summary["totals"]["frames"] == 9
    assert caplog.records[-1].message.startswith("cpu is out of memory: going on with batches of ")
    with TorchSession(load_mask_net(str(weights))) as session:
        for number in range(9):
            with open_input(Input(tmp_path / f"{number}.png", "image", "")) as stream:
                mask = session.run(np.stack([frame.rgb for frame in stream]))[0]
            written = np.asarray(Image.open(tmp_path / "out" / f"{number}_raw.png"))
            np.testing.assert_allclose(written, 65535 * mask, atol=1)


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : bfc_arena.cc:376 Available memory of 123 is "
                 "smaller than requested bytes of 456; Failed to allocate memory for requested buffer of size 456"),
    RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
    RuntimeError("[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)"),
    RuntimeError("Requested amount of GPU memory (1073741824 bytes) could not be allocated."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
])
def test_what_libraries_say_is_understood(error):
    with pytest.raises(OutOfDeviceMemory) as told, catch_out_of_memory():
        raise error
    assert "\n" not in str(told.value) and str(told.value)


def test_the_memory_is_free_when_a_smaller_batch_is_tried():
    held = weakref.WeakSet()

    def infer(frames):
        assert not held, "what the failed batch had allocated is still held"
        with catch_out_of_memory():
            allocated = torch.zeros(len(frames))
            held.add(allocated)
            if len(frames) > 1:
                raise RuntimeError("CUDA error: out of memory")
        return (allocated.numpy().copy(),)

    assert halving(infer, "cuda")(batch(4))[0].shape == (4,)


def test_other_errors_keep_their_class():
    with pytest.raises(RuntimeError, match="mat1 and mat2") as told, catch_out_of_memory():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not isinstance(told.value, OutOfDeviceMemory)
