"""The ray caster against closed forms."""

import math

import pytest
import torch
from hand_made import FOCAL_PX, PLAIN, builder, finish, ground, wall_ahead

from depthcue.scenes.render import Rendering, render_worlds
from depthcue.scenes.world import BALL, CUSHION, CYLINDER, CYLINDER_Y, Builder, frustum

# rays are float32 and come from up to tens of metres
TOLERANCE_M = 2e-4


def shot(b: Builder, height: int = 40, width: int = 56) -> Rendering:
    return render_worlds([finish(b)], height, width, FOCAL_PX)


def image_plane(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x / f and y / f of every pixel's centre, right and down."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    return x.double() / FOCAL_PX, y.double() / FOCAL_PX


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
