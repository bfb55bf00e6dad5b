"""A painted floor looks as the plane its pattern tells, and stays what it is in all else."""

from dataclasses import replace

import pytest
import torch
from hand_made import FOCAL_PX, PLAIN, builder, finish, ground
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.scenes import Rendering, Turn
from depthcue.scenes.materials import Material, Paint, on_slant
from depthcue.scenes.render import render_worlds
from depthcue.scenes.world import turned

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
