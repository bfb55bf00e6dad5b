"""Randomising a net layer by layer, and what the sanity checks say of a net that reads one colour alone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toy_nets import SIZE, RedDepth, RedMask, ToyData

from depthcue.errors import DepthcueError
from depthcue.evaluation.sanity import (
    Randomised,
    Sanity,
    cascade,
    check_sanity,
    layers_by_call,
    measure_sanity,
    shuffle_weights,
)
from depthcue.evaluation.viewing import Viewing, setting_of
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.base import DepthDescription, DepthNet
from depthcue.scorers import DirectSettings

WIDTHS = (4, 4, 4, 4, 4)
_PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class OneColour(DepthNet):
    """Depth is 1 m and what a 1x1 convolution makes of the picture: at first its red alone."""

    def __init__(self) -> None:
        super().__init__(DepthDescription("one-colour", *SIZE, multiple=1, **_PLAIN))
        self.weigh = nn.Conv2d(3, 1, 1, bias=False)
        self.weigh.weight.data = torch.tensor([20.0, 0.0, 0.0]).view(1, 3, 1, 1)

    def forward(self, normalised: Tensor) -> Tensor:
        depth: Tensor = 1 + self.weigh(normalised)
        return depth


class Backwards(DepthNet):
    """Its layers are registered in another order than they are called in; one is never called as a module."""

    def __init__(self) -> None:
        super().__init__(DepthDescription("backwards", 16, 16, multiple=1, **_PLAIN))
        self.last = nn.Conv2d(4, 1, 1)
        self.middle = nn.Module()
        self.middle.register_module("weigh", nn.Conv2d(4, 4, 1))
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.gain = nn.Parameter(torch.ones(1, 4, 1, 1))

    def forward(self, normalised: Tensor) -> Tensor:
        x = self.first(normalised) * self.gain
        weigh = self.middle.weigh
        x = nn.functional.conv2d(x, weigh.weight, weigh.bias)  # type: ignore[union-attr]
        depth: Tensor = 2 + self.last(x)
        return depth


def _pictures(generator: torch.Generator, count: int = 2) -> list[Tensor]:
    return [torch.rand(3, 3, 16, 16, generator=generator) for _ in range(count)]


def test_shuffling_keeps_the_values_of_weights_alone(generator: torch.Generator) -> None:
    layer = nn.Conv2d(8, 8, 3)
    before = layer.weight.detach().clone()
    shuffle_weights(layer, generator)
    assert not torch.equal(layer.weight, before)
    assert torch.equal(layer.weight.flatten().sort().values, before.flatten().sort().values)


def test_layers_come_as_they_are_called(generator: torch.Generator) -> None:
    net = Backwards().eval()
    names = [name for name, _ in layers_by_call(net, _pictures(generator)[0])]
    # the root and what it uses without a call come first: they are randomised last
    assert names == ["", "middle.weigh", "first.0", "first.1", "last"]
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_a_cascade_goes_from_the_output_to_the_input_and_leaves_the_net(generator: torch.Generator) -> None:
    net, pictures = Backwards().eval(), _pictures(generator)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    stages = list(cascade(net, pictures, 3))
    assert [(stage.layers, stage.deepest) for stage in stages] == [(0, ""), (1, "last"), (3, "first.0"), (5, "")]
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert stages[0].net is net
    changed = [{key.removeprefix("net.") for key, value in stage.state_dict().items()
                if not torch.equal(value, before[key.removeprefix("net.")])} for stage in stages]
    assert changed[0] == set() and "last.weight" in changed[1] and "first.0.weight" not in changed[1]
    assert {"last.weight", "first.0.weight", "first.1.running_mean"} <= changed[2]
    assert "middle.weigh.weight" not in changed[2] and "middle.weigh.weight" in changed[3]
    # what one stage has randomised is the same in the next
    assert torch.equal(stages[1].net.last.weight, stages[3].net.last.weight)  # type: ignore[union-attr]
    assert not any(module.training for stage in stages for module in stage.modules())


def test_randomised_nets_predict_on_the_scale_of_the_intact_one(generator: torch.Generator) -> None:
    net = build_depth_net("compact", config={"widths": WIDTHS}, height=32, width=32).eval()
    pictures = [torch.randn(4, 3, 32, 32, generator=generator)]
    with torch.no_grad():
        wanted = net(pictures[0])
        for stage in cascade(net, pictures, 3):
            seen = stage(pictures[0])
            assert float(seen.mean()) == pytest.approx(float(wanted.mean()), rel=1e-4)
            # the deviation within a picture, as the mean over pictures
            assert float(seen.flatten(1).std(dim=1).mean()) == pytest.approx(
                float(wanted.flatten(1).std(dim=1).mean()), rel=1e-3)


def test_batch_norms_measure_what_randomised_layers_give_them(generator: torch.Generator) -> None:
    net, pictures = Backwards().eval(), _pictures(generator, 1)
    *_, last = cascade(net, pictures, 1)
    assert isinstance(last, Randomised)
    norm = last.net.first[1]  # type: ignore[index, union-attr]
    with torch.no_grad():
        given = last.net.first[0](pictures[0])  # type: ignore[index, union-attr]
    assert torch.allclose(norm.running_mean, given.mean(dim=(0, 2, 3)), atol=1e-5)


def _measure(net: DepthNet, mask_net: Any = None, **sanity: Any) -> dict[str, Any]:
    settings = Sanity(**{"stages": 1, "images": 4, "direct_images": 0, "draws": 100, "share": 0.11, **sanity})
    mask_net = mask_net or RedMask()
    viewing = Viewing(net, ToyData(), batch_size=3)
    return measure_sanity(mask_net, setting_of(mask_net), viewing, settings)


def _seed_that_moves_red() -> int:
    """A seed whose shuffle takes the weight of red to another colour."""
    for seed in range(10):
        *_, last = cascade(OneColour(), [torch.rand(1, 3, *SIZE)], 1, seed)
        if last.net.weigh.weight.detach()[0, 0, 0, 0] == 0:  # type: ignore[union-attr, index]
            return seed
    raise AssertionError("ten shuffles of three weights that all leave the first in place")


def test_pixels_that_matter_to_a_net_do_not_to_one_that_reads_another_colour() -> None:
    intact, randomised = _measure(OneColour(), seed=_seed_that_moves_red())["stages"]
    assert (intact["layers"], randomised["layers"], randomised["deepest"], randomised["of"]) == (0, 1, "weigh", 1)
    # the mask shows all the red there is; green and blue stripes are a quarter of the columns
    assert intact["lost"]["mask"] == pytest.approx(0, abs=1e-6)
    assert intact["lost"]["random"] > 0.8
    assert randomised["lost"]["mask"] > 0.8
    for advantage in intact["advantage"].values():
        assert advantage["gone"] == 0 and advantage["value_ci95"][0] > 0.5
    # the edges of the stripes are now worth more than red dots, and random pixels as much
    assert randomised["advantage"]["sobel"]["gone_ci95"][0] > 0.5
    assert randomised["advantage"]["random"]["value"] == pytest.approx(0, abs=0.1)
    assert randomised["direct"] is None and randomised["retrained"] is None


def test_direct_masks_follow_the_net_and_chance_is_measured() -> None:
    direct = DirectSettings(steps=10)
    results = _measure(OneColour(), seed=_seed_that_moves_red(), direct_images=2, direct=direct)
    intact, randomised = results["stages"]
    assert results["direct_images"] == 2
    assert intact["direct"] is None
    for name in ("pearson", "ssim", "iou"):
        low, high = randomised["direct"][f"{name}_ci95"]
        assert low <= randomised["direct"][name] <= high
    # masks for a net of another colour have nothing in common with those for red
    assert randomised["direct"]["pearson"] < 0.2
    assert results["chance"]["direct"]["pearson"] < 0.2 and results["chance"]["retrained"] is None


def test_retraining_has_a_control_that_is_not_randomised_and_leaves_the_mask_net() -> None:
    mask_net = build_mask_net("compact", config={"widths": WIDTHS, "detail": 4}, height=32, width=32, target="x",
                              **_PLAIN).eval()
    before = {key: value.clone() for key, value in mask_net.state_dict().items()}
    net = build_depth_net("compact", config={"widths": WIDTHS}, height=32, width=32, **_PLAIN).eval()
    first, again = (_measure(net, mask_net, steps=3, learning_rate=0.01) for _ in range(2))
    assert first == again
    assert all(stage["retrained"]["pearson"] < 1 for stage in first["stages"])
    assert first["chance"]["retrained"] is not None and first["steps"] == 3
    assert all(torch.equal(value, before[key]) for key, value in mask_net.state_dict().items())
    assert all(parameter.grad is None for net in (mask_net, net) for parameter in net.parameters())


def test_a_net_without_weights_cannot_be_randomised() -> None:
    with pytest.raises(DepthcueError, match="no weights"):
        check_sanity(RedDepth(), RedMask(), Sanity())
    black_box = OneColour()
    black_box.differentiable = False
    with pytest.raises(DepthcueError, match="the sanity check needs them"):
        check_sanity(black_box, RedMask(), Sanity())
    with pytest.raises(DepthcueError, match="must be at least"):
        check_sanity(OneColour(), RedMask(), Sanity(images=1))


def test_a_mask_net_without_weights_cannot_be_trained_on() -> None:
    mask_net = RedMask()
    mask_net.trainable = False
    check_sanity(OneColour(), mask_net, Sanity())
    with pytest.raises(DepthcueError, match="no training goes on from one"):
        check_sanity(OneColour(), mask_net, Sanity(steps=1))
