"""A net that knows its camera's change of scale, one that does not; and one to which all pictures look alike."""

from pathlib import Path
from typing import Any

import pytest
import torch
from probes.scene_oracles import SceneOracle
from torch import Tensor

from depthcue.probes import appearance, pose
from depthcue.probes.contract import PHOTOGRAPHS, Chance
from depthcue.probes.cutouts import CutOut
from depthcue.probes.photographs import FrameScene, PhotographStage
from depthcue.probes.reading import Observer
from depthcue.probes.running import ExampleKeeper, measure
from depthcue.probes.stage import RenderedStage
from depthcue.progress import Silent
from depthcue.scenes import Turn


class Knowing(SceneOracle):
    """Sees every picture of a list with the depth it was rendered with."""

    def teach(self, pictures: list[Tensor], depths: list[Tensor]) -> None:
        self.pictures, self.depths = pictures, depths

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        misses = torch.stack([(rgb - picture).abs().mean() for picture in self.pictures])
        return self.depths[int(misses.argmin())].clamp(max=1e3)


@pytest.fixture(scope="module")
def stage() -> RenderedStage:
    return RenderedStage("road", (48, 160), 1, seed=0)


def run(experiment: Any, stage: Any, net: SceneOracle, out: Path) -> dict[str, Any]:
    entry = measure(experiment, stage, Observer(net.eval()), Chance(100), ExampleKeeper(out), Silent())
    return {value["name"]: value["value"] for value in entry["values"]} | {"entry": entry}


def test_the_scale_follows_where_the_camera_is_known(stage: RenderedStage, tmp_path: Path) -> None:
    pictures, depths = [], []
    scene, thing = next(candidate for candidate in stage.familiar([pose.AHEAD]) if isinstance(candidate, tuple))
    turns = [Turn(), *(turn for _, _, turn in pose.turns_of(scene))]
    for shown in scene.turned(thing, [(turn, pose.AHEAD) for turn in turns]):
        assert shown.depth_m is not None
        pictures.append(shown.rgb)
        depths.append(shown.depth_m[0])
    knowing = Knowing(scene, {})
    knowing.teach(pictures, depths)
    known = run(pose.VIEWPOINT_EXPERIMENT, stage, knowing, tmp_path)
    blind = run(pose.VIEWPOINT_EXPERIMENT, stage, SceneOracle(scene, {}), tmp_path)
    for what in (pose.HEIGHT, pose.FOCAL):
        assert known[f"share of the change of scale that is followed, {what}"] == pytest.approx(1.0, abs=0.02)
        assert known[f"mean change of an obstacle's distance, {what}"] < 0.02
        assert blind[f"share of the change of scale that is followed, {what}"] == pytest.approx(0.0, abs=1e-6)
        obstacle = next(one for one in known["entry"]["curves"] if one["name"] == f"obstacle, {what}")
        assert all(point["truth"] == pytest.approx(1.0, abs=0.02) and point["value"] == pytest.approx(
            point["truth"], abs=0.01) for point in obstacle["points"])


def test_a_net_that_ignores_looks_loses_nothing_by_them(stage: RenderedStage, tmp_path: Path) -> None:
    found = run(appearance.EXPERIMENT, stage, SceneOracle(stage.scene(0), {}), tmp_path)
    entry = found.pop("entry")
    assert all(value == pytest.approx(0.0, abs=0.02) for value in found.values())
    errors, changes = entry["bars"]
    names = [bar["name"] for bar in errors["bars"]]
    assert names[0] == appearance.UNMODIFIED and len(names) == 16 and len(set(names)) == 16
    assert [bar["name"] for bar in changes["bars"]] == names[1:]
    assert entry["examples"]


def test_every_look_is_another_picture(stage: RenderedStage) -> None:
    (case,) = appearance.EXPERIMENT.cases["rendered"](stage)
    pictures = [case.reference.rgb, *(variant.rgb for variant in case.variants)]
    for one, picture in enumerate(pictures):
        assert picture.shape == pictures[0].shape and 0 <= float(picture.min()) and float(picture.max()) <= 1
        assert all((picture - other).abs().mean() > 5e-4 for other in pictures[:one])


def photographs(depth_m: Tensor | None) -> PhotographStage:
    cutout = CutOut("car", torch.ones(4, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool), (2.0, 3.0), None)
    stage = PhotographStage("folder:x", [], [cutout], horizon=0.5, count=2)
    generator = torch.Generator().manual_seed(1)
    scenes = [FrameScene(f"frame-{number}", torch.rand(3, 48, 160, generator=generator), 24.0, depth_m)
              for number in range(2)]
    stage.frames, stage.scene = scenes, lambda number: scenes[number]  # type: ignore[assignment, method-assign]
    return stage


@pytest.mark.parametrize("has_depth", [True, False])
def test_photographs_need_no_renderer(stage: RenderedStage, has_depth: bool, tmp_path: Path) -> None:
    net = SceneOracle(stage.scene(0), {})
    depth_m = None
    if has_depth:
        depth_m = torch.zeros(1, 48, 160)
        depth_m[:, 30:] = 2 * net.own[30:]
    found = run(appearance.EXPERIMENT, photographs(depth_m), net, tmp_path)
    entry = found.pop("entry")
    assert entry["stage"] == PHOTOGRAPHS and entry["cases"] == 2 and len(entry["bars"]) == (2 if has_depth else 1)
    assert found.get("error, unmodified") == (pytest.approx(0.5) if has_depth else None)
