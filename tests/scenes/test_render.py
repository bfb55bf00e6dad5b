"""Rendered depth, shadows, labelled edges and horizons against closed forms."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hand_made import FOCAL_PX, PLAIN, builder, finish, ground, wall_ahead

from depthcue.scenes.materials import Material
from depthcue.scenes.render import Rendering, frames_at_once, render_worlds
from depthcue.scenes.world import BALL, CUSHION, CYLINDER, CYLINDER_Y, Builder, frustum

# rays are float32 and come from up to tens of metres
TOLERANCE_M = 2e-4


def shot(b: Builder, height: int = 40, width: int = 56) -> Rendering:
    return render_worlds([finish(b)], height, width, FOCAL_PX)


def image_plane(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x / f and y / f of every pixel's centre, right and down."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    return x.double() / FOCAL_PX, y.double() / FOCAL_PX


def test_frames_rendered_side_by_side_are_the_same() -> None:
    height, width = 300, 210
    assert frames_at_once(height, width, torch.device("cpu")) == 1
    before = torch.get_num_threads()
    worlds = []
    for distance in (2.0, 3.0, 4.0):
        b = builder()
        wall_ahead(b, distance)
        worlds.append(finish(b))
    try:
        torch.set_num_threads(1)
        one = render_worlds(worlds, height, width, FOCAL_PX)
        torch.set_num_threads(2)
        two = render_worlds(worlds, height, width, FOCAL_PX)
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)
    assert one.depth_m[:, 0, 0, 0].tolist() == pytest.approx([2.0, 3.0, 4.0], abs=TOLERANCE_M)
    assert torch.equal(one.rgb, two.rgb) and torch.equal(one.depth_m, two.depth_m)


@pytest.mark.parametrize(("height", "width"), [(40, 56), (41, 57), (7, 5), (1, 1)])
def test_wall_is_at_its_distance_everywhere(height: int, width: int) -> None:
    b = builder()
    wall_ahead(b, 3.25)
    rendering = shot(b, height, width)
    assert rendering.valid.all()
    torch.testing.assert_close(rendering.depth_m, torch.full_like(rendering.depth_m, 3.25), rtol=0, atol=TOLERANCE_M)
    assert torch.equal(rendering.normal[0, :, 0, 0], torch.tensor([0.0, 0.0, -1.0]))


def test_ground_follows_the_plane_under_pitch_and_roll() -> None:
    pitch, roll, eye = 12.0, 7.0, 1.6
    b = builder(position=(0.0, 0.0, eye), pitch_deg=-pitch, roll_deg=roll)
    ground(b)
    rendering = shot(b)
    x, y = image_plane(40, 56)
    turned = math.cos(math.radians(roll)) * y + math.sin(math.radians(roll)) * x  # down in the unrolled camera
    fall = math.sin(math.radians(pitch)) + turned * math.cos(math.radians(pitch))  # how fast a ray loses height
    expected = torch.where(fall > 0, eye / fall, torch.inf)
    near = expected < 100
    torch.testing.assert_close(rendering.depth_m[0, 0].double()[near], expected[near], rtol=1e-4, atol=0)
    # the ground ends 2 km away
    assert rendering.valid[0, 0][expected < 1900].all() and not rendering.valid[0, 0][fall <= 0].any()
    assert rendering.depth_m[~rendering.valid].eq(torch.inf).all()


def test_ball() -> None:
    b = builder(position=(0.0, 0.0, 0.0))
    with b.object("ball"):
        b.add(BALL, (4.0, 0.0, 0.0), (2.0, 2.0, 2.0), PLAIN)
    rendering = shot(b)
    x, y = image_plane(40, 56)
    a, c = 1 + x**2 + y**2, 16.0 - 1.0
    discriminant = 16.0 - a * c
    clear = discriminant.abs() > 1e-3  # the outline itself may fall on either side
    hit = discriminant > 0
    assert torch.equal(rendering.valid[0, 0][clear], hit[clear])
    expected = (4.0 - discriminant.clamp_min(0).sqrt()) / a
    # where the ray grazes, the square root magnifies rounding
    inner = discriminant > 0.05
    torch.testing.assert_close(rendering.depth_m[0, 0].double()[inner], expected[inner], rtol=0, atol=TOLERANCE_M)
    outward = torch.stack((x * expected, y * expected, expected - 4.0))
    torch.testing.assert_close(rendering.normal[0].double()[:, inner], outward[:, inner], rtol=0, atol=2e-3)


def test_box_turned_about_the_vertical_shows_its_edge() -> None:
    b = builder(position=(0.0, 0.0, 0.0))
    with b.object("box"):
        b.box((5.0, 0.0, 0.0), (2.0, 2.0, 9.0), PLAIN, yaw_deg=45)
    rendering = shot(b)
    x, _ = image_plane(40, 56)
    expected = (5 - math.sqrt(2)) / (1 - x.abs())  # two faces meeting in an edge towards the camera
    inside = x.abs() < 0.25
    torch.testing.assert_close(rendering.depth_m[0, 0].double()[inside], expected[inside], rtol=0, atol=TOLERANCE_M)


def test_cone_seen_from_above_is_not_seen_through_its_other_half() -> None:
    b = builder(position=(0.0, 0.0, 6.0), pitch_deg=-90)
    ground(b)
    with b.object("cone"):
        b.add(frustum(0.0), (0.0, 0.0, 1.0), (2.0, 2.0, 2.0), PLAIN)
    rendering = shot(b)
    x, y = image_plane(40, 56)
    slope = torch.sqrt(x**2 + y**2)
    on_cone = slope < 1 / 6.0 - 0.01
    expected = 4.0 / (1 - 2 * slope)  # surface: height 2 - 2 r under the apex 4 m below the eye
    torch.testing.assert_close(rendering.depth_m[0, 0].double()[on_cone], expected[on_cone], rtol=0, atol=2e-3)
    assert (rendering.object_id[0, 0][slope > 1 / 6.0 + 0.02] == 0).all()


@pytest.mark.parametrize("shape", [BALL, CYLINDER, CYLINDER_Y, CUSHION, frustum(0.5), frustum(1.0, 0.4)])
def test_normals_are_those_of_the_depth(shape: tuple[float, float, float, float, float]) -> None:
    """Finite differences of the depth map agree with the normals wherever the surface is smooth."""
    b = builder(position=(0.0, 0.0, 0.4))
    with b.object("thing"):
        b.add(shape, (4.0, 0.1, 0.0), (2.0, 2.4, 1.8), PLAIN, yaw_deg=25, tilt_deg=10)
    height, width = 120, 160
    rendering = render_worlds([finish(b)], height, width, 180.0)
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - 60, torch.arange(width) + 0.5 - 80, indexing="ij")
    depth = rendering.depth_m[0, 0].double()
    points = torch.stack((x / 180 * depth, y / 180 * depth, depth))
    along, down = points[:, 1:-1, 2:] - points[:, 1:-1, :-2], points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
    estimated = torch.linalg.cross(down, along, dim=0)
    estimated = estimated / estimated.norm(dim=0)
    smooth = rendering.valid[0, 0] & ~(rendering.edges["occlusion"] | rendering.edges["crease"])[0, 0]
    # a pixel's four neighbours have to be on the same smooth patch
    inside = torch.nn.functional.max_pool2d((~smooth).float()[None, None], 5, 1, 2)[0, 0, 1:-1, 1:-1] == 0
    cosine = (estimated * rendering.normal[0, :, 1:-1, 1:-1].double()).sum(0)[inside]
    assert inside.sum() > 500
    assert cosine.min() > 0.98 and cosine.median() > 0.9995


@pytest.mark.parametrize(("light", "start", "end", "half"), [
    # a plate of 1 m x 1 m at height 1: light at 45 degrees moves its shadow by 1 m, a lamp 2 m above and 2 m behind it
    # throws it at 1.5 times its size
    ((-1.0, 0.0, 1.0, 0.0), 0.5, 1.5, 0.5), ((-2.0, 0.0, 3.0, 1.0), 0.25, 1.75, 0.75)])
def test_sun_and_lamp_cast_the_shadow_they_should(light: tuple[float, float, float, float], start: float, end: float,
                                                  half: float) -> None:
    b = builder(position=(0.0, 0.0, 8.0), pitch_deg=-90, light=light)
    ground(b)
    with b.object("plate"):
        b.box((0.0, 0.0, 1.0), (1.0, 1.0, 0.01), PLAIN)
    rendering = render_worlds([finish(b)], 96, 96, 100.0)
    b.lighting.shadows = 0.0
    unshaded = render_worlds([finish(b)], 96, 96, 100.0, exposure=rendering.exposure)
    dark = (unshaded.rgb - rendering.rgb)[0, 1] > 0.02
    # from above the picture's up is the world's x, and a pixel is 8 cm
    up, right = 8 * (47.5 - torch.arange(96)) / 100, 8 * (torch.arange(96) - 47.5) / 100
    ahead, across = torch.meshgrid(up, right, indexing="ij")
    floor = rendering.object_id[0, 0] == 0
    inside = (across.abs() < half - 0.09) & (ahead > start + 0.09) & (ahead < end - 0.09) & floor
    outside = (across.abs() > half + 0.09) | (ahead < start - 0.09) | (ahead > end + 0.09)
    assert inside.sum() > 30 and dark[inside].all() and not dark[outside].any()


def shot_of(b: Builder) -> Rendering:
    return render_worlds([finish(b)], 48, 64, FOCAL_PX)


def rows_and_columns(mark: torch.Tensor) -> tuple[set[int], set[int]]:
    found = mark[0, 0].nonzero()
    return set(found[:, 0].tolist()), set(found[:, 1].tolist())


def test_a_floating_box_is_outlined_by_occlusion_alone() -> None:
    b = builder(position=(0.0, 0.0, 0.0), light=(-1.0, 0.0, 0.0, 0.0))
    wall_ahead(b, 6.0)
    with b.object("box"):
        b.box((3.0, 0.0, 0.0), (0.02, 1.0, 1.0), PLAIN)
    rendering = shot_of(b)
    outline = rendering.edges["occlusion"][0, 0]
    box = rendering.object_id[0, 0] == 1
    assert box.sum() == 20 * 20  # 1 m at 2.99 m is 20 px
    ring = (torch.nn.functional.max_pool2d(box.float()[None, None], 3, 1, 1)[0, 0]
            - (-torch.nn.functional.max_pool2d(-box.float()[None, None], 3, 1, 1))[0, 0]) > 0
    corners = torch.zeros_like(ring)
    for row in (13, 34):
        corners[row, 21] = corners[row, 42] = True
    assert torch.equal(outline | corners, ring | corners)
    assert not rendering.edges["crease"].any() and not rendering.edges["texture"].any()


def test_floor_meeting_wall_is_a_crease() -> None:
    b = builder(position=(0.0, 0.0, 1.0))
    ground(b)
    wall_ahead(b, 4.0)
    rendering = shot_of(b)
    rows, columns = rows_and_columns(rendering.edges["crease"])
    assert rows == {38, 39} and columns == set(range(64))  # 1 m below the eye at 4 m: 15 px below row 24
    assert not rendering.edges["occlusion"].any()


def test_checks_are_texture() -> None:
    checks = Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cell=(2.0, 2.0, 2.0), parity=(0.0, 1.0, 0.0))
    b = builder(position=(0.0, 0.0, 0.0), light=(-1.0, 0.0, 0.0, 0.0))
    wall_ahead(b, 6.0, checks)
    rendering = shot_of(b)
    _, columns = rows_and_columns(rendering.edges["texture"])
    assert columns == {11, 12, 31, 32, 51, 52}  # stripes of 2 m at 6 m are 20 px wide, one border in the middle
    assert not any(rendering.edges[name].any() for name in ("occlusion", "crease", "shadow"))


def test_a_shadow_is_a_shadow_and_no_texture() -> None:
    b = builder(position=(0.0, 0.0, 8.0), pitch_deg=-90, light=(-1.0, 0.0, 1.0, 0.0))
    ground(b)
    with b.object("plate"):
        b.box((0.0, 0.0, 1.0), (1.0, 1.0, 0.01), PLAIN)
    rendering = shot_of(b)
    rows, columns = rows_and_columns(rendering.edges["shadow"])
    # the shadow lies 0.5 m to 1.5 m ahead; the plate, at 7 m, hides it up to 0.57 m, where the edge is an occlusion
    assert rows == set(range(12, 20)) and columns == set(range(27, 37))
    assert not rendering.edges["texture"].any()
    dark = replace(b.lighting, shadows=0.0)
    b.lighting = dark
    assert not shot_of(b).edges["shadow"].any()


def test_horizon_is_where_the_ground_ends() -> None:
    for pitch in (-6.0, 0.0, 4.0):
        b = builder(pitch_deg=pitch)
        ground(b)
        rendering = shot_of(b)
        first_ground_row = int(rendering.valid[0, 0, :, 32].float().argmax())
        # the ground reaches 2 km: 1.5 m over it is less than 0.05 px
        assert first_ground_row - 1 <= rendering.horizon_row[0] <= first_ground_row


def test_vanishing_point_is_where_lines_along_the_road_meet() -> None:
    b = builder(yaw_deg=7.0, pitch_deg=-3.0, roll_deg=2.0)
    ground(b)
    with b.object("rail"):
        b.box((500.0, 1.0, 0.01), (999.0, 0.1, 0.02), PLAIN)
    with b.object("rail"):
        b.box((500.0, -2.0, 0.01), (999.0, 0.1, 0.02), PLAIN)
    rendering = render_worlds([finish(b)], 480, 640, 600.0)
    meeting = []
    for rail in (1, 2):
        rows, columns = (rendering.object_id[0, 0] == rail).nonzero().double().unbind(1)
        chosen = rows > rendering.horizon_row[0] + 60
        middle = torch.stack([columns[chosen & (rows == row)].mean() for row in rows[chosen].unique()])
        row = rows[chosen].unique()
        slope = ((middle - middle.mean()) * (row - row.mean())).sum() / ((row - row.mean()) ** 2).sum()
        meeting.append((slope, middle.mean() - slope * row.mean()))
    (slope_a, start_a), (slope_b, start_b) = meeting
    row = (start_b - start_a) / (slope_a - slope_b)
    # rails are a few pixels wide, so the fitted lines meet within about a pixel
    assert abs(row - rendering.vanishing_point[0, 1]) < 1.0
    assert abs(slope_a * row + start_a - rendering.vanishing_point[0, 0]) < 1.5
