"""ONNX Runtime on a GPU, as far as that goes without one: bound memory, missing libraries, the CPU when told."""

import logging

import numpy as np
import onnxruntime
import pytest
import torch
from fake_tensorrt import HostLane

from depthcue.backends import onnx_backend
from depthcue.backends.device import SlotPool
from depthcue.backends.onnx_backend import OnnxSession
from depthcue.backends.session import OutOfDeviceMemory, halving
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError

COMPLAINT = "Failed to load libcurand.so.10: cannot open shared object file\nPlease follow https://example.org\n"


@pytest.fixture(autouse=True)
def preloading(monkeypatch):
    """Nothing is remembered of what other tests have loaded."""
    onnx_backend.preload_libraries.cache_clear()
    yield
    onnx_backend.preload_libraries.cache_clear()


@pytest.fixture
def without_cuda(monkeypatch):
    """ONNX Runtime with a CUDA provider whose libraries are not here."""
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print(COMPLAINT), raising=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers",
                        lambda: [onnx_backend.CUDA_PROVIDER, "CPUExecutionProvider"])
    session = onnxruntime.InferenceSession

    def open_session(graph, options, providers, enable_fallback):
        return session(graph, options, providers=[each for each in providers if each[0] != onnx_backend.CUDA_PROVIDER]
                       or ["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)


def noise(count, height=32, width=48):
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def wanted(net, frames, lam):
    with torch.inference_mode():
        rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
        return net(net.normalise(rgb), torch.full((len(frames),), lam))[:, 0].numpy()


def test_bound_memory_gives_the_nets_own_masks(tiny_graph, tiny_net):
    session = onnxruntime.InferenceSession(tiny_graph, providers=["CPUExecutionProvider"])
    binding = onnx_backend.Binding(session, (3, 32, 48, 3), "lambda", HostLane("cpu"), ("cpu", 0))
    first = None
    for lam in (2.0, 5.0):
        masks = binding.run(noise(3), lam)
        np.testing.assert_allclose(masks, wanted(tiny_net, noise(3), lam), atol=1e-5)
        first = masks if first is None else first
    # the first masks are still those of the first λ: they were the caller's own
    np.testing.assert_allclose(first, wanted(tiny_net, noise(3), 2.0), atol=1e-5)


def test_depths_have_a_size_of_their_own(depth_graph, small_depth_net):
    runtime = onnxruntime.InferenceSession(depth_graph, providers=["CPUExecutionProvider"])
    binding = onnx_backend.Binding(runtime, (2, 32, 48, 3), None, HostLane("cpu"), ("cpu", 0))
    with TorchSession(small_depth_net, as_given=True) as given:
        wanted = given.run(noise(2))
    for _ in range(2):
        np.testing.assert_allclose(binding.run(noise(2), None), wanted, rtol=1e-4)


def test_frames_put_on_the_device_are_run_there(tiny_graph, tiny_net):
    session = onnxruntime.InferenceSession(tiny_graph, providers=["CPUExecutionProvider"])
    binding = onnx_backend.Binding(session, (2, 32, 48, 3), "lambda", HostLane("cpu"), ("cpu", 0))
    run = binding.staged(noise(2), 3.0)
    run()
    # the masks lie on the device, made of what was put there
    np.testing.assert_allclose(binding._maps[1].numpy(), wanted(tiny_net, noise(2), 3.0), atol=1e-5)


def test_cuda_that_does_not_load_is_an_error_that_names_the_library(tiny_graph, without_cuda, capfd):
    with pytest.raises(DepthcueError, match=r"cannot use CUDA: libcurand\.so\.10 does not load") as caught, \
            OnnxSession(tiny_graph, device="cuda"):
        pass
    assert "depthcue[cuda]" in (caught.value.hint or "") and "--cpu-fallback" in (caught.value.hint or "")
    assert capfd.readouterr().out == "", "stdout is for results"


def test_an_onnxruntime_built_without_cuda_is_told_too(tiny_graph, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    with pytest.raises(DepthcueError, match="cannot use CUDA"), OnnxSession(tiny_graph, device="cuda"):
        pass


def test_the_cpu_is_used_only_when_told_and_that_is_said(tiny_graph, tiny_net, without_cuda, caplog):
    with OnnxSession(tiny_graph, device="cuda", cpu_fallback=True) as session:
        np.testing.assert_allclose(session.run(noise(2)), wanted(tiny_net, noise(2), 2.0), atol=1e-5)
    assert session.device == "cpu" and session.name == "onnx cpu"
    assert "going on with the CPU" in caplog.text and "libcurand" in caplog.text


def test_libraries_are_looked_for_once_and_in_silence(monkeypatch, capfd, caplog):
    calls = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: calls.append(1) or print(COMPLAINT), raising=False)
    with caplog.at_level(logging.DEBUG, "depthcue"):
        assert {onnx_backend.preload_libraries() for _ in range(3)} == {"libcurand.so.10 does not load"}
    assert len(calls) == 1 and capfd.readouterr().out == "" and "libcurand" in caplog.text


def test_a_gpu_out_of_memory_halves_the_batch(tiny_graph, tiny_net, monkeypatch, caplog):
    class Full:
        """A GPU with room for two frames."""

        def __init__(self, session, device, dial_input):
            self.session = session

        def run(self, frames, lam):
            if len(frames) > 2:
                raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : BFCArena::AllocateRawInternal Failed "
                                   "to allocate memory for requested buffer of size 4294967296")
            return self.session.run(None, {"frames": frames, "lambda": np.full(len(frames), lam, np.float32)})[0]

    monkeypatch.setattr("depthcue.backends.onnx_backend.GraphOnGpu", Full)
    cpu = OnnxSession(tiny_graph)
    monkeypatch.setattr("depthcue.backends.onnx_backend.open_graph", lambda *wish: onnxruntime.InferenceSession(
        tiny_graph, providers=["CPUExecutionProvider"]))
    with OnnxSession(tiny_graph, device="cuda") as session, pytest.raises(OutOfDeviceMemory):
        session.run(noise(8))
    with OnnxSession(tiny_graph, device="cuda") as session:
        (masks,) = halving(lambda part: (session.run(part),), "cuda")(noise(8))
    np.testing.assert_allclose(masks, wanted(tiny_net, noise(8), cpu.dial), atol=1e-5)
    assert "batches of 2 frames" in caplog.text


def test_seats_go_to_one_at_a_time_and_are_used_again():
    made = []
    slots = SlotPool(lambda shape: made.append(shape) or object(), kept=2)
    with slots.taken((1,)) as one, slots.taken((1,)) as other:
        assert one is not other
    with slots.taken((1,)) as again:
        assert again in (one, other)
    for shape in ((2,), (3,)):
        with slots.taken(shape):
            pass
    assert slots.clear() == 2 and made == [(1,), (1,), (2,), (3,)]


def test_a_seat_under_which_something_failed_is_not_used_again():
    slots = SlotPool(lambda shape: object())
    with pytest.raises(ValueError), slots.taken((1,)):
        raise ValueError
    assert slots.clear() == 0


@pytest.mark.gpu
def test_a_gpu_gives_the_nets_own_masks(tiny_graph, tiny_net):
    with OnnxSession(tiny_graph, device="cuda") as session:
        for count, height, width in ((2, 32, 48), (3, 24, 64), (2, 32, 48)):
            frames = noise(count, height, width)
            # float32 sums in another order
            np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames, 2.0), atol=1e-4)


def test_the_summary_says_what_really_ran(tiny_graph, without_cuda, tmp_path):
    from PIL import Image

    from depthcue.progress import Silent
    from depthcue.runtime import MaskOptions, mask_sources

    Image.fromarray(noise(1)[0]).save(tmp_path / "a.png")
    options = MaskOptions(weights=str(tiny_graph), save=("mask",), backend="onnx", device="cuda", cpu_fallback=True)
    assert mask_sources([str(tmp_path / "a.png")], tmp_path / "out", options, Silent())["backend"] == "onnx cpu"
