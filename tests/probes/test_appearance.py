"""Pictures in other colours and through haze keep what is to stay; a net that ignores them loses nothing."""

from pathlib import Path

import pytest
import torch
from probes.scene_oracles import SceneOracle, run
from torch import Tensor

from depthcue.probes import appearance
from depthcue.probes.contract import PHOTOGRAPHS
from depthcue.probes.cutouts import CutOut
from depthcue.probes.photographs import FrameScene, PhotographStage
from depthcue.probes.stage import RenderedStage


def test_a_net_that_ignores_appearance_loses_nothing_by_it(stage: RenderedStage, tmp_path: Path) -> None:
    found = run(appearance.EXPERIMENT, stage, SceneOracle(stage.scene(0), {}), tmp_path)
    entry = found.pop("entry")
    assert all(value == pytest.approx(0.0, abs=0.02) for value in found.values())
    errors, changes = entry["bars"]
    names = [bar["name"] for bar in errors["bars"]]
    assert names[0] == appearance.UNMODIFIED and len(names) == 16 and len(set(names)) == 16
    assert [bar["name"] for bar in changes["bars"]] == names[1:]
    assert entry["examples"]


def test_every_appearance_is_another_picture(stage: RenderedStage) -> None:
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


@pytest.fixture
def rgb() -> torch.Tensor:
    return torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(3))


def test_grayscale_keeps_brightness_alone(rgb: torch.Tensor) -> None:
    grey = appearance.grayscale(rgb)
    assert torch.allclose(appearance.luma(grey), appearance.luma(rgb)) and torch.equal(grey[0], grey[2])


def test_false_colours_keep_the_value(rgb: torch.Tensor) -> None:
    source = torch.tensor([0.8, 0.4, 0.2])[:, None, None].expand(3, 7, 9)
    false = appearance.false_colours(rgb, source)
    assert torch.allclose(false.amax(0), rgb.amax(0), atol=1e-5)
    assert torch.allclose(false[1], false[0] / 2, atol=1e-5) and torch.allclose(false[2], false[0] / 4, atol=1e-5)


def test_classes_take_their_mean() -> None:
    rgb = torch.tensor([0.2, 0.4, 0.9]).expand(3, 1, 3)
    means = appearance.class_means(rgb, torch.tensor([[[5, 5, 7]]]))
    assert torch.allclose(means[0, 0], torch.tensor([0.3, 0.3, 0.9]))


def test_inverting_twice_is_nothing() -> None:
    rgb = torch.full((3, 4, 4), 0.5) + torch.tensor([0.1, 0.0, -0.1])[:, None, None]
    once = appearance.inverted(rgb)
    assert torch.allclose(appearance.luma(once), 1 - appearance.luma(rgb), atol=1e-5)
    assert torch.allclose(appearance.inverted(once), rgb, atol=1e-5)


def test_edges_alone_are_left() -> None:
    rgb = torch.zeros(3, 12, 12)
    rgb[:, :, 6:] = 1.0
    edges = appearance.edges_only(rgb)
    assert edges[:, :, 5:7].min() > 0.99 and edges[:, :, :4].max() == 0 and edges[:, :, 8:].max() == 0


def test_haze_hides_by_its_depth(rgb: torch.Tensor) -> None:
    depth = torch.zeros(1, 20, 30)
    depth[:, :, 15:] = 50.0
    hazy = appearance.in_haze(rgb, depth)
    assert torch.allclose(hazy[:, :, :15], rgb[:, :, :15])
    assert hazy[:, :, 15:].flatten(1).std(1).max() < 1e-5 and hazy[:, :, 15:].min() > 0.5


def test_unshaded_keeps_sky_and_brightness(rgb: torch.Tensor) -> None:
    valid = torch.ones(1, 20, 30, dtype=torch.bool)
    valid[:, :5] = False
    flat = appearance.unshaded(0.2 * rgb, rgb, valid)
    assert torch.equal(flat[:, :5], rgb[:, :5])
    assert appearance.luma(flat)[valid].mean() == pytest.approx(float(appearance.luma(rgb)[valid].mean()), rel=0.05)


def test_what_is_in_focus_stays_sharp(rgb: torch.Tensor) -> None:
    depth = torch.full((1, 20, 30), 2.0)
    depth[:, :, 15:] = torch.inf
    wide = torch.nn.functional.interpolate(rgb[None], size=(60, 200), mode="nearest")[0]
    far = torch.nn.functional.interpolate(depth[None], size=(60, 200), mode="nearest")[0]
    seen = appearance.focused(wide, far, 2.0)
    assert torch.equal(seen[:, :, :90], wide[:, :, :90])
    rough, smooth = (picture[:, :, 110:].diff(dim=2).abs().mean() for picture in (wide, seen))
    assert smooth < 0.9 * rough
    turned = appearance.focused(wide, far, 2.0, turned=True)
    assert torch.equal(turned[:, :, 110:], wide[:, :, 110:]) and not torch.equal(turned[:, :, :90], wide[:, :, :90])


def test_a_region_is_blurred_in_itself() -> None:
    rgb = torch.zeros(3, 20, 20)
    region = torch.zeros(1, 20, 20, dtype=torch.bool)
    region[:, 5:15, 5:15] = True
    rgb[:, 5:15, 5:15] = 1.0
    # nothing of the dark around comes in
    assert torch.allclose(appearance.blurred(rgb, region, 2.0)[:, 5:15, 5:15], torch.ones(3, 10, 10), atol=1e-5)
