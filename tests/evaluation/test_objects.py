"""Kinds of edges, object sizes, surfaces and straightness on masks whose answers are known."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from masked_batches import masked_batches, scene_truth
from torch import Tensor

from depthcue.evaluation.cells import NOWHERE, edge_strength
from depthcue.evaluation.objects import (
    BORDER_PX,
    BY_DEPTH,
    CAUSES,
    IMAGE_EDGE,
    SIZES,
    STRENGTHS,
    EdgeKinds,
    ObjectSizes,
    border_and_rest,
    kinds_by_cause,
    kinds_by_depth,
    nesting,
    object_sizes,
    share_within,
    small_objects,
    steps_from,
    straightness,
    surfaces,
    undecided,
    widened,
)
from depthcue.scorers import Pictures
from depthcue.scorers.oracles import object_boundaries

COUNT, HEIGHT, WIDTH = 8, 40, 60


@pytest.fixture
def rgb(generator: torch.Generator) -> Tensor:
    """Pictures whose contrast grows to the right, so that every strength of edge occurs with every kind."""
    noise = torch.rand(COUNT, 1, HEIGHT, WIDTH, generator=generator) - 0.5
    return (0.5 + noise * torch.linspace(0.01, 0.9, WIDTH)).expand(-1, 3, -1, -1)


@pytest.fixture
def edges() -> dict[str, Tensor]:
    """Level lines, ten rows apart, of one kind each."""
    marks = {}
    for row, name in ((5, "occlusion"), (15, "crease"), (25, "texture"), (35, "shadow")):
        marks[name] = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.bool)
        marks[name][:, :, row] = True
    return marks


def _found(rgb: Tensor, mask: Tensor, edges: dict[str, Tensor]) -> dict[str, Any]:
    finding = EdgeKinds()
    finding.add(masked_batches(rgb, mask, scene_truth(COUNT, HEIGHT, WIDTH, edges)))
    return finding.results(draws=100, seed=0)


def _difference(found: dict[str, Any], of: list[str], minus: list[str]) -> dict[str, Any]:
    return next(entry["difference"] for entry in found["at_equal_strength"]
                if entry["of"] == of and entry["minus"] == minus)


def test_of_a_mask_that_is_strength_kinds_explain_nothing_more(rgb: Tensor, edges: dict[str, Tensor]) -> None:
    found = _found(rgb, edge_strength(rgb), edges)
    fits = found["explained"]["all pixels"]
    # what is missing to 1 is the width of the bins
    assert fits["strength"]["value"] > 0.97
    assert abs(fits["kind_given_strength"]["value"]) < 0.003
    assert abs(_difference(found, ["occlusion", "crease"], ["shadow", "texture"])["value"]) < 0.05
    for entry in found["by_kind"]:
        assert entry["kept"]["difference"]["value"] == 0


def test_of_a_mask_that_is_one_kind_strength_explains_little(rgb: Tensor, edges: dict[str, Tensor]) -> None:
    found = _found(rgb, widened(edges["occlusion"]).float(), edges)
    fits = found["explained"]["all pixels"]
    assert fits["kind"]["value"] == pytest.approx(1)
    assert fits["strength"]["value"] < 0.01
    # a rare pair of strength and kind that one picture alone has is predicted by its strength
    assert fits["strength_given_kind"]["value"] == pytest.approx(0, abs=0.005)
    assert fits["kind_given_strength"]["ci95"][0] > 0.98
    attention = {entry["kind"]: entry["attention"]["value"] for entry in found["by_kind"]}
    # 3 rows of 40 have all of it
    assert attention == pytest.approx({"occlusion": 40 / 3, "crease": 0, "shadow": 0, "texture": 0, "inside": 0},
                                      rel=1e-5)
    assert _difference(found, ["occlusion"], ["inside"])["value"] == pytest.approx(40 / 3, rel=1e-5)
    assert _difference(found, ["occlusion", "crease"], ["shadow", "texture"])["ci95"][0] > 0
    # all of a mask's first 7.5% are on occlusions, the rest of its 20% anywhere else
    kept = {entry["kind"]: entry["kept"]["mask"]["value"] for entry in found["by_kind"]}
    assert kept["occlusion"] == pytest.approx(3 / 40 / 0.2)
    assert sum(kept.values()) == pytest.approx(1)
    assert sum(entry["share"]["value"] for entry in found["by_kind"]) == pytest.approx(1)


def test_a_mask_that_is_the_same_everywhere_prefers_nothing(rgb: Tensor, edges: dict[str, Tensor]) -> None:
    for level in (0.0, 0.3):
        found = _found(rgb, torch.full((COUNT, 1, HEIGHT, WIDTH), level), edges)
        assert {entry["attention"]["value"] for entry in found["by_kind"]} == {1.0}


def test_a_pixel_on_two_edges_is_of_the_first_kind() -> None:
    marks = {name: torch.zeros(1, 1, 5, 9, dtype=torch.bool) for name in ("occlusion", "shadow")}
    marks["shadow"][..., 2, :5] = True
    marks["occlusion"][..., 2, 4] = True
    kinds = kinds_by_cause(scene_truth(1, 5, 9, marks))[0, 0]
    names = np.array(CAUSES)[kinds.numpy()]
    assert names[2].tolist() == ["shadow"] * 3 + ["occlusion"] * 3 + ["inside"] * 3
    assert set(names[0]) == {"inside"}  # two rows away


def _box(count: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    """A box 2 m away before a wall 4 m away, in depth of half the size; the wall has a painted line."""
    depth_m = torch.full((count, 1, 20, 30), 4.0)
    depth_m[..., 6:14, 5:12] = 2.0
    rgb = torch.full((count, 3, 40, 60), 0.5)
    rgb[..., 12:28, 10:24] = 0.9
    rgb[..., 44:46] = 0.9
    return rgb, depth_m, torch.ones_like(depth_m, dtype=torch.bool)


def test_kinds_by_depth() -> None:
    rgb, depth_m, valid = _box(1)
    kinds = kinds_by_depth(masked_batches(rgb, rgb[:, :1], stored=(depth_m, valid)))
    assert kinds is not None
    names = np.array(BY_DEPTH)[kinds[0, 0].numpy()]
    assert names[20, 10] == names[12, 16] == "depth edge"
    assert names[20, 44] == "image edge"
    assert names[20, 17] == names[4, 4] == names[35, 30] == "inside"


def test_kinds_on_real_data_by_depth_edges() -> None:
    rgb, depth_m, valid = _box()
    mask = torch.zeros(8, 1, 40, 60)
    mask[..., 8:32, 6:28] = 1
    finding = EdgeKinds()
    finding.add(masked_batches(rgb, mask, stored=(depth_m, valid)))
    found = finding.results(draws=50, seed=0)
    assert found["kinds"] == list(BY_DEPTH)
    assert _difference(found, ["depth edge"], ["image edge"])["ci95"][0] > 1


def test_the_threshold_of_image_edges_is_a_bound_of_strength() -> None:
    assert IMAGE_EDGE in STRENGTHS


def test_without_dense_depth_the_finding_is_left_out() -> None:
    rgb, depth_m, valid = _box(2)
    finding = EdgeKinds()
    finding.add(masked_batches(rgb, rgb[:, :1]))
    assert "no depth" in finding.results(10, 0)["left_out"]
    sparse = torch.zeros_like(valid)
    sparse[..., ::5, ::5] = True
    kinds = kinds_by_depth(masked_batches(rgb, rgb[:, :1], stored=(depth_m * sparse, sparse)))
    assert kinds is not None and (kinds == NOWHERE).all()
    finding.add(masked_batches(rgb, rgb[:, :1], stored=(depth_m * sparse, sparse)))
    assert "too sparse" in finding.results(10, 0)["left_out"]


ROOMS, ROOM_HEIGHT, ROOM_WIDTH = 8, 60, 100


def _objects() -> Tensor:
    """A wall with a small box of 6 x 9 pixels (0.9%) and a large one of 40 x 40 (27%), sky in the top rows."""
    objects = torch.zeros(ROOMS, 1, ROOM_HEIGHT, ROOM_WIDTH, dtype=torch.int64)
    objects[..., :5, :] = -1
    objects[..., 20:26, 80:89] = 1
    objects[..., 15:55, 10:50] = 2
    return objects


def _sizes_found(mask: Tensor) -> dict[str, Any]:
    finding = ObjectSizes()
    rgb = torch.full((ROOMS, 3, ROOM_HEIGHT, ROOM_WIDTH), 0.5) + 0.1 * (_objects() == 1)
    finding.add(masked_batches(rgb, mask, scene_truth(ROOMS, ROOM_HEIGHT, ROOM_WIDTH, objects=_objects())))
    return finding.results(draws=100, seed=0)


def test_sizes_are_shares_of_the_picture() -> None:
    sizes, numbers = object_sizes(_objects())
    assert sizes[0, 0, 22, 82] == pytest.approx(54 / 6000)
    assert sizes[0, 0, 30, 30] == pytest.approx(1600 / 6000)
    assert sizes[0, 0, 58, 99] == pytest.approx((6000 - 500 - 54 - 1600) / 6000)
    assert sizes[0, 0, 0, 0] == 0
    # one in the bin from 0.3% to 1%, two from 10% on
    assert numbers == [[0, 0, 1, 0, 0, 2]] * ROOMS


def test_steps_are_counted_like_a_king_walks() -> None:
    marks = torch.zeros(1, 1, 7, 9, dtype=torch.bool)
    marks[0, 0, 1, 2] = True
    steps = steps_from(marks, 5)
    for row in range(7):
        for column in range(9):
            assert steps[0, 0, row, column] == min(max(abs(row - 1), abs(column - 2)), 5)


def test_a_mask_that_fills_small_objects() -> None:
    small = (_objects() == 1).float()
    found = _sizes_found(0.1 + 0.4 * small)
    inside, boundary = found["small"]["mask"]["inside"], found["small"]["mask"]["boundary"]
    mean = 0.1 + 0.4 * 54 / 6000
    # the boundary is made of pixels of the box here, since those of the wall beside it belong to the wall
    assert [inside["value"], boundary["value"]] == pytest.approx([0.5 / mean] * 2, rel=1e-5)
    assert found["small"]["mask"]["ratio"]["value"] == pytest.approx(1)
    assert found["large"]["mask"]["inside"]["value"] == pytest.approx(0.1 / mean, rel=1e-5)
    difference = found["small_minus_large"]["mask"]["at_equal_distance"]
    assert difference["value"] == pytest.approx(0.4 / mean, rel=1e-5)
    assert found["by_size"][SIZES.index(0.01)]["objects"] == ROOMS


def test_edges_show_the_boundary_and_no_inside() -> None:
    found = _sizes_found(torch.full((ROOMS, 1, ROOM_HEIGHT, ROOM_WIDTH), 0.2))
    assert found["small"]["edges"]["boundary"]["value"] > 10 and found["small"]["edges"]["inside"]["value"] == 0
    assert found["small_minus_large"]["mask"]["inside"]["value"] == pytest.approx(0)


def test_a_mask_near_boundaries_alone_does_not_pass_for_one_of_small_objects() -> None:
    found = _sizes_found(torch.exp(-steps_from(object_boundaries(_objects()), 40) / 4))
    plain, matched = (found["small_minus_large"]["mask"][name]["value"] for name in ("inside", "at_equal_distance"))
    assert plain > 0.5 and abs(matched) < plain / 20


def test_without_objects_the_finding_is_left_out() -> None:
    finding = ObjectSizes()
    finding.add(masked_batches(torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8)))
    assert "one object" in finding.results(10, 0)["left_out"]


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


def test_straightness_does_not_depend_on_how_strong_a_mask_is() -> None:
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


def test_sparse_depth_shows_no_surface() -> None:
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
