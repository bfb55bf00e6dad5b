"""The estimate of vanishing points: on drawn lines, on rendered roads where it is known, on noise."""

import math

import pytest
import torch
from torch import Tensor

from depthcue.data import KnownScenes, open_data
from depthcue.evaluation.findings.far import find_vanishing_point


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


def test_it_is_told_in_pixels_of_the_picture() -> None:
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
