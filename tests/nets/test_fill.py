"""What hidden pixels show."""

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net
from depthcue.nets.units import BLUR_CELL_PX, FILLS, background, draw_background, hide

NET = build_depth_net("compact", config={"widths": (4, 4, 4, 4, 4)}, height=32, width=48)


@pytest.fixture
def rgb(generator: torch.Generator) -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=generator)


def test_the_mean_colour_is_the_product_of_the_paper(rgb: torch.Tensor, generator: torch.Generator) -> None:
    normalised, mask = NET.normalise(rgb), torch.rand(2, 1, 32, 48, generator=generator)
    assert torch.equal(hide(normalised, mask, background("mean", NET, normalised)), normalised * mask)


@pytest.mark.parametrize("fill", FILLS)
def test_seen_pixels_stay_and_hidden_ones_tell_nothing_of_themselves(fill: str, rgb: torch.Tensor) -> None:
    mask = (torch.arange(48) < 20).float().expand(2, 1, 32, 48)
    normalised = NET.normalise(rgb)
    answer = hide(normalised, mask, background(fill, NET, normalised))
    assert torch.equal(answer[..., :20], normalised[..., :20])
    if fill not in ("blur", "own-mean"):  # made of all pixels, hidden ones too
        other = NET.normalise(torch.where(mask > 0, rgb, 1 - rgb))
        assert torch.equal(answer, hide(other, mask, background(fill, NET, other)))


def test_black_is_black(rgb: torch.Tensor) -> None:
    normalised = NET.normalise(rgb)
    answer = hide(normalised, torch.zeros(2, 1, 32, 48), background("black", NET, normalised))
    # normalising and back rounds in float32
    assert torch.allclose(answer, NET.normalise(torch.zeros_like(rgb)), atol=1e-6)


def test_own_mean_is_the_mean_colour_of_each_picture(rgb: torch.Tensor) -> None:
    shown = background("own-mean", NET, NET.normalise(rgb))
    assert shown is not None
    means = [[sum(float(value) for value in channel.flatten()) / channel.numel() for channel in one] for one in rgb]
    # normalising rounds in float32
    assert torch.allclose(shown.flatten(1), NET.normalise(torch.tensor(means)[..., None, None]).flatten(1), atol=1e-5)


def test_colours_are_drawn_in_rgb_and_belong_to_the_picture_not_to_its_batch(rgb: torch.Tensor) -> None:
    normalised = NET.normalise(rgb)
    shown, alone, other = (background("colour", NET, pictures, seed, indices) for pictures, seed, indices in (
        (normalised, 0, [4, 9]), (normalised[1:], 0, [9]), (normalised[1:], 1, [9])))
    assert shown is not None and alone is not None and other is not None
    assert shown.shape == (2, 3, 1, 1)
    assert torch.equal(shown[1:], alone) and not torch.equal(shown[0], shown[1]) and not torch.equal(alone, other)
    many = background("colour", NET, normalised[:1].expand(500, -1, -1, -1))
    assert many is not None
    black, white = NET.normalise(torch.zeros(1, 3, 1, 1)), NET.normalise(torch.ones(1, 3, 1, 1))
    drawn = (many - black) / (white - black)
    assert -1e-6 <= drawn.min() < 0.02 and 0.98 < drawn.max() <= 1 + 1e-6


def test_blur_keeps_the_large_and_drops_the_small() -> None:
    left = (torch.arange(96) < 48).float().expand(1, 3, 64, 96)
    stripes = (torch.arange(96) % 2).float().expand(1, 3, 64, 96)
    for picture, low, high in ((left, 0.9, 1.0), (stripes, 0.0, 0.1)):
        blurred = background("blur", NET, picture)
        assert blurred is not None and blurred.shape == picture.shape
        span = float(blurred[..., BLUR_CELL_PX:-BLUR_CELL_PX].max() - blurred[..., BLUR_CELL_PX:-BLUR_CELL_PX].min())
        assert low <= span <= high + 1e-6


def test_noise_has_the_deviation_of_pictures_and_hangs_on_the_seed(rgb: torch.Tensor) -> None:
    first, again, other = (background("noise", NET, rgb, seed) for seed in (0, 0, 1))
    assert first is not None and again is not None and other is not None
    assert torch.equal(first, again) and not torch.equal(first, other)
    # 4608 draws: the deviation of their deviation is 0.01
    assert float(first.std()) == pytest.approx(1, abs=0.05)


def test_an_unknown_fill_is_refused(rgb: torch.Tensor) -> None:
    with pytest.raises(DepthcueError, match="mean, black, own-mean, colour, blur, noise"):
        background("pink", NET, rgb)


def _drawn(normalised: torch.Tensor, shares: dict[str, float], seed: int = 3) -> torch.Tensor:
    return draw_background(normalised, NET, torch.Generator().manual_seed(seed), shares)


@pytest.mark.parametrize("fill", ["mean", "black", "own-mean", "blur"])
def test_a_drawn_background_of_one_fill_alone_is_that_fill(fill: str, rgb: torch.Tensor) -> None:
    normalised = NET.normalise(rgb)
    shown = background(fill, NET, normalised)
    assert torch.equal(_drawn(normalised, {fill: 1.0}),
                       torch.zeros_like(normalised) if shown is None else shown.expand_as(normalised))


def test_drawn_colours_and_noise_differ_from_picture_to_picture(rgb: torch.Tensor) -> None:
    normalised = NET.normalise(rgb)
    colours, noise = _drawn(normalised, {"colour": 1.0}), _drawn(normalised, {"noise": 1.0})
    assert torch.equal(colours, colours[..., :1, :1].expand_as(normalised))
    back = colours * torch.tensor(NET.description.std).view(3, 1, 1) + torch.tensor(NET.description.mean).view(3, 1, 1)
    assert back.min() >= -1e-6 and back.max() <= 1 + 1e-6
    for shown in (colours, noise):
        assert not torch.equal(shown[0], shown[1])
    # 9216 draws: the deviation of their deviation is 0.007
    assert float(noise.std()) == pytest.approx(1, abs=0.04)


def test_fills_are_drawn_for_each_picture_with_the_chances_given() -> None:
    shares = {"mean": 0.5, "black": 0.0, "colour": 0.3, "noise": 0.2}
    shown = _drawn(torch.ones(3000, 3, 2, 2), shares)
    flat = (shown == shown[..., :1, :1]).all(dim=(1, 2, 3))
    zero = (shown == 0).all(dim=(1, 2, 3))
    # four deviations of a share among 3000 are 0.04 at most
    assert float(zero.float().mean()) == pytest.approx(0.5, abs=0.04)
    assert float((flat & ~zero).float().mean()) == pytest.approx(0.3, abs=0.04)
    assert float((~flat).float().mean()) == pytest.approx(0.2, abs=0.04)
    # what one picture gets says nothing about its neighbour: half of the neighbours of means are means
    assert float(zero[1:][zero[:-1]].float().mean()) == pytest.approx(0.5, abs=0.055)


def test_a_drawn_background_hangs_on_its_generator_alone(rgb: torch.Tensor) -> None:
    normalised, shares = NET.normalise(rgb), {"colour": 0.5, "noise": 0.5}
    torch.manual_seed(1)
    first = _drawn(normalised, shares)
    torch.manual_seed(2)
    assert torch.equal(first, _drawn(normalised, shares))
    assert not torch.equal(first, _drawn(normalised, shares, seed=4))
    generator = torch.Generator().manual_seed(3)
    draws = [draw_background(normalised, NET, generator, shares) for _ in range(2)]
    assert torch.equal(draws[0], first) and not torch.equal(draws[1], first)


@pytest.mark.parametrize(("shares", "message"), [
    ({"pink": 1.0}, "pink"), ({}, "sum to 1"), ({"mean": 0.5}, "sum to 1"), ({"mean": 1.5, "black": -0.5}, "chances"),
    ({"mean": float("nan")}, "chances"),
])
def test_shares_that_are_no_chances_are_refused(shares: dict[str, float], message: str, rgb: torch.Tensor) -> None:
    with pytest.raises(DepthcueError, match=message):
        _drawn(rgb, shares)
