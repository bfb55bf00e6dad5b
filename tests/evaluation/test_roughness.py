"""Roughness of masks whose answer is known, and against all pairs."""

import pytest
import torch

from depthcue.evaluation.metrics import roughness


def test_noise_is_one_and_a_flat_map_nothing(generator: torch.Generator) -> None:
    noise = torch.rand(3, 1, 60, 80, generator=generator)
    assert roughness(noise).tolist() == pytest.approx([1, 1, 1], abs=0.03)
    hard = (noise > 0.9).float()
    assert roughness(hard).tolist() == pytest.approx([1, 1, 1], abs=0.06)
    assert roughness(torch.full((1, 1, 5, 6), 0.4)).item() == 0


def test_one_block_is_smooth_and_a_checkerboard_rougher_than_noise() -> None:
    block, board = torch.zeros(2, 1, 1, 20, 20).unbind(0)
    block[..., 5:15, 5:15] = 1
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 1
    # 40 of 760 neighbours differ, of 0.376 that would in random order
    assert roughness(block).item() == pytest.approx(40 / 760 / (2 * 100 * 300 / (400 * 399)), rel=1e-5)
    assert roughness(board).item() == pytest.approx(1 / (2 * 200 * 200 / (400 * 399)), rel=1e-5)


def test_it_does_not_hang_on_how_strong_a_mask_is(generator: torch.Generator) -> None:
    mask = torch.rand(1, 1, 12, 9, generator=generator)
    assert roughness(0.3 * mask).item() == pytest.approx(roughness(mask).item(), rel=1e-5)


def test_against_every_pair_of_pixels(generator: torch.Generator) -> None:
    mask = torch.rand(1, 1, 4, 5, generator=generator, dtype=torch.float64)
    rows = mask[0, 0].tolist()
    flat = [value for row in rows for value in row]
    expected = sum(abs(a - b) for a in flat for b in flat) / (20 * 19)
    near = [abs(rows[r][c + 1] - rows[r][c]) for r in range(4) for c in range(4)]
    near += [abs(rows[r + 1][c] - rows[r][c]) for r in range(3) for c in range(5)]
    assert roughness(mask).item() == pytest.approx(sum(near) / len(near) / expected, rel=1e-9)
