"""Patterns are the same everywhere and fade where a pixel covers them; paint changes a floor's pattern alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hand_made import FOCAL_PX, PLAIN, builder, finish, ground
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.scenes import Rendering, Turn
from depthcue.scenes.materials import CLASSES, Material, Paint, evaluate, hash32, on_slant, rows, value_noise
from depthcue.scenes.render import render_worlds
from depthcue.scenes.world import turned


def colour_at(material: Material, point: torch.Tensor, footprint: float = 1e-3) -> torch.Tensor:
    row = torch.from_numpy(rows([material], np.ones((1, 3)))).T.expand(-1, len(point))
    axis, salt = torch.full((len(point),), 2), torch.zeros(len(point), dtype=torch.int32)
    return evaluate(row, point.T, axis, torch.full((len(point),), footprint), salt)[0].T


def grid(count: int = 64, metres: float = 4.0) -> torch.Tensor:
    line = torch.arange(count) / count * metres + 1e-3
    x, y = torch.meshgrid(line, line, indexing="xy")
    return torch.stack((x.flatten(), y.flatten(), torch.zeros(count * count)), 1)


def reference_hash(first: int, second: int, third: int) -> int:
    """The hash in Python's unbounded integers, wrapped to 32 bits by hand."""
    def wrap(value: int) -> int:
        return (value + 2**31) % 2**32 - 2**31

    mixed = wrap(first * 374761393 + second * 668265263 + third * 1274126177)
    mixed = wrap((mixed ^ (mixed >> 13)) * 1103515245)
    mixed = wrap((mixed ^ (mixed >> 15)) * 668265263)
    return mixed ^ (mixed >> 14)


def test_hash_is_32_bit_arithmetic() -> None:
    values = [(0, 0, 0), (1, 2, 3), (-5, 70000, 123456789), (2**31 - 1, -2**31, 99)]
    columns = [torch.tensor(column, dtype=torch.int32) for column in zip(*values, strict=True)]
    assert hash32(*columns).tolist() == [reference_hash(*value) for value in values]


def test_noise_is_smooth_bounded_and_uses_its_range() -> None:
    u = torch.linspace(-20, 20, 4001)
    noise = value_noise(u, torch.full_like(u, 0.3), torch.tensor(7, dtype=torch.int32))
    assert noise.min() >= 0 and noise.max() <= 1 and noise.std() > 0.15
    assert noise.diff().abs().max() < 0.02  # slope at most 1.5 per unit, steps of 0.01


def test_checks_alternate() -> None:
    checks = Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cell=(1.0, 1.0, 1.0), parity=(1.0, 1.0, 0.0))
    colour = colour_at(checks, grid())[:, 0].reshape(64, 64)
    expected = torch.tensor([[0.8, 0.1] * 2, [0.1, 0.8] * 2] * 2).repeat_interleave(16, 0).repeat_interleave(16, 1)
    torch.testing.assert_close(colour, expected)


def test_joints_lie_between_tiles() -> None:
    tiles = Material("ceramic", (0.8, 0.8, 0.8), joint=(0.0, 0.0, 0.0), cell=(1.0, 1.0, 1.0), gap=0.2)
    colour = colour_at(tiles, grid())[:, 0].reshape(64, 64)
    assert colour[8, 8] > 0.79 and colour[8, 0] < 0.05 and colour[0, 8] < 0.05
    assert 0.30 < (colour < 0.4).float().mean() < 0.42  # 1 - 0.8^2


@pytest.mark.parametrize("material", [
    Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), noise_period=(0.1,) * 3, noise_mix=1.0, sharpness=4.0),
    Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cell=(0.1,) * 3, parity=(1.0, 1.0, 0.0)),
    Material("paint", (0.5, 0.5, 0.5), cell=(0.1,) * 3, cell_shade=1.0, cell_hue=1.0)])
def test_patterns_fade_under_large_pixels(material: Material) -> None:
    near, far = (colour_at(material, grid(), footprint).std(0).max() for footprint in (1e-3, 1.0))
    assert near > 0.1 and far < 0.01


def test_grain_runs_along_the_longest_side() -> None:
    wood = Material("wood", (0.4, 0.2, 0.1), noise_period=(0.5, 0.02, 0.02), grain=True)
    table = rows([wood, wood], np.array([[2.0, 0.1, 0.1], [0.1, 0.1, 1.0]]))
    assert table[0, 15:18].tolist() == pytest.approx([0.5, 0.02, 0.02])
    assert table[1, 15:18].tolist() == pytest.approx([0.02, 0.02, 0.5])
    assert CLASSES[int(table[0, -1])] == "wood"


HEIGHT, WIDTH, CAMERA_M, NEAR_M, FAR_M = 64, 96, 1.5, 4.0, 12.0
BRIGHT, DARK = (0.8,) * 3, (0.1,) * 3
ALONG = Material("asphalt", BRIGHT, DARK, cell=(0.8, 0.0, 0.0), parity=(1.0, 0.0, 0.0))
ACROSS = Material("asphalt", BRIGHT, DARK, cell=(0.0, 0.4, 0.0), parity=(0.0, 1.0, 0.0))


def floor(ratio: float | None, pattern: Material | None) -> Rendering:
    b = builder((0.0, 0.0, CAMERA_M))
    ground(b)
    paint = None if ratio is None else Paint(("ground",), NEAR_M, FAR_M, ratio, pattern)
    return render_worlds([turned(finish(b), Turn(paint=paint))], HEIGHT, WIDTH, FOCAL_PX)


def steps(line: Tensor) -> list[int]:
    """Where a line of an albedo picture changes between bright and dark."""
    bright = line > 0.45
    return torch.nonzero(bright[1:] != bright[:-1])[:, 0].tolist()


def test_paint_leaves_all_but_the_pattern() -> None:
    before, after = floor(None, None), floor(1.5, ALONG)
    assert torch.equal(before.depth_m, after.depth_m) and torch.equal(before.normal, after.normal)
    assert torch.equal(before.object_id, after.object_id) and torch.equal(before.edges["crease"], after.edges["crease"])
    assert not torch.equal(before.albedo, after.albedo)


@pytest.mark.parametrize(("ratio", "shrinks"), [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)])
def test_lines_converge_as_on_the_told_plane(ratio: float, shrinks: float) -> None:
    albedo = floor(ratio, ALONG).albedo[0, 0]
    rows = [round(HEIGHT / 2 - 0.5 + FOCAL_PX * CAMERA_M / distance) for distance in (NEAR_M, FAR_M)]
    wide = []
    for row in rows:
        at = steps(albedo[row])
        wide.append((at[-1] - at[0]) / (len(at) - 1))
    assert wide[0] == pytest.approx(0.8 * FOCAL_PX / NEAR_M, rel=0.1)
    assert wide[0] / wide[1] == pytest.approx(shrinks, rel=0.12)


def test_a_pattern_that_tells_a_wall_is_as_coarse_everywhere() -> None:
    at = steps(floor(1.0, ACROSS).albedo[0, 0, :, WIDTH // 2])
    below = [row for row in at if row > HEIGHT / 2 + 1]
    gaps = [after - before for before, after in zip(below, below[1:], strict=False)]
    assert len(gaps) >= 3 and set(gaps) == {round(0.4 * FOCAL_PX / NEAR_M)}


def test_told_as_it_is_the_floor_looks_like_itself() -> None:
    b = builder((0.0, 0.0, CAMERA_M))
    # the ground's own axes are the world's: its second runs across the view
    ground(b, replace(ALONG, cell=(0.0, 0.8, 0.0), parity=(0.0, 1.0, 0.0)))
    own = render_worlds([finish(b)], HEIGHT, WIDTH, FOCAL_PX).albedo[0, 0, 56]
    painted = floor(FAR_M / NEAR_M, ALONG).albedo[0, 0, 56]
    assert abs((steps(own)[1] - steps(own)[0]) - (steps(painted)[1] - steps(painted)[0])) <= 1


def test_told_depth_by_hand() -> None:
    paint = Paint(("ground",), NEAR_M, FAR_M, 2.0)
    apparent = paint.apparent_m(torch.tensor([NEAR_M, FAR_M, 6.0]))
    # at 6 m, q lies halfway between 1 / 4 and 1 / 8 in 1 / depth: (1/4 - 1/6) of (1/4 - 1/12) is one half
    assert apparent.tolist() == pytest.approx([NEAR_M, 2 * NEAR_M, 1 / (0.5 / 4 + 0.5 / 8)], rel=1e-5)
    assert Paint(("ground",), NEAR_M, FAR_M, 3.0).apparent_m(torch.tensor([5.0, 9.0])).tolist() == pytest.approx([5, 9])


def test_points_lie_on_the_slant() -> None:
    level, slope = Paint(("ground",), NEAR_M, FAR_M, 2.0).slant(CAMERA_M)
    down = torch.tensor([[[0.2], [0.3]]])
    points, _, _ = on_slant(torch.tensor([[level, slope]]), torch.tensor([[[0.0, 0.1]]]), down)
    depth = 1 / (level + slope * down[0, :, 0])
    assert points[0, 0, :, 1].tolist() == pytest.approx((0.1 * depth).tolist())
    # distance along the slant between the two rows is that of the points themselves
    apart = torch.hypot(depth[0] - depth[1], depth[0] * 0.2 - depth[1] * 0.3)
    assert abs(points[1, 0, 0, 0] - points[1, 0, 1, 0]).item() == pytest.approx(float(apart), rel=1e-5)


def test_own_patterns_stay_their_own() -> None:
    assert torch.allclose(floor(1.0, None).albedo[..., 40:, :], floor(None, None).albedo[..., 40:, :], atol=1e-3)
    assert PLAIN.noise_mix == 0.0  # or the test above would ask for more


@pytest.mark.parametrize("bad", [{"near_m": 12.0, "far_m": 4.0}, {"ratio": 0.0}, {"near_m": 0.0}])
def test_paint_that_makes_no_sense(bad: dict[str, float]) -> None:
    numbers = {"near_m": NEAR_M, "far_m": FAR_M, "ratio": 2.0} | bad
    with pytest.raises(DepthcueError, match="far line"):
        Paint(("ground",), **numbers).slant(CAMERA_M)
