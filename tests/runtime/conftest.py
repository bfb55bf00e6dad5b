"""Small mask and depth nets whose answers depend on every input, as modules, as weights and as an exported graph."""

import numpy as np
import pytest
import torch
from tiny_nets import SHARES_OF_LAMBDAS, FirstLook, TopShare, save_small_pair

from depthcue.export import export_onnx
from depthcue.nets import MaskDescription, MaskNet


class TinyMask(MaskNet):
    """One convolution and λ."""

    def __init__(self):
        super().__init__(MaskDescription("tiny", "nowhere", 32, 48, 8, 2.0, (0.5, 6.0)))
        self.config = {}
        self.conv = torch.nn.Conv2d(3, 1, 3, padding=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            torch.nn.init.normal_(self.conv.weight, std=0.4)
        torch.nn.init.zeros_(self.conv.bias)

    def forward(self, normalised, lam=None):
        return torch.sigmoid(self.conv(normalised) - lam.log()[:, None, None, None])


@pytest.fixture(scope="session")
def tiny_net():
    return TinyMask().eval()


@pytest.fixture(scope="session")
def tiny_graph(tiny_net, tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "tiny.onnx"
    export_onnx(tiny_net, path, [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)])
    return path


@pytest.fixture(scope="session")
def share_net():
    return TopShare()


@pytest.fixture(scope="session")
def share_graph(share_net, tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "share.onnx"
    export_onnx(share_net, path, [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)])
    return path


@pytest.fixture(scope="session")
def small_depth_net():
    return FirstLook()


@pytest.fixture(scope="session")
def depth_graph(small_depth_net, tmp_path_factory):
    path = tmp_path_factory.mktemp("graphs") / "depth.onnx"
    export_onnx(small_depth_net, path, [np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)])
    return path


@pytest.fixture(scope="session")
def share_weights(tmp_path_factory):
    """As `weights`, of a net that takes the share to keep."""
    return save_small_pair(tmp_path_factory.mktemp("weights"), keep_range=(0.05, 0.8), lambda_at=SHARES_OF_LAMBDAS)[0]


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A compact mask net of random weights and, beside it, the depth net that its card names; 32×48."""
    return save_small_pair(tmp_path_factory.mktemp("weights"))[0]
