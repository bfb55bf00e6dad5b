"""Eight pictures with depth and a depth net for them, as all trainings take them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_trainings import TINY

from depthcue.nets import build_depth_net
from depthcue.nets.checkpoint import save_net


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Eight pictures whose depth is written in their brightness."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(8):
        depth = np.kron(rng.uniform(1, 9, (6, 8)), np.ones((8, 8)))
        Image.fromarray((depth * 25).astype(np.uint8)).convert("RGB").save(folder / f"{number}.png")
        Image.fromarray((depth * 1000).astype(np.uint16)).save(folder / f"{number}_depth.png")
    return f"folder:{folder}"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """A depth net whose answer depends strongly on what it sees."""
    net = build_depth_net("compact", config=TINY, height=48, width=64)
    torch.nn.init.normal_(net.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr]
    save_net(net, tmp_path / "target.safetensors", architecture="compact")
    return str(tmp_path / "target.safetensors")
