"""Measures of agreement against slow definitions, and on maps whose agreement is known."""

import numpy as np
import pytest
import reference
import torch

from depthcue.evaluation.metrics import AGREEMENT_MEASURES, agreement, iou, pearson, spearman, ssim
from depthcue.scorers import keep_top


def _maps(generator: torch.Generator, count: int = 2) -> torch.Tensor:
    """Maps with smooth regions and sharp steps, (count, 1, 16, 19) in [0, 1]."""
    coarse = torch.rand(count, 1, 4, 5, generator=generator)
    steps = torch.nn.functional.interpolate(coarse, size=(16, 19), mode="nearest")
    return (0.8 * steps + 0.2 * torch.rand(count, 1, 16, 19, generator=generator)).clamp(0, 1)


def test_ssim_is_that_of_the_slow_definition(generator: torch.Generator) -> None:
    first, second = _maps(generator), _maps(generator)
    for row, value in enumerate(ssim(first, second).tolist()):
        assert value == pytest.approx(reference.ssim(first[row, 0].tolist(), second[row, 0].tolist()), abs=1e-9)


def test_pearson_is_that_of_numpy(generator: torch.Generator) -> None:
    first, second = _maps(generator), _maps(generator)
    for row, value in enumerate(pearson(first, second).tolist()):
        assert value == pytest.approx(np.corrcoef(first[row].ravel(), second[row].ravel())[0, 1], abs=1e-9)


def test_spearman_is_pearson_of_ranks_by_a_slow_definition(generator: torch.Generator) -> None:
    first, second = ((10 * _maps(generator)).round() / 10 for _ in range(2))  # many ties
    second[1] = first[1] ** 3  # another map in the same order
    for row, value in enumerate(spearman(first, second).tolist()):
        ranks = []
        for values in (first[row].flatten().tolist(), second[row].flatten().tolist()):
            # how many are below, and half of those that are equal
            ranks.append([sum(other < at for other in values) + 0.5 * sum(other == at for other in values)
                          for at in values])
        assert value == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
        assert -1 < value < 0.9 or row == 1
    assert spearman(first, second).tolist()[1] == pytest.approx(1)
    assert spearman(first, torch.full_like(first, 0.4)).tolist() == [0, 0]


def test_equal_maps_agree_wholly_and_inverted_ones_not_at_all(generator: torch.Generator) -> None:
    maps = _maps(generator)
    kept = keep_top(maps, 0.3)
    assert agreement(maps, maps, kept, kept).keys() == set(AGREEMENT_MEASURES)
    for values in agreement(maps, maps, kept, kept).values():
        assert values.tolist() == pytest.approx([1, 1])
    assert pearson(maps, 1 - maps).tolist() == pytest.approx([-1, -1])
    assert iou(kept, keep_top(1 - maps, 0.3)).tolist() == [0, 0]
    assert (ssim(maps, 1 - maps) < 0).all()


def test_scale_and_shift_leave_correlation_alone(generator: torch.Generator) -> None:
    maps = _maps(generator)
    assert pearson(maps, 0.1 + 0.3 * maps).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_overlap_by_chance(generator: torch.Generator, share: float) -> None:
    kept = [keep_top(torch.rand(64, 1, 40, 50, generator=generator), share) for _ in range(2)]
    # 64 x 2000 pixels: the deviation of the mean is below 0.002
    assert float(iou(*kept).mean()) == pytest.approx(share / (2 - share), abs=0.01)


def test_nothing_to_go_by() -> None:
    flat, nothing = torch.full((1, 1, 12, 12), 0.4), torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    assert pearson(flat, torch.rand(1, 1, 12, 12)).tolist() == [0]
    assert iou(nothing, nothing).tolist() == [1]
    with pytest.raises(ValueError, match="smaller than the window"):
        ssim(flat[..., :8], flat[..., :8])
