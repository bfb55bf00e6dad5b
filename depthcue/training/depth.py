"""Training a depth net N on pictures with depth (Hu et al., WACV 2019: Adam 1e-4, weight decay 1e-4, 20 epochs).

Depth beyond the net's range, and sky where the data say so (infinite), count as the far end of the range. For the
compact nets, which start from nothing, the defaults are l1, a larger learning rate, a cosine schedule and averaged
weights.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch

from depthcue.data import Batch
from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, build_depth_net, load_depth_net
from depthcue.nets.base import METRIC_DEPTH
from depthcue.nets.catalog import DEPTH_DEFAULTS, DEPTH_NETS
from depthcue.objective import l_dif
from depthcue.progress import Progress, Silent
from depthcue.training.engine import Engine, accelerator_for, channels_last
from depthcue.training.options import TrainingOptions, check_loss, recipe
from depthcue.training.run import RunFolder


@dataclass(frozen=True)
class DepthTraining(TrainingOptions):
    """What `depthcue train-depth` is told."""

    command: ClassVar[str] = "train-depth"

    data: tuple[str, ...]
    loss: str = "l1"
    size: tuple[int, int] | None = None
    """Working (height, width); the architecture's default where None."""
    augmentation: str = field(default="strong", kw_only=True)

    def check(self) -> None:
        super().check()
        check_loss(self.loss)
        if self.net not in DEPTH_NETS:
            raise DepthcueError(f"there is no depth net called {self.net!r}", f"Known: {', '.join(DEPTH_NETS)}.")


def train_depth(what: DepthTraining, out: str | Path, *, resume: bool = False, device: str = "auto",
                progress: Progress | None = None) -> Path:
    """Train a depth net and write OUT/depth.safetensors with its card; returns that path.

    Raises:
        DepthcueError: wrong options or data; a run that is there already, or differs from the one to resume.
        KeyboardInterrupt: stopped; the checkpoint is written and `resume` goes on from it.
    """
    what.check()
    accelerator = accelerator_for(device)
    size = what.size or (DEPTH_DEFAULTS[what.net].height, DEPTH_DEFAULTS[what.net].width)
    datasets = what.open_data(what.data, size)
    net = _net(what, size, max_depth_m=max(data.max_depth_m for data in datasets))
    with torch.inference_mode():
        depth_size = tuple(net.eval()(torch.zeros(1, 3, *size)).shape[2:])
    loader = what.loader(datasets, size, (depth_size[0], depth_size[1]), accelerator)
    run = RunFolder(out, what.config(), resume)
    engine = Engine(net, what.optimisation(loader.epoch_length), run, accelerator, progress or Silent(),
                    frozen=what.frozen(net))

    for batch in engine.batches(loader):
        depth_m, valid = _target(batch, net.description.max_depth_m)
        with engine.autocast():
            prediction = engine.net(net.normalise(channels_last(batch.rgb)))
        engine.update(l_dif(predicted_depth_m(net, prediction.float()), depth_m, valid, what.loss))

    weights = Path(out) / "depth.safetensors"
    what.save(engine, weights, datasets)
    return weights


def depth_recipe(net: str, **asked: Any) -> dict[str, Any]:
    """The optimisation of a depth net with what is not said filled in (see `options.recipe`).

    The compact net starts from nothing, where the logarithm in the paper's losses and their love of flat maps hold it
    back: l1 is its loss. So it is of Laina et al.'s net as Hu et al. compare it.
    """
    loss = "l1" if net == "laina-resnet50" else "depth+grad+normal"
    published = {"epochs": 20, "learning_rate": 1e-4, "schedule": "step", "average": 0.0, "loss": loss}
    return recipe(published, {"loss": "l1"}, net, **asked)


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


def predicted_depth_m(net: DepthNet, prediction: torch.Tensor) -> torch.Tensor:
    """What the loss is of: metres, also of a net that predicts their inverse.

    A prediction in metres stays as it is: at the bound that `to_depth_m` sets, a depth below 0 would not learn.
    """
    return prediction if net.description.predicts == METRIC_DEPTH else net.to_depth_m(prediction)


def _target(batch: Batch, max_depth_m: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth (B, 1, h, w) within the net's range and where it counts; infinite depth is the far end of the range."""
    assert batch.depth_m is not None and batch.valid is not None
    far = torch.isinf(batch.depth_m)
    return batch.depth_m.clamp(max=max_depth_m), batch.valid | far
