"""Commands that measure: each parses, calls one function, and shows its result."""

from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli import options as opt
from depthcue.cli.console import configure, print_table, progress_bar, show_results
from depthcue.cli.options import ADVANCED, DATA, INPUT, LISTED, MEASURING, MODEL, OUTPUT, SPEED, TRAINING

LambdasOption = Annotated[list[float] | None, typer.Option(
    "--lambda", metavar="X,...", rich_help_panel=MEASURING, help="Lambdas that mask nets are set to, in place of "
    f"shares. {LISTED} Default: 1 to 6 where the mask net takes lambda as an input; a net trained for one lambda, that "
    "one.")]
AtOption = Annotated[float | None, typer.Option(
    "--at", metavar="X", rich_help_panel=MEASURING, help="The one row of the table that is looked at more closely "
    "(thresholds, fills, insertion and deletion, sanity), by its share or lambda, such as 0.2; the nearest row counts. "
    "Default: the first mask net's own share or lambda.")]
TruthOption = Annotated[bool, typer.Option(
    "--truth", rich_help_panel=MEASURING, help="Stop where the data has no measured depth, in place of comparing with "
    "what the net sees in the whole picture alone.")]
FillOption = Annotated[str, typer.Option(
    "--fill", metavar="F", rich_help_panel=MEASURING, help="What hidden pixels show: mean (colour, as in the paper), "
    "black, own-mean (the picture's own mean colour), colour (one drawn for each picture), blur or noise.")]
OnlyTableOption = Annotated[bool, typer.Option(
    "--only-table", rich_help_panel=MEASURING, help="The table alone: no thresholds, no other fills, no insertion and "
    "deletion, nothing of the mask's character; about a tenth of the time.")]
SanityOption = Annotated[bool, typer.Option(
    "--sanity", rich_help_panel=MEASURING, help="Randomise the depth net layer by layer: are the mask's pixels worth "
    "less to it, and do masks found by Eq. (3) change? Takes minutes.")]
SanityStepsOption = Annotated[int, typer.Option(
    "--sanity-steps", min=0, metavar="N", rich_help_panel=MEASURING, help="With --sanity: also train the mask net on "
    "for N steps for every randomised net.")]


def evaluate(data: opt.Data, out: opt.OutDir, weights: opt.RivalWeights = None,
             target: opt.Target = None, keep: opt.KeepList = None, lam: LambdasOption = None,
             at: AtOption = None, truth: TruthOption = False, fill: FillOption = "mean",
             against: opt.Against = None, direct_steps: opt.DirectSteps = 100,
             only_table: OnlyTableOption = False, sanity: SanityOption = False, sanity_steps: SanityStepsOption = 0,
             limit: opt.Limit = None, seed: opt.Seed = 0, batch_size: opt.BatchSize = 8,
             device: opt.Device = "auto", as_json: opt.Json = False, quiet: opt.Quiet = False,
             verbose: opt.Verbose = False) -> None:
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
    show_results(results, out, as_json, quiet)


SoftOption = Annotated[
    bool | None, typer.Option("--soft/--no-soft", rich_help_panel=MEASURING, show_default=False, help="Also measure "
                              "soft maps, hidden as far as each map says, as in the paper's Fig. 5; about as much work "
                              "as all the rest. Default: for mask nets that take lambda alone, as the masks of the "
                              "others are nearly binary.")]


def compare_edges(data: opt.Data, out: opt.OutDir, weights: opt.Weights = None, target: opt.Target = None,
                  against: opt.Against = None, limit: opt.Limit = None, keep: opt.KeepList = None,
                  lam: opt.FixedLambda = None, soft: SoftOption = None, seed: opt.Seed = 0,
                  batch_size: opt.BatchSize = 8, device: opt.Device = "auto", direct_steps: opt.DirectSteps = 100,
                  as_json: opt.Json = False, quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Compare the mask with edges, chance and other ways to choose: how well does the depth net do with equally many
    pixels of each, and what does each choice cost?

    Errors are against ground truth where the data has it, and always against what the net sees in the whole picture.
    Without --lambda, a mask net with a dial is set to masks of each share.
    """
    from depthcue.evaluation.compare_edges import SHARES, CompareEdgesSettings, compare_specs
    from depthcue.scorers import DirectSettings

    configure(quiet, verbose)
    settings = CompareEdgesSettings(shares=tuple(keep or SHARES), against=tuple(against or ("sobel", "random")),
                                    lam=lam, soft_maps=soft, seed=seed, batch_size=batch_size,
                                    direct=DirectSettings(steps=direct_steps))
    with progress_bar(quiet) as progress:
        results = compare_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json, quiet)


def compare_nets(weights: opt.WeightsList, data: opt.Data, out: opt.OutDir, target: opt.TargetList = None,
                 share: opt.Share = 0.2, lam: opt.FixedLambda = None, limit: opt.Limit = None, seed: opt.Seed = 0,
                 batch_size: opt.BatchSize = 8, device: opt.Device = "auto", as_json: opt.Json = False,
                 quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Compare what several networks look at: do their masks agree, and can one network use another's mask?

    Agreement is set against that with edges, with chance, and with masks of other pictures. With --lambda, all mask
    nets are set to that lambda instead of the one that fits --share.
    """
    from depthcue.evaluation.compare_nets import CompareNetsSettings, compare_specs

    configure(quiet, verbose)
    settings = CompareNetsSettings(share=share, lam=lam, seed=seed, batch_size=batch_size)
    with progress_bar(quiet) as progress:
        results = compare_specs(weights, target or (), data, out, settings, limit, device, progress)
    show_results(results, out, as_json, quiet)


NetOption = Annotated[str, typer.Option(
    "--net", metavar="NET", rich_help_panel=MODEL, help="Depth net to train: lite0, lite1, lite2, compact, or one of "
    "the paper's, as hu-resnet50.")]
MaskNetOption = Annotated[str | None, typer.Option(
    "--mask-net", metavar="G", rich_help_panel=MODEL, help="Mask net to train for each: lite0, lite1, lite2, compact "
    "or drn22. Default: the depth net's own kind, drn22 for the paper's.")]
MaskStepsOption = Annotated[int | None, typer.Option(
    "--mask-steps", min=1, metavar="N", rich_help_panel=TRAINING, help="Optimiser steps of each mask net. Default: as "
    "many as depthcue train takes.")]
OneLambdaOption = Annotated[float | None, typer.Option(
    "--lambda", metavar="X", rich_help_panel=TRAINING, help="Weight of sparseness in Eq. (4) that all mask nets are "
    "trained with. Default: 2 for compact and lite nets, 5 for drn22.")]


def compare_losses(data: opt.Data, out: opt.OutDir, net: NetOption = "compact", steps: opt.Steps = None,
                   mask_net: MaskNetOption = None, mask_steps: MaskStepsOption = None, size: opt.Size = None,
                   lam: OneLambdaOption = None, share: opt.Share = 0.2, limit: opt.Limit = None,
                   batch_size: opt.BatchSize = 8, learning_rate: opt.LearningRate = None,
                   augmentation: opt.Augmentation = "published", backbone: opt.Backbone = "none",
                   precision: opt.TrainingPrecision = "fp32", seed: opt.Seed = 0, device: opt.Device = "auto",
                   as_json: opt.Json = False, quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Train one depth net with three losses and a mask net for each, and compare what they look at.

    Trains on the training split of DATA and measures on its test split; --limit is of the latter. Runs lie in DIR/runs:
    the same command goes on where it was stopped, and takes what is finished.
    """
    from depthcue.evaluation.compare_losses import CompareLossesSettings, plan, train_and_compare

    configure(quiet, verbose)
    depth, mask = plan(
        net, mask_net, steps, mask_steps, learning_rate, lam, data=(data,), size=opt.parse_size(size),
        backbone=backbone, augmentation=augmentation, batch_size=batch_size, precision=precision, seed=seed)
    settings = CompareLossesSettings(share=share, batch_size=batch_size, seed=seed)
    with progress_bar(quiet) as progress:
        results = train_and_compare(depth, mask, out, settings, limit, device, progress)
    show_results(results, out, as_json, quiet)


DataSetsOption = Annotated[list[str], typer.Option(
    "--data", "-d", metavar="DATA,...", rich_help_panel=INPUT, help=f"Pictures to measure on: {DATA}. {LISTED} Each is "
    "measured on its own.")]
FindingOption = Annotated[list[str] | None, typer.Option(
    "--finding", metavar="F,...", rich_help_panel=MEASURING, help=f"What to measure: edges, objects or far. {LISTED} "
    "Default: all.")]


def findings(data: DataSetsOption, out: opt.OutDir, weights: opt.Weights = None, target: opt.Target = None,
             finding: FindingOption = None, share: opt.Share = 0.2, lam: opt.FixedLambda = None,
             limit: opt.Limit = None, seed: opt.Seed = 0, batch_size: opt.BatchSize = 8, device: opt.Device = "auto",
             as_json: opt.Json = False, quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Put numbers on what the mask prefers: kinds of edges, small objects, the vanishing point and the far.

    Rendered scenes know what is what; of photographs only what their depth and their lines tell is measured, and the
    rest is left out with the reason. With --lambda, the mask net is set to that lambda instead of the one that fits
    --share.
    """
    from depthcue.evaluation.findings import FINDINGS, FindingsSettings, findings_specs

    configure(quiet, verbose)
    settings = FindingsSettings(findings=tuple(finding or FINDINGS), share=share, lam=lam, seed=seed,
                                batch_size=batch_size)
    with progress_bar(quiet) as progress:
        results = findings_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json, quiet)


PicturesArgument = Annotated[list[str] | None, typer.Argument(
    metavar="[SOURCE]...", show_default=False, help="Pictures, folders, globs; or give --data.")]
PictureDataOption = Annotated[str | None, typer.Option(
    "--data", "-d", metavar="DATA", rich_help_panel=INPUT, help=f"In place of SOURCE: {DATA}.")]
LearnedOption = Annotated[str | None, typer.Option(
    "--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net trained by Eq. (4), whose masks are shown "
    "and measured beside the ones that are searched. Default: the shipped one of a shipped --target; none for any "
    "other.")]
OppositeOption = Annotated[str | None, typer.Option(
    "--opposite", metavar="W", rich_help_panel=MODEL, help="Another mask net to compare with, trained for the "
    "opposite: to find the pixels whose loss destroys the depth, Eq. (5), by depthcue train --equation 5. Default: "
    "none.")]
SearchLambdaOption = Annotated[float | None, typer.Option(
    "--lambda", metavar="X", rich_help_panel=MODEL, help="Weight of sparseness in Eq. (3): larger keeps fewer pixels. "
    "Default: that of the mask net, or 5 without one.")]
SearchStepsOption = Annotated[int, typer.Option(
    "--steps", min=1, metavar="N", rich_help_panel=MEASURING, help="Steps of the search in each picture.")]
RateOption = Annotated[float, typer.Option(
    "--learning-rate", metavar="R", rich_help_panel=MEASURING, help="Step size of the search's optimiser, Adam.")]
RestartsOption = Annotated[int, typer.Option("--restarts", min=1, metavar="N", rich_help_panel=MEASURING,
                                           help="How often to search anew from another start; the best mask counts.")]
VariationOption = Annotated[float, typer.Option("--tv", min=0, metavar="X", rich_help_panel=MEASURING,
                                                help="Weight of the mask's total variation: what makes it smooth.")]
BlurOption = Annotated[float, typer.Option(
    "--blur", min=0, metavar="PX", rich_help_panel=MEASURING, help="Blur the mask by a Gaussian of this deviation, so "
    "that no pixel is free of its neighbours.")]


def optimize(out: opt.OutDir, sources: PicturesArgument = None, data: PictureDataOption = None,
             target: opt.Target = None, weights: LearnedOption = None, opposite: OppositeOption = None,
             lam: SearchLambdaOption = None, steps: SearchStepsOption = 100, learning_rate: RateOption = 0.3,
             restarts: RestartsOption = 1, tv: VariationOption = 0.0, blur: BlurOption = 0.0, limit: opt.Limit = None,
             seed: opt.Seed = 0, batch_size: opt.BatchSize = 4, device: opt.Device = "auto", as_json: opt.Json = False,
             quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
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
    show_results(results, out, as_json, quiet)


MotionOption = Annotated[str, typer.Option(
    "--data", metavar="DATA", rich_help_panel=INPUT, show_default=False, help="Frames with depth and camera poses: "
    "sequence:PATH (color/, depth/, poses.csv and intrinsics.txt; 7-Scenes and ScanNet folders too), or rendered "
    "flights, scenes:indoor, scenes:road, scenes:KIND:COUNT.")]


def steadiness(data: MotionOption, out: opt.OutDir, weights: opt.Weights = None, target: opt.Target = None,
               against: opt.Against = None, limit: opt.Limit = None, keep: opt.Share = 0.2, seed: opt.Seed = 0,
               batch_size: opt.BatchSize = 8, device: opt.Device = "auto", as_json: opt.Json = False,
               quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Measure how steady the mask is in a video: do the pixels it keeps stay kept in the next frame?

    Depth and poses say which pixels of two frames show the same point. The mask is measured as it is, and followed
    along estimated motion as mask --steady does; edges and chance stand beside it.
    """
    from depthcue.evaluation.steadiness import SteadinessSettings, steadiness_specs

    configure(quiet, verbose)
    settings = SteadinessSettings(tuple(against or ("sobel", "random")), keep, seed=seed, batch_size=batch_size)
    with progress_bar(quiet) as progress:
        results = steadiness_specs(weights, target, data, out, settings, limit, device, progress)
    show_results(results, out, as_json, quiet)


ExperimentsArgument = Annotated[list[str] | None, typer.Argument(
    metavar="[EXPERIMENT...]", help="What to ask, as --list names it. Default: all.")]
ProbeOutOption = Annotated[Path | None, typer.Option(
    "--out", "-o", metavar="DIR", rich_help_panel=OUTPUT, help="Folder for what comes out.")]
ListOption = Annotated[bool, typer.Option(
    "--list", rich_help_panel=OUTPUT, help="Print the experiments and what each asks, and stop.")]
StageOption = Annotated[str | None, typer.Option(
    "--stage", metavar="STAGE", rich_help_panel=MEASURING, help="rendered, photographs or both. Default: rendered, and "
    "photographs too where --frames is given.")]
ScenesOption = Annotated[str | None, typer.Option(
    "--scenes", metavar="KIND", rich_help_panel=INPUT, help="Rendered scenes: road or indoor. Default: what fits the "
    "net's range.")]
ObjectsOption = Annotated[Path | None, typer.Option(
    "--objects", metavar="DIR", rich_help_panel=INPUT, help="Cut-outs to paste into --frames: RGBA, or RGB with "
    "NAME_mask.png; objects.csv says where they stood.")]
ProbeFramesOption = Annotated[str | None, typer.Option(
    "--frames", metavar="DATA", rich_help_panel=INPUT, help="Photographs to paste into: a folder, folder:PATH or "
    "kitti:PATH.")]
HorizonOption = Annotated[float | None, typer.Option(
    "--horizon", metavar="SHARE", rich_help_panel=ADVANCED, help="Row of the photographs' horizon as a share of the "
    "height, from the top. Default: estimated from their depth, or their vanishing point.")]
ProbeWeightsOption = Annotated[str | None, typer.Option(
    "--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net of the same depth net: adds the share of its "
    "mask on each cue. Without it --target is compact-indoor by default.")]
CasesOption = Annotated[int | None, typer.Option(
    "--limit", "-n", min=1, metavar="N", rich_help_panel=INPUT, help="Cases of each experiment: scenes, or pairs of a "
    "frame and an object.")]

BesideOption = Annotated[list[Path] | None, typer.Option(
    "--beside", metavar="RESULTS,...", rich_help_panel=OUTPUT, help="Results of earlier probes (results.json, or its "
    f"folder) of other networks, to plot in the same profile for comparison. {LISTED}")]


def probe(experiments: ExperimentsArgument = None, target: opt.Target = None, out: ProbeOutOption = None,
          listing: ListOption = False, stage: StageOption = None, scenes: ScenesOption = None,
          objects: ObjectsOption = None, frames: ProbeFramesOption = None, horizon: HorizonOption = None,
          weights: ProbeWeightsOption = None, beside: BesideOption = None, limit: CasesOption = None,
          seed: opt.Seed = 0, batch_size: opt.BatchSize = 8, device: opt.Device = "auto", as_json: opt.Json = False,
          quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Ask a depth net which cues it goes by: one cue of a picture is turned, all else stays, and its answer is watched.

    On rendered scenes the truth is exact; on photographs objects are pasted in. Any depth net will do.
    """
    configure(quiet, verbose)
    if listing:
        from depthcue.probes.running import EXPERIMENTS

        return print_table("Experiments", ("name", "question", "stages"),
                           [(one.name, one.question, ", ".join(one.stages)) for one in EXPERIMENTS.values()])
    if out is None:
        raise typer.BadParameter("a folder for the results is needed", param_hint="--out")
    from depthcue.probes.running import ProbeSettings, probe_specs

    settings = ProbeSettings(stage, scenes, frames, objects, horizon, limit, seed, batch_size)
    with progress_bar(quiet) as progress:
        results = probe_specs(experiments or (), target, out, settings, weights, device, progress, beside or ())
    show_results(results, out, as_json, quiet)


BenchWeightsOption = Annotated[str, typer.Option(
    "--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net: compact-indoor, compact-road, a "
    ".safetensors file, NAME:PATH; an exported .onnx, which is measured as it is; or an architecture alone, lite0, "
    "drn22 or compact, which is then measured untrained.")]
BatchesOption = Annotated[list[int] | None, typer.Option(
    "--batch-size", "-b", min=1, metavar="N,...", rich_help_panel=SPEED, help="Frames that go through a net at a time. "
    f"{LISTED} Default: 1, 2, 4 and 8 on a CPU; 1, 4, 16 and 32 on a GPU.")]
SecondsOption = Annotated[float, typer.Option(
    "--seconds", min=0.0, metavar="S", rich_help_panel=MEASURING, help="How long to time one batch size of one net.")]
ThreadsOption = Annotated[int | None, typer.Option(
    "--threads", min=1, metavar="N", rich_help_panel=SPEED, help="CPU threads of one call. Default: one a core.")]
SourceOption = Annotated[str | None, typer.Option(
    "--source", metavar="PATH", rich_help_panel=INPUT, help="Pictures or a video to time whole jobs on. Default: a "
    "video and a folder of pictures, rendered.")]


def bench(out: opt.OutDir, weights: BenchWeightsOption = "compact-indoor", target: opt.Target = None,
          keep: opt.Keep = None, lam: opt.Lambda = None, batch_sizes: BatchesOption = None, size: opt.Size = None,
          seconds: SecondsOption = 3.0, source: SourceOption = None, threads: ThreadsOption = None,
          device: opt.Device = "auto", as_json: opt.Json = False, quiet: opt.Quiet = False,
          verbose: opt.Verbose = False) -> None:
    """Measure every way of running the nets that works here: torch, ONNX Runtime, OpenVINO, TensorRT; each precision.

    Answers are checked against the net in torch first. Then time by batch size, memory, the share of what the hardware
    can do, and whole jobs from files to masks. All take turns, so that a disturbance hits each of them.
    """
    from depthcue.bench.job import Settings, bench_specs

    configure(quiet, verbose)
    settings = Settings(keep=keep, lam=lam, size=opt.parse_size(size),
                        batch_sizes=tuple(batch_sizes) if batch_sizes else None,
                        seconds=seconds, threads=threads, source=source)
    with progress_bar(quiet) as progress:
        results = bench_specs(weights, target, out, settings, device, progress)
    show_results(results, out, as_json, quiet)
