"""`depthcue evaluate`: the paper's Table 1 for any nets and data, and what its numbers hang on."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    LISTED,
    MEASURING,
    AgainstOption,
    BatchSizeOption,
    DataOption,
    DeviceOption,
    DirectStepsOption,
    JsonOption,
    KeepListOption,
    LimitOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    TargetOption,
    VerboseOption,
    WeightsListOption,
)

LambdasOption = Annotated[
    list[float] | None, typer.Option("--lambda", metavar="X,...", rich_help_panel=MEASURING,
                                     help=f"Lambdas that mask nets are set to, in place of shares. {LISTED} Default: 1 "
                                     "to 6 where the mask net takes lambda as an input; a net trained for one lambda, "
                                     "that one.")]
AtOption = Annotated[
    float | None, typer.Option("--at", metavar="X", rich_help_panel=MEASURING, help="The one row of the table that is "
                               "looked at more closely (thresholds, fills, insertion and deletion, sanity), by its "
                               "share or lambda, such as 0.2; the nearest row counts. Default: the first mask net's "
                               "own share or lambda.")]
TruthOption = Annotated[
    bool, typer.Option("--truth", rich_help_panel=MEASURING, help="Stop where the data has no measured depth, in "
                       "place of comparing with what the net sees in the whole picture alone.")]
FillOption = Annotated[
    str, typer.Option("--fill", metavar="F", rich_help_panel=MEASURING, help="What hidden pixels show: mean (colour, "
                      "as in the paper), black, own-mean (the picture's own mean colour), colour (one drawn for each "
                      "picture), blur or noise.")]
OnlyTableOption = Annotated[
    bool, typer.Option("--only-table", rich_help_panel=MEASURING, help="The table alone: no thresholds, no other "
                       "fills, no insertion and deletion, nothing of the mask's character; about a tenth of the "
                       "time.")]
SanityOption = Annotated[
    bool, typer.Option("--sanity", rich_help_panel=MEASURING, help="Randomise the depth net layer by layer: are the "
                       "mask's pixels worth less to it, and do masks found by Eq. (3) change? Takes minutes.")]
SanityStepsOption = Annotated[
    int, typer.Option("--sanity-steps", min=0, metavar="N", rich_help_panel=MEASURING, help="With --sanity: also train "
                     "the mask net on for N steps for every randomised net.")]


def evaluate(data: DataOption, out: OutDirOption, weights: WeightsListOption = ["compact-indoor"],  # noqa: B006
             target: TargetOption = None, keep: KeepListOption = None, lam: LambdasOption = None,
             at: AtOption = None, truth: TruthOption = False, fill: FillOption = "mean",
             against: AgainstOption = None, direct_steps: DirectStepsOption = 100,
             only_table: OnlyTableOption = False, sanity: SanityOption = False, sanity_steps: SanityStepsOption = 0,
             limit: LimitOption = None, seed: SeedOption = 0, batch_size: BatchSizeOption = 8,
             device: DeviceOption = "auto", as_json: JsonOption = False, quiet: QuietOption = False,
             verbose: VerboseOption = False) -> None:
    """Measure what the depth net loses behind masks: Table 1 of the paper, thresholds, fills, insertion and deletion.

    Errors are against ground truth where the data has it, and always against what the net sees in the whole picture.
    Several --weights: mask nets of one lambda each, or rivals, for one depth net. --against says whose insertion and
    deletion curves the mask's are compared with.
    """
    from depthcue.evaluation.evaluate import EvaluateSettings, evaluate_specs
    from depthcue.evaluation.sanity import Sanity
    from depthcue.scorers import DirectSettings

    configure(quiet, verbose)
    of_lambda = at is not None and (bool(lam) or at >= 1)
    settings = EvaluateSettings(tuple(lam or ()), tuple(keep or ()), at if of_lambda else None,
                                None if of_lambda else at,
                                truth, fill, against=tuple(against or ("sobel", "random")),
                                direct=DirectSettings(steps=direct_steps), batch_size=batch_size, seed=seed,
                                sanity=Sanity(steps=sanity_steps, seed=seed) if sanity or sanity_steps else None)
    if only_table:
        settings = settings.table_only()
    with progress_bar(quiet) as progress:
        results = evaluate_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json)
