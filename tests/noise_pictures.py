"""Pictures of noise in a folder, some with depth beside them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def save_noise(folder: Path, names: Iterable[str], size: tuple[int, int] = (48, 64), *, depth: bool = False) -> Path:
    """Write NAME.png, and NAME.npy with depth of 1 to 5 m, of `size` (H, W) each; return the folder."""
    folder.mkdir(exist_ok=True)
    draws = np.random.default_rng(0)
    for name in names:
        Image.fromarray(draws.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{name}.png")
        if depth:
            np.save(folder / f"{name}.npy", draws.uniform(1, 5, size).astype(np.float32))
    return folder
