"""Batch norms that follow a convolution become part of its weights.

In eval mode a batch norm is a scale and a shift for each channel, and a convolution followed by them is another
convolution: w' = w·s, b' = (b − mean)·s + beta with s = gamma / sqrt(variance + eps).
"""

import copy

import torch
from torch import Tensor, nn

FOLLOWED_BY = {"conv": "bn", "conv0": "bn0", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "conv1_2": "bn1_2"}
"""Names under which the blocks of depthcue's nets, of torchvision's ResNets and of timm's SENets hold a convolution and
the batch norm that its output goes through, and nothing else does."""
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

    A pair is known by its place: neighbours in an `nn.Sequential`, or the names of a block (see FOLLOWED_BY). A folded
    batch norm's place is taken by an `nn.Identity`, so that the code of a block need not know.
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
    """A parameter nobody trains, in an order of its own."""
    return nn.Parameter(values.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    children = dict(module.named_children())
    names = list(children)
    neighbours = list(zip(names, names[1:], strict=False))
    candidates = neighbours if isinstance(module, nn.Sequential) else [*FOLLOWED_BY.items(), *DENSE_LAYER.items()]
    return [(conv, norm) for conv, norm in candidates
            if isinstance(children.get(conv), nn.Conv2d) and isinstance(children.get(norm), nn.BatchNorm2d)
            and children[conv].out_channels == children[norm].num_features]
