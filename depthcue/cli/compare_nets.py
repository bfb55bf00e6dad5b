"""`depthcue compare-nets`: do different networks look at the same pixels?"""

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
    ShareOption,
    TargetListOption,
    VerboseOption,
    WeightsListOption,
)


def compare_nets(weights: WeightsListOption, data: DataOption, out: OutDirOption, target: TargetListOption = None,
                 share: ShareOption = 0.2, lam: LambdaOption = None, limit: LimitOption = None, seed: SeedOption = 0,
                 batch_size: BatchSizeOption = 8, device: DeviceOption = "auto", as_json: JsonOption = False,
                 quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Compare what several networks look at: do their masks agree, and can one network use another's mask?

    Agreement is set against that with edges, with chance, and with masks of other pictures. With --lambda, all masks
    are asked for at that lambda instead of the one that fits --share.
    """
    from depthcue.evaluation.compare_nets import CompareNetsSettings, compare_specs

    configure(quiet, verbose)
    settings = CompareNetsSettings(share=share, lam=lam, seed=seed, batch_size=batch_size)
    with progress_bar(quiet) as progress:
        results = compare_specs(weights, target or (), data, out, settings, limit, device, progress)
    show_results(results, out, as_json)
