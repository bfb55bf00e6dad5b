"""Scorers by name: chance, contrast, and names that do not exist."""

import pytest
import torch
from torch import Tensor

from depthcue import scorers
from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet
from depthcue.scorers import Pictures, ScorerInputs


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
