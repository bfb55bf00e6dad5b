"""A net rewritten to less arithmetic with the same answers, and a record of what was rewritten and what was not.

Every rewrite is an identity of real numbers: in float64 the rewritten net agrees with the one given to 1e-9, in float32
to rounding (sums in another order). Weights are folded in float64 and rounded once.

A batch norm in eval mode is a scale and a shift for each channel. After a convolution it becomes part of its weights:
w' = w·s, b' = (b − mean)·s + beta with s = gamma / sqrt(variance + eps).

The main branch and the shortcut of an up-projection begin with a 5×5 convolution of the same tensor: one convolution
with twice the outputs reads it once. What follows the upsampling so is linear up to the first ReLU, and changes places
with it (`nets.upsampling`): in the doubled form where every allowed size doubles exactly, else in the form for any size
if that takes fewer products. The narrow 3×3 convolutions of the compact nets stay as they are: the same exchange takes
16 products there instead of 36, and is slower in every backend.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.compact import CompactDepthNet, CompactMaskNet
from depthcue.nets.lite import LiteDepthNet, LiteMaskNet
from depthcue.nets.published import DrnMaskNet, HuDepthNet, LainaResNet50, Monodepth2, UpProjectionUnpooled
from depthcue.nets.upsampling import (
    WORTH,
    DoubledKernels,
    UpProjection,
    doubled_conv,
    doubled_kernels,
    products,
    resized_conv,
    tap_rows,
    unpooled_conv,
    unpooled_kernels,
)

VERSION = 3
"""Version of the rewriting, by which cached graphs are known; raise it when rewritten nets compute anything else."""
Net = TypeVar("Net", bound=MaskNet | DepthNet)
KNOWN = (CompactDepthNet, CompactMaskNet, DrnMaskNet, HuDepthNet, LainaResNet50, LiteDepthNet, LiteMaskNet, Monodepth2)
STRIDES: dict[type, dict[str, int]] = {
    DrnMaskNet: {"D.up1": 8, "D.up2": 4, "D.up3": 2},
    HuDepthNet: {"D.up1": 32, "D.up2": 16, "D.up3": 8, "D.up4": 1, "MFF.up1": 1},
}
"""Strides of layers for `rewrite_up_projections`; 1 for up4 and MFF.up1, which always double their input."""
FORMS = {
    "doubled": "both 5x5 convolutions in one and before the doubling, 25 products for 2x2 outputs instead of 100",
    "any size": "both 5x5 convolutions in one and before the resizing, every tap applied at the low resolution",
    "unpooled": "both 5x5 convolutions in one, its four phases cut out beforehand",
    "plain": "both 5x5 convolutions in one, behind the resizing",
}

FOLLOWED_BY = {"conv": "bn", "conv0": "bn0", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "conv1_2": "bn1_2"}
"""Names, in the blocks of depthcue's nets, torchvision's ResNets and timm's SENets, of a convolution and of the batch
norm that alone takes its output."""
DENSE_LAYER = {"conv1": "norm2"}
"""The same in torchvision's DenseNet, whose layers normalise before they convolve."""


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch norm in eval mode as x·scale + shift, both (C,)."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    return scale, shift


def folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight (O, C, k, k) and bias (O,) of the one convolution that is `conv` and then `norm`."""
    scale, shift = scale_and_shift(norm)
    weight = conv.weight * scale.view(-1, 1, 1, 1)
    return weight, shift if conv.bias is None else conv.bias * scale + shift


def fold_batch_norms(net: nn.Module) -> int:
    """Fold every batch norm of `net` that follows a convolution, in place; return how many.

    Pairs are neighbours in an `nn.Sequential`, or have the names of a block (see FOLLOWED_BY). An `nn.Identity`
    replaces the batch norm, so that the code of a block stays as it is.
    """
    count = 0
    for module in list(net.modules()):
        for conv, norm in _pairs(module):
            found, after = module.get_submodule(conv), module.get_submodule(norm)
            assert isinstance(found, nn.Conv2d) and isinstance(after, nn.BatchNorm2d)
            weight, bias = folded(found, after)
            module.set_submodule(conv, convolution(weight, bias, found))
            module.set_submodule(norm, nn.Identity())
            count += 1
    return count


def convolution(weight: Tensor, bias: Tensor | None, like: nn.Conv2d) -> nn.Conv2d:
    """A convolution with these weights, frozen, and with stride, padding, dilation and groups of `like`."""
    conv = copy.deepcopy(like)
    conv.out_channels, conv.in_channels = weight.shape[0], weight.shape[1] * like.groups
    conv.weight = frozen(weight)
    conv.bias = None if bias is None else frozen(bias)
    return conv


def frozen(values: Tensor) -> nn.Parameter:
    """A parameter that is not trained, in contiguous memory of its own."""
    return nn.Parameter(values.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    children = dict(module.named_children())
    names = list(children)
    neighbours = list(zip(names, names[1:], strict=False))
    candidates = neighbours if isinstance(module, nn.Sequential) else [*FOLLOWED_BY.items(), *DENSE_LAYER.items()]
    return [(conv, norm) for conv, norm in candidates
            if isinstance(children.get(conv), nn.Conv2d) and isinstance(children.get(norm), nn.BatchNorm2d)
            and children[conv].out_channels == children[norm].num_features]


class UnpooledConv(nn.Module):
    """Unpooling and a 5×5 convolution with zero padding, cut to a given size: (B, C, h, w) to (B, O, H, W).

    `weight` is (O, C, 5, 5), `bias` (O,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.phases = nn.ParameterList(frozen(phase) for phase in unpooled_kernels(weight))
        self.bias = None if bias is None else frozen(bias)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return unpooled_conv(F.pad(x, (1, 1, 1, 1)), list(self.phases), self.bias)[:, :, :height, :width]


class DoubledConv(nn.Module):
    """`doubled_conv` with `weight` (O, C, 5, 5) and `bias` (O,): (B, C, h, w) to (B, O, 2h, 2w)."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        kernels = doubled_kernels(weight)
        self.phases = nn.ParameterList(frozen(phase) for phase in kernels.phases)
        self.filter, self.rows, self.columns = frozen(kernels.filter), frozen(kernels.rows), frozen(kernels.columns)
        self.bias = None if bias is None else frozen(bias)

    def forward(self, x: Tensor, height: int | None = None, width: int | None = None) -> Tensor:
        """Double `x`; `height` and `width`, where given, must be the output's size.

        Raises:
            ValueError: they are not twice the input's.
        """
        # a graph for every size cannot check it; `_form` builds this form only where sizes double
        if height is not None and not torch.compiler.is_exporting() \
                and (height, width) != (2 * x.shape[2], 2 * x.shape[3]):
            raise ValueError(f"{tuple(x.shape[2:])} was to become ({height}, {width}), which is not twice as large")
        return doubled_conv(x, DoubledKernels(list(self.phases), self.filter, self.rows, self.columns), self.bias)


class ResizedConv(nn.Module):
    """`resized_conv` with `weight` (O, C, k, k), k odd, and `bias` (O,): (B, C, h, w) to (B, O, H, W)."""

    def __init__(self, weight: Tensor, bias: Tensor | None, align_corners: bool) -> None:
        super().__init__()
        self.kernel, self.align_corners = weight.shape[2], align_corners
        self.taps = frozen(tap_rows(weight))
        self.bias = None if bias is None else frozen(bias.view(-1, 1, 1))

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        return resized_conv(x, self.taps, self.bias, height, width, kernel=self.kernel,
                            align_corners=self.align_corners)


class ResizedPlainly(nn.Module):
    """Bilinear resizing, then a convolution: the form where no other is faster."""

    def __init__(self, weight: Tensor, bias: Tensor, align_corners: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.align_corners = frozen(weight), frozen(bias), align_corners

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=self.align_corners)
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[2] // 2)


class MergedUpProjection(nn.Module):
    """An up-projection that computes the 5×5 convolutions of both branches as one; called as the block it replaces."""

    def __init__(self, both: nn.Module, second: nn.Conv2d) -> None:
        """
        Args:
            both: (x, height, width) to (B, 2·O, height, width): the main branch's channels, then the shortcut's.
            second: the main branch's 3×3 convolution.
        """
        super().__init__()
        self.both, self.second = both, second

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        main, shortcut = self.both(x, height, width).chunk(2, dim=1)
        return F.relu(self.second(F.relu(main)) + shortcut)


def rewrite_up_projections(net: MaskNet | DepthNet, strides: dict[str, int], *,
                           exchange: bool) -> Iterator[tuple[str, str, str | None]]:
    """Replace every up-projection of `net`, in place; yield its name, the form it got, and why that is the plain one.

    Args:
        strides: for each up-projection by its name, the stride of the map it doubles, which is the map's share of the
            picture: a map at stride s doubles for every size that is a multiple of s, since ⌈H/s⌉ · 2 = ⌈H / (s/2)⌉
            then. 1 where it doubles whatever the size; absent where it does not double.
        exchange: whether upsampling and convolution may change places.
    """
    sizes = _sizes_at_work(net)
    for name, block in list(net.named_modules()):
        if isinstance(block, UpProjectionUnpooled):
            net.set_submodule(name, _merged(block, UnpooledConv(*_both(block))))
            yield name, "unpooled", None
        elif isinstance(block, UpProjection):
            both, form, reason = _form(block, strides.get(name), net.description.multiple, sizes[name], exchange)
            net.set_submodule(name, _merged(block, both))
            yield name, form, reason


def _form(block: UpProjection, stride: int | None, multiple: int, sizes: tuple[tuple[int, int], tuple[int, int]],
          exchange: bool) -> tuple[nn.Module, str, str | None]:
    weight, bias = _both(block)
    plain = ResizedPlainly(weight, bias, block.align_corners)
    if not exchange:
        return plain, "plain", "not asked for"
    if stride is not None and multiple % stride == 0 and not block.align_corners:
        return DoubledConv(weight, bias), "doubled", None
    (outputs, inputs, size, _), (low, high) = weight.shape, sizes
    share = products(inputs, outputs, size, low, high) / (outputs * inputs * size * size * high[0] * high[1])
    if share < WORTH:
        return ResizedConv(weight, bias, block.align_corners), "any size", None
    why = "its weights want align_corners=True" if block.align_corners else \
        f"its map does not double for every multiple of {multiple}"
    return plain, "plain", f"{why}, and the form for any size takes {share:.0%} of the products"


def _both(block: UpProjection | UpProjectionUnpooled) -> tuple[Tensor, Tensor]:
    """The two 5×5 convolutions with their batch norms as one: weight (2·O, C, 5, 5), bias (2·O,)."""
    main, shortcut = folded(block.conv1, block.bn1), folded(block.conv2, block.bn2)
    return torch.cat([main[0], shortcut[0]]), torch.cat([main[1], shortcut[1]])


def _merged(block: UpProjection | UpProjectionUnpooled, both: nn.Module) -> MergedUpProjection:
    return MergedUpProjection(both, convolution(*folded(block.conv1_2, block.bn1_2), block.conv1_2))


def _sizes_at_work(net: MaskNet | DepthNet) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Sizes (height, width) before and after each up-projection at the net's working size."""
    found: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}
    if not any(isinstance(block, UpProjection) for block in net.modules()):
        return found
    shadow = copy.deepcopy(net).to("meta")

    def note(name: str, x: Tensor, height: int, width: int) -> None:
        found[name] = (x.shape[2], x.shape[3]), (height, width)

    for name, block in shadow.named_modules():
        if isinstance(block, UpProjection):
            block.register_forward_pre_hook(lambda _, given, name=name: note(name, *given))
    description, dtype = net.description, net.get_buffer("_mean").dtype
    shadow(torch.zeros(1, 3, description.height, description.width, device="meta", dtype=dtype))
    return found


@dataclass(frozen=True)
class Rewriting:
    """Record of the rewrites of a net, in short sentences for its card."""

    applied: tuple[str, ...] = ()
    kept_plain: tuple[str, ...] = ()
    """Parts left in their plain form, each with the reason."""

    def as_json(self) -> dict[str, list[str]]:
        """The record for cards and results."""
        return {"applied": list(self.applied), "kept_plain": list(self.kept_plain)}


def rewritten(net: Net, *, polyphase: bool = True) -> tuple[Net, Rewriting]:
    """A rewritten copy of `net`, frozen and in eval mode, on its device and in its type; called as the net given.

    It holds for every size that is a multiple of the description's, and is for inference: it passes no gradients to
    its weights.

    Args:
        net: left as it is.
        polyphase: whether upsampling and the convolution after it change places; False folds and merges only.
    """
    mean = net.get_buffer("_mean")
    device, dtype = mean.device, mean.dtype
    own = copy.deepcopy(net)
    own.eval().requires_grad_(False)
    if not isinstance(net, KNOWN):
        return own, Rewriting(kept_plain=(f"{net.description.name} is code of others and left as it is",))
    own.cpu().double()
    applied: list[str] = []
    kept: list[str] = []
    with torch.no_grad():
        _rewrite_up_projections(own, polyphase, applied, kept)
        count = fold_batch_norms(own)
    if count:
        applied.append(f"batch norm folded into {count} convolutions")
    if isinstance(net, Monodepth2):
        kept.append("the decoder: it doubles to the nearest pixel and reflects its borders")
    kept.append("the normalisation: the first convolution pads with the mean colour, which is zero behind it alone")
    own.to(device=device, dtype=dtype)
    return own, Rewriting(tuple(applied), tuple(kept))


def _rewrite_up_projections(net: MaskNet | DepthNet, exchange: bool, applied: list[str], kept: list[str]) -> None:
    strides = next((table for kind, table in STRIDES.items() if isinstance(net, kind)), {})
    forms: dict[str, list[str]] = {}
    for name, form, reason in rewrite_up_projections(net, strides, exchange=exchange):
        forms.setdefault(form, []).append(name)
        if reason is not None:
            kept.append(f"the resizing of {name}: {reason}")
    applied += [f"{', '.join(names)}: {FORMS[form]}" for form, names in forms.items()]
