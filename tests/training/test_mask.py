"""Training a mask net by lambda and by shares, and soft masks made nearly binary within it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_trainings import TINY, depth_training

from depthcue.data import open_data
from depthcue.errors import DepthcueError
from depthcue.imaging import fit_size
from depthcue.nets import DepthNet, build_depth_net, load_depth_net, load_mask_net, upsampling
from depthcue.nets.checkpoint import save_net
from depthcue.nets.foreign.adapter import as_depth_net
from depthcue.nets.guard import whole_depth as base_whole_depth
from depthcue.nets.upsampling import upsampled_conv
from depthcue.training import mask
from depthcue.training.depth import train_depth
from depthcue.training.mask import (
    KEEP_RANGE,
    SHARES,
    MaskTraining,
    _lower_hull,
    _near,
    seen_size,
    sharpen,
    train_mask,
)


def _mask(generator: torch.Generator, count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 24, 32, generator=generator) ** 2


def test_all_or_none_or_some_of_the_masks_are_sharpened(generator: torch.Generator) -> None:
    mask = _mask(generator, 400)
    seen, sharpened = sharpen(mask, 0.0, generator)
    assert seen is mask and not sharpened.any()
    seen, sharpened = sharpen(mask, 0.3, generator)
    assert 0.22 < float(sharpened.float().mean()) < 0.38  # 400 draws: within 3.5 deviations of 0.3
    assert torch.equal((seen != mask).flatten(1).any(dim=1), sharpened)


def test_the_mean_is_drawn_and_the_order_stays(generator: torch.Generator) -> None:
    mask = _mask(generator, 200)
    steep, _ = sharpen(mask, 1.0, generator)
    means = steep.mean(dim=(1, 2, 3))
    # evenly over SHARES: 200 draws come near both ends; bisection is good to a thousandth
    assert SHARES[0] - 1e-3 <= means.min() < 0.1 and 0.7 < means.max() <= SHARES[1] + 1e-3
    assert float(means.mean()) == pytest.approx(sum(SHARES) / 2, abs=0.05)
    for soft, sharp in zip(mask.flatten(1), steep.flatten(1), strict=True):
        assert (sharp[soft.argsort()].diff() >= 0).all()


def test_a_sharpened_mask_is_nearer_to_binary(generator: torch.Generator) -> None:
    mask = _mask(generator, 50)
    steep, _ = sharpen(mask, 1.0, generator)

    def undecided(values: torch.Tensor) -> float:
        return float((values * (1 - values)).mean())

    assert undecided(steep) < 0.5 * undecided(mask)


def test_raising_all_of_a_mask_changes_nothing(generator: torch.Generator) -> None:
    logits = torch.randn(5, 1, 16, 16, generator=generator, dtype=torch.float64)
    shift = torch.zeros(5, 1, 1, 1, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(logits.shape, generator=generator)
    steep, _ = sharpen(torch.sigmoid(logits + shift).float(), 1.0, generator)
    (steep * weights).sum().backward()
    alone = torch.sigmoid(logits).float().requires_grad_()
    steep, _ = sharpen(alone, 1.0, generator)
    (steep * weights).sum().backward()
    assert shift.grad is not None and alone.grad is not None
    assert float(shift.grad.abs().max()) < 1e-3 * float(alone.grad.abs().sum(dim=(1, 2, 3)).min())


def test_the_gradient_is_that_of_finite_differences(generator: torch.Generator) -> None:
    """Raising one pixel raises it and lowers the others, at the same mean."""
    mask = torch.sigmoid(torch.randn(1, 1, 6, 6, generator=generator))
    weights = torch.rand(mask.shape, generator=generator)

    def value(of: torch.Tensor) -> torch.Tensor:
        steep, _ = sharpen(of, 1.0, torch.Generator().manual_seed(4))
        return (steep * weights).sum()

    leaf = mask.clone().requires_grad_()
    value(leaf).backward()
    assert leaf.grad is not None
    for place in ((0, 0), (2, 3), (5, 1)):
        step = torch.zeros_like(mask)
        step[0, 0][place] = 2e-3
        slope = (value(mask + step) - value(mask - step)) / 4e-3
        assert float(leaf.grad[0, 0][place]) == pytest.approx(float(slope), rel=0.1, abs=0.03)


def test_a_mask_of_nothing_or_everything_is_finite(generator: torch.Generator) -> None:
    mask = torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)]).requires_grad_()
    steep, _ = sharpen(mask, 1.0, generator)
    steep.sum().backward()
    assert mask.grad is not None and bool(torch.isfinite(steep).all() and torch.isfinite(mask.grad).all())


def test_larger_lambda_keeps_fewer_pixels(pictures: str, target: str, tmp_path: Path) -> None:
    what = MaskTraining(target, (pictures,), steps=60, batch_size=8, learning_rate=3e-3, average=0.0, lam=(0.1, 10.0))
    net = load_mask_net(str(train_mask(what, tmp_path / "run", device="cpu")))
    rgb = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        few, many = (net(net.normalise(rgb), torch.full((4,), lam)).mean() for lam in (10.0, 0.1))
    assert few < many - 0.1
    assert net.description.lambda_range == (0.1, 10.0)


def test_a_net_of_shares_learns_and_its_card_says_what_a_share_costs(pictures: str, target: str,
                                                                     tmp_path: Path) -> None:
    what = MaskTraining(target, (pictures,), steps=120, batch_size=8, learning_rate=3e-3, average=0.0, sharpen=0.6)
    net = load_mask_net(str(train_mask(what, tmp_path / "run", device="cpu")))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["difference"] < lines[0]["difference"] - 0.05
    assert net.keeps_shares and net.description.keep_range == KEEP_RANGE
    shares, lambdas = zip(*net.description.lambda_at, strict=True)
    assert list(shares) == sorted(shares) and list(lambdas) == sorted(lambdas, reverse=True) and min(lambdas) > 0
    assert net.description.default_lambda == pytest.approx(net.description.lambda_of(0.2), abs=1e-3)
    rgb = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        few, many = (net(net.normalise(rgb), torch.full((4,), share)).mean(dim=(1, 2, 3)) for share in (0.1, 0.5))
    torch.testing.assert_close(few, torch.full((4,), 0.1), atol=1e-3, rtol=0)
    torch.testing.assert_close(many, torch.full((4,), 0.5), atol=1e-3, rtol=0)


def test_the_lower_hull_leaves_out_what_no_lambda_reaches() -> None:
    points = [(0.1, 5.0), (0.2, 3.0), (0.3, 2.9), (0.4, 1.0), (1.0, 0.0)]
    # at 0.3 the straight line from 0.2 to 0.4 lies lower
    assert _lower_hull(points) == [(0.1, 5.0), (0.2, 3.0), (0.4, 1.0), (1.0, 0.0)]
    assert _lower_hull([(0.0, 1.0), (0.5, 2.0), (1.0, 0.0)]) == [(0.0, 1.0), (1.0, 0.0)]


def test_what_a_metric_net_sees_at_the_end_of_its_range_does_not_count(target: str) -> None:
    net = load_depth_net(target)
    depth = torch.tensor([1.0, 9.4, 9.6, 10.0]).view(1, 1, 2, 2)
    assert _near(net, depth).flatten().tolist() == [True, True, False, False]  # type: ignore[union-attr]


def test_up_projections_convolve_before_they_upsample(pictures: str, target: str, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*given: Any, **named: Any) -> torch.Tensor:
        calls.append(1)
        return upsampled_conv(*given, **named)

    monkeypatch.setattr(upsampling, "upsampled_conv", counted)
    depth = train_depth(depth_training(pictures, net="hu-resnet50", size=(32, 32), batch_size=2, average=0.0, steps=1),
                        tmp_path / "depth", device="cpu")
    assert len(calls) == 8  # four in the decoder, four in the fusion
    train_mask(MaskTraining(str(depth), (pictures,), net="drn22", steps=1, batch_size=2), tmp_path / "mask",
               device="cpu")
    assert len(calls) == 8 + 2 * 8 + 3  # the target with the whole picture and with the masked one, and the mask net


def test_equation_5_keeps_what_it_may_not_destroy(pictures: str, target: str, tmp_path: Path) -> None:
    # with a heavy price on hidden pixels nothing is hidden, with a light one much is: the opposite of Eq. (4)
    means = []
    for lam in (20.0, 0.01):
        what = MaskTraining(target, (pictures,), steps=60, batch_size=8, learning_rate=3e-3, average=0.0, lam=(lam,),
                            equation="5")
        net = load_mask_net(str(train_mask(what, tmp_path / f"run{lam}", device="cpu")))
        rgb = torch.rand(4, 3, 48, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            means.append(float(net(net.normalise(rgb)).mean()))
    assert means[0] > 0.9 > means[1]


@pytest.mark.parametrize(("changes", "message"), [
    ({"net": "drn22", "lam": (1.0, 5.0)}, "one lambda"),
    ({"net": "giant"}, "--net must be one of"),
    ({"lam": (-1.0,)}, "above 0"), ({"lam": (1.0, float("nan"))}, "above 0"),
    ({"lam": (5.0,), "keep_range": (0.1, 0.5)}, "were both given"), ({"keep_range": (0.5, 0.1)}, "smaller first"),
    ({"keep_range": (0.0, 0.5)}, "between 0 and 1"), ({"keep_range": (0.1, 0.5), "net": "drn22"}, "net with a dial"),
    ({"equation": "6"}, "--equation must be one of"), ({"target": "compact-garden"}, "names no depth net")])
def test_wrong_mask_settings_say_what_is_allowed(changes: dict[str, object], message: str, pictures: str, target: str,
                                                 tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=message):
        train_mask(MaskTraining(**{"target": target, "data": (pictures,), "steps": 1, **changes}),  # type: ignore[arg-type]
                   tmp_path / "run", device="cpu")


def test_a_mask_net_for_several_depth_nets_meets_each_in_turn(pictures: str, target: str, tmp_path: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    other = build_depth_net("compact", config=TINY, name="other", height=32, width=96, mean=(0.2, 0.3, 0.4))
    save_net(other, tmp_path / "other.safetensors", architecture="compact")
    seen: list[tuple[str, tuple[int, ...]]] = []

    def whole_depth(net: DepthNet, normalised: torch.Tensor) -> Any:
        seen.append((net.description.name, tuple(normalised.shape[2:])))
        return base_whole_depth(net, normalised)

    monkeypatch.setattr(mask, "whole_depth", whole_depth)
    what = MaskTraining(target, (pictures,), also=(str(tmp_path / "other.safetensors"),), steps=4, batch_size=4,
                        lam=(3.0,))
    net = load_mask_net(str(train_mask(what, tmp_path / "run", device="cpu")))
    assert seen == 2 * [("compact", (48, 64)), ("other", (32, 96))]
    assert (net.description.height, net.description.width) == (48, 64)
    assert net.card["training"]["also"] == [str(tmp_path / "other.safetensors")]


def test_weights_that_others_trained_keep_their_licence(pictures: str, target: str, tmp_path: Path) -> None:
    general = load_mask_net("general")
    assert "research" in general.description.licence
    weights = train_mask(MaskTraining(target, (pictures,), net="lite0", init="general", steps=1, batch_size=2),
                         tmp_path / "run", device="cpu")
    assert load_mask_net(str(weights)).description.licence == general.description.licence


@pytest.mark.parametrize(("option", "value"), [("steps", 0), ("epochs", 0), ("batch_size", 0)])
def test_counts_are_at_least_1(option: str, value: int, pictures: str, target: str, tmp_path: Path) -> None:
    with pytest.raises(DepthcueError, match=f"--{option.replace('_', '-')} must be at least 1, got 0"):
        train_mask(MaskTraining(target, (pictures,), net="compact", **{option: value}), tmp_path / "run")


def test_networks_of_others_are_shown_pictures_in_the_shape_they_have_later(pictures: str) -> None:
    data = open_data(pictures, split="train")
    height, width = data.frames([0]).rgb.shape[-2:]
    assert (height, width) == (240, 320)
    theirs = as_depth_net(lambda rgb: 1 + rgb.mean(dim=1), "theirs", {"size": (128, 128), "fixed": True})
    assert seen_size(theirs, data, 32) == fit_size(height, width, (128, 128), 32) == (96, 160)
    assert seen_size(theirs, open_data("scenes:indoor:1", frame_size=(128, 128)), 32) == (128, 128)
    ours = build_depth_net("compact", config=TINY, height=128, width=128)
    assert seen_size(ours, data, 32) == (128, 128)
