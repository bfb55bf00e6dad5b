"""Ways to choose pixels: exactly as many as asked for, fairly among equals, the same every time."""

import pytest
import torch
from torch import Tensor

from depthcue import scorers
from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet
from depthcue.scorers import Pictures, ScorerInputs


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


def test_edges_are_where_the_brightness_changes() -> None:
    rgb = torch.zeros(2, 3, 10, 12)
    rgb[0, :, :, 6:] = 0.2
    rgb[1, 1, 4:, :] = 1.0
    edges = scorers.sobel_edges(rgb)
    assert edges.shape == (2, 1, 10, 12)
    assert edges.amax(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1])
    assert (edges[0, 0, :, 5:7] > 0.99).all() and (edges[1, 0, 3:5] > 0.99).all()
    # the border of the picture is no edge
    assert edges[0, 0, :, :5].max() == 0 and edges[0, 0, :, 7:].max() == 0
    assert edges[1, 0, :3].max() == 0 and edges[1, 0, 5:].max() == 0


def test_a_picture_of_one_colour_has_no_edges() -> None:
    assert scorers.sobel_edges(torch.full((1, 3, 16, 16), 0.7)).max() == 0


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


def _random_scores(indices: list[int], seed: int = 0) -> Tensor:
    method = scorers.SCORERS["random"](ScorerInputs(None, seed=seed))
    return method(Pictures(torch.zeros(len(indices), 3, 8, 8), indices))


def test_random_pixels_belong_to_the_picture_not_to_its_batch() -> None:
    together, alone = _random_scores([4, 9]), _random_scores([9])
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(alone, _random_scores([9], seed=1))


def test_contrast_is_the_distance_from_the_colour_that_pixels_are_hidden_under() -> None:
    means, stds = (0.5, 0.4, 0.2), (0.2, 0.1, 0.25)
    net = DepthNet(DepthDescription("any", 2, 2, multiple=1, mean=means, std=stds))
    mean, brighter, darker, farther = means, (0.7, 0.4, 0.2), (0.5, 0.3, 0.2), (0.1, 0.6, 0.7)
    rgb = torch.tensor([[mean, brighter], [darker, farther]]).permute(2, 0, 1)[None]
    # the deviations count: one from the mean colour in red weighs as much as one in green, whatever their sizes
    farthest = (((0.1 - 0.5) / 0.2)**2 + ((0.6 - 0.4) / 0.1)**2 + ((0.7 - 0.2) / 0.25)**2) ** 0.5
    pictures = Pictures(torch.cat([rgb, torch.tensor(means).view(1, 3, 1, 1).expand_as(rgb)]), [0, 1])
    scores = scorers.build_scorer("contrast", ScorerInputs(depth_net=net))(pictures)
    assert scores[0].flatten().tolist() == pytest.approx([0, 1 / farthest, 1 / farthest, 1], abs=1e-6)
    # nothing stands out of a picture that is all of the mean colour
    assert scores[1].flatten().tolist() == [0] * 4


def test_an_unknown_method_names_those_there_are() -> None:
    with pytest.raises(DepthcueError, match="mask, direct, sobel, canny, hed, contrast"):
        scorers.build_scorer("prewitt", ScorerInputs(None))
