"""`depthcue train-depth`: a depth net."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, print_json, progress_bar
from depthcue.cli.options import (
    AugmentationOption,
    AverageOption,
    BackboneOption,
    BatchSizeOption,
    CompileOption,
    DataListOption,
    DepthLossOption,
    DeviceOption,
    EpochsOption,
    HalfOption,
    InitOption,
    JsonOption,
    LearningRateOption,
    LimitOption,
    NameOption,
    QuietOption,
    ResumeRunOption,
    RunOption,
    ScheduleOption,
    SeedOption,
    SizeOption,
    StepsOption,
    TrainingPrecisionOption,
    VerboseOption,
    WeightDecayOption,
    parse_size,
)


def train_depth(
    data: DataListOption,
    net: Annotated[str, typer.Option("--net", metavar="NET", help="compact; hu-resnet50, hu-densenet161, "
                                         "hu-senet154, laina-resnet50 (the paper's); monodepth2-resnet18, "
                                         "monodepth2-resnet50.")] = "compact",
    steps: StepsOption = None, epochs: EpochsOption = None, out: RunOption = None, resume: ResumeRunOption = False,
    loss: DepthLossOption = None, size: SizeOption = None, init: InitOption = None,
    backbone: BackboneOption = "none", augmentation: AugmentationOption = "strong", batch_size: BatchSizeOption = 8,
    learning_rate: LearningRateOption = None, weight_decay: WeightDecayOption = 1e-4, schedule: ScheduleOption = None,
    average: AverageOption = None, precision: TrainingPrecisionOption = "fp32", compile_: CompileOption = False,
    half: HalfOption = False, name: NameOption = None, device: DeviceOption = "auto", limit: LimitOption = None,
    seed: SeedOption = 0, json_: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False,
) -> None:
    """Train a depth net N on pictures with depth.

    Several processes: accelerate launch -m depthcue.cli train-depth ..., or torchrun. A run that was stopped goes on
    with --resume and the same options.
    """
    configure(quiet, verbose)
    from depthcue.training.depth import DepthTraining, depth_recipe
    from depthcue.training.depth import train_depth as run_training
    from depthcue.training.run import new_run_folder

    what = DepthTraining(
        data=tuple(data), net=net, size=parse_size(size), init=init, backbone=backbone,
        augmentation=augmentation, batch_size=batch_size, weight_decay=weight_decay, precision=precision,
        compile=compile_, half=half, name=name, limit=limit, seed=seed,
        **depth_recipe(net, steps=steps, epochs=epochs, learning_rate=learning_rate, schedule=schedule,
                       average=average, loss=loss))
    out = out or new_run_folder("depth", net)
    with progress_bar(quiet) as progress:
        weights = run_training(what, out, resume=resume, device=device, progress=progress)
    print_json({"weights": str(weights)}) if json_ else print(weights)
