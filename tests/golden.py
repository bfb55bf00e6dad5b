"""Weights made from a formula over tensor names, on which the authors' code was run once."""

import hashlib

import numpy as np
import torch
from torch import Tensor


def formula_state(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """A state dict of the given layout whose values depend on nothing but the names."""
    return {name: torch.from_numpy(_values(name, tuple(shape))) for name, shape in shapes.items()}


def golden_input() -> Tensor:
    """The normalised picture (1, 3, 228, 304) the authors' code was run on."""
    return torch.from_numpy(np.random.Generator(np.random.PCG64(7)).standard_normal((1, 3, 228, 304)).astype("float32"))


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    r = np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)
    if len(shape) == 4:
        return (r * np.sqrt(2 / (shape[1] * shape[2] * shape[3]))).astype(np.float32)
    if name.endswith("running_var"):
        return 1 + np.float32(0.1) * np.abs(r)
    if not name.endswith("running_mean") and name.endswith(".weight"):
        return np.float32(0.7) + np.float32(0.1) * r
    return np.float32(0.1) * r
