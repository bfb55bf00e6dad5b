"""Masks of a given share: their mean, their gradient, and how they are seen binary."""

import torch

from depthcue.nets.lite import normalised_to, standardised, straight_through, threshold


def scores(seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_mean_is_the_share_at_every_temperature() -> None:
    share = torch.tensor([0.07, 0.6], dtype=torch.float64)
    for temperature in (0.05, 0.3, 2.0):
        mask = normalised_to(scores(), share, temperature)
        torch.testing.assert_close(mask.mean(dim=(1, 2, 3)), share, atol=1e-5, rtol=0)
    # as well with one temperature a picture, and scores far from 0
    mask = normalised_to(scores() * 40 + 500, share, torch.tensor([0.1, 1.0], dtype=torch.float64))
    torch.testing.assert_close(mask.mean(dim=(1, 2, 3)), share, atol=1e-5, rtol=0)


def test_a_flat_picture_has_no_order_and_still_its_share() -> None:
    mask = normalised_to(torch.full((1, 1, 4, 4), 3.0), torch.tensor([0.2]))
    torch.testing.assert_close(mask, torch.full_like(mask, 0.2), atol=1e-4, rtol=0)


def test_the_gradient_is_that_of_the_exact_threshold() -> None:
    """Against differences of masks whose threshold is solved anew: what a pixel gains, the others lose."""
    def solved(scores: torch.Tensor, row: int) -> float:
        values = (scores - scores.mean(dim=(1, 2, 3), keepdim=True)) / scores.std(
            dim=(1, 2, 3), keepdim=True, correction=0)
        low, high = -50.0, 50.0
        for _ in range(100):
            middle = (low + high) / 2
            above = torch.sigmoid((values[row] - middle) / 0.7).mean() > share[row]
            low, high = (middle, high) if above else (low, middle)
        return float((torch.sigmoid((values[row] - low) / 0.7) * weight[row]).sum())

    share, weight = torch.tensor([0.3, 0.5], dtype=torch.float64), scores(1)
    known = scores().requires_grad_()
    (normalised_to(known, share, 0.7) * weight).sum().backward()
    step = 1e-3
    for pixel in ((0, 0, 2, 3), (1, 0, 5, 0)):
        changed = []
        for sign in (1, -1):
            moved = scores()
            moved[pixel] += sign * step
            changed.append(solved(moved, pixel[0]))
        slope = (changed[0] - changed[1]) / (2 * step)
        assert known.grad is not None
        torch.testing.assert_close(known.grad[pixel].item(), slope, rtol=1e-3, atol=1e-4)


def test_raising_every_score_changes_nothing() -> None:
    share = torch.tensor([0.3, 0.5], dtype=torch.float64)
    known = scores().requires_grad_()
    (normalised_to(known, share) * scores(1)).sum().backward()
    assert known.grad is not None
    torch.testing.assert_close(known.grad.sum(dim=(1, 2, 3)), torch.zeros(2, dtype=torch.float64), atol=1e-4, rtol=0)


def test_straight_through_is_0_and_1_with_the_gradient_of_the_soft_mask() -> None:
    share = torch.tensor([0.25, 0.5], dtype=torch.float64)
    soft, hard = scores().requires_grad_(), scores().requires_grad_()
    (normalised_to(soft, share) * scores(1)).sum().backward()
    binary = straight_through(normalised_to(hard, share))
    (binary * scores(1)).sum().backward()
    assert set(binary.detach().round(decimals=9).unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(hard.grad, soft.grad)


def test_the_threshold_separates_the_best_pixels_of_the_share() -> None:
    found = threshold(standardised(scores()), torch.tensor([0.25, 0.5], dtype=torch.float64), 1e-3)
    kept = (standardised(scores()) > found).double().mean(dim=(1, 2, 3))
    torch.testing.assert_close(kept, torch.tensor([0.25, 0.5], dtype=torch.float64), atol=1.01 / 48, rtol=0)
