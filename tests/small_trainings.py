"""Trainings of a few steps, what they take, and one that is stopped as Ctrl-C stops it."""

import signal
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from depthcue.nets import build_depth_net
from depthcue.nets.checkpoint import save_net
from depthcue.progress import Silent
from depthcue.training.depth import DepthTraining

TINY = {"widths": [8, 8, 8, 8, 8]}


def save_pictures_with_depth(folder: Path, count: int, cells: tuple[int, int]) -> str:
    """Write pictures of cells of 8×8 pixels whose depth is written in their brightness; return their spec."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for number in range(count):
        depth = np.kron(rng.uniform(1, 9, cells), np.ones((8, 8)))
        Image.fromarray((depth * 25).astype(np.uint8)).convert("RGB").save(folder / f"{number}.png")
        Image.fromarray((depth * 1000).astype(np.uint16)).save(folder / f"{number}_depth.png")
    return f"folder:{folder}"


def save_target(path: Path, height: int, width: int) -> str:
    """Write a small depth net whose answer depends strongly on what it sees; return its path."""
    net = build_depth_net("compact", config=TINY, height=height, width=width)
    torch.nn.init.normal_(net.head.weight, std=0.1, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr]
    save_net(net, path, architecture="compact")
    return str(path)


def depth_training(pictures: str, **changes: object) -> DepthTraining:
    return DepthTraining(**{"data": (pictures,), "size": (48, 64), "batch_size": 4, "average": 0.9,  # type: ignore[arg-type]
                            "augmentation": "published", **changes})


class StopAt(Silent):
    """Asks the run to stop, as Ctrl-C does, in the middle of a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.left -= steps
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
