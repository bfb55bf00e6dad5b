"""`depthcue export`: a net as a file that runs without this package."""

from enum import StrEnum
from typing import Annotated

import typer

from depthcue.cli.console import configure, print_json, print_table
from depthcue.cli.options import JsonOption, OutFileOption, QuietOption, VerboseOption

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


class Precision(StrEnum):
    """What the graph computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


ExportWeightsOption = Annotated[
    str | None, typer.Option("--weights", "-w", metavar="W", help="Mask net to export: compact-indoor, compact-road, "
                             "a .safetensors file, a released checkpoint, or NAME:PATH.")]
ExportTargetOption = Annotated[
    str | None, typer.Option("--target", "-t", metavar="NET", help="Depth net to export: compact-indoor, compact-road, "
                             "a .safetensors file, a released checkpoint, NAME:PATH, hf:REPO, "
                             "python:MODULE:FUNCTION or hub:REPO:ENTRY.")]
FormatOption = Annotated[Format, typer.Option("--format", help="What to write.")]
GraphPrecisionOption = Annotated[
    Precision, typer.Option("--precision", help="What the graph computes in: fp16 and bf16 keep fp32 where range asks "
                            "for it; int8 is calibrated on --data. Inputs and outputs are the same in each.")]
CompareDataOption = Annotated[
    str | None, typer.Option("--data", "-d", metavar="DATA", help="Pictures on which the file must agree with torch, "
                             "and for int8 (at least 12) others to calibrate on, as folder:PATH. Default: rendered "
                             "rooms and roads.")]


def export(out: OutFileOption, weights: ExportWeightsOption = None, target: ExportTargetOption = None,
           file_format: FormatOption = Format.onnx, precision: GraphPrecisionOption = Precision.fp32,
           data: CompareDataOption = None, as_json: JsonOption = False, quiet: QuietOption = False,
           verbose: VerboseOption = False) -> None:
    """Write a mask net or a depth net as one file that takes raw frames of any size and batch, and a card beside it.

    The file appears only if its answers agree with torch's on pictures.
    """
    from depthcue.export import export_spec

    configure(quiet, verbose)
    card = export_spec(weights, target, out, data, precision.value)
    if as_json:
        return print_json(card)
    if not quiet:
        parity = card["parity"]
        rows = [[words, "not measured" if parity[name] is None else f"{parity[name]:.2g}",
                 f"{parity['tolerance'][name]:.2g}"] for name, words in DIFFERENCES[card["kind"]].items()]
        print_table(f"{out} ({card['bytes'] / 1e6:.1f} MB) in {card['precision']} agrees with torch on "
                    f"{parity['frames']} frames",
                    ["difference", "measured", "allowed"], rows)
