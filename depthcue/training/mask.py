"""Training a mask net G for a frozen depth net N: Algorithm 1 of Hu, Zhang, Okatani (ICCV 2019), and a dial of shares.

    Y = N(I);  M = G(I);  minimise  l_dif(Y, N(I M)) + λ mean(M)   over the weights of G      Eq. (4)

or, for the opposite question, -l_dif + λ mean(1 - M), Eq. (5). No ground truth is used. Y is computed once a batch,
without gradients. By default the share of pixels takes the place of λ: a share s is drawn for each picture, G answers
with a mask whose mean is s (`nets.lite`), and l_dif alone is minimised. The two forms have the same solutions, since λ
is the price of a share: what l_dif falls by when the share grows. `lambda_table` measures it at the end.

Deviations: a part of the masks is binary, as masks are used later; hidden pixels show the mean colour or, now and then,
another fill, so that G cannot rely on it; where a metric N predicts the end of its range (sky), no difference counts. A
mask net that takes λ is trained with one λ a picture, drawn log-uniformly from its range, and some of its masks are
made nearly binary (`sharpen`). Depth of a relative net is brought to one scale, from Y alone (`nets.units`). The
learning rate, schedule and averaging of our own nets are ours.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from depthcue.data import RgbdData
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.imaging import fit_size
from depthcue.nets import (
    DepthNet,
    MaskNet,
    build_mask_net,
    depth_from,
    exchanging,
    load_depth_net,
    load_mask_net,
    require_gradients,
    resize,
    restore_mode,
    whole_depth,
    working_size,
)
from depthcue.nets.catalog import DEPTH_DEFAULTS, GENERAL, MASK_DEFAULTS, MASK_NETS, SHIPPED
from depthcue.nets.foreign.adapter import ForeignDepthNet
from depthcue.nets.lite import LiteMaskNet, straight_through, threshold
from depthcue.nets.units import draw_background
from depthcue.objective import EQUATIONS, REFERENCE_RANGE_M, l_dif, mask_objective, to_reference_range
from depthcue.progress import Named, Progress, Silent
from depthcue.training.depth import FAR, FILL_CHANCES, DepthTraining, train_depth
from depthcue.training.engine import Engine, accelerator_for, channels_last
from depthcue.training.run import OURS, RunFolder, Size, TrainingOptions, check_loss, recipe
from depthcue.training.validation import (
    FEWEST,
    PATIENCE,
    REPORTED,
    Budget,
    KeptAside,
    Watch,
    check_aside,
    check_minutes,
    split,
)

TEMPERATURES = (0.03, 0.6)
"""Range of the temperature of the masks that are trained, drawn log-uniformly; see `nets.lite`."""
SHARES = (0.05, 0.75)
LAMBDA_RANGE = (0.5, 6.0)
PAPER_LAMBDA = 5.0
KEEP_RANGE = (0.04, 0.8)
TABLE_SHARES = (0.03, 0.05, 0.08, 0.12, 0.18, 0.25, 0.35, 0.5, 0.7, 0.9)
TABLE_PICTURES = 48
DEFAULT_MINUTES = 10.0
MASKED = 0.75
"""Share of the pictures that a surrogate is taught through masks."""
STARTS_FROM_GENERAL = ("lite0",)
"""The nets that start from the general mask net by default: those of its architecture."""

log = logging.getLogger(__name__)


def sharpen(mask: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Some masks of a batch, drawn by chance, made nearly binary; these teach the order of pixels, Eq. (4) their level.

    A mask net trained by Eq. (4) alone leaves N a faint copy of much of the picture: M is low there, but not 0, and no
    loss says what the best pixels show N without the rest. A search over λ does not either: what binary masks lose with
    each pixel is not convex, so that some shares are best at no λ. So a mask becomes sigmoid((logit M - τ) / T), for T
    to 0 the binary mask of its highest pixels. T is drawn log-uniformly from TEMPERATURES and the mean of the new mask
    evenly from SHARES; τ follows from them, in the gradient too: raising all of M changes nothing, raising a pixel
    lowers others.

    Args:
        mask: M in [0, 1], (B, 1, H, W).
        share: how likely each mask is sharpened.

    Returns:
        The masks to apply, (B, 1, H, W) in [0, 1], and which of them were sharpened, bool (B,).
    """
    if not share:
        return mask, torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
    chance = torch.rand(3, len(mask), 1, 1, 1, generator=generator).to(mask.device)
    sharpened = chance[0] < share  # (B, 1, 1, 1)
    low, high = (math.log(end) for end in TEMPERATURES)
    temperature = (low + (high - low) * chance[1]).exp()
    mean = SHARES[0] + (SHARES[1] - SHARES[0]) * chance[2]
    logits = torch.logit(mask.float(), eps=1e-6)
    steep = torch.sigmoid((logits - threshold(logits, mean, temperature)) / temperature)
    return torch.where(sharpened, steep.to(mask.dtype), mask), sharpened.flatten()


@dataclass(frozen=True)
class MaskTraining(TrainingOptions):
    """Options of `depthcue train`."""

    command: ClassVar[str] = "train"

    target: str
    data: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Further depth nets that the mask net is trained for, one batch each in turn; it is measured on `target` alone."""
    lam: tuple[float, ...] = ()
    """One λ, or the two ends of the range a conditioned net is trained for; empty: shares, where the net has a dial."""
    keep_range: tuple[float, ...] = ()
    """The ends of the range of shares that a net with a dial is trained for; empty: KEEP_RANGE, or λ if given."""
    sharpen: float = 0.0
    """Share of the pictures that go to the target under a binary mask; with λ nearly binary, reached half-way."""
    equation: str = "4"
    loss: str = "depth+grad+normal"
    minutes: float | None = None
    """Time that all of the training may take, where `steps` and `epochs` are None."""
    aside: float = 0.0
    """Share of the pictures kept aside, on which the error through 20% of the pixels is measured (`validation`)."""
    surrogate: bool = False
    """Explain a depth net without gradients through another that is taught to answer as it does."""
    patience: int = PATIENCE
    """Measurements without a fall of that error after which training ends; 0: never."""

    def check(self) -> None:
        super().check()
        check_minutes(self.minutes)
        check_aside(self.aside)
        check_loss(self.loss)
        if self.net not in MASK_NETS:
            raise must_be_one_of("--net", MASK_NETS, self.net)
        if self.equation not in EQUATIONS:
            raise must_be_one_of("--equation", EQUATIONS, self.equation, "4 keeps the depth, 5 destroys it.")
        _dial(self)


@dataclass(frozen=True)
class TrainedMask:
    """Results of a training of a mask net.

    Attributes:
        weights: the file; its card lies beside it.
        target: the depth net, on the device of the training and in eval mode.
        aside: pictures kept aside, up to as many as there is time for; None where none were, and in all processes but
            the first.
        summary: `steps` made, `kept_step` whose weights are kept, `ended` ("steps", "minutes" or "no fall"), `planned`
            steps where it ended early, `errors` (pairs of a step and the error through 20% of the pixels), `seconds`.
    """

    weights: Path
    target: DepthNet
    aside: KeptAside | None
    summary: dict[str, Any]


def train_mask(what: MaskTraining, out: str | Path, *, resume: bool = False, device: str = "auto",
               progress: Progress | None = None, target_net: DepthNet | None = None) -> Path:
    """Train a mask net and write OUT/mask.safetensors with its card; returns that path.

    Args:
        target_net: the depth net itself, where `what.target` is no more than its name.

    Raises:
        DepthcueError: wrong options, target or data; a run that is there already, or differs from the one to resume.
        KeyboardInterrupt: stopped; the checkpoint is written and `resume` goes on from it.
    """
    return run_mask_training(what, out, resume=resume, device=device, progress=progress, target_net=target_net).weights


def run_mask_training(what: MaskTraining, out: str | Path, *, resume: bool = False, device: str = "auto",
                      progress: Progress | None = None, started: float | None = None,
                      tracker: str | None = None, target_net: DepthNet | None = None) -> TrainedMask:
    """As `train_mask`, with all results of the training.

    Args:
        started: `time.monotonic()` from which `minutes` count; now where None.
        tracker: one of `engine.TRACKERS`, which shows the training while it goes on.
    """
    started = time.monotonic() if started is None else started
    what.check()
    accelerator = accelerator_for(device, tracker, out)
    run = RunFolder(out, what.config(), resume)
    judge = load_depth_net(what.target, accelerator.device) if target_net is None else target_net.to(
        accelerator.device)
    judge.to(memory_format=torch.channels_last)
    target = judge
    if what.surrogate:
        if target_net is not None:
            raise DepthcueError("a surrogate needs the depth net as a spec", "Give --target a spec.")
        if accelerator.is_main_process and not resume:
            run.begin()  # so that a run that is stopped before its own first step can be gone on with
        surrogate = complete(surrogate_training(what, judge), Path(out) / "surrogate", device,
                             Named(progress or Silent(), "a surrogate"))
        target = load_depth_net(str(surrogate), accelerator.device).to(memory_format=torch.channels_last)
    else:
        require_gradients(target, "training a mask net", "Or add --surrogate.")
    targets = [target, *_others(what.also, accelerator.device)]
    multiple = MASK_DEFAULTS[what.net].multiple
    opened = what.open_data(what.data, working_size(judge.description, multiple))
    sizes = [seen_size(one, opened[0], multiple) for one in targets]
    size = sizes[0]
    net = _net(what, judge, size)
    datasets, aside = split(opened, what.aside, size)
    if what.aside and aside is None:
        log.warning("No pictures are kept aside: each data set has fewer than %d.", FEWEST)
    loader = what.loader(datasets, size, None, accelerator)
    budget = None if what.minutes is None else Budget(what.minutes, started)
    how = what.optimisation(loader.epoch_length)
    if budget is not None:
        how = dataclasses.replace(how, steps=budget.first_plan())
    engine = Engine(net, how, run, accelerator, progress or Silent(), frozen=what.frozen(net),
                    shows_losses=aside is None)

    with ExitStack() as borrowed:
        for one in {judge, *targets}:
            borrowed.enter_context(restore_mode(one))
        for one in targets:
            borrowed.enter_context(exchanging(one))
        watch = Watch(engine, judge, aside, budget, patience=what.patience, batch_size=what.batch_size,
                      passes_at_end=TABLE_PICTURES * len(TABLE_SHARES) if net.keeps_shares else 0)
        for batch in engine.batches(loader):
            watch.before()
            chance = engine.generator()
            target, shown_at = targets[engine.step % len(targets)], sizes[engine.step % len(targets)]
            depth_range = target.description.depth_range
            rgb = resize(batch.rgb, shown_at)
            normalised = target.normalise(channels_last(rgb))
            # the mask net takes pictures as the first of its targets does
            for_net = normalised if target is targets[0] else net.normalise(channels_last(rgb))
            with torch.no_grad(), engine.autocast():
                whole, units = whole_depth(target, normalised)
                depth = to_reference_range(whole.float(), depth_range)
            dial = _draw_dial(net, batch.rgb.shape[0], chance).to(accelerator.device)
            if net.keeps_shares:
                with engine.autocast():
                    mask = engine.net(for_net, dial, _draw(TEMPERATURES, len(dial), chance).to(dial)).float()
                applied = _partly_binary(mask, what.sharpen, chance)
                lam = torch.zeros_like(dial)
                shown = draw_background(normalised, target, chance, FILL_CHANCES)
            else:
                with engine.autocast():
                    mask = engine.net(for_net, dial).float()
                applied, sharpened = sharpen(mask, what.sharpen * min(1.0, 2 * engine.position), chance)
                # at a sparseness that is given there is nothing for lambda to weigh
                lam, shown = dial.masked_fill(sharpened, 0.0), None
            with engine.autocast():
                through = depth_from(target, normalised, applied, units=units, shown=shown)
                depth_from_mask = to_reference_range(through.float(), depth_range)
            difference = l_dif(depth_from_mask, depth, _near(target, depth), what.loss)
            engine.update(mask_objective(difference, mask, lam, what.equation), difference=difference,
                          mask_mean=mask.mean())
            watch.after()
        if accelerator.is_main_process:
            engine.trained(watch.weights_to_keep())
        if net.keeps_shares and accelerator.is_main_process:
            # no more pictures than the net was trained on: a trial of a few steps needs no better table
            wanted = watch.at_end(min(TABLE_PICTURES, max(8, engine.steps * what.batch_size)))
            pictures = [loader.batch(engine.steps + extra).rgb for extra in range(-(-wanted // what.batch_size))]
            table = lambda_table(net, judge, pictures, what.loss, progress)
            net.description = dataclasses.replace(net.description, lambda_at=table)
            at_default = net.description.lambda_of(net.description.default_keep)
            if at_default is not None:
                net.description = dataclasses.replace(net.description, default_lambda=round(at_default, 3))

    weights, summary = Path(out) / "mask.safetensors", watch.summary()
    kept_aside = {} if aside is None else {"kept_aside": {
        "pictures": len(aside), **{key: summary[key] for key in ("errors", "kept_step", "ended", "planned")}}}
    what.save(engine, weights, datasets, target_sha256=judge.card.get("sha256"), **kept_aside)
    measured = None if aside is None or not accelerator.is_main_process else aside.limited(watch.at_end(REPORTED))
    return TrainedMask(weights, judge, measured, summary)


@torch.no_grad()
def lambda_table(net: MaskNet, target: DepthNet, pictures: Sequence[torch.Tensor],
                 loss: str = "depth+grad+normal", progress: Progress | None = None) -> tuple[tuple[float, float], ...]:
    """Pairs of a share, rising, and the λ of Eq. (4) whose best mask keeps that share, falling.

    l_dif is measured at TABLE_SHARES through binary masks. Of its lower convex hull, beyond which no λ reaches, the
    slope between two shares is −λ.

    Args:
        pictures: batches (B, 3, H, W) in [0, 1].
    """
    depth_range = target.description.depth_range
    sums = np.zeros(len(TABLE_SHARES))
    progress = progress or Silent()
    progress.start("measuring what each share costs", sum(map(len, pictures)))
    for rgb in pictures:
        normalised = target.normalise(channels_last(rgb))
        whole, units = whole_depth(target, normalised)
        depth = to_reference_range(whole.float(), depth_range)
        for index, share in enumerate(TABLE_SHARES):
            mask = net(normalised, torch.full((len(rgb),), share, device=rgb.device))
            through = depth_from(target, normalised, straight_through(mask), units=units)
            sums[index] += float(l_dif(to_reference_range(through.float(), depth_range), depth,
                                       _near(target, depth), loss))
        progress.advance(len(rgb))
    whole_picture = float(l_dif(depth, depth, loss=loss))
    points = [*zip(TABLE_SHARES, (sums / len(pictures)).tolist(), strict=True), (1.0, whole_picture)]
    hull = _lower_hull(points)
    pairs = [((left[0] + right[0]) / 2, (left[1] - right[1]) / (right[0] - left[0]))
             for left, right in zip(hull, hull[1:], strict=False)]
    return tuple((round(share, 4), round(lam, 4)) for share, lam in pairs if lam > 0)


def _lower_hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The lower convex hull of points (x, y) with rising x (Andrew's monotone chain)."""
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) >= \
                (y - hull[-2][1]) * (hull[-1][0] - hull[-2][0]):
            hull.pop()
        hull.append((x, y))
    return hull


def mask_recipe(net: str, **given: Any) -> dict[str, Any]:
    """The optimisation of a mask net, with defaults for missing options (see `run.recipe`).

    Raises:
        DepthcueError: more than one of minutes, steps and epochs is given.
    """
    found = recipe({"epochs": 10, "learning_rate": 1e-4, "schedule": "constant", "average": 0.0, "sharpen": 0.0},
                   {"sharpen": 0.6}, net, **given)
    if given.get("minutes") is None:
        return found
    if given["steps"] is not None or given["epochs"] is not None:
        raise DepthcueError("--minutes was given with --steps or --epochs", "Give one of the three.")
    return found | {"steps": None, "epochs": None}


def usual_minutes(net: str, minutes: float | None, steps: int | None, epochs: int | None) -> float | None:
    """The time for a training: as given, or DEFAULT_MINUTES for nets of ours where no length is given at all."""
    return DEFAULT_MINUTES if net in OURS and minutes is None and steps is None and epochs is None else minutes


def surrogate_training(what: MaskTraining, judge: DepthNet) -> DepthTraining:
    """The training of a surrogate: a depth net that is taught what `judge` answers to whole and to masked pictures.

    It takes as many steps as the mask net, or half of the time; it starts from the shipped net for rooms where that
    takes pictures alike.
    """
    theirs, start = judge.description, DEPTH_DEFAULTS["lite0"]
    alike = (theirs.mean, theirs.std) == (start.mean, start.std)
    return DepthTraining(
        data=(), teacher=what.target, taught=what.data, masked=MASKED, aside=what.aside, net="lite0",
        name=f"surrogate of {theirs.name}", init=SHIPPED[0] if alike else None, loss="depth+grad+normal",
        size=working_size(theirs, start.multiple), augmentation=what.augmentation, steps=what.steps, epochs=what.epochs,
        minutes=None if what.minutes is None else what.minutes / 2, batch_size=what.batch_size, learning_rate=6e-4,
        weight_decay=1e-5, average=0.995, precision=what.precision, limit=what.limit, seed=what.seed)


def _others(specs: Sequence[str], device: torch.device) -> list[DepthNet]:
    """Further targets of a training, each with gradients."""
    others = [load_depth_net(spec, device).to(memory_format=torch.channels_last) for spec in specs]
    for other in others:
        require_gradients(other, "training a mask net")
    return others


def usual_init(net: str, init: str | None, backbone: str, lam: Sequence[float], equation: str) -> str | None:
    """Initial weights of a mask net: as given (`none`: none), or the general mask net where that fits."""
    if init is not None:
        return None if init == "none" else init
    fits = net in STARTS_FROM_GENERAL and backbone == "none" and not lam and equation == "4"
    return GENERAL if fits else None


def seen_size(target: DepthNet, data: RgbdData, multiple: int) -> Size:
    """The (height, width) at which a mask net is trained: that of the masks which are made and measured later.

    Later a picture keeps its aspect ratio (`imaging.fit_size`), and a net of others that takes one size alone gets it
    stretched. Square crops, as its own size would have them, show such a net another zoom, and masks that lie on its
    own pixels. Nets of ours are made for the shape of their size.

    Args:
        data: its first picture gives the aspect ratio.
        multiple: what height and width must be multiples of for the mask net.
    """
    size = working_size(target.description, multiple)
    if not isinstance(target, ForeignDepthNet) or data.spec.startswith("scenes:"):
        return size
    height, width = data.frames([0]).rgb.shape[-2:]
    return fit_size(height, width, size, math.lcm(target.description.multiple, multiple))


def _net(what: MaskTraining, target: DepthNet, size: Size) -> MaskNet:
    """A mask net that takes pictures as its target does, under the licence of the weights it starts from."""
    theirs, (height, width) = target.description, size
    changes: dict[str, Any] = {
        "name": what.name or what.net, "target": what.target, "height": height, "width": width,
        "mean": theirs.mean, "std": theirs.std, **_dial(what),
    }
    net = build_mask_net(what.net, backbone=what.backbone, seed=what.seed, **changes)
    if what.init is not None:
        start = load_mask_net(what.init)
        if type(start) is not type(net) or start.config != net.config:
            raise DepthcueError(f"--init {what.init} is not a {what.net} of the same shape",
                                "Start from a net of the same architecture.")
        if isinstance(net, LiteMaskNet) and isinstance(start, LiteMaskNet):
            net.start_from(start)
        else:
            net.load_state_dict(start.state_dict())
        net.description = dataclasses.replace(net.description, licence=start.description.licence)
    return net


def _dial(what: MaskTraining) -> dict[str, Any]:
    """The dial as the description of the net states it.

    Raises:
        DepthcueError: shares and λ are both given, a number makes no sense, or the net or the equation takes no shares.
    """
    wrong = [lam for lam in what.lam if not 0 < lam < math.inf]
    if wrong:
        raise DepthcueError(f"--lambda must be above 0 and finite, got {wrong[0]:g}", "The paper compares 1 to 6.")
    if what.keep_range:
        if what.lam:
            raise DepthcueError("--keep-range and --lambda were both given", "Give one of the two.")
        if what.net not in OURS or what.equation != "4":
            raise DepthcueError("--keep-range needs a net with a dial and equation 4",
                                f"Choose --net from {', '.join(OURS)}; otherwise give --lambda.")
        if len(what.keep_range) != 2 or not 0 < what.keep_range[0] < what.keep_range[1] < 1:
            raise DepthcueError(f"--keep-range must be two shares between 0 and 1, the smaller first, got "
                                f"{':'.join(f'{share:g}' for share in what.keep_range)}",
                                f"For example --keep-range {KEEP_RANGE[0]}:{KEEP_RANGE[1]}.")
    if what.net in OURS and not what.lam and what.equation == "4":
        low, high = what.keep_range or KEEP_RANGE
        default = 0.2 if low <= 0.2 <= high else round(math.sqrt(low * high), 3)
        return {"lambda_range": None, "keep_range": (low, high), "default_keep": default,
                "default_lambda": PAPER_LAMBDA}
    if what.net not in OURS or len(what.lam) == 1:
        if len(what.lam) > 1:
            raise DepthcueError(f"{what.net} is trained for one lambda, not for {len(what.lam)}",
                                "Train one net for each, or use --net lite0, which takes lambda as an input.")
        return {"lambda_range": None, "default_lambda": what.lam[0] if what.lam else PAPER_LAMBDA}
    low, high = (min(what.lam), max(what.lam)) if what.lam else LAMBDA_RANGE
    default = PAPER_LAMBDA if low <= PAPER_LAMBDA <= high else round(math.sqrt(low * high), 3)
    return {"lambda_range": (low, high), "default_lambda": default}


def _draw_dial(net: MaskNet, count: int, generator: torch.Generator) -> torch.Tensor:
    """One share or λ a picture (B,): log-uniform over the net's range, or the one it is trained for."""
    span = net.description.keep_range or net.description.lambda_range
    return torch.full((count,), net.description.default_lambda) if span is None else _draw(span, count, generator)


def _draw(span: tuple[float, float], count: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers (B,), log-uniform over a range."""
    low, high = (math.log(end) for end in span)
    return (low + (high - low) * torch.rand(count, generator=generator)).exp()


def _partly_binary(mask: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Masks (B, 1, H, W) with a share of them, drawn by chance, binary."""
    chosen = (torch.rand(len(mask), generator=generator) < share).to(mask.device)
    return torch.where(chosen.view(-1, 1, 1, 1), straight_through(mask), mask)


def _near(target: DepthNet, depth: torch.Tensor) -> torch.Tensor | None:
    """Pixels where a metric net predicts less than the end of its range, from its depth in the losses' range."""
    return None if target.description.relative else depth < FAR * REFERENCE_RANGE_M


def complete(what: DepthTraining | MaskTraining, folder: Path, device: str = "auto",
             progress: Progress | None = None) -> Path:
    """The weights of a training in its run folder: there already, or now trained to the end.

    Raises:
        DepthcueError: wrong options or data; the folder holds a run of other options.
        KeyboardInterrupt: stopped; the same call goes on from the checkpoint.
    """
    started = (folder / "config.json").exists()
    weights = folder / ("depth.safetensors" if isinstance(what, DepthTraining) else "mask.safetensors")
    # the checkpoint goes last: where it is still there, the weights or their card may not be whole
    if started and weights.exists() and not RunFolder(folder, what.config(), resume=True).checkpoint_file.exists():
        return weights
    if isinstance(what, DepthTraining):
        return train_depth(what, folder, resume=started, device=device, progress=progress)
    return train_mask(what, folder, resume=started, device=device, progress=progress)
