"""Training a depth net N on pictures with depth (Hu et al., WACV 2019: Adam 1e-4, weight decay 1e-4, 20 epochs).

Depth beyond the net's range, and sky where the data say so (infinite), count as the far end of the range. For the
compact nets, which start from nothing, the defaults are l1, a larger learning rate, a cosine schedule and averaged
weights.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from depthcue.data import NONE, PUBLISHED, STRONG, Batch, BatchLoader, open_data
from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, build_depth_net, load_depth_net
from depthcue.nets.base import METRIC_DEPTH
from depthcue.nets.catalog import DEPTH_DEFAULTS, DEPTH_NETS
from depthcue.nets.checkpoint import save_net
from depthcue.objective import l_dif
from depthcue.progress import Progress, Silent
from depthcue.training.engine import Engine, Optimisation, accelerator_for, recipe, steps_to_run
from depthcue.training.run import RunFolder

POLICIES = {"none": NONE, "published": PUBLISHED, "strong": STRONG}


@dataclass(frozen=True)
class DepthTraining:
    """What `depthcue train-depth` is told."""

    data: tuple[str, ...]
    steps: int | None = None
    epochs: int | None = None
    net: str = "compact"
    loss: str = "l1"
    name: str | None = None
    """What the card calls the net."""
    size: tuple[int, int] | None = None
    """Working (height, width); the architecture's default where None."""
    init: str | None = None
    """Spec of a depth net to start from."""
    backbone: str = "none"
    augmentation: str = "strong"
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    average: float = 0.999
    precision: str = "fp32"
    compile: bool = False
    half: bool = False
    """Store the weights in 16 bit."""
    limit: int | None = None
    seed: int = 0


def train_depth(what: DepthTraining, out: str | Path, *, resume: bool = False, device: str = "auto",
                progress: Progress | None = None) -> Path:
    """Train a depth net and write OUT/depth.safetensors with its card; returns that path.

    Raises:
        DepthcueError: wrong options or data; a run that is there already, or differs from the one to resume.
        KeyboardInterrupt: stopped; the checkpoint is written and `resume` goes on from it.
    """
    if what.net not in DEPTH_NETS:
        raise DepthcueError(f"there is no depth net called {what.net!r}", f"Known: {', '.join(DEPTH_NETS)}.")
    if what.augmentation not in POLICIES:
        raise DepthcueError(f"unknown augmentation {what.augmentation!r}", f"Use {', '.join(POLICIES)}.")
    accelerator = accelerator_for(device, what.precision)
    size = what.size or (DEPTH_DEFAULTS[what.net].height, DEPTH_DEFAULTS[what.net].width)
    datasets = [open_data(spec, split="train", frame_size=frame_size(spec, size), limit=what.limit, seed=what.seed)
                for spec in what.data]
    net = _net(what, size, max_depth_m=max(data.max_depth_m for data in datasets))
    with torch.inference_mode():
        depth_size = tuple(net(torch.zeros(1, 3, *size)).shape[2:])
    loader = BatchLoader(datasets, what.batch_size, size, (depth_size[0], depth_size[1]), POLICIES[what.augmentation],
                         what.seed, accelerator.process_index, accelerator.num_processes, accelerator.device)
    how = Optimisation(steps_to_run(what.steps, what.epochs, loader.epoch_length),
                       what.learning_rate, what.weight_decay, what.schedule, what.average, what.precision,
                       what.compile, what.seed)
    run = RunFolder(out, {"command": "train-depth", **dataclasses.asdict(what)}, resume)
    engine = Engine(net, how, run, accelerator, progress or Silent())

    for batch in engine.batches(loader):
        depth_m, valid = _target(batch, net.description.max_depth_m)
        prediction = engine.net(net.normalise(channels_last(batch.rgb)))
        engine.update(l_dif(_predicted_depth_m(net, prediction.float()), depth_m, valid, what.loss))

    weights = Path(out) / "depth.safetensors"
    if accelerator.is_main_process:
        engine.trained()
        save_net(net, weights, architecture=what.net, half=what.half,
                 training={**dataclasses.asdict(what), "steps": how.steps, "processes": accelerator.num_processes,
                           "pictures": [len(data) for data in datasets], "command": sys.argv[1:]})
        run.finish()
    accelerator.wait_for_everyone()
    return weights


def depth_recipe(net: str, **asked: Any) -> dict[str, Any]:
    """The optimisation of a depth net with what is not said filled in (see `engine.recipe`).

    The compact net starts from nothing, where the logarithm in the paper's losses and their love of flat maps hold it
    back: l1 is its loss. So it is of Laina et al.'s net as Hu et al. compare it.
    """
    loss = "l1" if net == "laina-resnet50" else "depth+grad+normal"
    published = {"epochs": 20, "learning_rate": 1e-4, "schedule": "step", "average": 0.0, "loss": loss}
    return recipe(published, {"loss": "l1"}, net, **asked)


def frame_size(spec: str, size: tuple[int, int]) -> tuple[int, int] | None:
    """Size at which frames are made where it is free: a little above the working size, so that a crop can move."""
    if not spec.startswith(("folder:", "scenes:")):
        return None
    return round(size[0] * 1.125), round(size[1] * 1.125)


def channels_last(rgb: torch.Tensor) -> torch.Tensor:
    """The memory layout in which convolutions are fastest."""
    return rgb.contiguous(memory_format=torch.channels_last)


def _net(what: DepthTraining, size: tuple[int, int], max_depth_m: float) -> DepthNet:
    changes: dict[str, Any] = {"name": what.name or what.net, "max_depth_m": max_depth_m, "height": size[0],
                               "width": size[1]}
    # most of what is seen lies at about a quarter of the range
    config = {"typical_depth_m": max_depth_m / 4} if what.net == "compact" else None
    net = build_depth_net(what.net, backbone=what.backbone, seed=what.seed, config=config, **changes)
    if what.init is not None:
        start = load_depth_net(what.init)
        if type(start) is not type(net):
            raise DepthcueError(f"--init {what.init} is a {start.description.name}, not a {what.net}",
                                "Start from a net of the same architecture.")
        net = type(net)(net.description, **start.config)  # the weights go with their configuration
        net.load_state_dict(start.state_dict())
    multiple = net.description.multiple
    if net.description.height % multiple or net.description.width % multiple:
        raise DepthcueError(f"{what.net} needs a height and width that are multiples of {multiple}",
                            "Choose another --size.")
    return net


def _predicted_depth_m(net: DepthNet, prediction: torch.Tensor) -> torch.Tensor:
    """What the loss is of: metres, also of a net that predicts their inverse.

    A prediction in metres stays as it is: at the bound that `to_depth_m` sets, a depth below 0 would not learn.
    """
    return prediction if net.description.predicts == METRIC_DEPTH else net.to_depth_m(prediction)


def _target(batch: Batch, max_depth_m: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth (B, 1, h, w) within the net's range and where it counts; infinite depth is the far end of the range."""
    assert batch.depth_m is not None and batch.valid is not None
    far = torch.isinf(batch.depth_m)
    return batch.depth_m.clamp(max=max_depth_m), batch.valid | far
