"""A net that knows its camera's change of scale, and one that does not."""

from pathlib import Path

import pytest
import torch
from probes.scene_oracles import SceneOracle, run
from torch import Tensor

from depthcue.probes import pose
from depthcue.probes.stage import RenderedStage
from depthcue.scenes import Turn


class Knowing(SceneOracle):
    """Sees every picture of a list with the depth it was rendered with."""

    def teach(self, pictures: list[Tensor], depths: list[Tensor]) -> None:
        self.pictures, self.depths = pictures, depths

    def depth_seen_by(self, rgb: Tensor, depth: Tensor) -> Tensor:
        misses = torch.stack([(rgb - picture).abs().mean() for picture in self.pictures])
        return self.depths[int(misses.argmin())].clamp(max=1e3)


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
