"""`depthcue train-depth`: a depth net."""

from typing import Annotated

import typer

from depthcue.cli.options import (
    INPUT,
    LISTED,
    MODEL,
    TRAINING,
    AugmentationOption,
    DataListOption,
    DepthLossOption,
    SizeOption,
    TrainingWords,
    parse_size,
    training_command,
)


@training_command
def train_depth(
    data: DataListOption,
    net: Annotated[str, typer.Option("--net", metavar="NET", rich_help_panel=MODEL, help="Depth net to train: lite0, "
                                     "lite1, lite2, compact; hu-resnet50, hu-densenet161, hu-senet154, laina-resnet50 "
                                     "(the paper's); monodepth2-resnet18, monodepth2-resnet50.")] = "compact",
    loss: DepthLossOption = None, size: SizeOption = None, augmentation: AugmentationOption = "strong",
    teacher: Annotated[str | None, typer.Option("--teacher", metavar="NET", rich_help_panel=TRAINING,
                                                help="Depth net whose answers are the depth of the pictures of "
                                                "--taught.",
                                                show_default=False)] = None,
    taught: Annotated[list[str] | None, typer.Option("--taught", metavar="DATA,...", rich_help_panel=INPUT,
                                                     help="Pictures without measured depth, which --teacher answers "
                                                     f"for. {LISTED}", show_default=False)] = None,
    *, words: TrainingWords,
) -> None:
    """Train a depth net N on pictures with depth.

    Several processes: accelerate launch -m depthcue.cli train-depth ..., or torchrun. A run that was stopped goes on
    with --resume and the same options.
    """
    from depthcue.training.depth import DepthTraining, depth_recipe
    from depthcue.training.depth import train_depth as run_training

    what = DepthTraining(data=tuple(data), net=net, size=parse_size(size), augmentation=augmentation,
                         teacher=teacher, taught=tuple(taught or ()), **words.plain_options(),
                         **depth_recipe(net, loss=loss, **words.recipe_options()))
    words.run(run_training, what, "depth")
