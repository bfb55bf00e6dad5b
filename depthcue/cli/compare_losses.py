"""`depthcue compare-losses`: what the losses of a depth net do to what it looks at."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    AugmentationOption,
    BackboneOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    JsonOption,
    LambdaOption,
    LearningRateOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    ShareOption,
    SizeOption,
    StepsOption,
    TrainingPrecisionOption,
    VerboseOption,
    parse_size,
)

NetOption = Annotated[str, typer.Option("--net", metavar="NET", help="Depth net to train: compact, or one of the "
                                        "paper's, as hu-resnet50.")]
MaskNetOption = Annotated[str | None, typer.Option("--mask-net", metavar="G", help="Mask net to train: compact or "
                                                   "drn22. Default: compact for compact, drn22 for the others.")]
MaskStepsOption = Annotated[int | None, typer.Option("--mask-steps", min=1, metavar="N", help="Optimiser steps of each "
                                                     "mask net. Default: as train.")]


def compare_losses(data: DataOption, out: OutDirOption, net: NetOption = "compact", steps: StepsOption = None,
                   mask_net: MaskNetOption = None, mask_steps: MaskStepsOption = None, size: SizeOption = None,
                   lam: LambdaOption = None, share: ShareOption = 0.2, limit: LimitOption = None,
                   batch_size: BatchSizeOption = 8, learning_rate: LearningRateOption = None,
                   augmentation: AugmentationOption = "published", backbone: BackboneOption = "none",
                   precision: TrainingPrecisionOption = "fp32", seed: SeedOption = 0, device: DeviceOption = "auto",
                   as_json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Train one depth net with three losses and a mask net for each, and compare what they look at.

    Trains on the training split of DATA and measures on its test split; --limit is of the latter. Runs lie in DIR/runs:
    the same command goes on where it was stopped, and takes what is finished.
    """
    from depthcue.evaluation.compare_losses import CompareLossesSettings, plan, train_and_compare

    configure(quiet, verbose)
    depth, mask = plan(
        net, mask_net, steps, mask_steps, learning_rate, lam, data=(data,), size=parse_size(size), backbone=backbone,
        augmentation=augmentation, batch_size=batch_size, precision=precision, seed=seed)
    settings = CompareLossesSettings(share=share, batch_size=batch_size, seed=seed)
    with progress_bar(quiet) as progress:
        results = train_and_compare(depth, mask, out, settings, limit, device, progress)
    show_results(results, out, as_json)
