"""`depthcue train`: a mask net for a depth net."""

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
    DeviceOption,
    EpochsOption,
    HalfOption,
    InitOption,
    JsonOption,
    LearningRateOption,
    LimitOption,
    LossOption,
    NameOption,
    QuietOption,
    ResumeRunOption,
    RunOption,
    ScheduleOption,
    SeedOption,
    StepsOption,
    TrainingPrecisionOption,
    VerboseOption,
    WeightDecayOption,
)


def train(
    target: Annotated[str, typer.Option("--target", "-t", metavar="NET", help="Depth net N to explain: "
                                        "compact-indoor, compact-road, a .safetensors file, a released "
                                        "checkpoint, or NAME:PATH.")],
    data: DataListOption,
    net: Annotated[str, typer.Option("--net", metavar="G", help="compact (takes lambda as an input) or drn22 (the "
                                     "paper's).")] = "compact",
    lam: Annotated[list[float] | None, typer.Option(
        "--lambda", metavar="X", help="Weight of sparseness. compact: give two for the range it is trained for "
        "(default 0.5 and 6), or one. drn22: one (default 5).")] = None,
    equation: Annotated[str, typer.Option("--equation", metavar="4|5", help="4: fewest pixels that keep the depth. "
                                          "5: fewest pixels whose loss destroys it.")] = "4",
    sharpen: Annotated[float | None, typer.Option(
        "--sharpen", metavar="SHARE", min=0.0, max=1.0, help="Share of the pictures that N sees through a nearly "
        "binary mask, so that the best pixels alone are worth something. 0 is the paper's. Default: 0.8 for compact, "
        "else 0.")] = None,
    steps: StepsOption = None, epochs: EpochsOption = None, out: RunOption = None, resume: ResumeRunOption = False,
    loss: LossOption = "depth+grad+normal", init: InitOption = None, backbone: BackboneOption = "none",
    augmentation: AugmentationOption = "published", batch_size: BatchSizeOption = 8,
    learning_rate: LearningRateOption = None, weight_decay: WeightDecayOption = 1e-4, schedule: ScheduleOption = None,
    average: AverageOption = None, precision: TrainingPrecisionOption = "fp32", compile_: CompileOption = False,
    half: HalfOption = False, name: NameOption = None, device: DeviceOption = "auto", limit: LimitOption = None,
    seed: SeedOption = 0, json_: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False,
) -> None:
    """Train a mask net G for a depth net N (Hu et al. 2019, Algorithm 1). Pictures need no depth.

    Several processes: accelerate launch -m depthcue.cli train ..., or torchrun. A run that was stopped goes on with
    --resume and the same options.
    """
    configure(quiet, verbose)
    from depthcue.training.mask import MaskTraining, mask_recipe, train_mask
    from depthcue.training.run import new_run_folder

    what = MaskTraining(
        target=target, data=tuple(data), net=net, lam=tuple(lam or ()), equation=equation, loss=loss,
        init=init, backbone=backbone, augmentation=augmentation, batch_size=batch_size, weight_decay=weight_decay,
        precision=precision, compile=compile_, half=half, name=name, limit=limit, seed=seed,
        **mask_recipe(net, steps=steps, epochs=epochs, learning_rate=learning_rate, schedule=schedule, average=average,
                      sharpen=sharpen))
    with progress_bar(quiet) as progress:
        weights = train_mask(what, out or new_run_folder("mask", net), resume=resume, device=device, progress=progress)
    print_json({"weights": str(weights)}) if json_ else print(weights)
