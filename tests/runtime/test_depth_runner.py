"""Exported depth nets as runners: the net's own depths of raw frames."""

import numpy as np
import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net
from depthcue.runtime import graph_cache
from depthcue.runtime.depth_runner import OnnxDepthRunner, open_depth_runner
from depthcue.runtime.graph_cache import has_graph


@pytest.fixture(scope="module")
def depth_net():
    net = build_depth_net("compact", seed=2, config={"widths": [8] * 5}, height=32, width=48, name="small-depth").eval()
    torch.nn.init.normal_(net.head.weight, std=0.5, generator=torch.Generator().manual_seed(3))
    return net


@pytest.fixture
def frames():
    return np.random.default_rng(4).integers(0, 256, (3, 32, 48, 3), dtype=np.uint8)


def test_depths_are_the_nets_and_the_export_is_kept(depth_net, frames, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(graph_cache, "rendered_pictures", lambda: list(frames))
    assert not has_graph(depth_net)
    runner = open_depth_runner(depth_net, backend="onnx", device="cpu", threads=1)
    assert has_graph(depth_net)
    with runner:
        depths = runner.infer(frames)
    rgb = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255.0
    with torch.inference_mode():
        wanted = depth_net.to_depth_m(depth_net(depth_net.normalise(rgb)))[:, 0].numpy()
    assert wanted.std() > 0.1
    # the same sums in another order
    np.testing.assert_allclose(depths, wanted, rtol=1e-4)
    with pytest.raises(RuntimeError, match="not entered"):
        runner.infer(frames)


def test_a_mask_net_is_no_depth_net(tiny_graph):
    with pytest.raises(DepthcueError, match="is a mask net"):
        OnnxDepthRunner(tiny_graph)


@pytest.mark.parametrize(("backend", "device", "precision"), [
    ("openvino", "cpu", "fp32"), ("onnx", "cuda", "fp32"), ("onnx", "cpu", "int8")])
def test_other_ways_are_refused(depth_net, backend, device, precision):
    with pytest.raises(DepthcueError, match="not run by"):
        open_depth_runner(depth_net, backend=backend, device=device, precision=precision)
