"""Choices blind to the picture."""

import pytest
import torch

from depthcue.scorers import keep_top
from depthcue.scorers.keeping import centre_scores, grid_scores


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
