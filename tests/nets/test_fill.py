"""What hidden pixels show."""

import pytest
import torch

from depthcue.errors import DepthcueError
from depthcue.nets import build_depth_net
from depthcue.nets.fill import BLUR_CELL_PX, FILLS, background, hide

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
    seen = hide(normalised, mask, background(fill, NET, normalised))
    assert torch.equal(seen[..., :20], normalised[..., :20])
    if fill != "blur":
        other = NET.normalise(torch.where(mask > 0, rgb, 1 - rgb))
        assert torch.equal(seen, hide(other, mask, background(fill, NET, other)))


def test_black_is_black(rgb: torch.Tensor) -> None:
    normalised = NET.normalise(rgb)
    seen = hide(normalised, torch.zeros(2, 1, 32, 48), background("black", NET, normalised))
    # normalising and back rounds in float32
    assert torch.allclose(seen, NET.normalise(torch.zeros_like(rgb)), atol=1e-6)


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
    with pytest.raises(DepthcueError, match="mean, black, blur, noise"):
        background("pink", NET, rgb)
