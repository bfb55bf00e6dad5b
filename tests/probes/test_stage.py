"""The rendered stage: exactly one thing is turned, and the truth says how far."""

import pytest
import torch
from probes.oracles import SizeOracle

from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription
from depthcue.probes.contract import Dropped
from depthcue.probes.obstacles import BOTH, LIFTED, POSITION, SIZE, pose_of
from depthcue.probes.photographs import road_ahead
from depthcue.probes.reading import read_horizon, read_roll
from depthcue.probes.stage import _KEPT, Pose, RenderedScene, RenderedStage, Shown, Thing
from depthcue.scenes import Turn
from depthcue.scenes.api import Prop, Show, photograph
from depthcue.scenes.render import Rendering

SIZES = {"road": (64, 208), "indoor": (72, 96)}


@pytest.fixture(scope="module", params=["road", "indoor"])
def scene_and_thing(request: pytest.FixtureRequest) -> tuple[RenderedScene, Thing]:
    stage = RenderedStage(request.param, SIZES[request.param], 1)
    return next(one for one in stage.pairs_shown(["box"], [Pose(), Pose(3.0, 3.0), Pose(3.0, 1.0)])
                if not isinstance(one, Dropped))


def height_of(shown: Shown) -> float:
    return float(shown.region.any(2).sum())


def bottom_of(shown: Shown) -> float:
    return float(torch.nonzero(shown.region.any(2)[0]).max())


def test_each_condition_turns_its_cue_alone(scene_and_thing: tuple[RenderedScene, Thing]) -> None:
    scene, thing = scene_and_thing
    start, both, position, size, lifted = scene.show(thing, [pose_of(BOTH, 1.0)] + [
        pose_of(condition, 2.0) for condition in (BOTH, POSITION, SIZE, LIFTED)])
    depth = [float(shown.depth_m[shown.region].min()) for shown in (start, both, position, size, lifted)
             if shown.depth_m is not None]
    assert depth == pytest.approx([scene.nearest_m * ratio for ratio in (1, 2, 2, 1, 1)], rel=0.02)
    # rows are whole, and fine parts of an object come and go with its size
    for shown, apparent in ((both, 2), (position, 1), (size, 2), (lifted, 1)):
        assert height_of(shown) == pytest.approx(height_of(start) / apparent, abs=1.5 + 0.05 * height_of(start))
    near, far = start.contact[0], both.contact[0]
    assert far - scene.horizon_row == pytest.approx((near - scene.horizon_row) / 2, rel=1e-4)
    for shown, row in ((start, near), (both, far), (position, far), (size, near), (lifted, far)):
        assert bottom_of(shown) == pytest.approx(min(row, scene.size[0] - 1), abs=2)


def test_the_rest_of_the_scene_stays(scene_and_thing: tuple[RenderedScene, Thing]) -> None:
    scene, thing = scene_and_thing
    (shown,) = scene.show(thing, [Pose(shadow=False)])
    assert shown.depth_m is not None
    assert torch.equal(shown.depth_m[~shown.region], scene.depth_m[~shown.region])
    far_off = torch.ones_like(shown.region)
    columns = torch.nonzero(shown.region.any(1)[0])
    far_off[:, :, max(0, int(columns.min()) - 12):int(columns.max()) + 13] = False
    assert (shown.rgb - scene.bare).abs()[far_off.expand(3, -1, -1)].max() < 1e-4
    (with_shadow,) = scene.show(thing, [Pose()])
    assert torch.equal(with_shadow.depth_m, shown.depth_m) and not torch.equal(with_shadow.rgb, shown.rgb)


def test_a_true_camera_rotation_is_read_off_the_true_depth(scene_and_thing: tuple[RenderedScene, Thing]) -> None:
    scene, thing = scene_and_thing
    levels = (-2.0, 0.0, 2.0)
    pose = Pose(1.5, 1.5)
    strip = road_ahead(scene.size, scene.horizon_row)
    rows = []
    for shown in scene.turned(thing, [(Turn(pitch_deg=level), pose) for level in levels]):
        assert shown.depth_m is not None
        rows.append(read_horizon(shown.depth_m[0], (strip & ~shown.region)[0]).row)
    shift = scene.focal_px * torch.tan(torch.deg2rad(torch.tensor(2.0))).item()
    assert [row - scene.horizon_row for row in rows] == pytest.approx([-shift, 0.0, shift], abs=0.8)
    for level, shown in zip((-6.0, 6.0), scene.turned(thing, [(Turn(roll_deg=level), pose) for level in (-6.0, 6.0)]),
                            strict=True):
        assert shown.depth_m is not None
        assert read_roll(shown.depth_m[0], (strip & ~shown.region)[0]) == pytest.approx(level, abs=1.0)


def test_what_was_shown_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    size, poses = (120, 416), [Pose(), Pose(2.0, 2.0), Pose(3.0, 3.0)]  # large enough to be rendered one by one
    scene, other = (RenderedScene("road", 3, size) for _ in range(2))
    thing = Thing("box", 1.0, 0)
    together = scene.render([Show(Turn(), (scene.put(thing, pose),)) for pose in poses])
    rendered: list[int] = []
    render = RenderedScene.render

    def counted(self: RenderedScene, shows: list[Show]) -> Rendering:
        rendered.append(len(shows))
        return render(self, shows)

    monkeypatch.setattr(RenderedScene, "render", counted)
    for wanted, fresh in ((poses[:2], 2), (poses, 1), (poses[::-1], 0), ([Pose(4.0)] * 9, 1), (poses, 0)):
        before = sum(rendered)
        shown = list(scene.show(thing, wanted))
        assert sum(rendered) - before == fresh
        for one, pose in zip(shown, wanted, strict=True):
            if pose in poses:
                assert torch.equal(one.rgb, together.rgb[poses.index(pose)])
    # no more than so many are kept
    assert len(list(scene.show(thing, [Pose(1 + number / 10) for number in range(40)]))) == 40
    assert len(scene._shown) == _KEPT
    assert torch.equal(next(other.show(thing, poses)).rgb, together.rgb[0])


def test_props_stand_where_they_are_put() -> None:
    for kind in ("car", "box", "ball"):
        shows = [Show(props=(Prop(kind, 8.0, scale=scale),)) for scale in (1.0, 2.0)]
        seen = photograph("road", 5, shows, 64, 208)
        near = [float(seen.depth_m[row][seen.object_id[row] >= 0].min()) for row in range(2)]
        assert near[0] == pytest.approx(near[1], abs=0.3)
    with pytest.raises(DepthcueError, match="no prop called 'unicorn'"):
        photograph("road", 5, [Show(props=(Prop("unicorn", 8.0),))], 16, 32)
    with pytest.raises(DepthcueError, match="scale"):
        photograph("road", 5, [Show(props=(Prop("car", 8.0, scale=0.0),))], 16, 32)


def test_scenes_fit_the_net() -> None:
    road = RenderedStage.for_net(SizeOracle().description, None, None, 0)
    assert road.kind == "road" and road.size[1] > 3 * road.size[0]
    room = RenderedStage.for_net(DepthDescription("room", 144, 192, 16), None, 3, 0)
    assert room.kind == "indoor" and room.size == (144, 192) and room.count == 3
    with pytest.raises(DepthcueError, match="garden"):
        RenderedStage.for_net(SizeOracle().description, "garden", None, 0)
