"""A rewritten net answers as the one it was made of, from less arithmetic, and says what was done."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from rewritten_nets import last_convolution, stirred
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from depthcue.nets import (
    DepthDescription,
    DepthNet,
    MaskDescription,
    MaskNet,
    build_depth_net,
    build_mask_net,
    rewriting,
)
from depthcue.nets.rewriting import rewrite_up_projections, rewritten
from depthcue.nets.upsampling import UpProjection

TINY = {"widths": (8, 8, 16, 16, 24)}


def compact_mask() -> Any:
    return stirred(build_mask_net("compact", config=TINY, target="t", lambda_range=(0.5, 6.0)))


NETS: dict[str, tuple[Callable[[], Any], tuple[tuple[int, int], ...]]] = {
    # sizes with an odd pyramid, and the least the net takes
    "drn22": (lambda: stirred(build_mask_net("drn22")), ((20, 28), (4, 8))),
    "compact depth": (lambda: stirred(build_depth_net("compact", config=TINY)), ((16, 16), (48, 32))),
    "hu-resnet50": (lambda: stirred(build_depth_net("hu-resnet50")), ((28, 36),)),
    "laina-resnet50": (lambda: stirred(build_depth_net("laina-resnet50")), ((28, 36),)),
    "monodepth2-resnet18": (lambda: stirred(build_depth_net("monodepth2-resnet18")), ((64, 64),)),
}


@pytest.mark.parametrize("name", list(NETS))
def test_the_answer_is_the_same(name: str, generator: torch.Generator) -> None:
    build, sizes = NETS[name]
    net = build().double()
    faster, _ = rewritten(net)
    for size in sizes:
        x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
        wanted, got = last_convolution(net, x), last_convolution(faster, x)
        assert got.dtype == torch.float64
        torch.testing.assert_close(got, wanted, atol=1e-9 * float(wanted.abs().max()), rtol=0)
    # float32 through some sixty layers, against float64
    single = last_convolution(faster.float(), x.float()).double()
    torch.testing.assert_close(single, wanted, atol=1e-4 * float(wanted.abs().max()), rtol=0)


class ThreeLevels(MaskNet):
    """Three up-projections in a row, to sizes 2x, then 3x, then 5x + 1."""

    def __init__(self, align_corners: bool) -> None:
        super().__init__(MaskDescription("levels", "t", 12, 16, 4, default_lambda=1.0))
        self.up1 = UpProjection(3, 4, align_corners)
        self.up2 = UpProjection(4, 4, align_corners)
        self.up3 = UpProjection(4, 4, align_corners)

    def forward(self, normalised: Tensor, lam: Tensor | None = None) -> Tensor:
        height, width = normalised.shape[2:]
        x = self.up1(normalised, 2 * height, 2 * width)
        x = self.up2(x, 3 * height, 3 * width)
        return self.up3(x, 5 * height + 1, 5 * width + 1)


@pytest.mark.parametrize(("align_corners", "strides", "forms"), [
    (False, {"up1": 4, "up2": 8}, ["doubled", "plain", "plain"]),
    (False, {"up1": 8}, ["plain", "plain", "plain"]),
    (True, {"up1": 4}, ["plain", "plain", "plain"]),
])
def test_every_form_of_an_up_projection_is_the_same(align_corners: bool, strides: dict[str, int], forms: list[str],
                                                    generator: torch.Generator) -> None:
    """With three or four input channels the form for any size never pays, so it is taken below by asking for it."""
    net = stirred(ThreeLevels(align_corners)).double()
    x = torch.randn(2, 3, 8, 12, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        wanted = net(x)
    faster = copy.deepcopy(net)
    assert [form for _, form, _ in rewrite_up_projections(faster, strides, exchange=True)] == forms
    with torch.inference_mode():
        torch.testing.assert_close(faster(x), wanted, atol=1e-9, rtol=0)


@pytest.mark.parametrize("align_corners", [False, True])
def test_the_form_for_any_size_is_taken_where_it_pays(align_corners: bool, generator: torch.Generator,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "WORTH", float("inf"))
    net = stirred(ThreeLevels(align_corners)).double()
    faster = copy.deepcopy(net)
    assert {form for _, form, _ in rewrite_up_projections(faster, {}, exchange=True)} == {"any size"}
    x = torch.randn(2, 3, 8, 12, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(faster(x), net(x), atol=1e-9, rtol=0)


def test_the_net_given_is_left_as_it_is() -> None:
    net = stirred(build_mask_net("compact", config=TINY, target="t", lambda_range=(0.5, 6.0))).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    own, _ = rewritten(net)
    assert net.training and not own.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in own.parameters())
    assert before.keys() == net.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_modulated_net_is_the_same_for_every_lambda(generator: torch.Generator) -> None:
    net = compact_mask().double()
    faster, _ = rewritten(net)
    x = torch.randn(3, 3, 48, 32, generator=generator, dtype=torch.float64)
    lam = torch.tensor([0.5, 2.0, 6.0])
    wanted = last_convolution(net, x, lam)
    assert (wanted - last_convolution(net, x, lam.flip(0))).abs().max() > 1e-2
    torch.testing.assert_close(last_convolution(faster, x, lam), wanted, atol=1e-9, rtol=0)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in faster.modules())


LITE = {"size": "lite0", "widths": [16, 16, 8, 8]}


def lite_mask(**dial: Any) -> MaskNet:
    return stirred(build_mask_net("lite0", config={**LITE, "detail": 8}, target="t", **dial)).double()


@pytest.mark.parametrize("dial", [{"lambda_range": (0.5, 6.0)}, {"keep_range": (0.05, 0.8)}])
def test_lite_nets_are_the_same_for_every_share_and_lambda(dial: dict[str, Any], generator: torch.Generator) -> None:
    net = lite_mask(**dial)
    faster, rewriting = rewritten(net)
    x = torch.randn(2, 3, 64, 32, generator=generator, dtype=torch.float64)
    values = torch.tensor([0.5, 0.7])
    wanted = last_convolution(net, x, values)
    assert (wanted - last_convolution(net, x, values.flip(0))).abs().max() > 1e-2
    torch.testing.assert_close(last_convolution(faster, x, values), wanted, atol=1e-9, rtol=0)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in faster.modules())
    assert "batch norm folded" in " ".join(rewriting.applied)


def test_a_lite_depth_net_is_the_same(generator: torch.Generator) -> None:
    net = stirred(build_depth_net("lite0", config=LITE)).double()
    x = torch.randn(2, 3, 64, 32, generator=generator, dtype=torch.float64)
    faster = rewritten(net)[0]
    torch.testing.assert_close(last_convolution(faster, x), last_convolution(net, x), atol=1e-9, rtol=0)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in faster.modules())


def gflop(net: Any, size: tuple[int, int]) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        copy.deepcopy(net).to("meta")(torch.zeros(1, 3, *size, device="meta"))
    return counter.get_total_flops() / 1e9


def test_narrow_nets_keep_their_convolutions_where_they_are() -> None:
    for net, size in ((compact_mask(), (32, 48)), (lite_mask(keep_range=(0.05, 0.8)).float(), (32, 64))):
        assert gflop(rewritten(net)[0], size) == gflop(net, size)


def test_the_papers_nets_need_less_than_half() -> None:
    mask_net, depth_net = build_mask_net("drn22"), build_depth_net("hu-resnet50")
    assert 217 < gflop(mask_net, (224, 304)) < 219  # 222 at 228x304 is the paper's own count
    assert gflop(rewritten(mask_net)[0], (224, 304)) < 100
    assert gflop(rewritten(depth_net)[0], (224, 304)) < 70 < 200 < gflop(depth_net, (224, 304))
    # folding and merging alone save memory, not products
    assert gflop(rewritten(mask_net, polyphase=False)[0], (224, 304)) == gflop(mask_net, (224, 304))


def test_doubling_is_taken_where_every_allowed_size_doubles() -> None:
    _, any_multiple_of_4 = rewritten(build_mask_net("drn22"))
    assert any(line.startswith("D.up2, D.up3:") and "doubling" in line for line in any_multiple_of_4.applied)
    assert any(line.startswith("D.up1:") and "resizing" in line for line in any_multiple_of_4.applied)
    _, multiples_of_8 = rewritten(build_mask_net("drn22", multiple=8))
    assert any(line.startswith("D.up1, D.up2, D.up3:") for line in multiples_of_8.applied)


def test_what_stays_plain_is_told_with_the_reason() -> None:
    _, rewriting = rewritten(build_mask_net("drn22", config={"align_corners": True}))
    (line,) = [line for line in rewriting.kept_plain if "D.up3" in line]
    assert "align_corners=True" in line and "%" in line
    assert rewriting.as_json() == {"applied": list(rewriting.applied), "kept_plain": list(rewriting.kept_plain)}


def test_a_net_of_others_is_left_as_it_is() -> None:
    class Foreign(DepthNet):
        def __init__(self) -> None:
            super().__init__(DepthDescription("foreign", 8, 8, 1))
            self.layers = nn.Sequential(nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1))

        def forward(self, normalised: Tensor) -> Tensor:
            return self.layers(normalised)

    own, rewriting = rewritten(Foreign())
    assert isinstance(own.layers[1], nn.BatchNorm2d) and not own.training
    assert rewriting.applied == () and "code of others" in rewriting.kept_plain[0]
