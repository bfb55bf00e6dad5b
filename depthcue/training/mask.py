"""Training a mask net G for a frozen depth net N: Algorithm 1 of Hu, Zhang, Okatani (ICCV 2019).

    Y = N(I);  M = G(I);  minimise  l_dif(Y, N(I M)) + λ mean(M)   over the weights of G      Eq. (4)

or, for the opposite question, -l_dif + λ mean(1 - M), Eq. (5). No ground truth is used. Y is computed once a batch,
without gradients. Deviations: a mask net that takes λ is trained with one λ a picture, drawn log-uniformly from its
range; N sees some of its masks nearly binary, at a sparseness that is drawn (`training.sharpening`); what a relative
net sees is brought to one scale, from Y alone (`nets.units`); the learning rate, schedule and averaging of the compact
net are ours.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from depthcue.errors import DepthcueError
from depthcue.nets import (
    DepthNet,
    MaskNet,
    build_mask_net,
    depth_from,
    exchanging,
    load_depth_net,
    load_mask_net,
    require_gradients,
    restore_mode,
    see_whole,
    working_size,
)
from depthcue.nets.catalog import MASK_DEFAULTS, MASK_NETS
from depthcue.objective import EQUATIONS, l_dif, mask_objective, to_reference_range
from depthcue.progress import Progress, Silent
from depthcue.training.engine import Engine, accelerator_for, channels_last
from depthcue.training.options import TrainingOptions, check_loss, recipe
from depthcue.training.run import RunFolder
from depthcue.training.sharpening import sharpen

LAMBDA_RANGE = (0.5, 6.0)
PAPER_LAMBDA = 5.0


@dataclass(frozen=True)
class MaskTraining(TrainingOptions):
    """What `depthcue train` is told."""

    command: ClassVar[str] = "train"

    target: str
    data: tuple[str, ...]
    lam: tuple[float, ...] = ()
    """One λ, or the two ends of the range a conditioned net is trained for; empty: the net's default."""
    sharpen: float = 0.0
    """Share of the pictures that the target sees through a nearly binary mask, reached half-way in training."""
    equation: str = "4"
    loss: str = "depth+grad+normal"

    def check(self) -> None:
        super().check()
        check_loss(self.loss)
        if self.net not in MASK_NETS:
            raise DepthcueError(f"there is no mask net called {self.net!r}", f"Known: {', '.join(MASK_NETS)}.")
        if self.equation not in EQUATIONS:
            raise DepthcueError(f"unknown equation {self.equation!r}", "Use 4 (keep the depth) or 5 (destroy it).")
        _lambdas(self)


def train_mask(what: MaskTraining, out: str | Path, *, resume: bool = False, device: str = "auto",
               progress: Progress | None = None) -> Path:
    """Train a mask net and write OUT/mask.safetensors with its card; returns that path.

    Raises:
        DepthcueError: wrong options, target or data; a run that is there already, or differs from the one to resume.
        KeyboardInterrupt: stopped; the checkpoint is written and `resume` goes on from it.
    """
    what.check()
    accelerator = accelerator_for(device)
    target = load_depth_net(what.target, accelerator.device)
    require_gradients(target, "training a mask net")
    target.to(memory_format=torch.channels_last)
    net = _net(what, target)
    size = (net.description.height, net.description.width)
    datasets = what.open_data(what.data, size)
    loader = what.loader(datasets, size, None, accelerator)
    run = RunFolder(out, what.config(), resume)
    engine = Engine(net, what.optimisation(loader.epoch_length), run, accelerator, progress or Silent(),
                    frozen=what.frozen(net))

    depth_range = target.description.depth_range
    with restore_mode(target), exchanging(target):
        for batch in engine.batches(loader):
            chance = engine.generator()
            lam = _draw_lambda(net, batch.rgb.shape[0], chance).to(accelerator.device)
            normalised = target.normalise(channels_last(batch.rgb))
            with torch.no_grad(), engine.autocast():
                whole, units = see_whole(target, normalised)
                depth = to_reference_range(whole.float(), depth_range)
            with engine.autocast():
                mask = engine.net(normalised, lam).float()
            seen, sharpened = sharpen(mask, what.sharpen * min(1.0, 2 * engine.step / engine.how.steps), chance)
            with engine.autocast():
                through = depth_from(target, normalised, seen, units=units)
                depth_from_mask = to_reference_range(through.float(), depth_range)
            difference = l_dif(depth_from_mask, depth, loss=what.loss)
            # at a sparseness that is given there is nothing for lambda to weigh
            lam = lam.masked_fill(sharpened, 0.0)
            engine.update(mask_objective(difference, mask, lam, what.equation), difference=difference,
                          mask_mean=mask.mean())

    weights = Path(out) / "mask.safetensors"
    what.save(engine, weights, datasets, target_sha256=target.card.get("sha256"))
    return weights


def mask_recipe(net: str, **asked: Any) -> dict[str, Any]:
    """The optimisation of a mask net with what is not said filled in (see `options.recipe`)."""
    return recipe({"epochs": 10, "learning_rate": 1e-4, "schedule": "constant", "average": 0.0, "sharpen": 0.0},
                  {"sharpen": 0.6}, net, **asked)


def _net(what: MaskTraining, target: DepthNet) -> MaskNet:
    """A mask net that takes pictures as its target does."""
    seen = target.description
    height, width = working_size(seen, MASK_DEFAULTS[what.net].multiple)
    changes: dict[str, Any] = {
        "name": what.name or what.net, "target": what.target, "height": height, "width": width,
        "mean": seen.mean, "std": seen.std, **_lambdas(what),
    }
    net = build_mask_net(what.net, backbone=what.backbone, seed=what.seed, **changes)
    if what.init is not None:
        start = load_mask_net(what.init)
        if type(start) is not type(net) or start.config != net.config:
            raise DepthcueError(f"--init {what.init} is not a {what.net} of the same shape",
                                "Start from a net of the same architecture.")
        net.load_state_dict(start.state_dict())
    return net


def _lambdas(what: MaskTraining) -> dict[str, Any]:
    """λ as the description of the net states it."""
    if not all(0 < lam < math.inf for lam in what.lam):
        raise DepthcueError("lambda must be above 0 and finite", "The paper compares 1 to 6.")
    conditioned = what.net == "compact" and len(what.lam) != 1
    if not conditioned:
        if len(what.lam) > 1:
            raise DepthcueError(f"{what.net} is trained for one lambda, not for {len(what.lam)}",
                                "Train one net for each, or use --net compact, which takes lambda as an input.")
        return {"lambda_range": None, "default_lambda": what.lam[0] if what.lam else PAPER_LAMBDA}
    low, high = (min(what.lam), max(what.lam)) if what.lam else LAMBDA_RANGE
    default = PAPER_LAMBDA if low <= PAPER_LAMBDA <= high else round(math.sqrt(low * high), 3)
    return {"lambda_range": (low, high), "default_lambda": default}


def _draw_lambda(net: MaskNet, count: int, generator: torch.Generator) -> torch.Tensor:
    """One λ a picture (B,): log-uniform over the net's range, or the one it is trained for."""
    if net.description.lambda_range is None:
        return torch.full((count,), net.description.default_lambda)
    low, high = (math.log(end) for end in net.description.lambda_range)
    return (low + (high - low) * torch.rand(count, generator=generator)).exp()
