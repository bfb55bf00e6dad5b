"""`depthcue optimize`: the mask of each picture by direct optimisation, Eq. (3)."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    LambdaOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    TargetOption,
    VerboseOption,
)

PicturesArgument = Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Pictures, folders, globs.",
                                                              show_default=False)]
PictureDataOption = Annotated[
    str | None, typer.Option("--data", "-d", metavar="DATA", help="Instead of pictures: scenes:indoor, scenes:road, "
                             "nyu:PATH, kitti:PATH or folder:PATH.")]
LearnedOption = Annotated[
    str | None, typer.Option("--weights", "-w", metavar="W", help="Mask net of Eq. (4) to set beside. Default: the "
                             "shipped one of a shipped --target; none for any other.")]
OppositeOption = Annotated[
    str | None, typer.Option("--opposite", metavar="W", help="Mask net of Eq. (5) to set beside (train --equation 5).")]
StepsOption = Annotated[int, typer.Option("--steps", min=1, metavar="N", help="Steps of Adam.")]
RateOption = Annotated[float, typer.Option("--learning-rate", metavar="R", help="Of Adam.")]
RestartsOption = Annotated[int, typer.Option("--restarts", min=1, metavar="N", help="Starts; the best end counts.")]
VariationOption = Annotated[float, typer.Option("--tv", min=0, metavar="X", help="Weight of the mask's total "
                                                "variation: what makes it smooth.")]
BlurOption = Annotated[float, typer.Option("--blur", min=0, metavar="PX", help="Blur the mask by a Gaussian of this "
                                           "deviation, so that no pixel is free of its neighbours.")]


def optimize(out: OutDirOption, sources: PicturesArgument = None, data: PictureDataOption = None,
             target: TargetOption = None, weights: LearnedOption = None, opposite: OppositeOption = None,
             lam: LambdaOption = None, steps: StepsOption = 100, learning_rate: RateOption = 0.3,
             restarts: RestartsOption = 1, tv: VariationOption = 0.0, blur: BlurOption = 0.0,
             limit: LimitOption = None, seed: SeedOption = 0, batch_size: BatchSizeOption = 4,
             device: DeviceOption = "auto", as_json: JsonOption = False, quiet: QuietOption = False,
             verbose: VerboseOption = False) -> None:
    """Search for the mask of each picture directly, Eq. (3), and set it beside those of mask nets.

    The folder gets every mask, alone and over its picture, a figure, and the numbers.
    """
    from depthcue.evaluation.optimize import OptimizeSettings, optimize_specs
    from depthcue.scorers import DirectSettings

    configure(quiet, verbose)
    direct = DirectSettings(steps, learning_rate, restarts, tv, blur)
    settings = OptimizeSettings(lam=lam, direct=direct, seed=seed, batch_size=batch_size)
    with progress_bar(quiet) as progress:
        results = optimize_specs(sources or (), data, out, target, weights, opposite, settings, limit, device, progress)
    show_results(results, out, as_json)
