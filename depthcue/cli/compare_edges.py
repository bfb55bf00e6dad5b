"""`depthcue compare-edges`: the mask against edges and chance, at equal sparseness."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    BatchSizeOption,
    DataOption,
    DeviceOption,
    JsonOption,
    LambdaOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    TargetOption,
    VerboseOption,
    WeightsOption,
)

AgainstOption = Annotated[
    list[str] | None, typer.Option("--against", metavar="METHOD", help="What the mask is compared with: direct, "
                                   "sobel, canny, random, grid, centre, object-boundaries, depth-edges, gradient, "
                                   "smoothgrad, integrated-gradients, occlusion, or all that can work. Can be given "
                                   "several times. Default: sobel and random.")]
DirectStepsOption = Annotated[int, typer.Option("--direct-steps", min=1, metavar="N", help="Optimiser steps of direct; "
                                                "each costs about three looks of the depth net.")]


def compare_edges(data: DataOption, out: OutDirOption, weights: WeightsOption = "compact-indoor",
                  target: TargetOption = None, against: AgainstOption = None, limit: LimitOption = None,
                  lam: LambdaOption = None, seed: SeedOption = 0, batch_size: BatchSizeOption = 8,
                  device: DeviceOption = "auto", direct_steps: DirectStepsOption = 100, as_json: JsonOption = False,
                  quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Compare the mask with edges, chance and other ways to choose: how well does the depth net do with equally many
    pixels of each, and what does each choice cost?

    Errors are against ground truth where the data has it, and always against what the net sees in the whole picture.
    Without --lambda, a mask net with a dial is asked at each share of pixels for masks of about that share.
    """
    from depthcue.evaluation.compare_edges import Settings, compare_specs
    from depthcue.selection import DirectSettings

    configure(quiet, verbose)
    settings = Settings(against=tuple(against or ("sobel", "random")), lam=lam, seed=seed, batch_size=batch_size,
                        direct=DirectSettings(steps=direct_steps))
    with progress_bar(quiet) as progress:
        results = compare_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json)
