"""Soft masks made steeper within training: what N then sees, and what the mask net is told of it."""

import torch

from depthcue.training.sharpening import TEMPERATURES, sharpen


def _mask(generator: torch.Generator, count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 24, 32, generator=generator) ** 2


def test_all_or_none_or_some_of_the_masks_are_sharpened(generator: torch.Generator) -> None:
    mask = _mask(generator, 400)
    assert sharpen(mask, 0.0, generator) is mask
    some = sharpen(mask, 0.3, generator)
    changed = (some != mask).flatten(1).any(dim=1)
    assert 0.22 < float(changed.float().mean()) < 0.38  # 400 draws: within 3.5 deviations of 0.3
    assert torch.equal(some[~changed], mask[~changed])


def test_the_mean_and_the_order_stay(generator: torch.Generator) -> None:
    mask = _mask(generator)
    steep = sharpen(mask, 1.0, generator)
    # 20 bisections of 32 leave 3e-5 in the logit, a thousandth at the lowest temperature
    torch.testing.assert_close(steep.mean(dim=(1, 2, 3)), mask.mean(dim=(1, 2, 3)), atol=1e-3, rtol=0)
    for soft, sharp in zip(mask.flatten(1), steep.flatten(1), strict=True):
        assert (sharp[soft.argsort()].diff() >= 0).all()


def test_a_sharpened_mask_is_nearer_to_binary(generator: torch.Generator) -> None:
    mask = _mask(generator, 50)
    steep = sharpen(mask, 1.0, generator)

    def undecided(values: torch.Tensor) -> float:
        return float((values * (1 - values)).mean())

    assert undecided(steep) < 0.5 * undecided(mask)


def test_an_even_mask_stays_even(generator: torch.Generator) -> None:
    mask = torch.full((3, 1, 8, 8), 0.3)
    torch.testing.assert_close(sharpen(mask, 1.0, generator), mask, atol=2e-3, rtol=0)


def test_the_gradient_is_that_of_the_formula(generator: torch.Generator) -> None:
    mask = _mask(generator, 1).clamp(0.05, 0.95).requires_grad_()
    steep = sharpen(mask, 1.0, generator)
    steep.sum().backward()
    # d steep / d M = steep (1 - steep) / T / (M (1 - M)): one temperature explains every pixel
    assert mask.grad is not None
    sure = (steep * (1 - steep)).detach() > 1e-4
    temperature = ((steep * (1 - steep)) / (mask * (1 - mask)) / mask.grad).detach()[sure]
    assert TEMPERATURES[0] <= float(temperature.median()) <= TEMPERATURES[1]
    torch.testing.assert_close(temperature, temperature.median().expand_as(temperature), atol=0, rtol=1e-2)


def test_a_mask_of_nothing_or_everything_is_finite(generator: torch.Generator) -> None:
    mask = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]).requires_grad_()
    steep = sharpen(mask, 1.0, generator)
    steep.sum().backward()
    assert mask.grad is not None and bool(torch.isfinite(steep).all() and torch.isfinite(mask.grad).all())
