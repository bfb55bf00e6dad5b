"""A net rewritten to less arithmetic with the same answers, and an account of what was done and what was not.

Every rewrite is an identity of real numbers: in float64 the rewritten net agrees with the one given to 1e-9, in float32
to rounding (sums in another order). Weights are folded in float64 and rounded once.
"""

import copy
import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from depthcue.export.rewrites.batch_norm import fold_batch_norms
from depthcue.export.rewrites.skips import fix_lite_stage, rewritten_stage
from depthcue.export.rewrites.up_projection import rewrite_up_projections
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.compact import CompactDepthNet, CompactMaskNet, DoubleStage, ModulatedStage
from depthcue.nets.drn import DrnMaskNet
from depthcue.nets.hu2019 import HuDepthNet
from depthcue.nets.laina2016 import LainaResNet50
from depthcue.nets.lite import LiteDepthNet, LiteMaskNet, LiteStage
from depthcue.nets.monodepth2 import Monodepth2

VERSION = 2
"""To be raised with every change of what rewritten nets compute: graphs that are kept are known by it."""
Net = TypeVar("Net", MaskNet, DepthNet)
KNOWN = (CompactDepthNet, CompactMaskNet, DrnMaskNet, HuDepthNet, LainaResNet50, LiteDepthNet, LiteMaskNet, Monodepth2)
STRIDES: dict[type, dict[str, int]] = {
    DrnMaskNet: {"D.up1": 8, "D.up2": 4, "D.up3": 2},
    HuDepthNet: {"D.up1": 32, "D.up2": 16, "D.up3": 8, "D.up4": 1, "MFF.up1": 1},
}
"""For `rewrite_up_projections`: up4 and MFF.up1 are asked for twice their input's size, whatever that is."""
FORMS = {
    "doubled": "both 5x5 convolutions in one and before the doubling, 25 products for 2x2 outputs instead of 100",
    "any size": "both 5x5 convolutions in one and before the resizing, every tap applied at the low resolution",
    "unpooled": "both 5x5 convolutions in one, its four phases cut out beforehand",
    "plain": "both 5x5 convolutions in one, behind the resizing",
}


@dataclass(frozen=True)
class Rewriting:
    """What was rewritten in a net, in short sentences for its card."""

    applied: tuple[str, ...] = ()
    kept_plain: tuple[str, ...] = ()
    """What was left in its plain form, each with the reason."""

    def as_json(self) -> dict[str, list[str]]:
        """For cards and results."""
        return {"applied": list(self.applied), "kept_plain": list(self.kept_plain)}


def exchange_pays_in_torch(net: MaskNet | DepthNet) -> bool:
    """Whether torch is faster where upsampling and the convolution after it change places (`polyphase`).

    Not in the lite nets, whose convolutions come before the upsampling as they are; not in the compact nets, whose 3×3
    convolutions are narrow: there it is no faster in float32, and slower in bfloat16
    (`benchmarks/rewriting.py`). Exported graphs have it all the same; ONNX Runtime is somewhat slower by it there.
    """
    return not isinstance(net, (CompactMaskNet, CompactDepthNet, LiteMaskNet, LiteDepthNet))


def rewritten(net: Net, *, polyphase: bool = True, dial: float | None = None) -> tuple[Net, Rewriting]:
    """A rewritten copy of `net`, frozen and in eval mode, on its device and in its type; called as the net given.

    It holds for every size that is a multiple of the description's, and is for inference: it passes no gradients to
    its weights.

    Args:
        net: left as it is.
        polyphase: whether upsampling and the convolution after it change places; False folds and merges only.
        dial: for a mask net that takes a share or λ, the one to build in: its copy computes the scores for that one
            whatever it is given, and its description says so.

    Raises:
        DepthcueError: a share or λ that the net does not take.
    """
    mean = net.get_buffer("_mean")
    device, dtype = mean.device, mean.dtype
    own = copy.deepcopy(net).eval().requires_grad_(False)
    if not isinstance(own, KNOWN):
        return own, Rewriting(kept_plain=(f"{net.description.name} is code of others and left as it is",))
    own = own.cpu().double()
    applied: list[str] = []
    kept: list[str] = []
    with torch.no_grad():
        if isinstance(own, CompactDepthNet | CompactMaskNet):
            _rewrite_compact(own, polyphase, dial, applied)
        elif isinstance(own, LiteMaskNet):
            _rewrite_lite(own, dial, applied)
        elif not isinstance(own, LiteDepthNet):
            _rewrite_up_projections(own, polyphase, applied, kept)
        count = fold_batch_norms(own)
    if count:
        applied.append(f"batch norm folded into {count} convolutions")
    if isinstance(own, Monodepth2):
        kept.append("the decoder: it doubles to the nearest pixel and reflects its borders")
    kept.append("the normalisation: the first convolution pads with the mean colour, which is zero behind it alone")
    return own.to(device=device, dtype=dtype), Rewriting(tuple(applied), tuple(kept))


def _rewrite_up_projections(net: MaskNet | DepthNet, exchange: bool, applied: list[str], kept: list[str]) -> None:
    strides = next((table for kind, table in STRIDES.items() if isinstance(net, kind)), {})
    forms: dict[str, list[str]] = {}
    for name, form, reason in rewrite_up_projections(net, strides, exchange=exchange):
        forms.setdefault(form, []).append(name)
        if reason is not None:
            kept.append(f"the resizing of {name}: {reason}")
    applied += [f"{', '.join(names)}: {FORMS[form]}" for form, names in forms.items()]


def _rewrite_compact(net: CompactDepthNet | CompactMaskNet, exchange: bool, dial: float | None,
                     applied: list[str]) -> None:
    setting = net.description.dial_name or "lambda"
    condition = _fixed_condition(net, dial) if isinstance(net, CompactMaskNet) and dial is not None else None
    names = []
    for name, stage in list(net.named_children()):
        if isinstance(stage, DoubleStage | ModulatedStage):
            net.set_submodule(name, rewritten_stage(stage, condition, exchange=exchange))
            names.append(name)
    if exchange:
        applied.append(f"{', '.join(names)}: the convolution of doubled and skipped channels as a sum, the doubled "
                       "part before the doubling, 16 products for 2x2 outputs instead of 36")
    if condition is not None:
        applied.append(f"scale and shift of {setting} {dial:g} folded into {len(names)} convolutions")
    elif isinstance(net, CompactMaskNet):
        applied.append(f"batch norm folded into scale and shift of {setting} in {len(names)} stages")


def _rewrite_lite(net: LiteMaskNet, dial: float | None, applied: list[str]) -> None:
    if dial is None:
        return
    stages = [stage for stage in net.children() if isinstance(stage, LiteStage)]
    name, condition = net.description.dial_name or "lambda", _fixed_condition(net, dial)
    for stage in stages:
        fix_lite_stage(stage, condition)
    applied.append(f"scale and shift of {name} {dial:g} folded into {2 * len(stages)} convolutions")


def _fixed_condition(net: CompactMaskNet | LiteMaskNet, dial: float) -> Tensor:
    """The condition of one share or λ, (width,); the description is made to say so."""
    dial = net.dial_value(keep=dial) if net.keeps_shares else net.check_lambda(dial)
    # in float32, as the net takes it
    feature = net.dial_feature(torch.tensor([dial], dtype=torch.float32)).double()
    condition: Tensor = net.condition(feature[:, None])
    fixed = ({"default_keep": dial, "keep_range": (dial, dial)} if net.keeps_shares
             else {"default_lambda": dial, "lambda_range": None})
    net.description = dataclasses.replace(net.description, **fixed)
    return condition[0]
