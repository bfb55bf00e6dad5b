"""Surfaces, small objects and straightness on pictures and masks whose answers are plain."""

import math

import pytest
import torch

from depthcue.evaluation.findings.objects import (
    BORDER_PX,
    border_and_rest,
    nesting,
    share_within,
    small_objects,
    straightness,
    surfaces,
    undecided,
)
from depthcue.scorers import Pictures

SIZE = (40, 60)


def _grid() -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return rows.float(), columns.float()


def _lines(angle_deg: float) -> torch.Tensor:
    """A smooth grating at an angle, (1, 1, 40, 60) in [0, 1]."""
    rows, columns = _grid()
    angle = math.radians(angle_deg)
    return (0.5 + 0.5 * torch.sin(0.7 * (columns * math.cos(angle) + rows * math.sin(angle))))[None, None]


def _rings(radius: float) -> torch.Tensor:
    rows, columns = _grid()
    distance = ((rows - 19.5) ** 2 + (columns - 29.5) ** 2).sqrt()
    return torch.exp(-(distance - radius).square() / 2)[None, None]


@pytest.mark.parametrize("angle_deg", [0, 30, 90, 135])
def test_straight_lines_are_straight_in_any_direction(angle_deg: float) -> None:
    # at the frame the repeated border bends slanted lines a little
    assert float(straightness(_lines(angle_deg))) > 0.93


def test_the_tighter_the_curve_the_less_straight() -> None:
    wide, tight = float(straightness(_rings(16.0))), float(straightness(_rings(4.0)))
    assert tight < 0.5 < wide < float(straightness(_lines(0)))


def test_noise_has_no_direction_and_a_flat_mask_none_either(generator: torch.Generator) -> None:
    assert float(straightness(torch.rand(1, 1, *SIZE, generator=generator))) < 0.4
    assert straightness(torch.full((2, 1, *SIZE), 0.7)).tolist() == [0, 0]


def test_straightness_does_not_ask_how_strong_a_mask_is() -> None:
    assert float(straightness(0.1 * _rings(9.0))) == pytest.approx(float(straightness(_rings(9.0))), rel=1e-4)


def test_surfaces_keep_away_from_edges_of_picture_and_depth() -> None:
    rgb = torch.zeros(1, 3, *SIZE)
    rgb[..., 20:] = 1.0  # an edge of the picture between columns 19 and 20
    depth_m = torch.full((1, 1, *SIZE), 2.0)
    depth_m[..., 40:] = 4.0  # and one of depth alone between columns 39 and 40
    seen = surfaces(Pictures(rgb, [0]))[0, 0, 10]
    assert torch.nonzero(~seen)[:, 0].tolist() == [18, 19, 20, 21]
    known = surfaces(Pictures(rgb, [0], depth_m, torch.ones_like(depth_m, dtype=torch.bool)))[0, 0, 10]
    assert torch.nonzero(~known)[:, 0].tolist() == [18, 19, 20, 21, 38, 39, 40, 41]


def test_sparse_depth_tells_of_no_surface() -> None:
    rgb = torch.zeros(1, 3, *SIZE)
    depth_m = torch.full((1, 1, *SIZE), 2.0)
    depth_m[..., ::2] = 4.0
    valid = torch.zeros_like(depth_m, dtype=torch.bool)
    valid[..., ::5, ::5] = True
    assert surfaces(Pictures(rgb, [0], depth_m * valid, valid)).all()


def test_small_objects_are_those_below_a_hundredth() -> None:
    objects = torch.zeros(1, 1, *SIZE, dtype=torch.int64)
    objects[..., :20] = -1  # sky
    objects[..., 5:9, 30:35] = 1  # 20 of 2400 pixels
    objects[..., 20:30, 40:50] = 2  # 100 of 2400
    region = small_objects(Pictures(torch.zeros(1, 3, *SIZE), [0], object_id=objects))
    assert region is not None and torch.equal(region, objects == 1)
    assert small_objects(Pictures(torch.zeros(1, 3, *SIZE), [0])) is None


def test_share_within() -> None:
    kept = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    kept[0, 0, 0] = True
    region = torch.zeros_like(kept)
    region[..., 0] = True
    assert share_within(kept, region).tolist() == [0.25, 0]


def test_values_that_neither_keep_nor_hide() -> None:
    mask = torch.tensor([[0.0, 0.05, 0.06, 0.5], [0.94, 0.95, 1.0, 1.0], [0.5] * 4]).view(3, 1, 2, 2)
    assert undecided(mask).tolist() == [0.5, 0.25, 1.0]


def test_the_border_and_the_rest() -> None:
    mask = torch.full((2, 1, *SIZE), 0.2)
    mask[0, 0, :BORDER_PX] = mask[0, 0, -BORDER_PX:] = mask[0, 0, :, :BORDER_PX] = mask[0, 0, :, -BORDER_PX:] = 0.8
    mask[1, 0, BORDER_PX] = 1.0  # a line just inside
    border, rest = border_and_rest(mask)
    frame = 2 * BORDER_PX * (SIZE[0] + SIZE[1] - 2 * BORDER_PX)
    assert border.tolist() == pytest.approx([0.8, 0.2 + 0.8 * 2 * BORDER_PX / frame])
    inside = SIZE[1] - 2 * BORDER_PX
    assert rest.tolist() == pytest.approx([0.2, 0.2 + 0.8 * inside / (SIZE[0] * SIZE[1] - frame)])


def test_nesting_is_of_the_masks_that_each_share_has() -> None:
    order = torch.arange(100.0).view(1, 1, 10, 10) / 100
    masks = {0.1: torch.cat([order, order, order]),  # keeps 90 to 99
             0.2: torch.cat([order, 1 - order, (order + 0.15) % 1])}  # 80 to 99, 0 to 19, 65 to 84
    assert nesting(masks.__getitem__, 0.1, 0.2).tolist() == [1, 0, 0]
    masks[0.2] = (masks[0.1] + 0.05) % 1  # 75 to 94
    assert nesting(masks.__getitem__, 0.1, 0.2).tolist() == [0.5] * 3
