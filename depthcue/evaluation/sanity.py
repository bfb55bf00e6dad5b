"""Sanity checks: do masks depend on what the depth net N has learned, or on the pictures alone?

Adebayo et al., Sanity Checks for Saliency Maps (NeurIPS 2018), randomise a network layer by layer, from its output to
its input, and test whether explanations change; an edge map, which looks like an explanation, does not. A mask net G
does not use N when it is run, so its mask cannot change by itself. Three other questions are therefore answered at
every stage of the cascade N = N_0, N_1, ... N_all:

    kept        Are the pixels of M = G(I) worth more to N than to a randomised net? M's pixels, edges and random
                pixels, equally many, are shown to N_k. Measured is how much of N_k's answer is lost: RMSE of N_k(I *
                kept) to N_k(I), over that of N_k(nothing) to N_k(I): 0 nothing, 1 as much as when nothing is shown. If
                M were a description of pictures alone, its advantage over edges and chance would stay when N is
                randomised.
    direct      Does the objective depend on N? Eq. (3) is minimised for N_k, from the same start, and its masks are
                compared with those for N: correlation, SSIM, and overlap of equally many pixels.
    retrained   Does G follow N? A copy of G is trained on, by Eq. (4), for N_k instead of N, briefly and on these
                pictures, and its masks are compared with M. Stage 0, where nothing is randomised, shows how much masks
                change by training alone: at the randomised stages they have to change more.

`chance` is what the same measures give for masks of different pictures.

The cascade deviates from the paper so that what was learned is lost, and not the scale of the numbers: a layer is
randomised by shuffling each of its weight tensors, which keeps the distribution of its weights; batch norms among the
randomised layers measure their statistics anew; and the predictions are brought to the mean and deviation of the intact
net's, since lambda weighs the difference of predictions.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from depthcue.errors import DepthcueError
from depthcue.evaluation import statistics
from depthcue.evaluation.metrics import AGREEMENT_MEASURES, agreement, mean_squared_difference
from depthcue.evaluation.statistics import Floats, mean_entry, pair, short
from depthcue.evaluation.viewing import Viewing, inputs_of
from depthcue.nets import DepthNet, MaskNet, Setting, depth_from, restore_mode
from depthcue.nets.base import require_gradients
from depthcue.objective import l_dif, mask_objective, to_reference_range
from depthcue.progress import Progress, Silent
from depthcue.scorers import DirectSettings, Pictures, build_scorer, keep_top, optimise_masks

Layer = tuple[str, nn.Module]
"""A module that has weights of its own, and its name in the net."""
ORDERS = ("mask", "sobel", "random")
"""Scorers whose pixels are shown to every net."""


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

    A layer that is never called as a module (some attention reads its parts' weights directly) stands where the module
    stands that it is part of.
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
        pictures: normalised, (B, 3, H, W) each, for the scale of predictions and the statistics of batch norms.
        stages: how many copies; from the one with its last layer randomised they rise to all in even steps. One copy
            alone has all randomised; there are fewer where the net has fewer layers.
    """
    yield Randomised(net)
    own_moments = _moments(net, pictures)
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
        changed.scale = own_moments[1] / deviation if deviation > 1e-6 * max(abs(mean), 1.0) else 1.0
        changed.shift = own_moments[0] - changed.scale * mean
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


@dataclass(frozen=True)
class Sanity:
    """Settings of the sanity check."""

    stages: int = 5
    """Copies of N with more and more layers randomised."""
    share: float = 0.2
    """Share of pixels kept, wherever masks are compared as pixels."""
    images: int = 32
    """The most images of `kept` and `retrained`, spread over the data."""
    direct_images: int = 8
    """Number of these images, the first ones, for which `direct` searches, which takes long; 0 leaves it out."""
    direct: DirectSettings = field(default_factory=lambda: DirectSettings(steps=60))
    steps: int = 0
    """Steps of retraining G at every stage; 0 leaves it out."""
    learning_rate: float = 1e-3
    seed: int = 0
    draws: int = statistics.DRAWS


def check_sanity(net: DepthNet, mask_net: MaskNet, sanity: Sanity) -> None:
    """Check what a sanity check is given.

    Raises:
        DepthcueError: a depth net that cannot be randomised, a mask net that cannot be trained on, or numbers out of
            range.
    """
    require_gradients(net, "the sanity check")
    if not any(parameter.numel() > 1 for parameter in net.parameters()):
        raise DepthcueError(f"{net.description.name} has no weights that could be randomised",
                            "Give a network whose weights are its parameters, or leave the sanity check out.")
    if sanity.steps and not mask_net.trainable:
        raise DepthcueError(f"{mask_net.description.name} is an exported graph, and no training goes on from one",
                            "Give the .safetensors it was exported from, or leave --sanity-steps out.")
    for name, value, least in (("--sanity", sanity.stages, 1), ("--sanity-steps", sanity.steps, 0),
                               ("the number of images of a sanity check", sanity.images, 2)):
        if value < least:
            raise DepthcueError(f"{name} must be at least {least}, got {value}", "Leave it out for the default.")
    if not 0 < sanity.share < 1:
        raise DepthcueError(f"the share of a sanity check must be above 0 and below 1, got {sanity.share:g}",
                            "Leave it out for the default.")


def measure_sanity(mask_net: MaskNet, setting: Setting, viewing: Viewing, sanity: Sanity,
                   progress: Progress | None = None) -> dict[str, Any]:
    """Answer the three questions for `mask_net` at one setting, with the depth net and the data of `viewing`.

    Returns:
        `images` and `share`; `chance` (AGREEMENT_MEASURES by question); and `stages`: for each `layers`, how many are
        randomised, `of` how many, the `deepest` of them; `lost` by scorer with its `_ci95`; `advantage` of the mask
        over the others (how much more they lose) with `_ci95`, and what of it is `gone` since stage 0 with `gone_ci95`;
        `direct` and `retrained`: AGREEMENT_MEASURES with `_ci95`, or None where left out (`direct` at stage 0, where it
        is 1).
    """
    progress = progress or Silent()
    check = _Check(mask_net, setting, viewing, sanity)
    stages: list[dict[str, Any]] = []
    progress.start("sanity check", sanity.stages + 1)
    for net in cascade(viewing.depth_net, check.normalised(), sanity.stages, sanity.seed):
        stages.append(check.stage(net))
        progress.advance()
    layers = stages[-1]["layers"]
    return {"images": len(check.indices), "direct_images": len(check.direct_indices()), "share": sanity.share,
            "steps": sanity.steps, "chance": check.chance(), "stages": [{"of": layers, **stage} for stage in stages]}


class _Check:
    """Pictures and masks of the intact net, which those of the randomised nets are compared with."""

    def __init__(self, mask_net: MaskNet, setting: Setting, viewing: Viewing, sanity: Sanity) -> None:
        self.mask_net, self.setting, self.sanity = mask_net, setting, sanity
        # Eq. (3) needs a price for pixels whatever the mask net takes
        self.lam = mask_net.description.default_lambda if setting.lam is None else setting.lam
        self.depth_net = viewing.depth_net
        self.indices = viewing.spread(sanity.images)
        with torch.no_grad():
            self.pictures = [Pictures(pictures.rgb.clone(), pictures.indices)
                             for _, pictures in viewing.pictures(self.indices)]
            scores = {name: build_scorer(name, inputs_of(mask_net, setting, sanity.seed)) for name in ORDERS}
            self.masks = [scores["mask"](pictures) for pictures in self.pictures]
            self.kept = {name: [self._top(score(pictures)) for pictures in self.pictures]
                         for name, score in scores.items()}
        self.weights = statistics.resampling_weights(len(self.indices), sanity.draws, sanity.seed)
        self.intact: dict[str, Any] = {}
        self.intact_direct: list[Tensor] = []

    def normalised(self) -> list[Tensor]:
        return [self.depth_net.normalise(pictures.rgb) for pictures in self.pictures]

    def direct_indices(self) -> list[int]:
        return self.indices[:self.sanity.direct_images]

    def stage(self, net: Randomised) -> dict[str, Any]:
        """The answers of one stage; stage 0 has to come first."""
        entry: dict[str, Any] = {"layers": net.layers, "deepest": net.deepest, **self._kept(net)}
        direct = self._direct_masks(net)
        if net.layers == 0:
            self.intact_direct = direct
            entry["direct"] = None
        else:
            entry["direct"] = self._agreement(direct, self.intact_direct)
        entry["retrained"] = self._agreement(self._retrained_masks(net), self.masks) if self.sanity.steps else None
        return entry

    def chance(self) -> dict[str, Any]:
        """Agreement of masks of different pictures."""
        return {"direct": self._mismatched(self.intact_direct),
                "retrained": self._mismatched(self.masks) if self.sanity.steps else None}

    def _top(self, scores: Tensor) -> Tensor:
        return keep_top(scores, self.sanity.share, self.sanity.seed)

    @torch.no_grad()
    def _kept(self, net: Randomised) -> dict[str, Any]:
        lost: dict[str, list[Tensor]] = {name: [] for name in (*ORDERS, "nothing")}
        for number, normalised in enumerate(self.normalised()):
            whole = net(normalised)
            shown = {name: self.kept[name][number].to(normalised.dtype) for name in ORDERS}
            shown["nothing"] = torch.zeros_like(shown["mask"])
            for name, kept in shown.items():
                lost[name].append(mean_squared_difference(net(normalised * kept), whole))
        mse = {name: torch.cat(values).cpu().numpy() for name, values in lost.items()}
        # the first row is the images themselves, the others their resamples
        weights = np.concatenate([np.full((1, len(self.indices)), 1 / len(self.indices)), self.weights])
        nothing = np.maximum(weights @ mse["nothing"], np.finfo(np.float64).tiny)
        samples = {name: np.sqrt(weights @ mse[name] / nothing) for name in ORDERS}
        advantage = {name: samples[name] - samples["mask"] for name in ORDERS[1:]}
        if net.layers == 0:
            self.intact = advantage
        entry: dict[str, Any] = {"lost": {}, "advantage": {}}
        for name in ORDERS:
            entry["lost"] |= _entry(name, samples[name])
        for name in ORDERS[1:]:
            entry["advantage"][name] = {**_entry("value", advantage[name]),
                                        **_entry("gone", self.intact[name] - advantage[name])}
        return entry

    def _direct_masks(self, net: Randomised) -> list[Tensor]:
        masks: list[Tensor] = []
        left = self.sanity.direct_images
        for pictures in self.pictures:
            rows = min(len(pictures.rgb), left)
            if rows > 0:
                left -= rows
                some = replace(pictures, rgb=pictures.rgb[:rows], indices=pictures.indices[:rows])
                masks.append(optimise_masks(net, some, self.lam, self.sanity.direct))
        return masks

    def _retrained_masks(self, net: Randomised) -> list[Tensor]:
        """The masks of a copy of G that was trained on for another net."""
        learner = copy.deepcopy(self.mask_net).eval().requires_grad_(True)
        adam = torch.optim.Adam(learner.parameters(), lr=self.sanity.learning_rate)
        far_m = self.depth_net.description.depth_range
        with restore_mode(net):
            for pictures in islice(cycle(self.pictures), self.sanity.steps):
                normalised = net.normalise(pictures.rgb)
                dial = torch.full((len(normalised),), self.mask_net.dial_value(
                    self.setting.keep, None if self.mask_net.keeps_shares else self.lam), device=normalised.device)
                with torch.no_grad():
                    whole = to_reference_range(depth_from(net, normalised), far_m)
                mask = learner(learner.normalise(pictures.rgb), dial)
                answer = to_reference_range(depth_from(net, normalised, mask), far_m)
                adam.zero_grad(set_to_none=True)
                mask_objective(l_dif(answer, whole), mask, 0.0 if learner.keeps_shares else self.lam).backward()
                adam.step()
        with torch.no_grad():
            score = build_scorer("mask", inputs_of(learner.eval(), self.setting))
            return [score(pictures) for pictures in self.pictures]

    def _agreement(self, masks: Sequence[Tensor], others: Sequence[Tensor]) -> dict[str, Any] | None:
        if not masks:
            return None
        found = [agreement(mask, other, self._top(mask), self._top(other))
                 for mask, other in zip(masks, others, strict=True)]
        values = {name: torch.cat([each[name] for each in found]).cpu().numpy() for name in AGREEMENT_MEASURES}
        weights = statistics.resampling_weights(len(values[AGREEMENT_MEASURES[0]]), self.sanity.draws, self.sanity.seed)
        entry: dict[str, Any] = {"mean": short(float(torch.cat(list(masks)).mean()))}
        for name in AGREEMENT_MEASURES:
            entry |= mean_entry(name, values[name], weights)
        return entry

    def _mismatched(self, masks: Sequence[Tensor]) -> dict[str, Any] | None:
        every = torch.cat(list(masks)) if masks else torch.empty(0)
        if len(every) < 2:
            return None
        return self._agreement([every], [every.roll(1, dims=0)])


def _entry(name: str, samples: Floats) -> dict[str, Any]:
    """A number, of the images themselves, and its interval, of their resamples."""
    return {name: short(float(samples[0])), f"{name}_ci95": pair(statistics.percentile_interval(samples[1:]))}
