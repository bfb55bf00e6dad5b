"""`depthcue optimize`: the mask of each picture by direct optimisation, Eq. (3)."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    DATA,
    INPUT,
    MEASURING,
    MODEL,
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    TargetOption,
    VerboseOption,
)

PicturesArgument = Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Pictures, folders, globs; "
                                                              "or give --data.",
                                                              show_default=False)]
PictureDataOption = Annotated[
    str | None, typer.Option("--data", "-d", metavar="DATA", rich_help_panel=INPUT, help="In place of SOURCE: "
                             f"{DATA}.")]
LearnedOption = Annotated[
    str | None, typer.Option("--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net trained by Eq. (4), "
                             "whose masks are shown and measured beside the ones that are searched. Default: the "
                             "shipped one of a shipped --target; none for any other.")]
OppositeOption = Annotated[
    str | None, typer.Option("--opposite", metavar="W", rich_help_panel=MODEL, help="Another mask net to compare with, "
                             "trained for the opposite: to find the pixels whose loss destroys the depth, Eq. (5), by "
                             "depthcue train --equation 5. Default: none.")]
SearchLambdaOption = Annotated[
    float | None, typer.Option("--lambda", metavar="X", rich_help_panel=MODEL, help="Weight of sparseness in Eq. (3): "
                               "larger keeps fewer pixels. Default: that of the mask net, or 5 without one.")]
StepsOption = Annotated[int, typer.Option("--steps", min=1, metavar="N", rich_help_panel=MEASURING,
                                        help="Steps of the search in each picture.")]
RateOption = Annotated[float, typer.Option("--learning-rate", metavar="R", rich_help_panel=MEASURING,
                                         help="Step size of the search's optimiser, Adam.")]
RestartsOption = Annotated[int, typer.Option("--restarts", min=1, metavar="N", rich_help_panel=MEASURING,
                                           help="How often to search anew from another start; the best mask counts.")]
VariationOption = Annotated[float, typer.Option("--tv", min=0, metavar="X", rich_help_panel=MEASURING,
                                                help="Weight of the mask's total variation: what makes it smooth.")]
BlurOption = Annotated[float, typer.Option("--blur", min=0, metavar="PX", rich_help_panel=MEASURING,
                                           help="Blur the mask by a Gaussian of this deviation, so that no pixel is "
                                           "free of its neighbours.")]


def optimize(out: OutDirOption, sources: PicturesArgument = None, data: PictureDataOption = None,
             target: TargetOption = None, weights: LearnedOption = None, opposite: OppositeOption = None,
             lam: SearchLambdaOption = None, steps: StepsOption = 100, learning_rate: RateOption = 0.3,
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
