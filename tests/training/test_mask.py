"""Soft masks made nearly binary within training: what N then sees, and what the mask net is told of it."""

import pytest
import torch

from depthcue.training.mask import SHARES, sharpen


def _mask(generator: torch.Generator, count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 24, 32, generator=generator) ** 2


def test_all_or_none_or_some_of_the_masks_are_sharpened(generator: torch.Generator) -> None:
    mask = _mask(generator, 400)
    seen, sharpened = sharpen(mask, 0.0, generator)
    assert seen is mask and not sharpened.any()
    seen, sharpened = sharpen(mask, 0.3, generator)
    assert 0.22 < float(sharpened.float().mean()) < 0.38  # 400 draws: within 3.5 deviations of 0.3
    assert torch.equal((seen != mask).flatten(1).any(dim=1), sharpened)


def test_the_mean_is_drawn_and_the_order_stays(generator: torch.Generator) -> None:
    mask = _mask(generator, 200)
    steep, _ = sharpen(mask, 1.0, generator)
    means = steep.mean(dim=(1, 2, 3))
    # evenly over SHARES: 200 draws come near both ends; bisection is good to a thousandth
    assert SHARES[0] - 1e-3 <= means.min() < 0.1 and 0.7 < means.max() <= SHARES[1] + 1e-3
    assert float(means.mean()) == pytest.approx(sum(SHARES) / 2, abs=0.05)
    for soft, sharp in zip(mask.flatten(1), steep.flatten(1), strict=True):
        assert (sharp[soft.argsort()].diff() >= 0).all()


def test_a_sharpened_mask_is_nearer_to_binary(generator: torch.Generator) -> None:
    mask = _mask(generator, 50)
    steep, _ = sharpen(mask, 1.0, generator)

    def undecided(values: torch.Tensor) -> float:
        return float((values * (1 - values)).mean())

    assert undecided(steep) < 0.5 * undecided(mask)


def test_raising_all_of_a_mask_changes_nothing(generator: torch.Generator) -> None:
    logits = torch.randn(5, 1, 16, 16, generator=generator, dtype=torch.float64)
    shift = torch.zeros(5, 1, 1, 1, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(logits.shape, generator=generator)
    steep, _ = sharpen(torch.sigmoid(logits + shift).float(), 1.0, generator)
    (steep * weights).sum().backward()
    alone = torch.sigmoid(logits).float().requires_grad_()
    steep, _ = sharpen(alone, 1.0, generator)
    (steep * weights).sum().backward()
    assert shift.grad is not None and alone.grad is not None
    assert float(shift.grad.abs().max()) < 1e-3 * float(alone.grad.abs().sum(dim=(1, 2, 3)).min())


def test_the_gradient_is_that_of_finite_differences(generator: torch.Generator) -> None:
    """Raising one pixel raises it and lowers the others, at the same mean."""
    mask = torch.sigmoid(torch.randn(1, 1, 6, 6, generator=generator))
    weights = torch.rand(mask.shape, generator=generator)

    def value(of: torch.Tensor) -> torch.Tensor:
        steep, _ = sharpen(of, 1.0, torch.Generator().manual_seed(4))
        return (steep * weights).sum()

    leaf = mask.clone().requires_grad_()
    value(leaf).backward()
    assert leaf.grad is not None
    for place in ((0, 0), (2, 3), (5, 1)):
        step = torch.zeros_like(mask)
        step[0, 0][place] = 2e-3
        slope = (value(mask + step) - value(mask - step)) / 4e-3
        assert float(leaf.grad[0, 0][place]) == pytest.approx(float(slope), rel=0.1, abs=0.03)


def test_a_mask_of_nothing_or_everything_is_finite(generator: torch.Generator) -> None:
    mask = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]).requires_grad_()
    steep, _ = sharpen(mask, 1.0, generator)
    steep.sum().backward()
    assert mask.grad is not None and bool(torch.isfinite(steep).all() and torch.isfinite(mask.grad).all())
