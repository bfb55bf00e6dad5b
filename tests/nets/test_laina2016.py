"""Laina et al.'s up-projection against its plain definition, and the net's size."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from depthcue.nets import build_depth_net
from depthcue.nets.published import UpProjectionUnpooled, conv_of_unpooled


def unpooled(x: Tensor) -> Tensor:
    """Every value in the upper left of a 2×2 cell, zeros elsewhere, one by one."""
    big = torch.zeros(x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    for row in range(x.shape[2]):
        for column in range(x.shape[3]):
            big[:, :, 2 * row, 2 * column] = x[:, :, row, column]
    return big


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (4, 2)])
def test_four_small_convolutions_are_one_of_the_unpooled_map(generator: torch.Generator, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, 5, 5, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(conv_of_unpooled(x, weight), F.conv2d(unpooled(x), weight, padding=2))


def test_up_projection_is_as_defined(generator: torch.Generator) -> None:
    block = UpProjectionUnpooled(4, 2).double().eval()
    for norm in (block.bn1, block.bn1_2, block.bn2):
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    x = torch.randn(1, 4, 3, 4, generator=generator, dtype=torch.float64)
    # the cut comes after the convolution: what lies beyond it is still seen
    first, shortcut = block.conv1(unpooled(x))[:, :, :5, :8], block.conv2(unpooled(x))[:, :, :5, :8]
    wanted = F.relu(block.bn1_2(block.conv1_2(F.relu(block.bn1(first)))) + block.bn2(shortcut))
    torch.testing.assert_close(block(x, 5, 8), wanted)


def test_depth_is_half_the_size_whatever_is_odd_on_the_way() -> None:
    with torch.device("meta"):
        net = build_depth_net("laina-resnet50")
        assert net(torch.zeros(1, 3, 228, 304)).shape == (1, 1, 114, 152)
    assert sum(parameter.numel() for parameter in net.parameters()) == 63_563_009
