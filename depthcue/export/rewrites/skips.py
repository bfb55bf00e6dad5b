"""Decoder stages of the compact nets, which double, join a skip and convolve, as a sum of two convolutions.

A convolution of channels side by side is the sum of one over each part. The part that was doubled goes through
`doubled`, a quarter of the products; the skip through the plain form. Neither the doubled map nor the joined one is
ever written. The batch norm is folded. In a stage that λ modulates, scale and shift are both linear in the condition
but for a constant, so what the batch norm adds folds into the layer that computes them; for one λ they are constants
and fold into the convolution. In the stages of the lite nets, whose 1×1 convolutions are added
and whose coarse one comes before the doubling as it is, they fold into both.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from depthcue.export.rewrites.batch_norm import convolution, folded, frozen, scale_and_shift
from depthcue.export.rewrites.forms import DoubledConv
from depthcue.nets.compact import DoubleStage, ModulatedStage, double_and_join
from depthcue.nets.lite import LiteStage


class JoinedPlainly(nn.Module):
    """Doubling, joining, and one convolution: the form to fall back on."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = frozen(weight)
        self.bias = None if bias is None else frozen(bias)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return F.conv2d(double_and_join(x, skip), self.weight, self.bias, padding=1)


class JoinedAsSum(nn.Module):
    """The convolution of the doubled map plus the convolution of the skip."""

    def __init__(self, weight: Tensor, bias: Tensor | None, inputs: int, like: nn.Conv2d) -> None:
        """
        Args:
            weight: (O, inputs + skips, 3, 3).
        """
        super().__init__()
        self.doubled = DoubledConv(weight[:, :inputs])
        self.skip = convolution(weight[:, inputs:], bias, like)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        total: Tensor = self.doubled(x, skip.shape[2], skip.shape[3]) + self.skip(skip)
        return total


class FoldedStage(nn.Module):
    """A stage without a batch norm: joined convolution, ReLU. A condition is taken and not looked at."""

    def __init__(self, joined: nn.Module) -> None:
        super().__init__()
        self.joined = joined

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor | None = None) -> Tensor:
        return F.relu(self.joined(x, skip))


class FoldedModulatedStage(nn.Module):
    """Joined convolution, scale and shift from the condition, which hold the batch norm's too, ReLU."""

    def __init__(self, joined: nn.Module, modulation: nn.Linear) -> None:
        super().__init__()
        self.joined, self.modulation = joined, modulation

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)
        return F.relu(self.joined(x, skip) * scale + shift)


def rewritten_stage(stage: DoubleStage | ModulatedStage, condition: Tensor | None, *, exchange: bool) -> nn.Module:
    """The stage that is to take the place of `stage`.

    Args:
        condition: of the one λ that will be asked for, (width,); None where it stays an input.
        exchange: whether doubling and convolution may change places.
    """
    doubled = stage.doubled if exchange else None
    if isinstance(stage, DoubleStage):
        conv, norm = stage[0], stage[1]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        return FoldedStage(_joined(conv, *folded(conv, norm), doubled))
    if condition is None:
        # the trained weights as they are: a batch norm's scale goes where λ's is
        return FoldedModulatedStage(_joined(stage.conv, stage.conv.weight, None, doubled), _modulation(stage))
    scale, shift = _modulation(stage)(condition).chunk(2)
    return FoldedStage(_joined(stage.conv, stage.conv.weight * scale.view(-1, 1, 1, 1), shift, doubled))


def fix_lite_stage(stage: LiteStage, condition: Tensor) -> None:
    """Fold the modulation by one condition, (width,), into both convolutions of a stage, in place.

    (a + b)·s + t = a·s + (b·s + t), and doubling a constant leaves it as it is.
    """
    assert stage.modulation is not None
    scale, shift = stage.modulation(condition).chunk(2)
    for path, added in ((stage.coarse, None), (stage.skip, shift)):
        conv, norm = path[0], path[1]
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        weight, bias = folded(conv, norm)
        bias = bias * (1 + scale)
        path[0] = convolution(weight * (1 + scale).view(-1, 1, 1, 1), bias if added is None else bias + added, conv)
        path[1] = nn.Identity()
    stage.modulation = None


def _joined(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None, doubled: int | None) -> nn.Module:
    return JoinedPlainly(weight, bias) if doubled is None else JoinedAsSum(weight, bias, doubled, conv)


def _modulation(stage: ModulatedStage) -> nn.Linear:
    """(x·s + t)·(1 + a) + b = x·(s·(1 + a)) + (t·(1 + a) + b): both brackets linear in a and b, so one layer's."""
    scale, shift = scale_and_shift(stage.bn)
    given = stage.modulation
    weight_a, weight_b = given.weight.chunk(2)
    bias_a, bias_b = given.bias.chunk(2)
    layer = nn.Linear(given.in_features, given.out_features, device="meta")
    layer.weight = frozen(torch.cat([scale[:, None] * weight_a, shift[:, None] * weight_a + weight_b]))
    layer.bias = frozen(torch.cat([scale * (1 + bias_a), shift * (1 + bias_a) + bias_b]))
    return layer
