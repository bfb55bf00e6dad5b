"""Which session a spec, a backend and a precision open, and the short trial among several."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from depthcue.backends import openvino_backend
from depthcue.backends.device import resolve_device
from depthcue.backends.onnx_backend import OnnxSession
from depthcue.backends.openvino_backend import OpenVinoSession
from depthcue.backends.session import OutOfDeviceMemory
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError
from depthcue.runtime import cached, open_session, opening
from depthcue.runtime.opening import fastest

has_openvino = openvino_backend.has_openvino()
needs_openvino = pytest.mark.skipif(not has_openvino, reason="needs the extra openvino")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")


@pytest.fixture
def tried(monkeypatch):
    """What the trial was given, by name; it chooses the last."""
    names = []

    def last(makes, frames):
        sessions = [make() for make in makes]
        names.append([session.name for session in sessions])
        return sessions[-1]

    monkeypatch.setattr(opening, "fastest", last)
    return names


@pytest.fixture
def exported(monkeypatch, tiny_graph):
    """Another net's graph in the place of what would be exported; the precisions asked for."""
    calls = []

    def graph(net, precision="fp32"):
        calls.append(precision)
        return tiny_graph

    monkeypatch.setattr(cached, "cached_graph", graph)
    monkeypatch.setattr(cached, "has_graph", lambda net: False)
    return calls


@pytest.mark.parametrize(("options", "complaint"), [
    ({"backend": "tensorflow"}, "--backend must be one of"),
    ({"precision": "int4"}, "--precision must be one of auto, "),
    ({"device": "tpu"}, "no device"),
    ({"lam": 99.0}, "lambda must be between"),
    ({"backend": "onnx", "lam": 99.0}, "lambda must be between"),
    ({"precision": "fp16", "device": "cpu"}, "for GPUs"),
    ({"backend": "torch", "precision": "int8"}, "--precision must be one of fp32, bf16, fp16, got"),
    ({"precision": "int8"}, "calibrated on pictures"),
    ({"backend": "onnx", "compiled": True}, "run by torch"),
    ({"backend": "openvino", "device": "cuda"}, "runs on the CPU"),
])
def test_wrong_options_are_errors(weights, options, complaint):
    with pytest.raises(DepthcueError, match=complaint):
        open_session(str(weights), **options)


@needs_no_gpu
def test_tensorrt_without_what_it_needs_is_an_error_before_an_export(weights, exported):
    with pytest.raises(DepthcueError, match=r"TensorRT|GPU"):
        open_session(str(weights), backend="tensorrt")
    assert exported == []


def test_openvino_that_is_not_there_is_an_error_before_an_export(weights, exported, monkeypatch):
    monkeypatch.setattr("depthcue.backends.openvino_backend.has_openvino", lambda: False)
    with pytest.raises(DepthcueError, match="not installed"):
        open_session(str(weights), backend="openvino", device="cpu")
    assert exported == []


@needs_openvino
def test_auto_tries_what_is_installed(weights, exported, tried):
    open_session(str(weights), device="cpu", frames=10_000)
    open_session(str(weights), device="cpu", frames=10_000, precision="bf16")
    open_session(str(weights), device="cpu", frames=10_000, precision="auto")
    assert tried == [
        ["torch cpu fp32", "onnx cpu", "openvino cpu fp32"],
        ["torch cpu bf16", "openvino cpu bf16"],
        ["torch cpu fp32", "torch cpu bf16", "onnx cpu", "openvino cpu fp32", "openvino cpu bf16"],
    ]
    # a graph in float32 is what OpenVINO computes in bf16 of
    assert set(exported) == {"fp32"}


def test_auto_does_without_what_is_not_installed(weights, exported, tried, monkeypatch):
    monkeypatch.setattr(openvino_backend, "has_openvino", lambda: False)
    open_session(str(weights), device="cpu", frames=10_000, precision="auto")
    assert tried == [["torch cpu fp32", "torch cpu bf16", "onnx cpu"]]


def test_for_few_frames_there_is_neither_trial_nor_export(weights, exported, tried):
    for precision in ("fp32", "auto"):
        open_session(str(weights), device="cpu", frames=3, precision=precision)
    assert tried == [["torch cpu fp32"]] * 2
    open_session(str(weights), device="cpu", frames=300)
    assert tried[-1] == ["torch cpu fp32"] and exported == []


def test_for_some_frames_a_graph_that_is_there_is_tried(weights, exported, tried, monkeypatch):
    monkeypatch.setattr(cached, "has_graph", lambda net: True)
    open_session(str(weights), device="cpu", frames=300)
    assert tried[-1][:2] == ["torch cpu fp32", "onnx cpu"]


def test_compiled_is_torch_alone(weights, exported, tried):
    session = open_session(str(weights), device="cpu", frames=10_000, compiled=True)
    assert tried == [["torch cpu fp32 compiled"]] and isinstance(session, TorchSession)


def test_on_a_gpu_auto_is_torch_and_fp16_where_it_is_faster(weights, exported, tried):
    open_session(str(weights), device="cuda", precision="auto", frames=10_000)
    open_session(str(weights), device="cuda", precision="fp16", frames=10_000)
    assert tried == [["torch cuda fp32", "torch cuda fp16"], ["torch cuda fp16"]] and exported == []


@pytest.mark.parametrize(("backend", "precision", "graph_in"), [("onnx", "fp32", "fp32"), ("onnx", "fp16", "fp16"),
                                                                ("openvino", "bf16", "fp32")])
def test_a_backend_that_is_named_is_taken(weights, exported, backend, precision, graph_in):
    if backend == "openvino" and not has_openvino:
        pytest.skip("needs the extra openvino")
    session = open_session(str(weights), backend=backend, device="cpu", precision=precision)
    assert session.name.startswith(backend) and exported == [graph_in]


def test_an_exported_file_is_weights_too(tiny_graph):
    assert isinstance(open_session(str(tiny_graph), backend="onnx"), OnnxSession)
    assert isinstance(open_session(str(tiny_graph), frames=3), OnnxSession)
    with pytest.raises(DepthcueError, match="torch cannot run it"):
        open_session(str(tiny_graph), backend="torch")


@needs_openvino
def test_auto_tries_both_runners_of_a_file(tiny_graph, tried):
    assert isinstance(open_session(str(tiny_graph), device="cpu"), OpenVinoSession)
    assert tried == [["onnx cpu", "openvino cpu fp32"]]


def test_the_precision_of_a_file_is_its_own(tiny_graph, tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(tiny_graph.read_bytes())
    card = json.loads(tiny_graph.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**card, "precision": "int8"}))
    for precision in ("fp32", "auto", "int8"):
        assert open_session(str(path), backend="onnx", precision=precision).name == "onnx cpu int8"
    with pytest.raises(DepthcueError, match=r"computes in int8; bf16 was asked for"):
        open_session(str(path), precision="bf16")
    if has_openvino:
        assert open_session(str(path), backend="openvino", device="cpu").name == "openvino cpu int8"


def test_an_engine_is_for_tensorrt_alone(tmp_path):
    with pytest.raises(DepthcueError, match="onnx cannot run it"):
        open_session(str(tmp_path / "net.engine"), backend="onnx")
    with pytest.raises(DepthcueError, match=r"net\.engine"):
        open_session(str(tmp_path / "net.engine"))


def test_a_damaged_graph_is_an_error(tiny_graph, tmp_path):
    copied = tmp_path / "copied.onnx"
    whole = tiny_graph.read_bytes()
    copied.with_suffix(".json").write_text(tiny_graph.with_suffix(".json").read_text())
    for content, complaint in ((whole[:-100], "cut short"), (whole[:-1] + b"?", "sha256 differs")):
        copied.write_bytes(content)
        with pytest.raises(DepthcueError, match=complaint):
            open_session(str(copied))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and exports that are compared on one small picture."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("depthcue.runtime.cached.rendered_pictures", lambda: [np.zeros((32, 48, 3), np.uint8)])
    return tmp_path


def test_a_net_is_exported_once_for_all_that_run_its_graph(weights, cache):
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    session = open_session(str(weights), backend="onnx", device="cpu")
    graphs = list(cache.rglob("*.onnx"))
    assert len(graphs) == 1
    made = graphs[0].stat().st_mtime_ns
    with session, open_session(str(weights), backend="torch", device="cpu") as other:
        np.testing.assert_allclose(session.run(frames), other.run(frames), atol=1e-4)
    if has_openvino:
        with open_session(str(weights), backend="openvino", device="cpu") as third, other:
            np.testing.assert_allclose(third.run(frames), other.run(frames), atol=1e-4)
    # a true trial of all of them
    assert open_session(str(weights), device="cpu", frames=60).name.endswith(("fp32", "onnx cpu"))
    assert list(cache.rglob("*.onnx")) == graphs and graphs[0].stat().st_mtime_ns == made


def test_a_cache_that_cannot_be_written_is_an_error_and_auto_goes_without(weights, cache, monkeypatch):
    (cache / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "file"))
    with pytest.raises(DepthcueError, match=r"(?s)exporting small.*XDG_CACHE_HOME"):
        open_session(str(weights), backend="onnx", device="cpu")
    assert open_session(str(weights), device="cpu", frames=10_000).name == "torch cpu fp32"


def test_devices_are_named():
    assert resolve_device("cuda:1") == "cuda:1"
    assert resolve_device("auto") in ("cpu", "cuda")


def test_depth_nets_are_opened_by_the_same_door(depth_graph, small_depth_net, weights, cache, monkeypatch):
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)
    spec = str(weights.with_name("depth.safetensors"))
    assert isinstance(open_session(spec, "depth", device="cpu", frames=3), TorchSession)
    with open_session(small_depth_net, backend="torch", device="cpu") as in_torch, \
            open_session(small_depth_net, backend="onnx", device="cpu") as in_onnx, \
            open_session(str(depth_graph), "depth", backend="onnx", device="cpu") as of_file:
        assert (in_torch.dial, in_onnx.name, in_torch.identity) == (None, "onnx cpu", of_file.identity)
        wanted = in_torch.run(frames)
        assert wanted.shape == (3, 16, 24) and wanted.std() > 0.1
        for session in (in_onnx, of_file):
            np.testing.assert_allclose(session.run(frames), wanted, rtol=1e-4)
    assert len(list(cache.rglob("*.onnx"))) == 1
    with pytest.raises(DepthcueError, match="is a depth net; a mask net is wanted"):
        open_session(str(depth_graph))
    with pytest.raises(DepthcueError, match="does not run on 'mps'"):
        open_session(str(depth_graph), "depth", backend="onnx", device="mps")


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
