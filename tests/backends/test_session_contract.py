"""One contract for every session, of masks and of depths."""

import copy
import dataclasses
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import fake_tensorrt
import numpy as np
import pytest
import torch

from depthcue.backends.onnx_backend import OnnxSession
from depthcue.backends.openvino_backend import OpenVinoSession, own_signal_stack
from depthcue.backends.session import Session
from depthcue.backends.tensorrt_backend import TensorRtSession
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError
from depthcue.export.tensorrt_engine import EngineOptions, write_engine
from depthcue.imaging import top_pixels
from depthcue.nets import Setting
from depthcue.nets.exported import net_identity, read_graph_card

BACKENDS = ("torch", "onnx", "openvino", "tensorrt")
NETS = {"lambda": ("tiny_net", "tiny_graph", 2.0), "share": ("share_net", "share_graph", 0.2),
        "depth": ("small_depth_net", "depth_graph", None)}
"""What each kind of net takes: fixtures of the net and of its graph, and its own dial."""


class Case:
    """One net, and what opens it by one backend."""

    def __init__(self, backend, takes, request, tmp_path, monkeypatch):
        net, graph, self.dial = NETS[takes]
        self.net = request.getfixturevalue(net)
        self.kind = "depth" if takes == "depth" else "mask"
        # float32 sums in another order; metres have more of them
        self.atol = 1e-5 if takes == "lambda" else 1e-4
        self.backend = backend
        if backend == "torch":
            self.make = lambda dial=None: TorchSession(self.net, dial)
            return
        graph = request.getfixturevalue(graph)
        if backend == "onnx":
            self.make = lambda dial=None: OnnxSession(graph, dial, kind=self.kind)
        elif backend == "openvino":
            pytest.importorskip("openvino")
            self.make = lambda dial=None: OpenVinoSession(graph, dial, threads=1, kind=self.kind)
        else:
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
            fake_tensorrt.install(monkeypatch)
            options = EngineOptions(batch=(1, 2, 4), sizes=((16, 16), (32, 48), (64, 64)))
            write_engine(graph, read_graph_card(graph, self.kind), tmp_path / "tiny.engine", options)
            self.make = lambda dial=None: TensorRtSession(tmp_path / "tiny.engine", dial, kind=self.kind)

    def wanted(self, frames, dial=None):
        """What the net itself answers."""
        with torch.inference_mode():
            rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
            normalised = self.net.normalise(rgb)
            if self.kind == "depth":
                return self.net.to_depth_m(self.net(normalised))[:, 0].numpy()
            return self.net(normalised, torch.full((len(frames),), dial or self.dial))[:, 0].numpy()

    def check(self, maps, frames, dial=None):
        np.testing.assert_allclose(maps, self.wanted(frames, dial), atol=self.atol)


@pytest.fixture(params=[(backend, takes) for takes in NETS for backend in BACKENDS], ids="-".join)
def case(request, tmp_path, monkeypatch):
    return Case(*request.param, request, tmp_path, monkeypatch)


@pytest.fixture(params=BACKENDS)
def masks(request, tmp_path, monkeypatch):
    """The net that takes λ."""
    return Case(request.param, "lambda", request, tmp_path, monkeypatch)


@pytest.fixture(params=BACKENDS)
def shares(request, tmp_path, monkeypatch):
    """The net that takes the share to keep."""
    return Case(request.param, "share", request, tmp_path, monkeypatch)


@pytest.fixture
def frames():
    return np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)


def wanted(net, frames, lam):
    with torch.inference_mode():
        rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
        return net(net.normalise(rgb), torch.full((len(frames),), lam))[:, 0].numpy()


def test_it_says_what_it_runs(case):
    session = case.make()
    assert isinstance(session, Session)
    assert session.description == case.net.description and session.dial == case.dial
    assert session.device == ("cuda" if case.backend == "tensorrt" else "cpu") and session.name.startswith(case.backend)
    assert session.identity == net_identity(case.net)


def test_maps_are_the_nets_own(case, frames):
    with case.make() as session:
        maps = session.run(frames)
    assert maps.dtype == np.float32 and maps.shape == case.wanted(frames).shape and maps.std() > 0.01
    case.check(maps, frames)


def test_size_and_batch_may_change_from_call_to_call(case):
    generator = np.random.default_rng(2)
    with case.make() as session:
        for shape in ((1, 16, 16, 3), (5, 64, 24, 3), (2, 16, 16, 3)):
            frames = generator.integers(0, 256, shape, dtype=np.uint8)
            case.check(session.run(frames), frames)


def test_a_frame_alone_gives_what_it_gives_in_a_batch(case, frames):
    with case.make() as session:
        together = session.run(frames)
        for frame, single in zip(frames, together, strict=True):
            np.testing.assert_allclose(session.run(frame[None])[0], single, atol=1e-5)


def test_results_are_the_callers_own(case, frames):
    with case.make() as session:
        first = session.run(frames)
        copied = first.copy()
        session.run(255 - frames)
        np.testing.assert_array_equal(first, copied)


def test_views_and_read_only_frames_are_taken(case, frames):
    mirrored = frames[:, :, ::-1]
    mirrored.flags.writeable = False
    with case.make() as session:
        case.check(session.run(mirrored), mirrored.copy())


def test_staged_frames_are_run_again_and_again(case, frames):
    with case.make() as session:
        run = session.staged(frames)
        run()
        run()
        case.check(session.run(frames), frames)
    with pytest.raises(RuntimeError, match="not entered"):
        session.staged(frames)


@pytest.mark.parametrize("wrong", [
    np.zeros((1, 32, 48, 3), np.float32), np.zeros((32, 48, 3), np.uint8), np.zeros((1, 3, 32, 48), np.uint8),
    np.zeros((0, 32, 48, 3), np.uint8), np.zeros((1, 30, 48, 3), np.uint8),
])
def test_what_is_no_batch_of_frames_is_refused(masks, wrong):
    with masks.make() as session, pytest.raises(ValueError, match=r"frames"):
        session.run(wrong)


def test_it_works_only_while_entered_and_again_after(case, frames):
    session = case.make()
    with pytest.raises(RuntimeError, match="not entered"):
        session.run(frames)
    with session:
        first = session.run(frames)
    with pytest.raises(RuntimeError, match="not entered"):
        session.run(frames)
    with session:
        np.testing.assert_array_equal(session.run(frames), first)


@pytest.mark.parametrize("lam", [0.5, 6.0])
def test_lambda_is_chosen_when_it_is_made_or_at_a_call(masks, frames, lam):
    with masks.make(lam) as session:
        masks.check(session.run(frames), frames, lam)
    with masks.make() as session:
        for value in (lam, 3.0, None):
            masks.check(session.run(frames, value), frames, value)
        with pytest.raises(DepthcueError, match="--lambda must be between"):
            session.run(frames, 7.0)


def test_lambda_outside_the_range_is_refused_before_anything_is_opened(masks):
    with pytest.raises(DepthcueError, match=r"--lambda must be between 0.5 and 6 .*got 7"):
        masks.make(7.0)


@pytest.mark.parametrize("keep", [None, 0.05, 0.5, 0.9])
def test_masks_of_a_share_have_it_as_their_mean_and_keep_the_nets_pixels(shares, frames, keep):
    with shares.make() as session:
        maps = session.run(frames, keep)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), keep or 0.2, atol=1e-4)
    for mask, own in zip(maps, shares.wanted(frames, keep), strict=True):
        np.testing.assert_allclose(mask, own, atol=1e-4)
        # two pixels at the limit may change places by rounding
        assert (top_pixels(mask, keep or 0.2) != top_pixels(own, keep or 0.2)).sum() <= 2


def test_a_share_that_is_none_is_refused_before_anything_is_opened(shares):
    with pytest.raises(DepthcueError, match="above 0 and below 1, got 1.5"):
        shares.make(1.5)


def test_the_batches_of_several_threads_do_not_mix(case):
    generator = np.random.default_rng(3)
    batches = [generator.integers(0, 256, (1 + number % 3, 32, 48, 3), dtype=np.uint8) for number in range(12)]
    with case.make() as session, ThreadPoolExecutor(4) as threads:
        for frames, maps in zip(batches, threads.map(session.run, batches), strict=True):
            case.check(maps, frames)


def test_a_file_of_another_kind_is_refused(tiny_graph, depth_graph):
    for graph, kind in ((tiny_graph, "depth"), (depth_graph, "mask")):
        with pytest.raises(DepthcueError, match=f"a {kind} net is wanted"):
            OnnxSession(graph, kind=kind)


def test_a_setting_says_what_share_and_lambda_belong_together(share_net, tiny_net):
    shares, lambdas = share_net.description, tiny_net.description
    assert Setting.of(shares) == Setting(pytest.approx(4.0 ** (2 / 3)), 0.2)
    assert Setting.of(shares, lam=1.0) == Setting(1.0, pytest.approx(0.4))
    assert Setting.of(lambdas) == Setting(2.0) and Setting.of(lambdas, lam=3.0) == Setting(3.0)
    # of a net that takes lambda, the best pixels of the mask at its own
    assert Setting.of(lambdas, keep=0.3) == Setting(2.0, 0.3)
    assert Setting.of(dataclasses.replace(shares, lambda_at=()), keep=0.3) == Setting(None, 0.3)
    with pytest.raises(DepthcueError, match="both given"):
        Setting.of(shares, 0.2, 2.0)
    assert Setting(2.5).entry() == {"lambda": 2.5} and Setting(None, 0.3).entry() == {"keep": 0.3, "lambda": None}


def test_the_net_given_is_left_as_it_was(tiny_net, frames):
    net = copy.deepcopy(tiny_net).train()
    with TorchSession(net) as session:
        session.run(frames)
    assert net.training and all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_device_is_touched_on_entering_and_its_absence_told(tiny_net, tiny_graph):
    for session in (TorchSession(tiny_net, device="cuda"), OnnxSession(tiny_graph, device="cuda")):
        with pytest.raises(DepthcueError, match=r"cuda|CUDA"), session:
            pass


@pytest.mark.gpu
def test_a_gpu_agrees_with_the_cpu(tiny_net, tiny_graph, frames):
    for session in (TorchSession(tiny_net, device="cuda"), OnnxSession(tiny_graph, device="cuda")):
        with session:
            # TF32 convolutions have 10 bits of mantissa
            np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames, 2.0), atol=5e-3)


def bf16_session(kind, tiny_net, tiny_graph):
    if kind == "torch":
        return TorchSession(tiny_net, precision="bf16")
    openvino = pytest.importorskip("openvino")
    with own_signal_stack():
        capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in capabilities:
        pytest.skip("this CPU has no bf16")
    return OpenVinoSession(tiny_graph, precision="bf16")


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_bf16_is_close_and_is_bf16(tiny_net, tiny_graph, frames, kind):
    with bf16_session(kind, tiny_net, tiny_graph) as session:
        masks = session.run(frames)
    assert masks.dtype == np.float32 and session.name == f"{kind} cpu bf16"
    # bfloat16 has 8 bits of mantissa; a result that is closer than it can be was not computed in it
    difference = np.abs(masks - wanted(tiny_net, frames, 2.0))
    assert 1e-4 < difference.max() < 3e-2


def test_weights_too_large_for_fp16_are_told(tiny_net):
    net = copy.deepcopy(tiny_net)
    net.conv.weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(DepthcueError, match=r"conv.weight(?s:.*)bf16"), TorchSession(net, device="mps",
                                                                                    precision="fp16"):
        pass


def test_nan_is_told_and_not_written_as_a_black_mask(tiny_net, frames):
    net = copy.deepcopy(tiny_net)
    net.conv.bias.data[0] = float("nan")
    with TorchSession(net) as session, pytest.raises(DepthcueError, match="NaN in fp32"):
        session.run(frames)


def test_fp16_is_not_for_cpus(tiny_net):
    with pytest.raises(DepthcueError, match="for GPUs"):
        TorchSession(tiny_net, precision="fp16")


@pytest.mark.slow
def test_compiled_is_the_same(tiny_net, frames):
    with TorchSession(tiny_net, compiled=True) as session:
        np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames, 2.0), atol=1e-5)
        assert session.name == "torch cpu fp32 compiled"


def test_staged_frames_are_run_without_being_given_again(tiny_net, frames, monkeypatch):
    """For timings of the network alone: what is returned takes nothing, runs the net, and returns when it is done."""
    with TorchSession(tiny_net) as session:
        seen = []
        module = session._module
        monkeypatch.setattr(session, "_module", lambda batch, dial: seen.append(batch) or module(batch, dial))
        run = session.staged(frames)
        run()
        run()
    assert len(seen) == 2 and seen[0] is seen[1]


def test_a_compiler_that_is_missing_is_told(tiny_net, frames, monkeypatch):
    def broken(*_):
        raise torch._dynamo.exc.BackendCompilerFailed(lambda: None, RuntimeError("no C++ compiler"), None)

    monkeypatch.setattr(torch, "compile", lambda module, **_: broken)
    with TorchSession(tiny_net, compiled=True) as session, pytest.raises(DepthcueError, match=r"cannot compile"):
        session.run(frames)


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
    with OpenVinoSession(said_to_be_in_int8) as session:
        np.testing.assert_allclose(session.run(frames), wanted(tiny_net, frames, 2.0), atol=1e-5)
    assert session.name == "openvino cpu int8"


SIGNALLED_AFTER_OPENVINO = """
import ctypes, signal, sys, threading
import numpy as np
from depthcue.backends.openvino_backend import OpenVinoSession

def stack():
    found = (ctypes.c_size_t * 3)()
    ctypes.CDLL(None).sigaltstack(None, found)
    return list(found)

before, caught = stack(), []
session = OpenVinoSession(sys.argv[1], threads=1).__enter__()
session.run(np.zeros((1, 32, 48, 3), np.uint8))
elsewhere = threading.Thread(target=session.__exit__, args=(None, None, None))
elsewhere.start()
elsewhere.join()
signal.signal(signal.SIGINT, lambda *_: caught.append(True))
signal.raise_signal(signal.SIGINT)
assert caught and stack() == before, (stack(), before)
"""


def test_ctrl_c_is_heard_after_openvino(tiny_graph):
    pytest.importorskip("openvino")
    subprocess.run([sys.executable, "-c", SIGNALLED_AFTER_OPENVINO, str(tiny_graph)], check=True)


def test_int8_that_openvino_gets_wrong_is_refused(said_to_be_in_int8, frames, monkeypatch):
    pytest.importorskip("openvino")
    run = OnnxSession.run
    monkeypatch.setattr(OnnxSession, "run", lambda self, frames: run(self, frames) + np.float32(0.01))
    session = OpenVinoSession(said_to_be_in_int8)
    with pytest.raises(DepthcueError, match=r"(?s)in int8 wrongly: .* off by 0\.01 .*--backend onnx"), session:
        pass
    with pytest.raises(RuntimeError, match="not entered"):
        session.run(frames)


def test_openvino_that_is_missing_is_told(tiny_graph, monkeypatch):
    monkeypatch.setattr("depthcue.backends.openvino_backend.has_openvino", lambda: False)
    with pytest.raises(DepthcueError, match=r"(?s)not installed.*depthcue\[openvino\]"):
        OpenVinoSession(tiny_graph)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_depths_in_bf16_are_close(small_depth_net, depth_graph, frames, precision):
    with TorchSession(small_depth_net, as_given=True) as given:
        exact = given.run(frames)
    with TorchSession(small_depth_net, precision=precision) as session:
        np.testing.assert_allclose(session.run(frames), exact, rtol=1e-4 if precision == "fp32" else 5e-2)
