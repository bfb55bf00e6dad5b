"""`depthcue compare-edges`: the mask against edges and chance, at equal sparseness."""

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    AgainstOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    DirectStepsOption,
    JsonOption,
    KeepListOption,
    LambdaOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    TargetOption,
    VerboseOption,
    WeightsOption,
)


def compare_edges(data: DataOption, out: OutDirOption, weights: WeightsOption = "compact-indoor",
                  target: TargetOption = None, against: AgainstOption = None, limit: LimitOption = None,
                  keep: KeepListOption = None, lam: LambdaOption = None, seed: SeedOption = 0,
                  batch_size: BatchSizeOption = 8, device: DeviceOption = "auto", direct_steps: DirectStepsOption = 100,
                  as_json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Compare the mask with edges, chance and other ways to choose: how well does the depth net do with equally many
    pixels of each, and what does each choice cost?

    Errors are against ground truth where the data has it, and always against what the net sees in the whole picture.
    Without --lambda, a mask net with a dial is asked at each share of pixels for masks of that share.
    """
    from depthcue.evaluation.compare_edges import SHARES, CompareEdgesSettings, compare_specs
    from depthcue.scorers import DirectSettings

    configure(quiet, verbose)
    settings = CompareEdgesSettings(shares=tuple(keep or SHARES), against=tuple(against or ("sobel", "random")),
                                    lam=lam, seed=seed,
                                    batch_size=batch_size, direct=DirectSettings(steps=direct_steps))
    with progress_bar(quiet) as progress:
        results = compare_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json)
