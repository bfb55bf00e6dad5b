"""Training a depth net N on pictures with depth (Hu et al., WACV 2019: Adam 1e-4, weight decay 1e-4, 20 epochs).

Depth beyond the net's range, and sky where the data say so (infinite), count as the far end of the range. For our own
nets the defaults are l1, a larger learning rate, a cosine schedule and averaged weights.

A teacher, another depth net, can answer for pictures whose depth nobody measured (distillation: Hinton, Vinyals, Dean,
2015): its depth of the very same view counts there. Half of these pictures have another laid over them, so that few
pictures tell much of how the teacher answers (mixing as in Beyer et al., Knowledge distillation: a good teacher is
patient and consistent, CVPR 2022). A teacher that is right only up to a scale, as one that learned from stereo or
video, has the same scale in every picture: the pictures with depth say which. The answer of one whose shift is unknown
too is brought to the scale of the net's own prediction, picture by picture, so that it teaches shapes alone.

A surrogate S is taught to answer as N does, masked pictures included. N may be a black box: a graph that cannot be
differentiated, a function that calls a server. A mask net G needs the gradient of N(I M) by M, and gets that of S(I M)
in its place. It is worth something only where S answers to holes as N does, so most lessons are masked pictures, under
the kinds of masks that G passes on its way: those of the general mask net, of edges, scattered pixels and blobs, at
shares from few pixels to most, with all the fills that G is trained with. N's depth is brought to 0..10 m: of a metric
net by its range, of a relative net by the units of the whole picture, which S has to guess from the pixels it is given.
"""

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.data import RgbdBatch, RgbdData
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.nets import (
    DepthNet,
    MaskNet,
    build_depth_net,
    depth_from,
    fit,
    load_depth_net,
    load_mask_net,
    resize,
    whole_depth,
)
from depthcue.nets.base import METRIC_DEPTH
from depthcue.nets.catalog import DEPTH_DEFAULTS, DEPTH_NETS, GENERAL
from depthcue.nets.units import aligned_units, draw_background, hide
from depthcue.objective import REFERENCE_RANGE_M, l_dif, to_reference_range
from depthcue.progress import Progress, Silent
from depthcue.scorers import keep_top, sobel_edges
from depthcue.training.engine import Engine, accelerator_for, channels_last
from depthcue.training.run import OURS, RunFolder, TrainingOptions, check_loss, recipe
from depthcue.training.validation import Budget, split

SHARES = (0.04, 0.8)
FILL_CHANCES = {"mean": 0.6, "colour": 0.1, "own-mean": 0.1, "blur": 0.1, "noise": 0.1}
"""Probability of each fill of hidden pixels, here and where mask nets of shares are trained."""
KINDS = ("general", "general", "sobel", "random", "blobs")
"""Kinds of masks, each as likely as it is often named."""
BLOB_PX = 16
FAR = 0.95
"""Share of a metric net's range beyond which its answer is the end of the range, and not a distance."""
SKY = 0.15
"""Share of a net's range beyond which the answer of a relative teacher may be sky."""
OUTDOORS = 0.02
"""Share of the labelled pixels that are sky from which on pictures are taken to have a sky."""
CALIBRATED = 48
"""Pictures with depth that say which scale a relative teacher has, and whether there is sky."""
MIXED = 0.5
"""Share of the pictures shown to a teacher that have another laid over them."""


@torch.no_grad()
def lesson(teacher: DepthNet, general: MaskNet, rgb: Tensor, masked: float, chance: torch.Generator,
           ) -> tuple[Tensor, Tensor]:
    """Pictures for teacher and surrogate, some under masks, and the teacher's answer.

    Args:
        teacher: N; the surrogate takes pictures of the same size and normalisation.
        general: the general mask net.
        rgb: (B, 3, H, W) in [0, 1].
        masked: probability of a mask for each picture.

    Returns:
        Normalised pictures (B, 3, H, W), and depth (B, 1, h, w) in 0..10 m.
    """
    normalised = teacher.normalise(rgb)
    whole, units = whole_depth(teacher, normalised)
    hidden = (torch.rand(len(rgb), generator=chance) < masked).nonzero()[:, 0].tolist()
    mask = torch.ones_like(rgb[:, :1])
    for row in hidden:
        mask[row:row + 1] = draw_mask(rgb[row:row + 1], general, chance)
    shown = hide(normalised, mask, draw_background(normalised, teacher, chance, FILL_CHANCES))
    answer = whole if not hidden else depth_from(teacher, shown, units=units)
    return shown, to_reference_range(answer.float(), teacher.description.depth_range)


def draw_mask(rgb: Tensor, general: MaskNet, chance: torch.Generator) -> Tensor:
    """A mask (1, 1, H, W) of one of KINDS for a picture (1, 3, H, W), binary or, from the general net, also soft."""
    low, high = (math.log(end) for end in SHARES)
    draws = torch.rand(3, generator=chance).tolist()
    share = math.exp(low + (high - low) * draws[0])
    kind = KINDS[min(int(draws[1] * len(KINDS)), len(KINDS) - 1)]
    height, width = rgb.shape[-2:]
    if kind == "general":
        scores = general(general.normalise(rgb), torch.full((1,), share, device=rgb.device)).float()
        if draws[2] < 0.3:
            return scores
    elif kind == "sobel":
        scores = sobel_edges(rgb)
    elif kind == "random":
        scores = torch.rand(1, 1, height, width, generator=chance).to(rgb)
    else:
        cells = torch.rand(1, 1, max(height // BLOB_PX, 2), max(width // BLOB_PX, 2), generator=chance).to(rgb)
        scores = functional.interpolate(cells, size=(height, width), mode="bilinear", align_corners=False)
    return keep_top(scores, share).to(rgb.dtype)


@dataclass(frozen=True)
class DepthTraining(TrainingOptions):
    """Options of `depthcue train-depth`."""

    command: ClassVar[str] = "train-depth"

    data: tuple[str, ...]
    loss: str = "l1"
    size: tuple[int, int] | None = None
    """Working (height, width); the architecture's default where None."""
    augmentation: str = field(default="strong", kw_only=True)
    teacher: str | None = None
    """Spec of a depth net that answers for the pictures of `taught`."""
    taught: tuple[str, ...] = ()
    """Data whose pictures the teacher answers for; depth beside them is not used."""
    masked: float = 0.0
    """Share of the pictures of `taught` that are masked for teacher and net: a surrogate, which needs no `data`."""
    minutes: float | None = None
    """Time for the steps, where `steps` and `epochs` are None."""
    aside: float = 0.0
    """Share of the pictures of `taught` that are kept aside for others (`validation.split`)."""

    def check(self) -> None:
        super().check()
        check_loss(self.loss)
        if (self.teacher is None) != (not self.taught):
            raise DepthcueError("--teacher and --taught need each other",
                                "Give a depth net with --teacher and the pictures it answers for with --taught.")
        if not self.data and not (self.taught and self.masked) or self.data and self.masked:
            raise DepthcueError("training a depth net needs pictures with depth, and a surrogate needs none",
                                "Give --data.")
        if self.net not in DEPTH_NETS:
            raise must_be_one_of("--net", DEPTH_NETS, self.net)


def train_depth(what: DepthTraining, out: str | Path, *, resume: bool = False, device: str = "auto",
                progress: Progress | None = None, tracker: str | None = None) -> Path:
    """Train a depth net and write OUT/depth.safetensors with its card; returns that path.

    Args:
        tracker: one of `engine.TRACKERS`, which shows the training while it goes on.

    Raises:
        DepthcueError: wrong options or data; a run that is there already, or differs from the one to resume.
        KeyboardInterrupt: stopped; the checkpoint is written and `resume` goes on from it.
    """
    what.check()
    started = time.monotonic()
    accelerator = accelerator_for(device, tracker, out)
    size = what.size or (DEPTH_DEFAULTS[what.net].height, DEPTH_DEFAULTS[what.net].width)
    labelled, (taught, _) = what.open_data(what.data, size), split(what.open_data(what.taught, size), what.aside, size)
    datasets = [*labelled, *taught]
    teacher = None if what.teacher is None else load_depth_net(what.teacher, accelerator.device)
    net = _net(what, size, max((data.max_depth_m for data in labelled), default=REFERENCE_RANGE_M), teacher)
    general = load_mask_net(GENERAL, accelerator.device) if what.masked else None
    with torch.inference_mode():
        depth_size = tuple(net.eval()(torch.zeros(1, 3, *size)).shape[2:])
    loader = what.loader(datasets, size, (depth_size[0], depth_size[1]), accelerator, unlabelled=len(taught))
    run = RunFolder(out, what.config(), resume)
    calibration = Calibration() if teacher is None else calibrate(teacher, labelled, accelerator.device)
    budget = None if what.minutes is None else Budget(what.minutes, started)
    how = what.optimisation(loader.epoch_length)
    how = how if budget is None else dataclasses.replace(how, steps=budget.first_plan())
    engine = Engine(net, how, run, accelerator, progress or Silent(), frozen=what.frozen(net))
    if budget is not None:
        engine.extra = lambda: {"spent_s": budget.spent_s()}
        budget.go_on(engine.resumed.get("spent_s", 0.0))

    for batch in engine.batches(loader):
        if budget is not None and budget.idle:
            budget.begin(engine.step)
        if teacher is not None and general is not None:
            rgb = _mixed(channels_last(batch.rgb), engine.generator())
            shown, answer_m = lesson(teacher, general, rgb, what.masked, engine.generator())
            with engine.autocast():
                prediction = engine.net(shown)
            predicted_m = resize(prediction.float(), (answer_m.shape[-2], answer_m.shape[-1]))
            engine.update(l_dif(predicted_m, answer_m, None, what.loss))
            if budget is not None:
                budget.steer(engine)
            continue
        depth_m, valid = _target(batch, net.description.max_depth_m)
        if teacher is not None:
            batch.rgb[loader.labelled:] = _mixed(batch.rgb[loader.labelled:], engine.generator())
        with engine.autocast():
            prediction = engine.net(net.normalise(channels_last(batch.rgb)))
        predicted_m = predicted_depth_m(net, prediction.float())
        if teacher is not None:
            taught_m = predicted_m[loader.labelled:].detach()
            answer_m, answered = _answer(teacher, batch.rgb[loader.labelled:], taught_m, net.description.max_depth_m,
                                         calibration)
            depth_m[loader.labelled:] = answer_m.clamp(max=net.description.max_depth_m)
            valid[loader.labelled:] = answered
        engine.update(l_dif(predicted_m, depth_m, valid, what.loss))

    weights = Path(out) / "depth.safetensors"
    what.save(engine, weights, datasets, **({} if teacher is None else {"teacher": {
        "name": teacher.description.name, "licence": teacher.description.licence,
        "source": teacher.description.source, "sha256": teacher.card.get("sha256"), "scale": calibration.scale}}))
    return weights


def _mixed(rgb: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures (B, 3, H, W), about half of them with up to a half of the next one laid over them."""
    chance = torch.rand(2, len(rgb), 1, 1, 1, generator=generator).to(rgb)
    share = torch.where(chance[0] < MIXED, 0.5 * chance[1], 0.0)
    return torch.lerp(rgb, rgb.roll(1, dims=0), share)


@dataclass(frozen=True)
class Calibration:
    """What pictures with depth tell about a relative teacher.

    Attributes:
        scale: metres per unit of its depth; None where it has none (a metric teacher, one whose shift is unknown) or no
            picture tells it.
        sky: whether the pictures have a sky.
    """

    scale: float | None = None
    sky: bool = False


@torch.no_grad()
def calibrate(teacher: DepthNet, labelled: Sequence[RgbdData], device: torch.device) -> Calibration:
    """Scale of a relative teacher, and whether there is sky, from pictures with depth.

    The scale is the median over pictures of the median over pixels of true depth by the teacher's.

    Args:
        labelled: data sets with depth; the first pictures of each count, CALIBRATED in all.
    """
    if not teacher.description.relative:
        return Calibration()
    ratios, infinite, pixels = [], 0, 0
    for data in labelled:
        for index in range(min(len(data), math.ceil(CALIBRATED / len(labelled)))):
            frame = data.evaluation_batch([index], device)
            assert frame.depth_m is not None and frame.valid is not None
            infinite, pixels = infinite + int(torch.isinf(frame.depth_m).sum()), pixels + frame.depth_m.numel()
            valid = frame.valid & (frame.depth_m < FAR * data.max_depth_m)
            if valid.any() and not teacher.description.shift_unknown:
                answer = teacher(teacher.normalise(fit(frame.rgb, teacher.description)))
                depth = resize(_unscaled(teacher, answer), (valid.shape[-2], valid.shape[-1]))
                ratios.append((frame.depth_m / depth)[valid].median())
    return Calibration(float(torch.stack(ratios).median()) if ratios else None, infinite > OUTDOORS * pixels)


def _unscaled(teacher: DepthNet, answer: torch.Tensor) -> torch.Tensor:
    """Depth (B, 1, h, w) in the teacher's own unit."""
    answer = answer.float().clamp_min(1e-6)
    return answer if teacher.description.predicts == METRIC_DEPTH else 1 / answer


@torch.no_grad()
def _answer(teacher: DepthNet, rgb: torch.Tensor, predicted_m: torch.Tensor, max_depth_m: float,
            calibration: Calibration) -> tuple[torch.Tensor, torch.Tensor]:
    """Teacher's depth of pictures (B, 3, H, W) at the size of the net's own prediction, and where it counts.

    Of a relative teacher in the scale of `calibration`; where that is None, in the scale and shift that bring it
    nearest to the prediction of each picture: the scale at which as many pixels are nearer as farther, so that it does
    not pull at the net's own.

    A relative teacher that learned without labels knows nothing of the sky, which it sees nearer than the horizon. In
    pictures with a sky its answer does not count above the row that it sees farthest, but for what it sees near.

    Returns:
        Metres (B, 1, h, w), and a boolean of that shape.
    """
    answer = teacher(teacher.normalise(fit(rgb, teacher.description)))
    size = (predicted_m.shape[-2], predicted_m.shape[-1])
    if not teacher.description.relative:
        depth_m = resize(teacher.to_depth_m(answer).float(), size)
    elif calibration.scale is not None:
        depth_m = calibration.scale * resize(_unscaled(teacher, answer), size)
    else:
        near = predicted_m < FAR * max_depth_m
        units = aligned_units(teacher.description, answer, predicted_m, near, far_m=1e4)
        depth_m = resize(units.to_depth(answer), size)
        # least squares find the shift; the scale is that of the median pixel
        ratio = torch.where(near, predicted_m / depth_m.clamp_min(1e-6), torch.nan)
        depth_m = depth_m * ratio.flatten(1).nanmedian(1).values.nan_to_num(1.0).view(-1, 1, 1, 1)
    if not calibration.sky:
        return depth_m, torch.ones_like(depth_m, dtype=torch.bool)
    horizon = depth_m.median(dim=3, keepdim=True).values.argmax(dim=2, keepdim=True)  # (B, 1, 1, 1)
    below = torch.arange(size[0], device=depth_m.device).view(1, 1, -1, 1) >= horizon
    return depth_m, below | (depth_m < SKY * max_depth_m)


def depth_recipe(net: str, **given: Any) -> dict[str, Any]:
    """The optimisation of a depth net, with defaults for missing options (see `run.recipe`).

    Our own nets learn most from l1: from nothing, the logarithm in the paper's losses and their love of flat maps hold
    a net back. So it is of Laina et al.'s net as Hu et al. compare it.
    """
    loss = "l1" if net == "laina-resnet50" else "depth+grad+normal"
    published = {"epochs": 20, "learning_rate": 1e-4, "schedule": "step", "average": 0.0, "loss": loss}
    return recipe(published, {"loss": "l1"}, net, **given)


def _net(what: DepthTraining, size: tuple[int, int], max_depth_m: float, teacher: DepthNet | None) -> DepthNet:
    changes: dict[str, Any] = {"name": what.name or what.net, "max_depth_m": max_depth_m, "height": size[0],
                               "width": size[1]}
    if what.masked and teacher is not None:  # a surrogate takes the very pictures of its teacher
        changes |= {"mean": teacher.description.mean, "std": teacher.description.std}
    # most pixels lie at about a quarter of the range
    config = {"typical_depth_m": max_depth_m / 4} if what.net in OURS else None
    net = build_depth_net(what.net, backbone=what.backbone, seed=what.seed, config=config, **changes)
    if what.init is not None:
        start = load_depth_net(what.init)
        if type(start) is not type(net):
            raise DepthcueError(f"--init {what.init} is a {start.description.name}, not a {what.net}",
                                "Start from a net of the same architecture.")
        # the weights go with their configuration and their licence
        description = dataclasses.replace(net.description, licence=start.description.licence)
        net = type(net)(description, **start.config)
        net.load_state_dict(start.state_dict())
    multiple = net.description.multiple
    if net.description.height % multiple or net.description.width % multiple:
        raise DepthcueError(f"{what.net} needs a height and width that are multiples of {multiple}",
                            "Choose another --size.")
    return net


def predicted_depth_m(net: DepthNet, prediction: torch.Tensor) -> torch.Tensor:
    """Prediction in metres for the loss, also of a net that predicts their inverse.

    A prediction in metres stays as it is: at the bound that `to_depth_m` sets, a depth below 0 would not learn.
    """
    return prediction if net.description.predicts == METRIC_DEPTH else net.to_depth_m(prediction)


def _target(batch: RgbdBatch, max_depth_m: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Depth (B, 1, h, w) within the net's range and where it counts; infinite depth is the far end of the range."""
    assert batch.depth_m is not None and batch.valid is not None
    far = torch.isinf(batch.depth_m)
    return batch.depth_m.clamp(max=max_depth_m), batch.valid | far
