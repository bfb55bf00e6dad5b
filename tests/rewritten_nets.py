"""Nets whose batch norms and modulation are nothing like the identity, so that a wrong fold shows."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def stirred(net: Module, seed: int = 1) -> Module:
    """The net in eval mode with random statistics, scales, shifts and modulation."""
    generator = torch.Generator().manual_seed(seed)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.normal_(std=0.3, generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.2, generator=generator)
        if isinstance(modulation := getattr(layer, "modulation", None), nn.Linear):
            nn.init.normal_(modulation.weight, std=0.3, generator=generator)
            nn.init.normal_(modulation.bias, std=0.3, generator=generator)
    if isinstance(head := getattr(net, "head", None), nn.Conv2d):
        nn.init.normal_(head.weight, std=0.3, generator=generator)
    return net.eval()


def last_convolution(net: nn.Module, *inputs: Tensor) -> Tensor:
    """What comes out of the last convolution that runs, in the net's own type: nets round their answers to float32."""
    found: list[Tensor] = []
    handles = [layer.register_forward_hook(lambda layer, given, output: found.append(output))
               for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    try:
        with torch.inference_mode():
            net(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[-1]
