"""Readings of presence, horizon and roll: on MonoDepth's recorded answers and on planes that are known."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from depthcue.probes.contract import Unreadable
from depthcue.probes.photographs import road_ahead
from depthcue.probes.reading import Presence, presence, read_horizon, read_roll

SIZE = (375, 1242)
FRAME = "000147_10"
CARS = ("normal", "hollow", "sides", "top_bottom", "bottom_sides", "top_sides")
OTHERS = ("fridge", "fridge_with_shadow", "dog", "dog_with_shadow")


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """For each picture where it differs from the frame (the obstacle), and what was seen, (375, 1242) each."""
    folder = shared_data / "probes" / "recorded_monodepth"
    if not folder.is_dir():
        pytest.skip("no recorded disparities")

    def picture(name: str) -> Tensor:
        return torch.from_numpy(np.array(Image.open(folder / f"{name}.png").convert("RGB"))).int()

    bare = picture(FRAME)
    found = {}
    for name in (*(f"car_outline_{part}" for part in CARS), *(f"{FRAME}_{thing}" for thing in OTHERS)):
        disparity = torch.from_numpy(np.load(folder / f"{name}_disp.npy"))[None, None]
        sized = torch.nn.functional.interpolate(disparity, size=SIZE, mode="bilinear")[0, 0]
        found[name] = ((picture(name) - bare).abs().amax(2) > 12, 1 / sized)
    return found


def presence_of(recorded: dict[str, tuple[Tensor, Tensor]], name: str, silhouette: str) -> Presence:
    """The obstacle's presence in the silhouette of another picture of the same obstacle.

    The bare frame's own disparity was not recorded. In no pixel do more than five of the ten pictures show an obstacle
    that is seen, so that the upper quartile of depth over them is what the frame looks like without any.
    """
    bare = torch.stack([depth for _, depth in recorded.values()]).quantile(0.75, dim=0)
    region = recorded[silhouette][0]
    return presence(recorded[name][1], bare, region, float(torch.nonzero(region.any(1)).max()))


@pytest.mark.parametrize(("part", "seen"), [("normal", True), ("hollow", True), ("bottom_sides", True),
                                            ("sides", False), ("top_bottom", False), ("top_sides", False)])
def test_the_six_outlines_of_a_car(recorded: dict[str, tuple[Tensor, Tensor]], part: str, seen: bool) -> None:
    found = presence_of(recorded, f"car_outline_{part}", "car_outline_normal")
    assert found.detected is seen
    # not a close call either way
    assert found.completeness > 0.9 if seen else found.completeness < 0.15


@pytest.mark.parametrize("thing", ["fridge", "dog"])
def test_a_thing_is_seen_by_its_shadow_alone(recorded: dict[str, tuple[Tensor, Tensor]], thing: str) -> None:
    without = presence_of(recorded, f"{FRAME}_{thing}", f"{FRAME}_{thing}")
    with_shadow = presence_of(recorded, f"{FRAME}_{thing}_with_shadow", f"{FRAME}_{thing}")
    assert not without.detected and without.completeness < 0.05
    assert with_shadow.detected and with_shadow.completeness > 0.4
    assert with_shadow.distance < without.distance


def test_the_seen_car_stands_about_where_it_touches_the_ground(recorded: dict[str, tuple[Tensor, Tensor]]) -> None:
    assert presence_of(recorded, "car_outline_normal", "car_outline_normal").distance == pytest.approx(1.1, abs=0.15)


def test_the_horizon_of_the_frame(recorded: dict[str, tuple[Tensor, Tensor]]) -> None:
    """KITTI's principal point lies at row 172.9, and its camera looks nearly level."""
    depth = recorded[f"{FRAME}_dog"][1]
    assert read_horizon(depth, road_ahead(SIZE, 172.9)[0]).row == pytest.approx(173, abs=8)


def test_without_ground_there_is_no_verdict(recorded: dict[str, tuple[Tensor, Tensor]]) -> None:
    region, depth = recorded["car_outline_normal"]
    with pytest.raises(Unreadable, match="outside the picture"):
        presence(depth, depth, region, float(SIZE[0]))
    with pytest.raises(Unreadable, match="not farther"):
        presence(depth, torch.full_like(depth, 5.0), region, 311.0)


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
def test_ground_as_nets_predict_it(size: tuple[int, int], seed: int) -> None:
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
def test_no_ground_is_unreadable(depth: Tensor) -> None:
    with pytest.raises(Unreadable, match="no ground found"):
        read_horizon(depth, plane(20.0)[1])


def test_too_few_pixels_of_ground_are_unreadable() -> None:
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
