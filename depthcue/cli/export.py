"""`depthcue export`: a net as a file that runs without this package."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from depthcue.cli.console import configure, print_json, print_table, progress_bar
from depthcue.cli.options import (
    INPUT,
    MODEL,
    OUTPUT,
    CapabilityOption,
    DeviceOption,
    EngineBatchOption,
    EngineSizeOption,
    JsonOption,
    Library,
    LibraryOption,
    OutFileOption,
    QuietOption,
    VerboseOption,
    WorkspaceOption,
    engine_options,
    refuse_engine_options,
)

NUMBERS = {"max_abs": "largest", "mean_abs": "mean"}
DIFFERENCES = {
    "mask": {**NUMBERS, "changed_side": "share of pixels that change side at the threshold",
             "task_rmse_m": "between the depths seen under the two masks, m",
             "task_change_m": "of the depth's error under the mask, m"},
    "depth": {**NUMBERS, "task_rmse_m": "between the two depths, m"},
}


class Format(StrEnum):
    """What can be written."""

    onnx = "onnx"
    tensorrt = "tensorrt"


class Precision(StrEnum):
    """What the graph computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


ExportWeightsOption = Annotated[
    str | None, typer.Option("--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net to export: "
                             "compact-indoor, compact-road, a .safetensors file, a released checkpoint, or NAME:PATH; "
                             "for an engine also an exported .onnx.")]
ExportTargetOption = Annotated[
    str | None, typer.Option("--target", "-t", metavar="NET", rich_help_panel=MODEL, help="Depth net to export: "
                             "compact-indoor, compact-road, a .safetensors file, a released checkpoint, NAME:PATH, "
                             "hf:REPO, ultralytics:FILE, python:MODULE:FUNCTION or hub:REPO:ENTRY; for an engine also "
                             "an exported .onnx.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", rich_help_panel=OUTPUT,
                                              help="What to write: an ONNX graph, or an engine of TensorRT for NVIDIA "
                                              "GPUs.")]
GraphPrecisionOption = Annotated[
    Precision, typer.Option("--precision", rich_help_panel=OUTPUT, help="What the graph computes in: fp16 and bf16 "
                            "keep fp32 where range asks for it; int8 is calibrated on --data. Inputs and outputs are "
                            "the same in each.")]
CompareDataOption = Annotated[
    str | None, typer.Option("--data", "-d", metavar="DATA", rich_help_panel=INPUT, help="Pictures on which the file "
                             "must agree with torch, and for int8 (at least 12) others to calibrate on, as "
                             "folder:PATH. Default: rendered rooms and roads.")]


def export(out: OutFileOption, weights: ExportWeightsOption = None, target: ExportTargetOption = None,
           file_format: FormatOption = Format.onnx, precision: GraphPrecisionOption = Precision.fp32,
           data: CompareDataOption = None, batch: EngineBatchOption = None, size: EngineSizeOption = None,
           workspace: WorkspaceOption = None, library: LibraryOption = Library.auto,
           capability: CapabilityOption = None, device: DeviceOption = "auto", as_json: JsonOption = False,
           quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Write a mask net or a depth net as one file that takes raw frames, and a card beside it.

    The file appears only if its answers agree with torch's on pictures; an engine that no GPU here can run appears
    without, and its card says so. A graph takes any size and batch, an engine those that it is built for.
    """
    configure(quiet, verbose)
    if file_format is Format.tensorrt:
        from depthcue.export.tensorrt_engine import export_engine

        options = engine_options(batch, size, workspace, library, capability, device)
        with progress_bar(quiet) as progress:
            card = export_engine(weights, target, out, data, precision.value, options, progress)
    else:
        from depthcue.export import export_spec

        refuse_engine_options(batch, size, workspace, library is not Library.auto, capability, device != "auto")
        card = export_spec(weights, target, out, data, precision.value)
    if as_json:
        return print_json(card)
    if not quiet:
        _print_agreement(out, card)


def _print_agreement(out: Path, card: dict[str, Any]) -> None:
    parity, what = card["parity"], str(out)
    if parity is None:
        parity, what = card["graph_parity"], f"the graph of {out}"
    rows = [[words, "not measured" if parity[name] is None else f"{parity[name]:.2g}",
             f"{parity['tolerance'][name]:.2g}"] for name, words in DIFFERENCES[card["kind"]].items()]
    print_table(f"{what} ({card['bytes'] / 1e6:.1f} MB) in {card['precision']} agrees with torch on "
                f"{parity['frames']} frames", ["difference", "measured", "allowed"], rows)
