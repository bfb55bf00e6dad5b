"""Masks searched by Eq. (3) on nets whose answer is known; oracles on depth and objects worked out by hand."""

import dataclasses
import random

import pytest
import reference
import torch
from toy_nets import SIZE, ToyData

from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet
from depthcue.objective import total_variation
from depthcue.scorers import DirectSettings, Pictures, ScorerInputs, build_scorer
from depthcue.scorers.edges import gaussian_blur
from depthcue.scorers.oracles import _start, depth_bends, judge, object_boundaries, optimise_masks

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
REGION = (slice(4, 10), slice(8, 20))
"""All that the toy net looks at."""


INSIDE = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
INSIDE[..., *REGION] = True


class RegionDepth(DepthNet):
    """Depth is 1 m and five times the light of the pixel where `read`; 2 m elsewhere, whatever is there."""

    def __init__(self, read: torch.Tensor = INSIDE) -> None:
        super().__init__(DepthDescription("region", *SIZE, multiple=1, **PLAIN))
        self.read = read
        self.gain = torch.nn.Parameter(torch.tensor(5.0))

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        light = normalised.mean(dim=1, keepdim=True)
        return torch.where(self.read, 1 + self.gain * light, torch.full_like(light, 2.0))


def _pictures(count: int = 2, indices: list[int] | None = None) -> Pictures:
    draws = torch.Generator().manual_seed(3)
    rgb = 0.4 + 0.6 * torch.rand(count, 3, *SIZE, generator=draws)
    return Pictures(rgb, indices or list(range(count)))


def _double(pictures: Pictures) -> Pictures:
    return Pictures(pictures.rgb.double(), pictures.indices)


@pytest.mark.parametrize("settings", [{}, {"variation": 0.05}, {"restarts": 2}])
def test_the_region_that_is_read_is_kept_and_nothing_else(settings: dict[str, float]) -> None:
    mask = optimise_masks(RegionDepth(), _pictures(), 2.0, DirectSettings(steps=60, **settings))
    inside = INSIDE.expand_as(mask)
    assert mask.shape == (2, 1, *SIZE) and 0 <= mask.min() and mask.max() <= 1 and not mask.requires_grad
    assert mask[inside].min() > 0.7 and mask[~inside].max() < 0.2


class RelativeDepth(RegionDepth):
    """The same in an unknown unit."""

    def __init__(self, unit: float) -> None:
        super().__init__()
        self.unit = unit
        self.description = dataclasses.replace(self.description, relative=True)

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        return self.unit * super().forward(normalised)


def test_the_unit_of_a_relative_net_changes_nothing() -> None:
    # a power of two, which rounds nothing
    masks = [optimise_masks(RelativeDepth(unit), _pictures(1), 0.5, DirectSettings(steps=30)) for unit in (1.0, 128.0)]
    torch.testing.assert_close(*masks, atol=1e-3, rtol=0)
    assert masks[0][INSIDE.expand_as(masks[0])].mean() > 3 * masks[0][~INSIDE.expand_as(masks[0])].mean()


def test_a_high_price_empties_the_mask_and_no_price_spares_it() -> None:
    assert optimise_masks(RegionDepth(), _pictures(), 50.0, DirectSettings(steps=60)).max() < 0.2
    free = optimise_masks(RegionDepth(), _pictures(), 0.0, DirectSettings(steps=60))
    assert free[..., *REGION].min() > 0.9


def test_the_objective_falls_below_where_it_started_and_further_starts_never_hurt() -> None:
    net, pictures = RegionDepth(), _pictures()
    start = judge(net, pictures, torch.full((2, 1, *SIZE), 0.5), 2.0)
    one, three = (judge(net, pictures, optimise_masks(net, pictures, 2.0, DirectSettings(steps=8, restarts=count)), 2.0)
                  for count in (1, 3))
    assert (one.objective < start.objective).all()
    assert (three.objective <= one.objective).all()


def test_the_judgement_against_a_slow_definition(generator: torch.Generator) -> None:
    net, pictures = RegionDepth().double(), _double(_pictures())
    mask = torch.rand(2, 1, *SIZE, generator=generator, dtype=torch.float64)
    judged = judge(net, pictures, mask, 1.7)
    for row in range(2):
        whole, answer = (net(pictures.rgb[row:row + 1] * factor)[0, 0].tolist() for factor in (1.0, mask[row:row + 1]))
        difference = sum(reference.losses(answer, whole).values())
        mean = sum(sum(line) for line in mask[row, 0].tolist()) / (SIZE[0] * SIZE[1])
        assert judged.difference[row].item() == pytest.approx(difference, abs=1e-9)
        assert judged.mean[row].item() == pytest.approx(mean, abs=1e-12)
        assert judged.objective[row].item() == pytest.approx(difference + 1.7 * mean, abs=1e-9)


def test_the_first_step_goes_down_the_slope_of_the_slow_definition() -> None:
    """One step of Adam moves each θ by the learning rate against the sign of its gradient, found here by
    differences."""
    net, pictures, lam, rate, tiny = RegionDepth().double(), _double(_pictures(1)), 2.0, 1e-4, 1e-7
    whole = net(pictures.rgb)[0, 0].tolist()

    def slow(mask: torch.Tensor) -> float:
        answer = net(pictures.rgb * mask)[0, 0].tolist()
        return sum(reference.losses(answer, whole).values()) + lam * float(mask.mean())

    moved = optimise_masks(net, pictures, lam, DirectSettings(steps=1, learning_rate=rate))
    chance = random.Random(1)
    indices = [tuple(chance.randrange(side) for side in SIZE) for _ in range(4)]
    indices += [tuple(chance.randrange(span.start, span.stop) for span in REGION) for _ in range(8)]
    for row, column in indices:
        up, down = (torch.full((1, 1, *SIZE), 0.5, dtype=torch.float64) for _ in range(2))
        up[..., row, column] += tiny
        down[..., row, column] -= tiny
        change = moved[0, 0, row, column].item() - 0.5
        # the slope of the sigmoid at its middle is 1/4
        assert change * (slow(up) - slow(down)) < 0 and abs(change) == pytest.approx(rate / 4, rel=0.01)


def test_a_picture_gets_the_same_mask_whatever_its_batch_and_seed_means_chance() -> None:
    net, both = RegionDepth(), _pictures(2, [4, 9])
    settings = DirectSettings(steps=5, restarts=2, seed=1)
    together = optimise_masks(net, both, 2.0, settings)
    alone = optimise_masks(net, Pictures(both.rgb[1:], [9]), 2.0, settings)
    # Adam's first steps are all but the sign of a gradient; rounding moves nothing here
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)
    assert torch.equal(together, optimise_masks(net, both, 2.0, settings))
    assert not torch.equal(_start(both, 1, 1), _start(both, 1, 2)) and not torch.equal(_start(both, 1, 1),
                                                                                     _start(both, 2, 1))


def test_gradients_are_found_in_inference_mode_and_the_net_comes_back_as_it_was() -> None:
    net = RegionDepth().train()
    with torch.inference_mode():
        batch = ToyData().evaluation_batch([0, 1])
        mask = optimise_masks(net, Pictures(batch.rgb, [0, 1]), 2.0, DirectSettings(steps=2))
    assert mask.std() > 0
    assert net.training and net.gain.requires_grad and net.gain.grad is None


def test_blur_and_variation_make_masks_smoother(generator: torch.Generator) -> None:
    net, pictures = RegionDepth(torch.rand(1, 1, *SIZE, generator=generator) < 0.3), _pictures(1)
    rough, blurred, varied = (
        total_variation(optimise_masks(net, pictures, 2.0, DirectSettings(steps=15, **settings))).item()
        for settings in ({}, {"blur_px": 1.5}, {"variation": 2.0}))
    assert blurred < 0.7 * rough and varied < 0.7 * rough


def test_total_variation_and_blur_against_slow_definitions(generator: torch.Generator) -> None:
    maps = torch.rand(2, 1, 7, 9, generator=generator, dtype=torch.float64)
    blurred = gaussian_blur(maps, 0.8)
    for row in range(2):
        rows = maps[row, 0].tolist()
        assert total_variation(maps)[row].item() == pytest.approx(reference.total_variation(rows), abs=1e-12)
        assert torch.allclose(blurred[row, 0], torch.tensor(reference.gaussian_blur(rows, 0.8), dtype=torch.float64))
    several = maps.view(1, 2, 7, 9)  # channels are blurred each by itself
    assert torch.allclose(gaussian_blur(several, 0.8), blurred.view(1, 2, 7, 9))
    flat = torch.full((1, 1, 5, 5), 0.3)
    assert total_variation(flat).item() == 0 and torch.allclose(gaussian_blur(flat, 4.0), flat)


@pytest.mark.parametrize(("settings", "message"), [
    ({"steps": 0}, "--steps must be at least 1, got 0"), ({"restarts": 0}, "--restarts must be at least 1, got 0"),
    ({"learning_rate": 0.0}, "--learning-rate must be above 0, got 0"), ({"learning_rate": float("nan")}, "got nan"),
    ({"variation": -1.0}, "--tv must be at least 0, got -1"),
    ({"blur_px": -0.5}, "--blur must be at least 0, got -0.5")])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        optimise_masks(RegionDepth(), _pictures(), 2.0, DirectSettings(**settings))


def _score(name: str, **truth: torch.Tensor) -> torch.Tensor:
    return build_scorer(name, ScorerInputs())(Pictures(torch.zeros(1, 3, 12, 16), [0], **truth))


def test_a_slanted_plane_has_no_depth_edges_and_a_jump_has() -> None:
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    # the inverse depth of a plane is linear in the image point: from 1.2 m to 16 m here
    depth_m = (1 / (0.06 + 0.03 * rows + 0.028 * columns)).view(1, 1, 12, 16)
    valid = torch.ones_like(depth_m, dtype=torch.bool)
    bends, known = depth_bends(depth_m, valid)
    assert bends.max() < 1e-5
    assert known[..., 1:-1, 1:-1].all() and not known[..., 0, 0].any()
    depth_m[..., 8:] = 1.0
    bends, _ = depth_bends(depth_m, valid)
    rows, columns = (bends[0, 0] > 0.05).nonzero().unbind(1)
    assert set(columns.tolist()) == {7, 8} and set(rows.tolist()) == set(range(12))


def test_sky_is_infinitely_far_and_the_unknown_tells_nothing() -> None:
    depth_m = torch.full((1, 1, 8, 8), 5.0)
    depth_m[..., :4, :] = torch.inf
    bends, known = depth_bends(depth_m, depth_m.isfinite())
    assert bends[..., 3:5, :].min() == pytest.approx(0.5) and bends[..., :3, :].max() == 0 and known[..., 3, :].all()
    depth_m[..., :4, :] = 0.0
    bends, known = depth_bends(depth_m, depth_m > 0)
    assert bends.max() == 0 and not known[..., :4, :].any()


def test_objects_end_on_both_sides_of_their_outline() -> None:
    objects = torch.full((1, 1, 12, 16), 3)
    objects[..., 4:8, 5:9] = 5
    marks = object_boundaries(objects)
    assert marks[0, 0, 4:8, 5:9].sum() == 12 and marks.sum() == 12 + 16
    scores = _score("object-boundaries", object_id=objects)
    assert torch.equal(scores == 1, marks) and scores[0, 0, 4, 2] == 1 / 3


def test_truth_of_another_size_is_brought_to_the_pictures() -> None:
    objects = torch.zeros(1, 1, 24, 32, dtype=torch.int64)
    objects[..., 16:] = 7
    assert (_score("object-boundaries", object_id=objects) == 1).nonzero()[:, 3].unique().tolist() == [7, 8]
    depth_m = torch.full((1, 1, 6, 8), 2.0)
    depth_m[..., 4:] = 4.0
    scores = _score("depth-edges", depth_m=depth_m, valid=depth_m > 0)
    assert scores.shape == (1, 1, 12, 16) and scores[..., 6:10].min() > scores[..., :5].max()


@pytest.mark.parametrize(("name", "message"), [("object-boundaries", "which object"), ("depth-edges", "no depth")])
def test_without_the_truth_they_say_what_they_need(name: str, message: str) -> None:
    with pytest.raises(DepthcueError, match=message):
        _score(name)


def test_sparse_depth_is_refused(generator: torch.Generator) -> None:
    valid = torch.rand(1, 1, 12, 16, generator=generator) < 0.1
    with pytest.raises(DepthcueError, match="too sparse"):
        _score("depth-edges", depth_m=5.0 * valid, valid=valid)
