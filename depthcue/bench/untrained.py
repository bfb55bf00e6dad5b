"""Architectures without weights, so that their speed can be measured where no checkpoint is at hand.

A net costs the same whatever it has learned, but its answers tell a wrong computation only if they depend on the
picture. Fresh weights give nearly constant answers, so the net is brought to where a trained one is: its
normalisations know the statistics of pictures, and its last convolution spreads the answers.
"""

import torch
from torch import Tensor, nn

from depthcue.nets import DepthNet, MaskNet, build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS

Spread = tuple[float, float]
"""Mean and deviation of what the last convolution gives."""
BEFORE_SIGMOID: Spread = (0.0, 2.0)
METRES: Spread = (3.0, 0.7)
LOGARITHM: Spread = (0.0, 0.5)
SPREADS = {**dict.fromkeys(("lite0", "lite1", "lite2", "compact"), LOGARITHM),
           **dict.fromkeys(("monodepth2-resnet18", "monodepth2-resnet50"), BEFORE_SIGMOID)}
"""What the last convolution of a depth net gives, by its name; of any other net metres."""


def mask_net_of(spec: str, pictures: Tensor) -> tuple[MaskNet, bool]:
    """The mask net of a spec, or an untrained one where the spec is an architecture alone; and whether it is trained.

    Args:
        pictures: RGB in [0, 1], (B, 3, H, W), of a size the net takes, B > 1.

    Raises:
        DepthcueError: as `load_mask_net`.
    """
    if spec in MASK_NETS:
        net = build_mask_net(spec)
        settle(net, pictures, BEFORE_SIGMOID)
        return net, False
    return load_mask_net(spec), True


def depth_net_of(spec: str, pictures: Tensor) -> tuple[DepthNet, bool]:
    """As `mask_net_of`, a depth net."""
    if spec in DEPTH_NETS:
        net = build_depth_net(spec)
        settle(net, pictures, SPREADS.get(spec, METRES))
        return net, False
    return load_depth_net(spec), True


def settle(net: MaskNet | DepthNet, pictures: Tensor, spread: Spread) -> None:
    """Let normalisations take the statistics of `pictures`, and the convolution that runs last spread its values."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    ran: list[tuple[nn.Conv2d, Tensor]] = []
    hooks = [module.register_forward_hook(lambda conv, inputs, output: ran.append((conv, output)))
             for module in net.modules() if isinstance(module, nn.Conv2d)]
    dial = (torch.full((len(pictures),), net.dial_value()),) if isinstance(net, MaskNet) else ()
    try:
        with torch.no_grad():
            for norm in norms:
                norm.momentum = None  # the mean over all batches, here of one
                norm.reset_running_stats()
            net.train()
            net(net.normalise(pictures), *dial)
            net.eval()
            net(net.normalise(pictures), *dial)
            last, values = ran[-1]
            assert last.bias is not None  # the last one of every architecture here has one
            scale = spread[1] / float(values.std())
            last.weight.mul_(scale)
            last.bias.mul_(scale).add_(spread[0] - scale * float(values.mean()))
    finally:
        for hook in hooks:
            hook.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
