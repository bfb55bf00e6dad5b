"""Horizon and roll read off depth maps whose planes are known."""

import math

import pytest
import torch
from torch import Tensor

from depthcue.probes.contract import Unreadable
from depthcue.probes.photographs import road_ahead
from depthcue.probes.reading import read_horizon, read_roll

HEIGHT, WIDTH = 96, 160


def plane(horizon_row: float, roll_deg: float = 0.0) -> tuple[Tensor, Tensor]:
    """Depth of a plane whose horizon crosses the middle column at a row, turned counter-clockwise; and where it is."""
    rows = torch.arange(HEIGHT, dtype=torch.float64)[:, None]
    columns = torch.arange(WIDTH, dtype=torch.float64)[None, :] - (WIDTH - 1) / 2
    below = rows - horizon_row + math.tan(math.radians(roll_deg)) * columns
    return 100 / below.clamp_min(0.1), (below > 12) & (columns.abs() < 50)


@pytest.mark.parametrize("row", [-6.0, 20.0, 47.5])
def test_horizon_of_a_plane(row: float) -> None:
    depth, ground = plane(row)
    found = read_horizon(depth.float(), ground)
    assert found.row == pytest.approx(row, abs=0.1) and found.share > 0.99


def test_what_stands_on_the_plane_does_not_move_its_horizon() -> None:
    depth, ground = plane(30.0)
    depth[50:80, 60:90] = 2.5
    noisy = depth * (1 + 0.01 * torch.randn(depth.shape, generator=torch.Generator().manual_seed(1)))
    assert read_horizon(noisy.float(), ground).row == pytest.approx(30, abs=1.5)


def bumps(size: tuple[int, int], seed: int) -> Tensor:
    """Smooth noise (H, W) of deviation about 1, as large as what nets get wrong."""
    coarse = torch.randn(1, 1, size[0] // 8, size[1] // 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")[0, 0]


@pytest.mark.parametrize("size", [(96, 320), (352, 1216)])
@pytest.mark.parametrize("seed", range(3))
def test_ground_as_nets_see_it(size: tuple[int, int], seed: int) -> None:
    """A ground that bulges by a tenth of its distance is still one, though few of its pixels lie on one plane."""
    row = 0.4 * size[0]
    below = (torch.arange(size[0])[:, None] - row).clamp_min(0.5)
    ground = road_ahead(size, row)[0]
    assert read_horizon(100 / below * (1 + 0.1 * bumps(size, seed)), ground).row == pytest.approx(row, abs=6)
    with pytest.raises(Unreadable, match="no ground found"):
        read_horizon(1 + 0.2 * bumps(size, seed), ground)


def test_pixels_are_those_of_the_whole_frame() -> None:
    """Cut out of a frame, a window's rows are as coarse as before."""
    depth, ground = plane(30.0)
    depth = 100 / (100 / depth + 6 * torch.rand(depth.shape, generator=torch.Generator().manual_seed(4)) - 3)
    alone, of_a_frame = (read_horizon(depth.float(), ground, frame_height=height).share for height in (None, 375.0))
    assert of_a_frame > 1.5 * alone


@pytest.mark.parametrize("depth", [
    torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) + 0.5,  # nothing on one plane
    torch.full((HEIGHT, WIDTH), 3.0),  # a wall
    1 / (1 / plane(20.0)[0].float()).flip(0),  # a ceiling
], ids=["noise", "wall", "ceiling"])
def test_no_ground_is_said(depth: Tensor) -> None:
    with pytest.raises(Unreadable, match="no ground found"):
        read_horizon(depth, plane(20.0)[1])


def test_too_few_pixels_of_ground_are_said() -> None:
    nothing = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    for read in (read_horizon, read_roll):
        with pytest.raises(Unreadable, match="too few pixels"):
            read(plane(20.0)[0].float(), nothing)


@pytest.mark.parametrize("roll", [-10.0, -3.0, 0.0, 6.0])
def test_roll_of_a_plane(roll: float) -> None:
    depth, ground = plane(25.0, roll)
    assert read_roll(depth.float(), ground) == pytest.approx(roll, abs=0.5)


def test_no_line_of_equal_disparity() -> None:
    depth = torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3)) + 0.5
    with pytest.raises(Unreadable, match="no line"):
        read_roll(depth, plane(25.0)[1])
