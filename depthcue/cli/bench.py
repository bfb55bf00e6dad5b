"""`depthcue bench`: how fast each way of running the nets is here."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, progress_bar, show_results
from depthcue.cli.options import (
    INPUT,
    LISTED,
    MEASURING,
    MODEL,
    SPEED,
    DeviceOption,
    JsonOption,
    KeepOption,
    LambdaOption,
    OutDirOption,
    QuietOption,
    SizeOption,
    TargetOption,
    VerboseOption,
    parse_size,
)

BenchWeightsOption = Annotated[
    str, typer.Option("--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net: compact-indoor, "
                      "compact-road, a .safetensors file, NAME:PATH; an exported .onnx, which is measured as it is; "
                      "or an architecture alone, lite0, drn22 or compact, which is then measured untrained.")]
BatchesOption = Annotated[
    list[int] | None, typer.Option("--batch-size", "-b", min=1, metavar="N,...", rich_help_panel=SPEED,
                                   help=f"Frames that go through a net at a time. {LISTED} Default: 1, 2, 4 and 8 on a "
                                   "CPU; 1, 4, 16 and 32 on a GPU.")]
SecondsOption = Annotated[
    float, typer.Option("--seconds", min=0.0, metavar="S", rich_help_panel=MEASURING,
                        help="How long to time one batch size of one net.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, metavar="N", rich_help_panel=SPEED, help="CPU threads of one call. "
                             "Default: one a core.")]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="PATH", rich_help_panel=INPUT, help="Pictures or a video to time "
                             "whole jobs on. Default: a video and a folder of pictures, rendered.")]


def bench(out: OutDirOption, weights: BenchWeightsOption = "compact-indoor", target: TargetOption = None,
          keep: KeepOption = None, lam: LambdaOption = None, batch_sizes: BatchesOption = None, size: SizeOption = None,
          seconds: SecondsOption = 3.0, source: SourceOption = None, threads: ThreadsOption = None,
          device: DeviceOption = "auto", as_json: JsonOption = False, quiet: QuietOption = False,
          verbose: VerboseOption = False) -> None:
    """Measure every way of running the nets that works here: torch, ONNX Runtime, OpenVINO, TensorRT; each precision.

    Answers are checked against the net in torch first. Then time by batch size, memory, the share of what the hardware
    can do, and whole jobs from files to masks. All take turns, so that a disturbance hits each of them.
    """
    from depthcue.bench.job import Settings, bench_specs

    configure(quiet, verbose)
    settings = Settings(keep=keep, lam=lam, size=parse_size(size),
                        batch_sizes=tuple(batch_sizes) if batch_sizes else None,
                        seconds=seconds, threads=threads, source=source)
    with progress_bar(quiet) as progress:
        results = bench_specs(weights, target, out, settings, device, progress)
    show_results(results, out, as_json)
