"""Up-projections with their two 5×5 convolutions as one, applied before the upsampling wherever that is less work.

The main branch and the shortcut of an up-projection begin with a 5×5 convolution of the same tensor: one convolution
with twice the outputs reads it once. What follows the upsampling so is linear up to the first ReLU and changes places
with it: `doubled` where every allowed size doubles exactly, `any_size` elsewhere if the products are fewer.
"""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.export.rewrites.batch_norm import convolution, folded, frozen
from depthcue.export.rewrites.forms import DoubledConv, ResizedConv, UnpooledConv
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.blocks import UpProjection
from depthcue.nets.exchange.any_size import products
from depthcue.nets.exchange.live import WORTH
from depthcue.nets.laina2016 import UpProjectionUnpooled


class ResizedPlainly(nn.Module):
    """Bilinear resizing, then a convolution: the form to fall back on."""

    def __init__(self, weight: Tensor, bias: Tensor, align_corners: bool) -> None:
        super().__init__()
        self.weight, self.bias, self.align_corners = frozen(weight), frozen(bias), align_corners

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = F.interpolate(x, size=(height, width), mode="bilinear", align_corners=self.align_corners)
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[2] // 2)


class MergedUpProjection(nn.Module):
    """An up-projection whose first step makes main branch and shortcut together; called as the block it replaces."""

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


class UnpooledBoth(nn.Module):
    """Unpooling and both 5×5 convolutions, cut to a given size."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.unpooled = UnpooledConv(weight, bias)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        both: Tensor = self.unpooled(F.pad(x, (1, 1, 1, 1)))
        return both[:, :, :height, :width]


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
            net.set_submodule(name, _merged(block, UnpooledBoth(*_both(block))))
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
    """For each up-projection, the sizes (height, width) it goes from and to at the net's working size."""
    shadow = copy.deepcopy(net).to("meta")
    found: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {}

    def note(name: str, x: Tensor, height: int, width: int) -> None:
        found[name] = (x.shape[2], x.shape[3]), (height, width)

    for name, block in shadow.named_modules():
        if isinstance(block, UpProjection):
            block.register_forward_pre_hook(lambda _, given, name=name: note(name, *given))
    description, dtype = net.description, net.get_buffer("_mean").dtype
    shadow(torch.zeros(1, 3, description.height, description.width, device="meta", dtype=dtype))
    return found
