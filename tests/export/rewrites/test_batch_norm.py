"""A convolution and its batch norm are one convolution; what is not such a pair is left alone."""

import pytest
import torch
from rewritten_nets import stirred
from torch import nn

from depthcue.nets.encoders import DenseNetEncoder, ResNetEncoder
from depthcue.nets.rewriting import fold_batch_norms


@pytest.mark.parametrize(("encoder", "folded"), [(ResNetEncoder(18), 20), (ResNetEncoder(50), 53)])
def test_an_encoder_is_the_same_without_its_batch_norms(encoder: nn.Module, folded: int,
                                                        generator: torch.Generator) -> None:
    encoder = stirred(encoder).double()
    x = torch.randn(1, 3, 32, 40, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        wanted = encoder(x)
        assert fold_batch_norms(encoder) == folded
        for got, want in zip(encoder(x), wanted, strict=True):
            torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)
    assert not [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]


def test_a_batch_norm_before_its_convolution_stays(generator: torch.Generator) -> None:
    """DenseNet normalises first: of a dense layer's two, the second alone follows a convolution."""
    encoder = stirred(DenseNetEncoder()).double()
    x = torch.randn(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    layers = sum(type(module).__name__ == "_DenseLayer" for module in encoder.modules())
    with torch.inference_mode():
        wanted = encoder(x)
        assert fold_batch_norms(encoder) == layers + 1  # and the stem's
        for got, want in zip(encoder(x), wanted, strict=True):
            torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)


def test_groups_stride_and_a_bias_are_kept(generator: torch.Generator) -> None:
    net = stirred(nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(6))).double()
    x = torch.randn(2, 4, 9, 7, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        wanted = net(x)
        assert fold_batch_norms(net) == 1
        torch.testing.assert_close(net(x), wanted, atol=1e-12, rtol=0)
