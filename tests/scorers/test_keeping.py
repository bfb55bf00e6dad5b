"""Pixels kept: exactly as many as asked for, fairly among equals, the same every time."""

import pytest
import torch

from depthcue import scorers
from depthcue.scorers import keep_top
from depthcue.scorers.keeping import centre_scores, grid_scores


@pytest.mark.parametrize("share", [0.0, 0.1, 0.33, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (13, 7)])
def test_exactly_the_share_asked_for_is_kept(share: float, size: tuple[int, int], generator: torch.Generator) -> None:
    scores = torch.stack([
        torch.rand(1, *size, generator=generator),
        torch.zeros(1, *size),
        torch.rand(1, *size, generator=generator).round(),
    ])
    kept = scorers.keep_top(scores, share)
    assert kept.dtype == torch.bool and kept.shape == scores.shape
    assert kept.flatten(1).sum(dim=1).tolist() == [round(share * size[0] * size[1])] * 3


def test_what_is_kept_scores_no_less_than_what_is_hidden(generator: torch.Generator) -> None:
    scores = (torch.rand(4, 1, 20, 30, generator=generator) * 10).round() / 10  # many ties
    kept = scorers.keep_top(scores, 0.4)
    for image in range(4):
        assert scores[image][kept[image]].min() >= scores[image][~kept[image]].max()


def test_equal_scores_are_kept_all_over_the_picture_and_the_same_every_time() -> None:
    flat = torch.full((1, 1, 40, 40), 0.5)
    kept = scorers.keep_top(flat, 0.25, seed=1)
    quarters = [kept[..., rows, columns].float().mean().item()
                for rows in (slice(0, 20), slice(20, 40)) for columns in (slice(0, 20), slice(20, 40))]
    # 100 of 400 expected in each quarter, standard deviation 7.5: four of them are 0.075
    assert all(abs(share - 0.25) < 0.075 for share in quarters)
    assert torch.equal(kept, scorers.keep_top(flat, 0.25, seed=1))
    assert not torch.equal(kept, scorers.keep_top(flat, 0.25, seed=2))


def test_a_larger_share_contains_a_smaller_one(generator: torch.Generator) -> None:
    ranks = scorers.rank_pixels(torch.rand(2, 1, 12, 12, generator=generator).round())
    assert ranks.flatten(1).sort(dim=1).values.tolist() == [list(range(144))] * 2
    small, large = scorers.keep_first(ranks, 0.2), scorers.keep_first(ranks, 0.7)
    assert not (small & ~large).any()


def test_shares_and_scores_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        scorers.keep_top(torch.zeros(1, 1, 4, 4), 1.5)
    with pytest.raises(ValueError, match="not a number"):
        scorers.keep_top(torch.full((1, 1, 4, 4), torch.nan), 0.5)


def test_the_binary_mask_and_its_sparseness() -> None:
    mask = torch.tensor([[0.0, 0.025, 0.026, 1.0], [0.5, 0.5, 0.5, 0.0]]).view(2, 1, 2, 2)
    binary = scorers.binarise(mask)
    assert binary.flatten(1).tolist() == [[False, False, True, True], [True, True, True, False]]
    assert scorers.sparseness(binary).tolist() == [0.5, 0.75]
    assert scorers.binarise(mask, 0.6).sum() == 1


def test_soft_maps_are_brought_to_a_mean(generator: torch.Generator) -> None:
    scores = torch.rand(4, 1, 24, 24, generator=generator)
    scores[3] *= (torch.rand(1, 24, 24, generator=generator) > 0.9)
    wanted = torch.tensor([0.05, 0.3, 0.9, 0.5])
    scaled = scorers.scale_to_mean(scores, wanted)
    assert 0 <= scaled.min() and scaled.max() <= 1
    means = scaled.mean(dim=(1, 2, 3))
    assert means[:3].tolist() == pytest.approx(wanted[:3].tolist(), abs=1e-4)
    # nine tenths of the last map are 0 and stay so
    assert means[3].item() == pytest.approx((scores[3] > 0).float().mean().item(), abs=1e-4)


def test_a_quarter_and_a_sixteenth_are_regular_grids() -> None:
    scores = grid_scores(16, 32)
    for share, pitch in ((1 / 4, 2), (1 / 16, 4), (1 / 64, 8)):
        rows, columns = keep_top(scores, share)[0, 0].nonzero().unbind(1)
        assert len(set(rows.tolist())) == 16 // pitch and len(set(columns.tolist())) == 32 // pitch
        assert {int(row) % pitch for row in rows} == {int(rows[0]) % pitch}
        assert {int(column) % pitch for column in columns} == {int(columns[0]) % pitch}


@pytest.mark.parametrize("share", [0.1, 0.37, 0.8])
def test_a_grid_is_even_at_every_share_and_size(share: float) -> None:
    kept = keep_top(grid_scores(36, 50), share)[0, 0].float()
    cells = torch.nn.functional.avg_pool2d(kept[None, None], 8, stride=8)
    # chance would spread cells of 64 pixels by 0.04 to 0.06 around the share; a pixel more or less is 0.016
    assert (cells - share).abs().max() < 0.035


def test_no_two_pixels_of_a_grid_are_equal() -> None:
    assert len(set(grid_scores(13, 21).flatten().tolist())) == 13 * 21


def test_the_centre_comes_first_and_the_corners_last() -> None:
    scores = centre_scores(11, 21)[0, 0]
    assert scores[5, 10] == scores.max() and scores.min() == pytest.approx(scores[-1, -1].item()) and scores.min() > 0
    torch.testing.assert_close(scores, scores.flip(0, 1))
    kept = keep_top(scores[None, None], 0.25)[0, 0]
    assert kept[5].sum() > kept[:, 10].sum()  # as wide as the picture is, not a circle
