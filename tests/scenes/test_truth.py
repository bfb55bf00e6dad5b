"""The labelled edges, on worlds where their place and cause are known."""

from dataclasses import replace

import torch
from hand_made import FOCAL_PX, PLAIN, builder, finish, ground, wall_ahead

from depthcue.scenes.materials import Material
from depthcue.scenes.render import Rendering, render_worlds
from depthcue.scenes.world import Builder


def shot(b: Builder) -> Rendering:
    return render_worlds([finish(b)], 48, 64, FOCAL_PX)


def rows_and_columns(mark: torch.Tensor) -> tuple[set[int], set[int]]:
    found = mark[0, 0].nonzero()
    return set(found[:, 0].tolist()), set(found[:, 1].tolist())


def test_a_floating_box_is_outlined_by_occlusion_alone() -> None:
    b = builder(position=(0.0, 0.0, 0.0), light=(-1.0, 0.0, 0.0, 0.0))
    wall_ahead(b, 6.0)
    with b.object("box"):
        b.box((3.0, 0.0, 0.0), (0.02, 1.0, 1.0), PLAIN)
    rendering = shot(b)
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
    rendering = shot(b)
    rows, columns = rows_and_columns(rendering.edges["crease"])
    assert rows == {38, 39} and columns == set(range(64))  # 1 m below the eye at 4 m: 15 px below row 24
    assert not rendering.edges["occlusion"].any()


def test_checks_are_texture() -> None:
    checks = Material("paint", (0.8, 0.8, 0.8), (0.1, 0.1, 0.1), cell=(2.0, 2.0, 2.0), parity=(0.0, 1.0, 0.0))
    b = builder(position=(0.0, 0.0, 0.0), light=(-1.0, 0.0, 0.0, 0.0))
    wall_ahead(b, 6.0, checks)
    rendering = shot(b)
    _, columns = rows_and_columns(rendering.edges["texture"])
    assert columns == {11, 12, 31, 32, 51, 52}  # stripes of 2 m at 6 m are 20 px wide, one border in the middle
    assert not any(rendering.edges[name].any() for name in ("occlusion", "crease", "shadow"))


def test_a_shadow_is_a_shadow_and_no_texture() -> None:
    b = builder(position=(0.0, 0.0, 8.0), pitch_deg=-90, light=(-1.0, 0.0, 1.0, 0.0))
    ground(b)
    with b.object("plate"):
        b.box((0.0, 0.0, 1.0), (1.0, 1.0, 0.01), PLAIN)
    rendering = shot(b)
    rows, columns = rows_and_columns(rendering.edges["shadow"])
    # the shadow lies 0.5 m to 1.5 m ahead; the plate, at 7 m, hides it up to 0.57 m, where the edge is an occlusion
    assert rows == set(range(12, 20)) and columns == set(range(27, 37))
    assert not rendering.edges["texture"].any()
    dark = replace(b.lighting, shadows=0.0)
    b.lighting = dark
    assert not shot(b).edges["shadow"].any()


def test_horizon_is_where_the_ground_ends() -> None:
    for pitch in (-6.0, 0.0, 4.0):
        b = builder(pitch_deg=pitch)
        ground(b)
        rendering = shot(b)
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
