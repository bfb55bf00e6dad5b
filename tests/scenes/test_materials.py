"""Patterns: the same everywhere, fading where a pixel covers them."""

import numpy as np
import pytest
import torch

from depthcue.scenes.materials import CLASSES, Material, evaluate, hash32, rows, value_noise


def colour_at(material: Material, point: torch.Tensor, footprint: float = 1e-3) -> torch.Tensor:
    row = torch.from_numpy(rows([material], np.ones((1, 3)))).T.expand(-1, len(point))
    axis, salt = torch.full((len(point),), 2), torch.zeros(len(point), dtype=torch.int32)
    return evaluate(row, point.T, axis, torch.full((len(point),), footprint), salt)[0].T


def grid(count: int = 64, metres: float = 4.0) -> torch.Tensor:
    line = torch.arange(count) / count * metres + 1e-3
    x, y = torch.meshgrid(line, line, indexing="xy")
    return torch.stack((x.flatten(), y.flatten(), torch.zeros(count * count)), 1)


def reference_hash(first: int, second: int, third: int) -> int:
    """The hash in Python's unbounded integers, wrapped to 32 bits by hand."""
    def wrap(value: int) -> int:
        return (value + 2**31) % 2**32 - 2**31

    mixed = wrap(first * 374761393 + second * 668265263 + third * 1274126177)
    mixed = wrap((mixed ^ (mixed >> 13)) * 1103515245)
    mixed = wrap((mixed ^ (mixed >> 15)) * 668265263)
    return mixed ^ (mixed >> 14)


def test_hash_is_32_bit_arithmetic() -> None:
    values = [(0, 0, 0), (1, 2, 3), (-5, 70000, 123456789), (2**31 - 1, -2**31, 99)]
    columns = [torch.tensor(column, dtype=torch.int32) for column in zip(*values, strict=True)]
    assert hash32(*columns).tolist() == [reference_hash(*value) for value in values]


def test_noise_is_smooth_bounded_and_uses_its_range() -> None:
    u = torch.linspace(-20, 20, 4001)
    noise = value_noise(u, torch.full_like(u, 0.3), torch.tensor(7, dtype=torch.int32))
    assert noise.min() >= 0 and noise.max() <= 1 and noise.std() > 0.15
    assert noise.diff().abs().max() < 0.02  # slope at most 1.5 per unit, steps of 0.01


def test_checks_alternate() -> None:
    checks = Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cell=(1.0, 1.0, 1.0), parity=(1.0, 1.0, 0.0))
    colour = colour_at(checks, grid())[:, 0].reshape(64, 64)
    expected = torch.tensor([[0.8, 0.1] * 2, [0.1, 0.8] * 2] * 2).repeat_interleave(16, 0).repeat_interleave(16, 1)
    torch.testing.assert_close(colour, expected)


def test_joints_lie_between_tiles() -> None:
    tiles = Material("ceramic", (0.8, 0.8, 0.8), joint=(0.0, 0.0, 0.0), cell=(1.0, 1.0, 1.0), gap=0.2)
    colour = colour_at(tiles, grid())[:, 0].reshape(64, 64)
    assert colour[8, 8] > 0.79 and colour[8, 0] < 0.05 and colour[0, 8] < 0.05
    assert 0.30 < (colour < 0.4).float().mean() < 0.42  # 1 - 0.8^2


@pytest.mark.parametrize("material", [
    Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), noise_period=(0.1,) * 3, noise_mix=1.0, sharpness=4.0),
    Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cell=(0.1,) * 3, parity=(1.0, 1.0, 0.0)),
    Material("paint", (0.5, 0.5, 0.5), cell=(0.1,) * 3, cell_shade=1.0, cell_hue=1.0)])
def test_patterns_fade_under_large_pixels(material: Material) -> None:
    near, far = (colour_at(material, grid(), footprint).std(0).max() for footprint in (1e-3, 1.0))
    assert near > 0.1 and far < 0.01


def test_grain_runs_along_the_longest_side() -> None:
    wood = Material("wood", (0.4, 0.2, 0.1), noise_period=(0.5, 0.02, 0.02), grain=True)
    table = rows([wood, wood], np.array([[2.0, 0.1, 0.1], [0.1, 0.1, 1.0]]))
    assert table[0, 15:18].tolist() == pytest.approx([0.5, 0.02, 0.02])
    assert table[1, 15:18].tolist() == pytest.approx([0.02, 0.02, 0.5])
    assert CLASSES[int(table[0, -1])] == "wood"
