"""Taps applied before a resizing to any size equal the plain form, in both conventions of where corners lie."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from depthcue.nets.rewriting import ResizedConv
from depthcue.nets.upsampling import products, shifted_interpolation

SIZES = (((3, 5), (6, 10)), ((8, 10), (15, 19)), ((1, 1), (2, 2)), ((5, 4), (3, 9)), ((2, 3), (16, 24)),
         ((3, 3), (1, 1)))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_it_is_resizing_and_then_the_convolution(low: tuple[int, int], high: tuple[int, int], align_corners: bool,
                                                 generator: torch.Generator) -> None:
    weight = torch.randn(3, 4, 5, 5, generator=generator, dtype=torch.float64)
    bias = torch.randn(3, generator=generator, dtype=torch.float64)
    x = torch.randn(2, 4, *low, generator=generator, dtype=torch.float64)
    resized = F.interpolate(x, size=high, mode="bilinear", align_corners=align_corners)
    wanted = F.conv2d(resized, weight, bias, padding=2)
    conv = ResizedConv(weight, bias, align_corners)
    torch.testing.assert_close(conv(x, *high), wanted, atol=1e-12, rtol=0)
    # sums in another order: some tens of roundings of numbers up to 10
    torch.testing.assert_close(conv.float()(x.float(), *high), wanted.float(), atol=2e-5, rtol=0)


def test_the_matrix_interpolates_and_shifts() -> None:
    like = torch.zeros((), dtype=torch.float64)
    matrix = shifted_interpolation(2, 4, 3, False, like).view(4, 3, 2)  # (row, tap, low pixel)
    interpolated = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    assert matrix[:, 1].tolist() == interpolated
    assert matrix[:, 0].tolist() == [[0, 0], *interpolated[:3]]
    assert matrix[:, 2].tolist() == [*interpolated[1:], [0, 0]]


def test_its_products_are_counted() -> None:
    counter = FlopCounterMode(display=False)
    with counter, torch.device("meta"):
        ResizedConv(torch.zeros(6, 4, 5, 5), None, False)(torch.zeros(1, 4, 7, 9), 13, 18)
    assert counter.get_total_flops() == 2 * products(4, 6, 5, (7, 9), (13, 18))
