"""Relative nets get one scale and shift a picture; and what hidden pixels show."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import DepthDescription, DepthNet, build_depth_net, depth_from, whole_depth
from depthcue.nets.base import DISPARITY, INVERSE_DEPTH, METRIC_DEPTH
from depthcue.nets.units import (
    BLUR_CELL_PX,
    FILLS,
    OWN_DEVIATION,
    OWN_FAR,
    OWN_MEDIAN,
    aligned_units,
    background,
    draw_background,
    hide,
    own_units,
)
from depthcue.objective import l_dif

SIZE = (12, 16)


class Red(DepthNet):
    """Predicts `scale * red + shift`, red being what is left of the picture's first channel."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0, **description: object) -> None:
        super().__init__(DepthDescription("red", *SIZE, 1, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
                                          **description))  # type: ignore[arg-type]
        self.scale, self.shift = scale, shift

    def forward(self, normalised: Tensor) -> Tensor:
        return self.scale * normalised[:, :1] + self.shift


def relative(predicts: str, **more: object) -> DepthDescription:
    return DepthDescription("net", *SIZE, 1, predicts=predicts, relative=True, **more)  # type: ignore[arg-type]


@pytest.fixture
def picture(generator: torch.Generator) -> Tensor:
    return 0.2 + 0.8 * torch.rand(2, 3, *SIZE, generator=generator)


@pytest.mark.parametrize("predicts", [METRIC_DEPTH, INVERSE_DEPTH, DISPARITY])
def test_own_units_do_not_know_the_scale_and_shift_of_the_net(predicts: str, picture: Tensor) -> None:
    plain, *others = (depth_from(Red(scale, shift, predicts=predicts, relative=True), picture)
                      for scale, shift in ((1.0, 0.0), (740.0, -5000.0), (0.03, 12.0)))
    for other in others:
        # float32 of values near 5000 leaves five digits of a spread of 150
        torch.testing.assert_close(other, plain, atol=5e-4, rtol=5e-4)


def test_own_units_of_depth_have_the_median_and_deviation_of_rooms(picture: Tensor) -> None:
    values = own_units(relative(METRIC_DEPTH), picture[:, :1]).to_depth(picture[:, :1]).double().flatten(1)
    for each in values:
        middle = float(each.median())
        assert middle == pytest.approx(OWN_MEDIAN, abs=1e-4)
        assert float((each - middle).abs().mean()) == pytest.approx(OWN_DEVIATION, rel=1e-4)


def test_own_units_of_inverse_depth_turn_it_round_and_end(picture: Tensor) -> None:
    inverse = picture[:1, :1].clone()
    inverse[0, 0, 0, 0], inverse[0, 0, 0, 1] = -50.0, 50.0
    depth = own_units(relative(INVERSE_DEPTH), picture[:1, :1]).to_depth(inverse)[0, 0]
    assert float(depth[0, 0]) == OWN_FAR and 0 < float(depth[0, 1]) < 0.1
    order = inverse.flatten().argsort()
    assert (depth.flatten()[order].diff() <= 0).all()


def test_a_changed_scale_counts_as_change(picture: Tensor) -> None:
    """Half of the red hidden everywhere: nothing but scale, and yet not the same depth."""
    net = Red(predicts=METRIC_DEPTH, relative=True)
    whole, units = whole_depth(net, picture)
    half = torch.full((2, 1, *SIZE), 0.5)
    answer = depth_from(net, picture, half, units=units)
    assert float(l_dif(answer, whole)) > float(l_dif(whole, whole)) + 0.1
    # who gives no units gets the same
    torch.testing.assert_close(depth_from(net, picture, half), answer)
    torch.testing.assert_close(depth_from(net, picture), whole)


def test_units_pass_gradients_to_the_mask_and_none_to_the_units(picture: Tensor) -> None:
    net = Red(3.0, 1.0, predicts=METRIC_DEPTH, relative=True)
    mask = torch.full((2, 1, *SIZE), 0.9, requires_grad=True)
    depth_from(net, picture, mask).sum().backward()
    units = own_units(net.description, net(picture))
    inside = units.scale * (3.0 * picture[:, :1] * 0.9 + 1.0 - units.origin) + units.shift
    expected = torch.where((inside > 1e-3) & (inside < OWN_FAR), units.scale * 3.0 * picture[:, :1], 0.0)
    torch.testing.assert_close(mask.grad, expected)


def test_absolute_nets_have_no_units(picture: Tensor) -> None:
    net = Red(predicts=INVERSE_DEPTH)
    whole, units = whole_depth(net, picture)
    assert units is None
    torch.testing.assert_close(whole, 1 / picture[:, :1])


def test_a_flat_answer_stays_flat() -> None:
    flat = torch.full((1, 1, *SIZE), 17.0)
    flat[..., 0, 0] = math.nextafter(17.0, 18.0)
    depth = own_units(relative(INVERSE_DEPTH), flat).to_depth(flat)
    assert float(depth.max() - depth.min()) < 1e-3 and float(depth.median()) == pytest.approx(OWN_MEDIAN, rel=1e-3)


@pytest.mark.parametrize("predicts", [METRIC_DEPTH, INVERSE_DEPTH])
@pytest.mark.parametrize("shift_unknown", [True, False])
def test_alignment_is_the_least_squares_of_valid_pixels(predicts: str, shift_unknown: bool,
                                                        generator: torch.Generator) -> None:
    prediction = torch.rand(3, 1, *SIZE, generator=generator) * 40 + 5
    depth_m = 1.0 + 4 * torch.rand(3, 1, *SIZE, generator=generator) + (
        0.05 * prediction if predicts == METRIC_DEPTH else 20 / prediction)
    valid = torch.rand(3, 1, *SIZE, generator=generator) > 0.3
    depth_m[0, 0, 0, 0] = torch.inf
    valid[0, 0, 0, 0] = False
    description = relative(predicts, shift_unknown=shift_unknown)
    units = aligned_units(description, prediction, depth_m, valid, far_m=80.0)
    for row in range(3):
        keep = valid[row].flatten().numpy()
        x = prediction[row].flatten().double().numpy()[keep]
        z = depth_m[row].flatten().double().numpy()[keep]
        wanted = 1 / z if predicts == INVERSE_DEPTH else z
        columns = [x, np.ones_like(x)] if shift_unknown else [x]
        solution = np.linalg.lstsq(np.stack(columns, 1), wanted, rcond=None)[0]
        assert float(units.scale[row]) == pytest.approx(solution[0], rel=1e-4)
        at_zero = float(units.shift[row] - units.scale[row] * units.origin[row])
        assert at_zero == pytest.approx(solution[1] if shift_unknown else 0.0, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("predicts", "scale", "shift"), [(METRIC_DEPTH, 0.2, -3.0), (INVERSE_DEPTH, 900.0, -40.0)])
def test_a_net_that_is_right_up_to_scale_and_shift_is_right_when_aligned(predicts: str, scale: float, shift: float,
                                                                         generator: torch.Generator) -> None:
    depth_m = 1 + 8 * torch.rand(2, 1, *SIZE, generator=generator)
    answer = 1 / depth_m if predicts == INVERSE_DEPTH else depth_m
    prediction = scale * answer + shift
    units = aligned_units(relative(predicts), prediction, depth_m, None, far_m=80.0)
    torch.testing.assert_close(units.to_depth(prediction), depth_m, atol=1e-3, rtol=1e-3)
    # the same units make a prediction with half the inverse depth, or depth, wrong by a factor of two
    other = scale * (answer / 2) + shift
    torch.testing.assert_close(units.to_depth(other), 2 * depth_m if predicts == INVERSE_DEPTH else depth_m / 2,
                               atol=1e-3, rtol=1e-3)


def test_a_net_that_sees_near_for_far_is_not_put_right(generator: torch.Generator) -> None:
    depth_m = 1 + 8 * torch.rand(1, 1, *SIZE, generator=generator)
    units = aligned_units(relative(METRIC_DEPTH), -depth_m, depth_m, None, far_m=80.0)
    assert float(units.scale) == 0
    torch.testing.assert_close(units.to_depth(-depth_m), depth_m.mean().expand_as(depth_m))


def test_alignment_cuts_off_at_the_range_of_the_data() -> None:
    depth_m = torch.linspace(1, 10, 192).view(1, 1, *SIZE)
    units = aligned_units(relative(INVERSE_DEPTH), 1 / depth_m, depth_m, None, far_m=10.0)
    assert float(units.to_depth(torch.tensor([[[[-1.0]]]]))) == 10.0


def test_a_picture_without_depth_keeps_its_own_units(picture: Tensor) -> None:
    prediction, depth_m = picture[:, :1], torch.full((2, 1, *SIZE), 3.0)
    valid = torch.ones(2, 1, *SIZE, dtype=torch.bool)
    valid[1] = False
    units = aligned_units(relative(METRIC_DEPTH), prediction, depth_m, valid, far_m=10.0)
    own = own_units(relative(METRIC_DEPTH), prediction)
    torch.testing.assert_close(units.to_depth(prediction)[1], own.to_depth(prediction)[1])
    torch.testing.assert_close(units.to_depth(prediction)[0], depth_m[0], atol=1e-4, rtol=0)


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
