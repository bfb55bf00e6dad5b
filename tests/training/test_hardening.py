"""Soft masks cut within training: what N then sees, and what the mask net is told of it."""

import torch

from depthcue.training.hardening import harden


def _mask(generator: torch.Generator, count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 8, 10, generator=generator)


def test_all_or_none_or_some_of_the_masks_are_cut(generator: torch.Generator) -> None:
    mask = _mask(generator, 400)
    assert harden(mask, 0.0, generator) is mask
    assert set(harden(mask, 1.0, generator).unique().tolist()) == {0.0, 1.0}
    some = harden(mask, 0.3, generator)
    cut = (some != mask).flatten(1).any(dim=1)
    assert 0.22 < float(cut.float().mean()) < 0.38  # 400 draws: within 3.5 deviations of 0.3
    assert torch.equal(some[~cut], mask[~cut])


def test_a_cut_mask_keeps_the_highest_pixels(generator: torch.Generator) -> None:
    mask = _mask(generator)
    for soft, binary in zip(mask, harden(mask, 1.0, generator), strict=True):
        kept, hidden = soft[binary == 1], soft[binary == 0]
        assert not len(kept) or not len(hidden) or kept.min() > hidden.max()


def test_over_thresholds_a_cut_mask_has_the_mean_of_the_soft_one(generator: torch.Generator) -> None:
    mask = torch.tensor([0.1, 0.5, 0.9]).view(1, 1, 1, 3).expand(4000, 1, 1, 3)
    mean = harden(mask, 1.0, generator).mean(dim=0).flatten()
    torch.testing.assert_close(mean, mask[0].flatten(), atol=0.03, rtol=0)  # 4 deviations of 4000 draws


def test_the_gradient_goes_straight_through(generator: torch.Generator) -> None:
    mask = _mask(generator).requires_grad_()
    weights = torch.rand(mask.shape, generator=generator)
    (harden(mask, 1.0, generator) * weights).sum().backward()
    torch.testing.assert_close(mask.grad, weights)
