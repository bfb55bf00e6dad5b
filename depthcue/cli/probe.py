"""`depthcue probe`: which cues a depth net goes by, found by turning one at a time."""

from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli.console import configure, print_table, progress_bar, show_results
from depthcue.cli.options import (
    BatchSizeOption,
    DeviceOption,
    JsonOption,
    QuietOption,
    SeedOption,
    TargetOption,
    VerboseOption,
)

ExperimentsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[EXPERIMENT...]", help="What to ask, as --list names it. Default: all.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for what comes out.")]
ListOption = Annotated[bool, typer.Option("--list", help="Say what experiments there are, and stop.")]
StageOption = Annotated[
    str | None, typer.Option("--stage", metavar="STAGE", help="rendered, photographs or both. Default: rendered, and "
                             "photographs too where --frames is given.")]
ScenesOption = Annotated[
    str | None, typer.Option("--scenes", metavar="KIND", help="road or indoor. Default: what fits the net's range.")]
ObjectsOption = Annotated[
    Path | None, typer.Option("--objects", metavar="DIR", help="Cut-outs to paste into --frames: RGBA, or RGB with "
                              "NAME_mask.png; objects.csv says where they stood.")]
FramesOption = Annotated[
    str | None, typer.Option("--frames", metavar="DATA", help="Photographs to paste into: a folder, folder:PATH or "
                             "kitti:PATH.")]
HorizonOption = Annotated[
    float | None, typer.Option("--horizon", metavar="SHARE", help="Row of the photographs' horizon as a share of the "
                               "height, from the top. Default: estimated from their depth, or their vanishing point.")]
MaskWeightsOption = Annotated[
    str | None, typer.Option("--weights", "-w", metavar="W", help="Mask net G of the same depth net: adds the share "
                             "of its mask on each cue. Without it --target is compact-indoor by default.")]
CasesOption = Annotated[
    int | None, typer.Option("--limit", min=1, metavar="N", help="Cases of each experiment: scenes, or pairs of a "
                             "frame and an object.")]

BesideOption = Annotated[
    list[Path] | None, typer.Option("--beside", metavar="RESULTS", help="Results of another network, whose profile is "
                                    "laid beside this one's. Can be given several times.")]


def probe(experiments: ExperimentsArgument = None, target: TargetOption = None, out: OutOption = None,
          listing: ListOption = False, stage: StageOption = None, scenes: ScenesOption = None,
          objects: ObjectsOption = None, frames: FramesOption = None, horizon: HorizonOption = None,
          weights: MaskWeightsOption = None, beside: BesideOption = None,
          limit: CasesOption = None, seed: SeedOption = 0,
          batch_size: BatchSizeOption = 8, device: DeviceOption = "auto", as_json: JsonOption = False,
          quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
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
    show_results(results, out, as_json)
