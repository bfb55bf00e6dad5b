"""Vanishing points, and attention against the distance from them, depth and row."""

import math
from typing import Any

import pytest
import torch
from masked_batches import masked_batches, scene_truth
from torch import Tensor

from depthcue.data import KnownScenes, open_data
from depthcue.evaluation.far import DISTANCES, ROWS, FarRegion, distance_from, find_vanishing_point

COUNT, HEIGHT, WIDTH = 8, 36, 100
POINT = (60.0, 12.0)


def _found(mask: Tensor, rgb: Tensor | None = None, point: tuple[float, float] | None = POINT,
           depth_m: Tensor | None = None) -> dict[str, Any]:
    rgb = torch.full((COUNT, 3, HEIGHT, WIDTH), 0.5) if rgb is None else rgb
    truth = None if point is None else scene_truth(COUNT, HEIGHT, WIDTH, vanishing_point=point)
    finding = FarRegion(max_depth_m=80.0)
    finding.add(masked_batches(rgb, mask, truth, depth_m))
    return finding.results(draws=100, seed=0)


def _around() -> Tensor:
    return distance_from(torch.tensor([POINT] * COUNT), HEIGHT, WIDTH)


def test_distances_are_in_picture_widths() -> None:
    distance = _around()
    assert distance.shape == (COUNT, 1, HEIGHT, WIDTH)
    assert distance[0, 0, 12, 60] == 0 and distance[0, 0, 15, 56] == pytest.approx(0.05)


def test_a_mask_around_the_vanishing_point(generator: torch.Generator) -> None:
    rgb = torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=generator)
    found = _found(torch.exp(-_around() / 0.1), rgb)
    curve = [entry["mask"]["value"] for entry in found["by_distance"]["bins"]]
    assert curve == sorted(curve, reverse=True) and curve[0] > 4
    for entry in found["by_distance"]["bins"]:
        assert entry["edges"]["value"] == pytest.approx(1, abs=0.15)
    near = found["near"]
    assert near["mask_minus_edges"]["ci95"][0] > 1 and near["at_equal_strength"]["ci95"][0] > 1
    assert found["vanishing_point"]["source"] == "the renderer" and found["vanishing_point"]["images"] == COUNT
    # 0.1 widths around are 10 pixels, all of them in the picture
    assert near["share"]["value"] == pytest.approx(3.14159 * 100 / (HEIGHT * WIDTH), rel=0.03)


def test_a_mask_of_edges_that_crowd_there_gets_no_more_than_edges(generator: torch.Generator) -> None:
    rgb = 0.5 + (torch.rand(COUNT, 3, HEIGHT, WIDTH, generator=generator) - 0.5) * torch.exp(-_around() / 0.1)
    batch = masked_batches(rgb, torch.ones(COUNT, 1, HEIGHT, WIDTH))
    found = _found(batch.strength, rgb)
    assert found["near"]["mask"]["value"] > 2
    assert found["near"]["mask_minus_edges"]["value"] == pytest.approx(0, abs=1e-5)
    # bins of strength have a width; beside an advantage of 2 that is little
    assert abs(found["near"]["at_equal_strength"]["value"]) < 0.2


def test_a_mask_of_rows_is_none_of_the_vanishing_point() -> None:
    rows = torch.exp(-(torch.arange(HEIGHT) - POINT[1]).abs() / 5).view(1, 1, -1, 1).expand(COUNT, 1, -1, WIDTH)
    near = _found(rows)["near"]
    assert near["mask"]["value"] > 1.5
    # bands of three rows are not quite the same rows
    assert abs(near["in_the_same_rows"]["mask"]["value"]) < 0.1


def test_points_outside_are_left_out_and_counted() -> None:
    found = _found(torch.rand(COUNT, 1, HEIGHT, WIDTH), point=(-20.0, 12.0))
    assert found["by_distance"] is None and found["near"] is None
    assert (found["vanishing_point"]["outside"], found["vanishing_point"]["images"]) == (COUNT, 0)


def test_the_point_of_a_single_picture_gives_no_entry() -> None:
    finding = FarRegion(max_depth_m=80.0)
    rgb = torch.full((2, 3, HEIGHT, WIDTH), 0.5)
    for point in (POINT, (-20.0, 12.0)):
        finding.add(masked_batches(rgb[:1], rgb[:1, :1], scene_truth(1, HEIGHT, WIDTH, vanishing_point=point)))
    found = finding.results(10, 0)
    assert found["vanishing_point"]["images"] == 1 and found["by_distance"] is None


def test_points_that_nothing_points_at_are_unclear() -> None:
    found = _found(torch.rand(COUNT, 1, HEIGHT, WIDTH), point=None)
    assert found["vanishing_point"]["source"] == "estimated" and found["vanishing_point"]["unclear"] == COUNT
    assert found["vanishing_point"]["agreement"] == [0.0] * COUNT and found["by_distance"] is None


def test_by_depth() -> None:
    depth_m = torch.full((COUNT, 1, HEIGHT, WIDTH), torch.nan)
    depth_m[..., :10, :] = torch.inf
    depth_m[..., 10:20, :] = 60.0
    depth_m[..., 20:30, :] = 6.0
    mask = torch.where(depth_m == 60.0, 0.8, 0.2)
    found = _found(mask, depth_m=depth_m)["by_depth"]
    mean = (0.8 * 10 + 0.2 * 26) / 36
    there = {index: entry["mask"]["value"] for index, entry in enumerate(found["bins"]) if entry["mask"] is not None}
    bounds = [0.0, *found["bounds_m"], float("inf")]
    assert [(bounds[index] <= 6 < bounds[index + 1], bounds[index] <= 60 < bounds[index + 1], bounds[index] >= 80)
            for index in there] == [(True, False, False), (False, True, False), (False, False, True)]
    assert list(there.values()) == pytest.approx([0.2 / mean, 0.8 / mean, 0.2 / mean], rel=1e-5)
    # the sky is no depth
    assert found["far"]["from_m"] == 40 and found["far"]["mask"]["value"] == pytest.approx(0.8 / mean, rel=1e-5)


def test_by_row() -> None:
    mask = torch.zeros(COUNT, 1, HEIGHT, WIDTH)
    mask[..., 3:6, :] = 1
    bins = _found(mask)["by_row"]["bins"]
    assert [entry["share_of_mask"]["value"] for entry in bins] == [0, 1] + [0] * (ROWS - 2)
    assert bins[1]["mask"]["value"] == pytest.approx(ROWS)
    assert [entry["share_of_edges"]["value"] for entry in bins] == pytest.approx([1 / ROWS] * ROWS)


def test_pixels_kept_in_the_sky() -> None:
    objects = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.int64)
    objects[..., :9, :] = -1
    objects[0] = 0  # a road under a bridge
    mask = torch.zeros(COUNT, 1, HEIGHT, WIDTH)
    mask[..., 12:16, :] = 1.0
    mask[..., 5, :50] = 2.0
    rgb = torch.zeros(COUNT, 3, HEIGHT, WIDTH)
    rgb[..., 30:, :] = 1.0
    finding = FarRegion(max_depth_m=80.0)
    # an eighth of the 36 rows: half a row in the sky is kept, and four below
    finding.add(masked_batches(rgb, mask, scene_truth(COUNT, HEIGHT, WIDTH, objects=objects), share=0.125))
    sky = finding.results(100, 0)["sky"]
    some = (COUNT - 1) / COUNT
    assert sky["share"]["value"] == pytest.approx(some * 9 / HEIGHT, rel=1e-5)
    assert sky["kept"]["mask"]["value"] == pytest.approx(some * 0.5 / 4.5, rel=1e-5)
    # edges are two rows, and what else is kept is chance
    low, high = sky["kept"]["edges"]["ci95"]
    assert 0 < low <= sky["kept"]["edges"]["value"] <= high < 0.25
    assert sky["mask_minus_edges"]["value"] == pytest.approx(
        sky["kept"]["mask"]["value"] - sky["kept"]["edges"]["value"], abs=1e-5)


def test_there_is_no_sky_where_none_is_known() -> None:
    assert _found(torch.rand(COUNT, 1, HEIGHT, WIDTH))["sky"] is None
    assert _found(torch.rand(COUNT, 1, HEIGHT, WIDTH), point=None)["sky"] is None


def test_without_depth_there_is_no_curve_by_depth() -> None:
    assert _found(torch.rand(COUNT, 1, HEIGHT, WIDTH))["by_depth"] is None


def test_near_is_a_bound_of_the_bins() -> None:
    assert _found(torch.rand(COUNT, 1, HEIGHT, WIDTH))["near"]["within"] in DISTANCES


def _star(x: float, y: float, height: int = 96, width: int = 320) -> Tensor:
    """Sectors of black and white around a point."""
    down, right = torch.meshgrid(torch.arange(height) - y, torch.arange(width) - x, indexing="ij")
    angle = torch.atan2(down, right)
    return ((torch.sin(16 * angle) * 40).tanh() / 2 + 0.5).expand(3, -1, -1)


@pytest.mark.parametrize(("x", "y"), [(160.0, 48.0), (70.0, 20.0), (250.0, 80.0)])
def test_lines_that_meet_in_a_point(x: float, y: float) -> None:
    sighting = find_vanishing_point(_star(x, y))
    assert sighting is not None and sighting.clear
    assert math.dist((sighting.x, sighting.y), (x, y)) < 2.5


def test_it_is_in_pixels_of_the_picture() -> None:
    sighting = find_vanishing_point(_star(400.0, 90.0, 192, 640))
    assert sighting is not None and math.dist((sighting.x, sighting.y), (400, 90)) < 5


def test_rendered_roads() -> None:
    data = open_data("scenes:road", "train", frame_size=(96, 320), limit=8)
    assert isinstance(data, KnownScenes)
    indices = range(len(data))
    pictures, points = data.evaluation_batch(indices).rgb, data.truth(indices).vanishing_point.tolist()
    width = pictures.shape[3]
    errors, of_centre = [], []
    for rgb, point in zip(pictures, points, strict=True):
        of_centre.append(math.dist(((width - 1) / 2, (pictures.shape[2] - 1) / 2), point) / width)
        sighting = find_vanishing_point(rgb)
        if sighting is not None and sighting.clear:
            errors.append(math.dist((sighting.x, sighting.y), point) / width)
    # over many roads half are within 1% and nine of ten within 3% of the picture's width
    assert len(errors) >= 6
    median = sorted(errors)[len(errors) // 2]
    assert median < 0.02 and max(errors) < 0.08
    assert median < 0.7 * sorted(of_centre)[len(of_centre) // 2]


@pytest.mark.parametrize("grain", [1, 4])
def test_noise_has_none(grain: int, generator: torch.Generator) -> None:
    noise = torch.rand(1, 3, 96 // grain, 320 // grain, generator=generator)
    rgb = torch.nn.functional.interpolate(noise, size=(96, 320), mode="bilinear")[0]
    sighting = find_vanishing_point(rgb)
    assert sighting is None or not sighting.clear


def test_a_picture_without_lines_has_none() -> None:
    assert find_vanishing_point(torch.full((3, 48, 64), 0.4)) is None


def test_level_and_upright_lines_meet_nowhere() -> None:
    rgb = torch.zeros(3, 96, 320)
    rgb[:, ::12] = rgb[..., ::16] = 1
    assert find_vanishing_point(rgb) is None
