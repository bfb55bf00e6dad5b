"""`depthcue train` and `train-depth`: a mask net for a depth net, and a depth net."""

import functools
import inspect
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from depthcue.cli import options as opt
from depthcue.cli.console import configure, print_json, print_table, progress_bar, say
from depthcue.cli.options import INPUT, LISTED, MODEL, TRAINING

if TYPE_CHECKING:
    from depthcue.training.mask import MaskTraining, TrainedMask


@dataclass(frozen=True)
class SharedOptions:
    """Options that both training commands share; each field is one."""

    steps: opt.Steps = None
    epochs: opt.Epochs = None
    out: opt.Run = None
    resume: opt.ResumeRun = False
    init: opt.Init = None
    backbone: opt.Backbone = "none"
    freeze_encoder: opt.FreezeEncoder = False
    batch_size: opt.BatchSize = 8
    learning_rate: opt.LearningRate = None
    weight_decay: opt.WeightDecay = 1e-4
    schedule: opt.Schedule = None
    average: opt.Average = None
    precision: opt.TrainingPrecision = "fp32"
    compile: opt.Compile = False
    half: opt.Half = False
    name: opt.Name = None
    log: opt.Log = None
    device: opt.Device = "auto"
    limit: opt.Limit = None
    seed: opt.Seed = 0
    json: opt.Json = False
    quiet: opt.Quiet = False
    verbose: opt.Verbose = False

    def plain_options(self) -> dict[str, Any]:
        """Fields of `TrainingOptions` that need nothing more."""
        return {name: getattr(self, name) for name in (
            "init", "backbone", "freeze_encoder", "batch_size", "weight_decay", "precision", "compile", "half", "name",
            "limit", "seed")}

    def recipe_options(self) -> dict[str, Any]:
        """Options that a recipe fills in where they are None."""
        return {name: getattr(self, name) for name in ("steps", "epochs", "learning_rate", "schedule", "average")}


def training_command(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes `SharedOptions` after its own options, and gets them as its argument `shared`."""
    own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != "shared"]
    hints = get_type_hints(SharedOptions, include_extras=True)
    added = [inspect.Parameter(field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default,
                               annotation=hints[field.name]) for field in fields(SharedOptions)]

    @functools.wraps(command)
    def with_shared(**given: Any) -> None:
        shared = SharedOptions(**{parameter.name: given.pop(parameter.name) for parameter in added})
        configure(shared.quiet, shared.verbose)
        command(**given, shared=shared)

    # the options on the help page are read from the signature
    with_shared.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    return with_shared


@training_command
def train(
    target: Annotated[str, typer.Option("--target", "-t", metavar="NET", rich_help_panel=MODEL,
                                        help=f"Depth net to explain, your own: {opt.FOREIGN}; or "
                                        "compact-indoor, compact-road, a .safetensors file, a released checkpoint, "
                                        "NAME:PATH.")],
    data: opt.DataList,
    also: Annotated[list[str] | None, typer.Option("--also", metavar="NET", rich_help_panel=MODEL, help="A further "
                                                   "depth net that the mask net is trained for in turn; repeatable. "
                                                   "One for many depth nets is where the next one's training can "
                                                   "start (--init).")] = None,
    minutes: opt.Minutes = None,
    net: Annotated[str, typer.Option("--net", metavar="G", rich_help_panel=MODEL, help="Mask net to train: lite0, "
                                     "lite1, lite2 or compact, which take the share to keep as an input, or drn22 "
                                     "(the paper's).")] = "lite0",
    keep_range: Annotated[str | None, typer.Option(
        "--keep-range", metavar="A:B", rich_help_panel=TRAINING, help="Range of the share of pixels to keep that the "
                                                   "net is trained for. Default 0.04:0.8, where --lambda is not "
                                                   "given.", show_default=False)] = None,
    lam: Annotated[list[float] | None, typer.Option(
        "--lambda", metavar="X,X", rich_help_panel=TRAINING, help="In place of --keep-range: train by Eq. (4) of the "
                                                    "paper with this weight of sparseness; larger keeps fewer pixels. "
                                                    "Two, with a comma between them, are a range that the net takes "
                                                    "as an input. Default: none; 5 for drn22, which takes "
                                                    "one.")] = None,
    equation: Annotated[str, typer.Option("--equation", metavar="4|5", rich_help_panel=TRAINING,
                                          help="4: fewest pixels that keep the depth. 5: fewest pixels whose loss "
                                          "destroys it.")] = "4",
    sharpen: Annotated[float | None, typer.Option(
        "--sharpen", metavar="SHARE", min=0.0, max=1.0, rich_help_panel=TRAINING, help="Share of the training "
                                                  "pictures that the depth net sees through a mask of kept and hidden "
                                                  "pixels alone, in place of one with values between: then only "
                                                  "pixels of the highest rank count. 0 is the paper's. Default: 0.6; "
                                                  "0 for drn22.")
        ] = None,
    loss: opt.Loss = "depth+grad+normal", augmentation: opt.Augmentation = "published",
    surrogate: Annotated[bool, typer.Option(
        "--surrogate", help="For a depth net without gradients: teach a lite0 depth net to answer as it does, on whole "
        "and on masked pictures, and train through that one. What is measured is measured on the depth net itself. "
        "Takes half of the time, or as many steps again.")] = False,
    aside: opt.Aside = 0.1, patience: opt.Patience = 3, *, shared: SharedOptions,
) -> None:
    """Train a mask net G for a depth net N (Hu et al. 2019, Algorithm 1). Pictures need no depth.

    At the end it says how far off the depth is through 20% of the pixels: chosen by the mask, by edges and by chance.
    Several processes: accelerate launch -m depthcue.cli train ..., or torchrun. A run that was stopped goes on with
    --resume and the same options.
    """
    started = time.monotonic()
    from depthcue.training.mask import MaskTraining, mask_recipe, usual_init, usual_minutes

    time_for_it = usual_minutes(net, minutes, shared.steps, shared.epochs)
    what = MaskTraining(
        target=target, also=tuple(also or ()), data=tuple(data), net=net, lam=tuple(lam or ()),
        keep_range=opt.parse_range(keep_range), equation=equation, loss=loss,
        augmentation=augmentation, aside=aside, patience=patience, surrogate=surrogate,
        **shared.plain_options() | {"init": usual_init(net, shared.init, shared.backbone, lam or (), equation)},
        **mask_recipe(net, sharpen=sharpen, minutes=time_for_it, **shared.recipe_options()))
    if time_for_it != minutes and not shared.quiet:
        say(f"Training takes {time_for_it:g} minutes unless --minutes, --steps or --epochs says another length.",
            aside=True)
    _run(what, shared, started)


def _run(what: "MaskTraining", shared: SharedOptions, started: float) -> None:
    """Train, measure on the pictures kept aside, and print what came of it."""
    from depthcue.evaluation.compare_edges import check_trained
    from depthcue.training.mask import run_mask_training
    from depthcue.training.run import new_run_folder

    folder = shared.out or new_run_folder("mask", what.net)
    with progress_bar(shared.quiet) as progress:
        trained = run_mask_training(what, folder, resume=shared.resume, device=shared.device, progress=progress,
                                    started=started, tracker=shared.log)
        found = None if trained.aside is None else check_trained(trained, folder / "check", shared.seed, progress)
    if shared.json:
        curves = {} if found is None else {name: entry for name, (entry,) in found.to_dict()["curves"].items()}
        return print_json({"weights": str(trained.weights), "training": trained.summary, "through_20": curves,
                           "next": _next_command(what, trained, folder)})
    if shared.quiet:
        return
    if found is not None:
        from depthcue.report.compare_edges import choices_table, trained_in_words

        table = choices_table(found)
        print_table(table.title, table.columns, table.rows)
        for sentence in trained_in_words(found, trained.summary):
            say(sentence)
        say(f"Pictures of it: {folder / 'check' / 'examples'}")
    say(f"Weights: {trained.weights}")
    say(f"Next: {_next_command(what, trained, folder)}")


def _next_command(what: "MaskTraining", trained: "TrainedMask", folder: Path) -> str:
    """The command that shows the masks, on the user's own pictures where the data are some."""
    kind, _, path = what.data[0].partition(":")
    pictures = shlex.quote(path) if kind == "folder" else "PICTURES"
    weights, out = shlex.quote(str(trained.weights)), shlex.quote(str(folder / "masks"))
    return f"depthcue mask {pictures} --weights {weights} --out {out}"


@training_command
def train_depth(
    data: opt.DataList,
    net: Annotated[str, typer.Option("--net", metavar="NET", rich_help_panel=MODEL, help="Depth net to train: lite0, "
                                     "lite1, lite2, compact; hu-resnet50, hu-densenet161, hu-senet154, laina-resnet50 "
                                     "(the paper's); monodepth2-resnet18, monodepth2-resnet50.")] = "compact",
    loss: opt.DepthLoss = None, size: opt.Size = None, augmentation: opt.Augmentation = "strong",
    teacher: Annotated[str | None, typer.Option("--teacher", metavar="NET", rich_help_panel=TRAINING,
                                                help="Depth net whose answers are the depth of the pictures of "
                                                "--taught.",
                                                show_default=False)] = None,
    taught: Annotated[list[str] | None, typer.Option("--taught", metavar="DATA,...", rich_help_panel=INPUT,
                                                     help="Pictures without measured depth, which --teacher answers "
                                                     f"for. {LISTED}", show_default=False)] = None,
    *, shared: SharedOptions,
) -> None:
    """Train a depth net N on pictures with depth.

    Several processes: accelerate launch -m depthcue.cli train-depth ..., or torchrun. A run that was stopped goes on
    with --resume and the same options.
    """
    from depthcue.training.depth import DepthTraining, depth_recipe
    from depthcue.training.depth import train_depth as run_training
    from depthcue.training.run import new_run_folder

    what = DepthTraining(data=tuple(data), net=net, size=opt.parse_size(size), augmentation=augmentation,
                         teacher=teacher, taught=tuple(taught or ()), **shared.plain_options(),
                         **depth_recipe(net, loss=loss, **shared.recipe_options()))
    with progress_bar(shared.quiet) as progress:
        weights = run_training(what, shared.out or new_run_folder("depth", net), resume=shared.resume,
                               device=shared.device, progress=progress, tracker=shared.log)
    print_json({"weights": str(weights)}) if shared.json else print(weights)
