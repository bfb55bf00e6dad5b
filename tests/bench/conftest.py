"""Nets of known answers and known arithmetic, and a small pair on disk."""

import numpy as np
import pytest
import torch
from tiny_nets import save_small_pair

from depthcue.nets import DepthDescription, DepthNet, MaskDescription, MaskNet

SIZE = (32, 48)


class OneConvolution(MaskNet):
    """A mask by one 3×3 convolution of three channels: 2·27 operations a pixel."""

    def __init__(self):
        super().__init__(MaskDescription("one", "nowhere", *SIZE, 8, 2.0))
        self.conv = torch.nn.Conv2d(3, 1, 3, padding=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            torch.nn.init.normal_(self.conv.weight, std=0.4)

    def forward(self, normalised, lam=None):
        return torch.sigmoid(self.conv(normalised))


class Brightness(DepthNet):
    """Five times as far as it is bright, in metres, at half the size."""

    def __init__(self):
        super().__init__(DepthDescription("bright", *SIZE, 2, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))

    def forward(self, normalised):
        return 5.0 * torch.nn.functional.avg_pool2d(normalised.mean(1, keepdim=True), 2)


@pytest.fixture
def patient(monkeypatch):
    """Every batch size is measured, and no more often than it must be, however little time is given."""
    monkeypatch.setattr("depthcue.bench.measure.PATIENCE", 1e12)


class Clock:
    """Seconds that pass only where a test says so: a busy machine's own would make ratios of anything."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """The time by which calls are timed."""
    clock = Clock()
    monkeypatch.setattr("depthcue.bench.measure.time", clock)
    return clock


@pytest.fixture
def mask_net():
    return OneConvolution().eval()


@pytest.fixture
def depth_net():
    return Brightness().eval()


@pytest.fixture
def pictures():
    """Three pictures of another size than the nets', uint8 (H, W, 3)."""
    return list(np.random.default_rng(1).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def small_pair(tmp_path_factory):
    """Paths of a small compact mask net and of the depth net that its card names."""
    return save_small_pair(tmp_path_factory.mktemp("pair"))
