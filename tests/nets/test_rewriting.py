"""A rewritten net answers as the one it was made of, from less arithmetic; each rewrite against its plain form."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
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
from depthcue.nets.encoders import DenseNetEncoder, ResNetEncoder
from depthcue.nets.rewriting import (
    DoubledConv,
    ResizedConv,
    UnpooledConv,
    fold_batch_norms,
    rewrite_up_projections,
    rewritten,
)
from depthcue.nets.upsampling import UpProjection, products, shifted_interpolation

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
    got = UnpooledConv(weight, bias)(x, 2 * x.shape[2], 2 * x.shape[3])
    torch.testing.assert_close(got, F.conv2d(unpooled, weight, bias, padding=2), atol=1e-12, rtol=0)


def test_other_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="not 5x5"):
        UnpooledConv(torch.ones(1, 1, 7, 7))


SIZE_PAIRS = (((3, 5), (6, 10)), ((8, 10), (15, 19)), ((1, 1), (2, 2)), ((5, 4), (3, 9)), ((2, 3), (16, 24)),
         ((3, 3), (1, 1)))


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("low", "high"), SIZE_PAIRS)
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
