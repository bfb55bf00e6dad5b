"""`depthcue train-depth`: a depth net."""

from typing import Annotated

import typer

from depthcue.cli.options import AugmentationOption, DataListOption, DepthLossOption, SizeOption, parse_size
from depthcue.cli.training_options import TrainingWords, training_command


@training_command
def train_depth(
    data: DataListOption,
    net: Annotated[str, typer.Option("--net", metavar="NET", help="compact; hu-resnet50, hu-densenet161, "
                                         "hu-senet154, laina-resnet50 (the paper's); monodepth2-resnet18, "
                                         "monodepth2-resnet50.")] = "compact",
    loss: DepthLossOption = None, size: SizeOption = None, augmentation: AugmentationOption = "strong", *,
    words: TrainingWords,
) -> None:
    """Train a depth net N on pictures with depth.

    Several processes: accelerate launch -m depthcue.cli train-depth ..., or torchrun. A run that was stopped goes on
    with --resume and the same options.
    """
    from depthcue.training.depth import DepthTraining, depth_recipe
    from depthcue.training.depth import train_depth as run_training

    what = DepthTraining(data=tuple(data), net=net, size=parse_size(size), augmentation=augmentation, **words.settled(),
                         **depth_recipe(net, loss=loss, **words.asked()))
    words.run(run_training, what, "depth")
