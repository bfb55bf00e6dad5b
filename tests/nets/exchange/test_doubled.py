"""A doubled map's convolution at the low resolution equals the plain form, borders and all."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from depthcue.nets.rewriting import DoubledConv, UnpooledConv

SIZES = ((1, 1), (1, 3), (2, 2), (3, 5), (7, 4))


def plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    doubled = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return F.conv2d(doubled, weight, bias, padding=weight.shape[2] // 2)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_doubling_and_then_the_convolution(size: tuple[int, int], generator: torch.Generator) -> None:
    weight = torch.randn(6, 4, 5, 5, generator=generator, dtype=torch.float64)
    bias = torch.randn(6, generator=generator, dtype=torch.float64)
    x = torch.randn(2, 4, *size, generator=generator, dtype=torch.float64)
    wanted = plain(x, weight, bias)
    torch.testing.assert_close(DoubledConv(weight, bias)(x), wanted, atol=1e-12, rtol=0)
    # sums in another order: some tens of roundings of numbers up to 10
    in_float32 = DoubledConv(weight.float(), bias.float())(x.float())
    torch.testing.assert_close(in_float32, wanted.float(), atol=2e-5, rtol=0)


def test_the_borders_are_what_needs_care(generator: torch.Generator) -> None:
    """Without the strips that are taken away, the outermost rows and columns are wrong and nothing else is."""
    weight = torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64)
    x = torch.randn(1, 3, 5, 6, generator=generator, dtype=torch.float64)
    conv = DoubledConv(weight)
    conv.rows.zero_()
    conv.columns.zero_()
    wrong = (conv(x) - plain(x, weight, None)).abs().amax(dim=(0, 1)) > 1e-9
    assert wrong[:2].all() and wrong[-2:].all() and wrong[:, :2].all() and wrong[:, -2:].all()
    assert not wrong[2:-2, 2:-2].any()


def test_the_form_for_graphs_is_the_same(generator: torch.Generator) -> None:
    class Doubled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = DoubledConv(torch.randn(3, 2, 5, 5, generator=generator, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x, 2 * x.shape[2], 2 * x.shape[3])

    module, height, width = Doubled(), torch.export.Dim("height", min=3), torch.export.Dim("width", min=3)
    example = torch.zeros(2, 2, 4, 5, dtype=torch.float64)
    program = torch.export.export(module, (example,), dynamic_shapes=({2: height, 3: width},)).module()
    for size in ((3, 3), (4, 7)):
        x = torch.randn(2, 2, *size, generator=generator, dtype=torch.float64)
        torch.testing.assert_close(program(x), module(x), atol=1e-12, rtol=0)


def test_a_size_that_is_not_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="not twice as large"):
        DoubledConv(torch.ones(1, 1, 5, 5))(torch.ones(1, 1, 4, 4), 7, 8)


def test_zeros_between_pixels_need_no_products(generator: torch.Generator) -> None:
    x = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64)
    bias = torch.randn(4, generator=generator, dtype=torch.float64)
    unpooled = torch.zeros(2, 3, 8, 10, dtype=torch.float64)
    unpooled[:, :, ::2, ::2] = x
    got = UnpooledConv(weight, bias)(F.pad(x, (1, 1, 1, 1)))
    torch.testing.assert_close(got, F.conv2d(unpooled, weight, bias, padding=2), atol=1e-12, rtol=0)


def test_other_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="not 5x5"):
        UnpooledConv(torch.ones(1, 1, 7, 7))
