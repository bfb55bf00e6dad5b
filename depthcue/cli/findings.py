"""`depthcue findings`: what the paper saw in its masks, as numbers."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    DATA,
    INPUT,
    LISTED,
    MEASURING,
    BatchSizeOption,
    DeviceOption,
    FixedLambdaOption,
    JsonOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    ShareOption,
    TargetOption,
    VerboseOption,
    WeightsOption,
)

DataSetsOption = Annotated[
    list[str], typer.Option("--data", "-d", metavar="DATA,...", rich_help_panel=INPUT, help="Pictures to measure on: "
                            f"{DATA}. {LISTED} Each is measured on its own.")]
FindingOption = Annotated[
    list[str] | None, typer.Option("--finding", metavar="F,...", rich_help_panel=MEASURING, help="What to measure: "
                                   f"edges, objects or far. {LISTED} Default: all.")]


def findings(data: DataSetsOption, out: OutDirOption, weights: WeightsOption = "compact-indoor",
             target: TargetOption = None, finding: FindingOption = None, share: ShareOption = 0.2,
             lam: FixedLambdaOption = None, limit: LimitOption = None, seed: SeedOption = 0,
             batch_size: BatchSizeOption = 8, device: DeviceOption = "auto",
             as_json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Put numbers on what the mask prefers: kinds of edges, small objects, the vanishing point and the far.

    Rendered scenes know what is what; of photographs only what their depth and their lines tell is measured, and the
    rest is left out with the reason. With --lambda, masks are asked for at that lambda instead of the one that fits
    --share.
    """
    from depthcue.evaluation.findings.findings import FINDINGS, FindingsSettings, findings_specs

    configure(quiet, verbose)
    settings = FindingsSettings(findings=tuple(finding or FINDINGS), share=share, lam=lam, seed=seed,
                                batch_size=batch_size)
    with progress_bar(quiet) as progress:
        results = findings_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json)
