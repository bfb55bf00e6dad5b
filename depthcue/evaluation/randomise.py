"""Copies of a depth net whose layers are randomised one after the other, from its output to its input.

The cascade of Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018). Deviations, all so that what is lost is
what was learned and not the scale of the numbers: a layer is randomised by shuffling each of its weight tensors, which
keeps the distribution of its weights; batch norms among the randomised layers measure their statistics anew; and the
predictions are brought to the mean and deviation of the intact net's, or lambda would weigh something else.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from depthcue.nets import DepthNet

Layer = tuple[str, nn.Module]
"""A module that has weights of its own, and its name in the net."""


class Randomised(DepthNet):
    """A depth net some of whose layers are randomised, predicting on the scale of the intact net.

    Attributes:
        layers: how many are randomised, counted from the output.
        deepest: the name of the last of them; empty where none is.
    """

    def __init__(self, net: DepthNet, layers: int = 0, deepest: str = "") -> None:
        super().__init__(net.description)
        self.net, self.layers, self.deepest = net, layers, deepest
        self.scale, self.shift = 1.0, 0.0
        self.training = net.training

    def normalise(self, rgb: Tensor) -> Tensor:
        return self.net.normalise(rgb)

    def forward(self, normalised: Tensor) -> Tensor:
        return self.net(normalised) * self.scale + self.shift

    def to_depth_m(self, prediction: Tensor) -> Tensor:
        return self.net.to_depth_m(prediction)


def layers_by_call(net: DepthNet, normalised: Tensor) -> list[Layer]:
    """The layers of a net in the order in which a picture (B, 3, H, W) goes through them.

    A layer that is never called as a module (some attention reads its parts' weights directly) takes the place of the
    module it is part of.
    """
    modules = dict(net.named_modules())
    names = {module: name for name, module in modules.items()}
    calls: dict[str, int] = {}

    def note(module: nn.Module, _: object) -> None:
        calls.setdefault(names[module], len(calls))

    hooks = [module.register_forward_pre_hook(note) for module in modules.values()]
    try:
        with torch.no_grad():
            net(normalised)
    finally:
        for hook in hooks:
            hook.remove()

    def first_call(name: str) -> int:
        while name not in calls:
            name = name.rpartition(".")[0]
        return calls[name]

    layers = [(name, module) for name, module in modules.items() if list(module.parameters(recurse=False))]
    return sorted(layers, key=lambda layer: first_call(layer[0]))


def cascade(net: DepthNet, pictures: Sequence[Tensor], stages: int, seed: int = 0) -> Iterator[Randomised]:
    """The intact net, then copies with more and more of its layers randomised, the last one with all.

    What is randomised in one copy is the same in all that follow. The net itself is left as it is.

    Args:
        net: in eval mode.
        pictures: normalised, (B, 3, H, W) each, that tell the scale of predictions and the statistics of batch norms.
        stages: how many copies; from the one with its last layer randomised they rise to all in even steps. One copy
            alone has all randomised; there are fewer where the net has fewer layers.
    """
    yield Randomised(net)
    wanted = _moments(net, pictures)
    backwards = layers_by_call(net, pictures[0][:1])[::-1]
    for count in np.unique(np.linspace(len(backwards), 1, stages).round().astype(int)).tolist():
        changed = Randomised(copy.deepcopy(net), count, backwards[count - 1][0])
        modules = dict(changed.net.named_modules())
        chosen = [modules[name] for name, _ in backwards[:count]]
        for position, module in enumerate(chosen):
            shuffle_weights(module, torch.Generator().manual_seed(seed * 1_000_003 + position))
        _measure_batch_norms(changed.net, chosen, pictures)
        mean, deviation = _moments(changed.net, pictures)
        # a net that predicts the same everywhere cannot be given a deviation
        changed.scale = wanted[1] / deviation if deviation > 1e-6 * max(abs(mean), 1.0) else 1.0
        changed.shift = wanted[0] - changed.scale * mean
        yield changed.eval()


@torch.no_grad()
def shuffle_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Put the values of each of a module's own weight tensors into a random order, in place."""
    for parameter in module.parameters(recurse=False):
        order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
        parameter.copy_(parameter.flatten()[order].view_as(parameter))


@torch.no_grad()
def _measure_batch_norms(net: DepthNet, modules: Sequence[nn.Module], pictures: Sequence[Tensor]) -> None:
    norms = [module for module in modules if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    if norms:
        for normalised in pictures:
            net(normalised)
    for norm in norms:
        norm.eval()


@torch.no_grad()
def _moments(net: DepthNet, pictures: Sequence[Tensor]) -> tuple[float, float]:
    """The mean of predictions, and the mean over pictures of their deviation within a picture."""
    predictions = torch.cat([net(normalised) for normalised in pictures]).double().flatten(1)
    return float(predictions.mean()), float(predictions.std(dim=1).mean())
