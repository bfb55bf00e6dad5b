"""One contract for every runner."""

import copy
import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import fake_tensorrt
import numpy as np
import pytest
import torch

from depthcue.backends.session import Dial
from depthcue.backends.tensorrt_backend import TensorRtRunner
from depthcue.errors import DepthcueError
from depthcue.export.tensorrt_engine import EngineOptions, write_engine
from depthcue.imaging import top_pixels
from depthcue.nets.exported import read_graph_card
from depthcue.runtime import OnnxRunner, OpenVinoRunner, Runner, TorchRunner

KINDS = ("torch", "onnx", "openvino", "tensorrt")


@pytest.fixture(params=KINDS)
def make(request, tiny_net, tmp_path, monkeypatch):
    """Makes a runner of one kind for a λ."""
    return making(request, tiny_net, "tiny_graph", tmp_path, monkeypatch)


@pytest.fixture(params=KINDS)
def make_of_shares(request, share_net, tmp_path, monkeypatch):
    """Makes a runner of one kind for a share."""
    return making(request, share_net, "share_graph", tmp_path, monkeypatch)


def making(request, net, graph, tmp_path, monkeypatch):
    if request.param == "torch":
        return lambda dial=None: TorchRunner(net, dial)
    graph = request.getfixturevalue(graph)
    if request.param == "openvino":
        pytest.importorskip("openvino")
        return lambda dial=None: OpenVinoRunner(graph, dial, threads=1)
    if request.param == "tensorrt":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        fake_tensorrt.install(monkeypatch)
        options = EngineOptions(batch=(1, 2, 4), sizes=((16, 16), (32, 48), (64, 64)))
        write_engine(graph, read_graph_card(graph, "mask"), tmp_path / "tiny.engine", options)
        return lambda dial=None: TensorRtRunner(tmp_path / "tiny.engine", dial)
    return lambda dial=None: OnnxRunner(graph, dial)


@pytest.fixture
def frames():
    return np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)


def wanted(net, frames, lam):
    with torch.inference_mode():
        rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
        return net(net.normalise(rgb), torch.full((len(frames),), lam))[:, 0].numpy()


def test_it_is_a_runner(make):
    runner = make()
    assert isinstance(runner, Runner)
    assert runner.description.name == "tiny" and runner.dial == 2.0
    assert runner.device == ("cuda" if isinstance(runner, TensorRtRunner) else "cpu")


def test_all_runners_know_the_same_net_by_the_same_identity(make, tiny_net):
    assert make().identity == TorchRunner(tiny_net).identity


@pytest.mark.parametrize("lam", [None, 0.5, 6.0])
def test_masks_are_the_nets_own(make, tiny_net, frames, lam):
    with make(lam) as runner:
        masks = runner.infer(frames)
    assert masks.dtype == np.float32 and masks.shape == (3, 32, 48)
    # float32 sums in another order
    np.testing.assert_allclose(masks, wanted(tiny_net, frames, lam or 2.0), atol=1e-5)


def test_size_and_batch_may_change_from_call_to_call(make, tiny_net):
    generator = np.random.default_rng(2)
    with make() as runner:
        for shape in ((1, 16, 16, 3), (5, 64, 24, 3), (2, 16, 16, 3)):
            frames = generator.integers(0, 256, shape, dtype=np.uint8)
            np.testing.assert_allclose(runner.infer(frames), wanted(tiny_net, frames, 2.0), atol=1e-5)


def test_a_frame_alone_gives_what_it_gives_in_a_batch(make, frames):
    with make() as runner:
        together = runner.infer(frames)
        for frame, mask in zip(frames, together, strict=True):
            np.testing.assert_allclose(runner.infer(frame[None])[0], mask, atol=1e-6)


def test_results_are_the_callers_own(make, frames):
    with make() as runner:
        first = runner.infer(frames)
        copied = first.copy()
        runner.infer(255 - frames)
        np.testing.assert_array_equal(first, copied)


def test_views_and_read_only_frames_are_taken(make, tiny_net, frames):
    mirrored = frames[:, :, ::-1]
    mirrored.flags.writeable = False
    with make() as runner:
        np.testing.assert_allclose(runner.infer(mirrored), wanted(tiny_net, mirrored.copy(), 2.0), atol=1e-5)


@pytest.mark.parametrize("wrong", [
    np.zeros((1, 32, 48, 3), np.float32), np.zeros((32, 48, 3), np.uint8), np.zeros((1, 3, 32, 48), np.uint8),
    np.zeros((0, 32, 48, 3), np.uint8), np.zeros((1, 30, 48, 3), np.uint8),
])
def test_what_is_no_batch_of_frames_is_refused(make, wrong):
    with make() as runner, pytest.raises(ValueError, match=r"frames"):
        runner.infer(wrong)


def test_it_works_only_while_entered_and_again_after(make, frames):
    runner = make()
    with pytest.raises(RuntimeError, match="not entered"):
        runner.infer(frames)
    with runner:
        first = runner.infer(frames)
    with pytest.raises(RuntimeError, match="not entered"):
        runner.infer(frames)
    with runner:
        np.testing.assert_array_equal(runner.infer(frames), first)


def test_lambda_outside_the_range_is_refused_before_anything_is_opened(make):
    with pytest.raises(DepthcueError, match=r"lambda must be between 0.5 and 6 for .*, got 7"):
        make(7.0)


@pytest.mark.parametrize("keep", [None, 0.05, 0.5, 0.9])
def test_masks_of_a_share_have_it_as_their_mean_and_keep_the_nets_pixels(make_of_shares, share_net, frames, keep):
    with make_of_shares(keep) as runner:
        assert runner.dial == (keep or 0.2)
        masks = runner.infer(frames)
    np.testing.assert_allclose(masks.mean(axis=(1, 2)), keep or 0.2, atol=1e-4)
    for mask, own in zip(masks, wanted(share_net, frames, keep or 0.2), strict=True):
        np.testing.assert_allclose(mask, own, atol=1e-4)
        # two pixels at the limit may change places by rounding
        assert (top_pixels(mask, keep or 0.2) != top_pixels(own, keep or 0.2)).sum() <= 2


def test_a_share_that_is_none_is_refused_before_anything_is_opened(make_of_shares):
    with pytest.raises(DepthcueError, match="above 0 and below 1, got 1.5"):
        make_of_shares(1.5)


def test_a_dial_says_what_share_and_lambda_belong_together(share_net, tiny_net):
    shares, lambdas = share_net.description, tiny_net.description
    assert Dial.of(shares) == Dial(0.2, 0.2, pytest.approx(4.0 ** (2 / 3)))
    assert Dial.of(shares, lam=1.0) == Dial(pytest.approx(0.4), pytest.approx(0.4), 1.0)
    assert Dial.of(lambdas) == Dial(2.0, None, 2.0) and Dial.of(lambdas, lam=3.0) == Dial(3.0, None, 3.0)
    # of a net that takes lambda, the best pixels of the mask at its own
    assert Dial.of(lambdas, keep=0.3) == Dial(2.0, 0.3, 2.0)
    assert Dial.of(dataclasses.replace(shares, lambda_at=()), keep=0.3) == Dial(0.3, 0.3, None)
    with pytest.raises(DepthcueError, match="both given"):
        Dial.of(shares, 0.2, 2.0)


def test_the_net_given_is_left_as_it_was(tiny_net, frames):
    net = copy.deepcopy(tiny_net).train()
    with TorchRunner(net) as runner:
        runner.infer(frames)
    assert net.training and all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_device_is_touched_on_entering_and_its_absence_told(tiny_net, tiny_graph):
    for runner in (TorchRunner(tiny_net, device="cuda"), OnnxRunner(tiny_graph, device="cuda")):
        with pytest.raises(DepthcueError, match=r"cuda|CUDA"), runner:
            pass


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu(tiny_net, tiny_graph, frames):
    for runner in (TorchRunner(tiny_net, device="cuda"), OnnxRunner(tiny_graph, device="cuda")):
        with runner:
            # TF32 convolutions have 10 bits of mantissa
            np.testing.assert_allclose(runner.infer(frames), wanted(tiny_net, frames, 2.0), atol=5e-3)


def bf16_runner(kind, tiny_net, tiny_graph):
    if kind == "torch":
        return TorchRunner(tiny_net, precision="bf16")
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16")
    return OpenVinoRunner(tiny_graph, precision="bf16")


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_bf16_is_close_and_is_bf16(tiny_net, tiny_graph, frames, kind):
    with bf16_runner(kind, tiny_net, tiny_graph) as runner:
        masks = runner.infer(frames)
    assert masks.dtype == np.float32 and runner.name == f"{kind} cpu bf16"
    # bfloat16 has 8 bits of mantissa; a result that is closer than it can be was not computed in it
    difference = np.abs(masks - wanted(tiny_net, frames, 2.0))
    assert 1e-4 < difference.max() < 3e-2


def test_the_batches_of_several_threads_do_not_mix(make, tiny_net):
    generator = np.random.default_rng(3)
    batches = [generator.integers(0, 256, (1 + number % 3, 32, 48, 3), dtype=np.uint8) for number in range(24)]
    with make() as runner, ThreadPoolExecutor(4) as threads:
        for frames, masks in zip(batches, threads.map(runner.infer, batches), strict=True):
            np.testing.assert_allclose(masks, wanted(tiny_net, frames, 2.0), atol=1e-5)


def test_weights_too_large_for_fp16_are_told(tiny_net):
    net = copy.deepcopy(tiny_net)
    net.conv.weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(DepthcueError, match=r"conv.weight(?s:.*)bf16"), TorchRunner(net, device="mps",
                                                                                    precision="fp16"):
        pass


def test_nan_is_told_and_not_written_as_a_black_mask(tiny_net, frames):
    net = copy.deepcopy(tiny_net)
    net.conv.bias.data[0] = float("nan")
    with TorchRunner(net) as runner, pytest.raises(DepthcueError, match="NaN in fp32"):
        runner.infer(frames)


def test_fp16_is_not_for_cpus(tiny_net):
    with pytest.raises(DepthcueError, match="for GPUs"):
        TorchRunner(tiny_net, precision="fp16")


@pytest.mark.slow
def test_compiled_is_the_same(tiny_net, frames):
    with TorchRunner(tiny_net, compiled=True) as runner:
        np.testing.assert_allclose(runner.infer(frames), wanted(tiny_net, frames, 2.0), atol=1e-5)
        assert runner.name == "torch cpu fp32 compiled"


def test_staged_frames_are_run_without_being_given_again(tiny_net, frames, monkeypatch):
    """For timings of the network alone: what is returned takes nothing, runs the net, and returns when it is done."""
    with TorchRunner(tiny_net) as runner:
        seen = []
        monkeypatch.setattr(runner, "_module", lambda batch, module=runner._module: seen.append(batch) or module(batch))
        run = runner.staged(frames)
        run()
        run()
    assert len(seen) == 2 and seen[0] is seen[1]


def test_a_compiler_that_is_missing_is_told(tiny_net, frames, monkeypatch):
    def broken(*_):
        raise torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no C++ compiler"), None)

    monkeypatch.setattr(torch, "compile", lambda module, **_: broken)
    with TorchRunner(tiny_net, compiled=True) as runner, pytest.raises(DepthcueError, match=r"cannot compile"):
        runner.infer(frames)


@pytest.fixture
def said_to_be_in_int8(tiny_graph, tmp_path):
    """The tiny graph with a card that says int8."""
    graph = tmp_path / tiny_graph.name
    graph.write_bytes(tiny_graph.read_bytes())
    card = json.loads(tiny_graph.with_suffix(".json").read_text())
    graph.with_suffix(".json").write_text(json.dumps({**card, "precision": "int8"}))
    return graph


def test_openvino_runs_int8_where_its_masks_are_those_that_were_checked(said_to_be_in_int8, frames, tiny_net):
    pytest.importorskip("openvino")
    with OpenVinoRunner(said_to_be_in_int8) as runner:
        np.testing.assert_allclose(runner.infer(frames), wanted(tiny_net, frames, 2.0), atol=1e-5)
    assert runner.name == "openvino cpu int8"


def test_int8_that_openvino_gets_wrong_is_refused(said_to_be_in_int8, frames, monkeypatch):
    pytest.importorskip("openvino")
    infer = OnnxRunner.infer
    monkeypatch.setattr(OnnxRunner, "infer", lambda self, frames: infer(self, frames) + np.float32(0.01))
    runner = OpenVinoRunner(said_to_be_in_int8)
    with pytest.raises(DepthcueError, match=r"(?s)in int8 wrongly: .* off by 0\.01 .*--backend onnx"), runner:
        pass
    with pytest.raises(RuntimeError, match="not entered"):
        runner.infer(frames)


def test_openvino_that_is_missing_is_told(tiny_graph, monkeypatch):
    monkeypatch.setattr("depthcue.backends.openvino_backend.has_openvino", lambda: False)
    with pytest.raises(DepthcueError, match=r"(?s)not installed.*depthcue\[openvino\]"):
        OpenVinoRunner(tiny_graph)
