"""A turn changes what it should and nothing else."""

import pytest
import torch
from hand_made import FOCAL_PX, PLAIN, builder, finish, wall_ahead

from depthcue.errors import DepthcueError
from depthcue.scenes import ObjectTurn, Rendering, Turn, render
from depthcue.scenes.api import build_world
from depthcue.scenes.render import render_worlds
from depthcue.scenes.world import family, turned

SEED, HEIGHT, WIDTH = 21, 48, 64


def room(turn: Turn | None = None) -> Rendering:
    return render("indoor", [SEED], HEIGHT, WIDTH, turn=turn)


@pytest.fixture(scope="module")
def before() -> Rendering:
    return room()


def visible_object(rendering: Rendering) -> int:
    """The object that is not the shell of the room with the most pixels."""
    ids, counts = rendering.object_id.unique(return_counts=True)
    shell = ("wall", "floor", "ceiling", "rug")
    return max((int(count), int(number)) for number, count in zip(ids, counts, strict=True)
               if rendering.objects[0][int(number)].name not in shell)[1]


def same_geometry(one: Rendering, other: Rendering) -> bool:
    return torch.equal(one.depth_m, other.depth_m) and torch.equal(one.normal, other.normal)


def test_the_empty_turn_changes_nothing(before: Rendering) -> None:
    after = room(Turn())
    assert torch.equal(before.rgb, after.rgb) and same_geometry(before, after)


@pytest.mark.parametrize("turn", [
    Turn(light_yaw_deg=60), Turn(light_factor=2), Turn(ambient_factor=0.5), Turn(shadows=False), Turn(haze_per_m=0.2),
    Turn(texture_seed=3), Turn(texture_scale=2), Turn(textures=False)], ids=str)
def test_light_air_and_texture_leave_the_geometry(before: Rendering, turn: Turn) -> None:
    after = room(turn)
    assert same_geometry(before, after) and torch.equal(before.object_id, after.object_id)
    assert not torch.equal(before.rgb, after.rgb)
    assert torch.equal(before.exposure, after.exposure)


def test_light_and_air_leave_the_surfaces_and_textures_leave_the_shadows(before: Rendering) -> None:
    assert torch.equal(room(Turn(light_yaw_deg=60)).albedo, before.albedo)
    assert not room(Turn(shadows=False)).edges["shadow"].any()
    plain = room(Turn(textures=False))
    assert torch.equal(plain.edges["shadow"], before.edges["shadow"])
    assert plain.edges["texture"].sum() < before.edges["texture"].sum()


def test_pitch_moves_the_horizon() -> None:
    turns = [Turn(pitch_deg=pitch) for pitch in (-4.0, 0.0, 4.0)]
    rows = render("road", [3, 3, 3], 40, 128, turn=turns).horizon_row
    expected = rows.new_tensor(721.5 * 128 / 1242 * 0.0699)  # f tan 4 degrees
    assert rows[2] > rows[1] > rows[0]
    torch.testing.assert_close(rows[2] - rows[1], expected, rtol=0.02, atol=0)


def test_camera_height_and_focal_length() -> None:
    low, high = (render("road", [3], 40, 128, turn=Turn(height_m=add)).depth_m[0, 0, -1, 64] for add in (-0.5, 0.5))
    assert high > low * 1.5
    wide = render("road", [3], 40, 128, turn=Turn(focal_factor=0.5))
    assert float(wide.focal_px) == pytest.approx(721.5 * 128 / 1242 / 2)


def test_driving_forward_brings_the_road_nearer_by_as_much() -> None:
    turns = [Turn(), Turn(forward_m=1.0)]
    seen = render("road", [3, 3], 40, 128, turn=turns)
    assert torch.equal(seen.horizon_row[0], seen.horizon_row[1])
    assert not torch.equal(seen.depth_m[0], seen.depth_m[1])


def test_removing_an_object_removes_it_alone(before: Rendering) -> None:
    number = visible_object(before)
    after = room(Turn(objects=(ObjectTurn(number, remove=True),)))
    gone = torch.isin(before.object_id, torch.tensor(family(build_world("indoor", SEED), number)))
    assert not (after.object_id == number).any()
    assert torch.equal(after.depth_m[~gone], before.depth_m[~gone])
    assert (after.depth_m[gone] > before.depth_m[gone]).all()


def shelf_with_box(*changes: ObjectTurn) -> Rendering:
    """A wall at 9 m and before it a 1 m cube (object 1), its middle 6 m away, with a 0.2 m cube (object 2) on it."""
    b = builder(position=(0.0, 0.0, 1.1))
    wall_ahead(b, 9.0)
    with b.at(6.0, 0.0), b.object("cube"):
        b.box((0, 0, 0.5), (1, 1, 1), PLAIN)
        with b.at(0.0, 0.0, 1.0), b.object("box"):
            b.box((0, 0, 0.1), (0.2, 0.2, 0.2), PLAIN)
    return render_worlds([turned(finish(b), Turn(objects=changes))], 48, 64, FOCAL_PX)


@pytest.mark.parametrize(("change", "cube_at", "box_at", "wall_at"), [
    (ObjectTurn(1), 5.5, 5.9, 9.0), (ObjectTurn(1, move_m=(-1.5, 0, 0)), 4.0, 4.4, 9.0),
    (ObjectTurn(2, move_m=(-0.3, 0, 0)), 5.5, 5.6, 9.0), (ObjectTurn(2, scale=2.0), 5.5, 5.8, 9.0),
    (ObjectTurn(1, scale=0.5, move_m=(0, 0, 0.5)), 5.75, 5.95, 9.0), (ObjectTurn(1, remove=True), None, None, 9.0),
    (ObjectTurn(2, remove=True), 5.5, None, 9.0), (ObjectTurn(0, move_m=(3.0, 0, 0)), 5.5, 5.9, 12.0)], ids=str)
def test_an_object_moves_grows_and_goes_with_what_stands_on_it(
        change: ObjectTurn, cube_at: float | None, box_at: float | None, wall_at: float) -> None:
    seen = shelf_with_box(change)
    for number, distance in ((0, wall_at), (1, cube_at), (2, box_at)):
        mine = seen.object_id == number
        if distance is None:
            assert not mine.any()
        else:
            nearest = seen.depth_m[mine].min()
            torch.testing.assert_close(nearest, torch.tensor(distance), rtol=0, atol=2e-4)


def test_repainting_an_object_leaves_the_others(before: Rendering) -> None:
    number = visible_object(before)
    after = room(Turn(objects=(ObjectTurn(number, colour=(0.9, 0.0, 0.0)),)))
    mine = torch.isin(before.object_id, torch.tensor(family(build_world("indoor", SEED), number)))
    changed = (after.albedo != before.albedo).any(1, keepdim=True)
    assert changed[mine].all() and not changed[~mine].any()
    assert same_geometry(before, after)


@pytest.mark.parametrize(("turn", "words"), [
    (Turn(objects=(ObjectTurn(9999),)), "no object 9999"), (Turn(focal_factor=0), "focal_factor must be above 0"),
    (Turn(objects=(ObjectTurn(0, scale=-1),)), "scale must be above 0")])
def test_mistakes_are_named(turn: Turn, words: str) -> None:
    with pytest.raises(DepthcueError, match=words):
        room(turn)


def test_as_many_turns_as_seeds() -> None:
    with pytest.raises(DepthcueError, match="got 2 turns for 1 seeds"):
        render("indoor", [1], 20, 20, turn=[Turn(), Turn()])
