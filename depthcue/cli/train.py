"""`depthcue train`: a mask net for a depth net."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthcue.cli.console import print_json, print_table, progress_bar, say
from depthcue.cli.options import (
    MODEL,
    TRAINING,
    AsideOption,
    AugmentationOption,
    DataListOption,
    LossOption,
    MinutesOption,
    PatienceOption,
    TrainingWords,
    parse_range,
    training_command,
)

if TYPE_CHECKING:
    from depthcue.training.mask import MaskTraining, TrainedMask


@training_command
def train(
    target: Annotated[str, typer.Option("--target", "-t", metavar="NET", rich_help_panel=MODEL,
                                        help="Depth net to explain, your own: hf:REPO, ultralytics:FILE, "
                                        "python:MODULE:FUNCTION, hub:REPO:ENTRY; or compact-indoor, compact-road, a "
                                        ".safetensors file, a released checkpoint, NAME:PATH.")],
    data: DataListOption,
    also: Annotated[list[str] | None, typer.Option("--also", metavar="NET", rich_help_panel=MODEL, help="A further "
                                                   "depth net that the mask net is trained for in turn; repeatable. "
                                                   "One for many depth nets is where the next one's training can "
                                                   "start (--init).")] = None,
    minutes: MinutesOption = None,
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
    loss: LossOption = "depth+grad+normal", augmentation: AugmentationOption = "published",
    surrogate: Annotated[bool, typer.Option(
        "--surrogate", help="For a depth net without gradients: teach a lite0 depth net to answer as it does, on whole "
        "and on masked pictures, and train through that one. What is measured is measured on the depth net itself. "
        "Takes half of the time, or as many steps again.")] = False,
    aside: AsideOption = 0.1, patience: PatienceOption = 3, *, words: TrainingWords,
) -> None:
    """Train a mask net G for a depth net N (Hu et al. 2019, Algorithm 1). Pictures need no depth.

    At the end it says how far off the depth is through 20% of the pixels: chosen by the mask, by edges and by chance.
    Several processes: accelerate launch -m depthcue.cli train ..., or torchrun. A run that was stopped goes on with
    --resume and the same options.
    """
    started = time.monotonic()
    from depthcue.training.mask import MaskTraining, mask_recipe, usual_init, usual_minutes

    said = words.recipe_options()
    time_for_it = usual_minutes(net, minutes, words.steps, words.epochs)
    what = MaskTraining(
        target=target, also=tuple(also or ()), data=tuple(data), net=net, lam=tuple(lam or ()),
        keep_range=parse_range(keep_range), equation=equation, loss=loss,
        augmentation=augmentation, aside=aside, patience=patience, surrogate=surrogate,
        **words.plain_options() | {"init": usual_init(net, words.init, words.backbone, lam or (), equation)},
        **mask_recipe(net, sharpen=sharpen, minutes=time_for_it, **said))
    if time_for_it != minutes and not words.quiet:
        say(f"Training takes {time_for_it:g} minutes unless --minutes, --steps or --epochs says another length.",
            aside=True)
    _run(what, words, started)


def _run(what: "MaskTraining", words: TrainingWords, started: float) -> None:
    """Train, measure on the pictures kept aside, and print what came of it."""
    from depthcue.evaluation.compare_edges import check_trained
    from depthcue.training.mask import run_mask_training
    from depthcue.training.run import new_run_folder

    folder = words.out or new_run_folder("mask", what.net)
    with progress_bar(words.quiet) as progress:
        trained = run_mask_training(what, folder, resume=words.resume, device=words.device, progress=progress,
                                    started=started, tracker=words.log)
        found = None if trained.aside is None else check_trained(trained, folder / "check", words.seed, progress)
    if words.json:
        curves = {} if found is None else {way: entry for way, (entry,) in found.to_dict()["curves"].items()}
        return print_json({"weights": str(trained.weights), "training": trained.summary, "through_20": curves,
                           "next": _next_command(what, trained, folder)})
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
