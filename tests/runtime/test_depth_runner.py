"""Exported depth nets as runners: the net's own depths of raw frames."""

import numpy as np
import pytest
import torch
from tiny_nets import FirstLook

from depthcue.errors import DepthcueError
from depthcue.runtime import compiled_cache, depth_runner
from depthcue.runtime.compiled_cache import cached_graph, has_graph
from depthcue.runtime.depth_runner import DepthRunner, open_depth_runner


@pytest.fixture(scope="module")
def depth_net():
    return FirstLook()


@pytest.fixture
def frames():
    return np.random.default_rng(4).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """Exported graphs are kept for this module alone, and compared on small pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        pictures = list(np.random.default_rng(5).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8))
        patch.setattr(compiled_cache, "rendered_pictures", lambda: pictures)
        yield


@pytest.fixture
def wanted(depth_net, frames):
    rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255.0
    with torch.inference_mode():
        depths = depth_net.to_depth_m(depth_net(depth_net.normalise(rgb)))[:, 0].numpy()
    assert depths.std() > 0.1
    return depths


def test_depths_are_the_nets_and_the_export_is_kept(depth_net, frames, graphs, wanted):
    assert not has_graph(depth_net)
    runner = open_depth_runner(depth_net, backend="onnx", device="cpu", threads=1)
    assert has_graph(depth_net)
    with runner:
        depths = runner.infer(frames)
    # the same sums in another order
    np.testing.assert_allclose(depths, wanted, rtol=1e-4)
    with pytest.raises(RuntimeError, match="not entered"):
        runner.infer(frames)


@pytest.mark.parametrize(("precision", "rtol"), [("fp32", 1e-4), ("bf16", 5e-2)])
def test_openvino_gives_the_same_depths(depth_net, frames, graphs, wanted, precision, rtol):
    pytest.importorskip("openvino")
    runner = open_depth_runner(depth_net, backend="openvino", device="cpu", precision=precision, threads=1)
    try:
        with runner:
            np.testing.assert_allclose(runner.infer(frames), wanted, rtol=rtol)
    except DepthcueError as error:
        pytest.skip(error.message)  # a CPU without bf16


def test_a_graph_is_run_as_it_is(depth_net, frames, graphs, wanted, monkeypatch):
    graph = cached_graph(depth_net)
    monkeypatch.setattr(depth_runner, "cached_graph", lambda *arguments: pytest.fail("exported in vain"))
    with open_depth_runner(graph, backend="onnx", device="cpu", threads=1) as runner:
        np.testing.assert_allclose(runner.infer(frames), wanted, rtol=1e-4)


def test_cuda_that_does_not_load_is_told(depth_net, graphs, monkeypatch):
    monkeypatch.setattr(depth_runner, "open_session", lambda *wish: None)
    with pytest.raises(DepthcueError, match="cannot use CUDA"), open_depth_runner(depth_net, backend="onnx",
                                                                                   device="cuda"):
        pass


def test_a_mask_net_is_no_depth_net(tiny_graph):
    with pytest.raises(DepthcueError, match="is a mask net"):
        DepthRunner("onnx cpu", tiny_graph, lambda: None)


@pytest.mark.parametrize(("backend", "device"), [("openvino", "cuda"), ("tensorrt", "cpu"), ("onnx", "mps"),
                                                 ("torch", "cpu")])
def test_other_ways_are_refused(depth_net, backend, device):
    with pytest.raises(DepthcueError, match="not run by"):
        open_depth_runner(depth_net, backend=backend, device=device)


def test_what_is_not_installed_is_told_before_an_export(depth_net, monkeypatch):
    monkeypatch.setattr(depth_runner, "has_openvino", lambda: False)
    monkeypatch.setattr(depth_runner, "cached_graph", lambda *arguments: pytest.fail("exported in vain"))
    with pytest.raises(DepthcueError, match="not installed"):
        open_depth_runner(depth_net, backend="openvino", device="cpu")


@pytest.mark.gpu
@pytest.mark.parametrize(("backend", "precision"), [("onnx", "fp32"), ("onnx", "fp16"), ("tensorrt", "fp16")])
def test_depths_on_a_gpu_are_the_nets(depth_net, frames, graphs, wanted, backend, precision):
    with open_depth_runner(depth_net, backend=backend, device="cuda", precision=precision) as runner:
        # TF32 and float16 have ten bits of mantissa
        np.testing.assert_allclose(runner.infer(frames), wanted, rtol=2e-2)
