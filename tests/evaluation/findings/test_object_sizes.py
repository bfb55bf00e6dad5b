"""Attention inside objects against their size."""

from typing import Any

import pytest
import torch
from masked_batches import masked_batches, scene_truth
from torch import Tensor

from depthcue.evaluation.findings.objects import SIZES, ObjectSizes, object_sizes, steps_from
from depthcue.scorers.oracles import object_boundaries

COUNT, HEIGHT, WIDTH = 8, 60, 100


def _objects() -> Tensor:
    """A wall with a small box of 6 x 9 pixels (0.9%) and a large one of 40 x 40 (27%), sky in the top rows."""
    objects = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.int64)
    objects[..., :5, :] = -1
    objects[..., 20:26, 80:89] = 1
    objects[..., 15:55, 10:50] = 2
    return objects


def _found(mask: Tensor) -> dict[str, Any]:
    finding = ObjectSizes()
    rgb = torch.full((COUNT, 3, HEIGHT, WIDTH), 0.5) + 0.1 * (_objects() == 1)
    finding.add(masked_batches(rgb, mask, scene_truth(COUNT, HEIGHT, WIDTH, objects=_objects())))
    return finding.results(draws=100, seed=0)


def test_sizes_are_shares_of_the_picture() -> None:
    sizes, numbers = object_sizes(_objects())
    assert sizes[0, 0, 22, 82] == pytest.approx(54 / 6000)
    assert sizes[0, 0, 30, 30] == pytest.approx(1600 / 6000)
    assert sizes[0, 0, 58, 99] == pytest.approx((6000 - 500 - 54 - 1600) / 6000)
    assert sizes[0, 0, 0, 0] == 0
    # one in the bin from 0.3% to 1%, two from 10% on
    assert numbers == [[0, 0, 1, 0, 0, 2]] * COUNT


def test_steps_are_counted_like_a_king_walks() -> None:
    marks = torch.zeros(1, 1, 7, 9, dtype=torch.bool)
    marks[0, 0, 1, 2] = True
    steps = steps_from(marks, 5)
    for row in range(7):
        for column in range(9):
            assert steps[0, 0, row, column] == min(max(abs(row - 1), abs(column - 2)), 5)


def test_a_mask_that_fills_small_objects() -> None:
    small = (_objects() == 1).float()
    found = _found(0.1 + 0.4 * small)
    inside, boundary = found["small"]["mask"]["inside"], found["small"]["mask"]["boundary"]
    mean = 0.1 + 0.4 * 54 / 6000
    # the boundary is made of pixels of the box here, since those of the wall beside it belong to the wall
    assert [inside["value"], boundary["value"]] == pytest.approx([0.5 / mean] * 2, rel=1e-5)
    assert found["small"]["mask"]["ratio"]["value"] == pytest.approx(1)
    assert found["large"]["mask"]["inside"]["value"] == pytest.approx(0.1 / mean, rel=1e-5)
    difference = found["small_minus_large"]["mask"]["at_equal_distance"]
    assert difference["value"] == pytest.approx(0.4 / mean, rel=1e-5)
    assert found["by_size"][SIZES.index(0.01)]["objects"] == COUNT


def test_edges_show_the_boundary_and_no_inside() -> None:
    found = _found(torch.full((COUNT, 1, HEIGHT, WIDTH), 0.2))
    assert found["small"]["edges"]["boundary"]["value"] > 10 and found["small"]["edges"]["inside"]["value"] == 0
    assert found["small_minus_large"]["mask"]["inside"]["value"] == pytest.approx(0)


def test_a_mask_near_boundaries_alone_does_not_pass_for_one_of_small_objects() -> None:
    found = _found(torch.exp(-steps_from(object_boundaries(_objects()), 40) / 4))
    plain, matched = (found["small_minus_large"]["mask"][name]["value"] for name in ("inside", "at_equal_distance"))
    assert plain > 0.5 and abs(matched) < plain / 20


def test_without_objects_the_finding_is_left_out() -> None:
    finding = ObjectSizes()
    finding.add(masked_batches(torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8)))
    assert "one object" in finding.results(10, 0)["left_out"]
