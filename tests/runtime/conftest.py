"""Small mask and depth nets whose answers depend on every input, as modules, as weights and as an exported graph."""

import numpy as np
import pytest
import torch

from depthcue.export import export_onnx
from depthcue.nets import MaskDescription, MaskNet, build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net


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
def weights(tmp_path_factory):
    """A compact mask net of random weights and, beside it, the depth net that its card names; 32×48."""
    folder = tmp_path_factory.mktemp("weights")
    depth = build_depth_net("compact", seed=2, config={"widths": [8] * 5}, height=32, width=48, name="small-depth")
    save_net(depth, folder / "depth.safetensors", architecture="compact")
    mask = build_mask_net("compact", seed=1, config={"widths": [8] * 5, "detail": 8}, height=32, width=48,
                          name="small", target=str(folder / "depth.safetensors"), lambda_range=(0.5, 6.0))
    torch.nn.init.normal_(mask.head.weight, std=2.0, generator=torch.Generator().manual_seed(1))
    save_net(mask, folder / "mask.safetensors", architecture="compact")
    return folder / "mask.safetensors"
