"""Nets in training convolve before they upsample: the same outputs and the same gradients, from less arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from depthcue.nets import build_depth_net, build_mask_net, exchanging
from depthcue.nets.upsampling import UpProjection, upsampled_conv

# inputs, outputs, from, to: a fusion block, a deep and a shallow doubling, a size that is not twice, almost the same
CASES = ((64, 4, (2, 3), (16, 24)), (64, 64, (3, 4), (6, 8)), (4, 4, (12, 16), (24, 32)), (8, 4, (8, 10), (15, 19)),
         (4, 4, (8, 8), (9, 9)))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_the_plain_forms(case: tuple[int, int, tuple[int, int], tuple[int, int]],
                                                   align_corners: bool, generator: torch.Generator) -> None:
    inputs, outputs, low, high = case
    weight = torch.randn(outputs, inputs, 5, 5, generator=generator, dtype=torch.float64)
    x = torch.randn(2, inputs, *low, generator=generator, dtype=torch.float64)
    weigh = torch.randn(2, outputs, *high, generator=generator, dtype=torch.float64)

    def plain(x: Tensor, weight: Tensor) -> Tensor:
        x = F.interpolate(x, size=high, mode="bilinear", align_corners=align_corners)
        return F.conv2d(x, weight, padding=2)

    def exchanged(x: Tensor, weight: Tensor) -> Tensor:
        return upsampled_conv(x, weight, *high, align_corners=align_corners)

    found = []
    for form in (plain, exchanged):
        leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
        y = form(*leaves)
        found.append((y, *torch.autograd.grad((y * weigh).sum(), leaves)))
    for wanted, got in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-10, rtol=1e-12)


@pytest.mark.parametrize("name", ["hu-resnet50", "drn22"])
def test_a_net_trains_to_the_same_gradients(name: str, generator: torch.Generator) -> None:
    build = build_depth_net if name == "hu-resnet50" else build_mask_net
    net = build(name, height=64, width=96).double().train()
    picture = torch.randn(2, 3, 64, 96, generator=generator, dtype=torch.float64)

    def gradients() -> list[Tensor]:
        net.zero_grad()
        net(picture).square().mean().backward()
        return [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]

    wanted = gradients()
    counter = FlopCounterMode(display=False)
    with counter:
        gradients()
    plain = counter.get_total_flops()
    with exchanging(net), counter:
        got = gradients()
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(other, one, atol=1e-8, rtol=1e-6)
    assert counter.get_total_flops() < 0.6 * plain


def test_the_net_gets_its_form_back() -> None:
    block = UpProjection(2, 2, align_corners=False)
    with pytest.raises(ZeroDivisionError), exchanging(block):
        assert block.exchange
        raise ZeroDivisionError
    assert not block.exchange
