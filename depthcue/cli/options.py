"""Every option that more than one command takes, declared once."""

from pathlib import Path
from typing import Annotated

import typer

WeightsOption = Annotated[
    str, typer.Option("--weights", "-w", metavar="W", help="Mask net G: compact-indoor, compact-road, drn22:PATH, "
                      "compact:PATH, or a .safetensors or .onnx file.")]
TargetOption = Annotated[
    str | None, typer.Option("--target", "-t", metavar="NET", help="Depth net N: compact-indoor, compact-road, "
                             "compact:PATH, hu-resnet50:PATH, or a .safetensors or .onnx file. "
                             "Default: the one the mask net was trained for.")]
DataOption = Annotated[
    str, typer.Option("--data", "-d", metavar="DATA", help="scenes:indoor, scenes:road, nyu:PATH, kitti:PATH or "
                      "folder:PATH.")]
DataListOption = Annotated[
    list[str], typer.Option("--data", "-d", metavar="DATA", help="scenes:indoor, scenes:road, nyu:PATH, kitti:PATH or "
                            "folder:PATH. Given several times, every batch draws from each in equal parts.")]
OutDirOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for what comes out.")]
OutFileOption = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.")]
LambdaOption = Annotated[
    float | None, typer.Option("--lambda", metavar="X", help="Weight of sparseness in Eq. (4): larger keeps fewer "
                               "pixels. Default: the mask net's own.")]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="D", help="auto, cpu, cuda, cuda:N or mps.")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Use the first N pictures only.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="S", help="Seed of everything drawn by chance.")]
SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Width and height in pixels.")]
BatchSizeOption = Annotated[int, typer.Option("--batch-size", min=1, metavar="N", help="Pictures per batch.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more of what is done.")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`"640x480"` (width x height) as (height, width); None stays None.

    Raises:
        typer.BadParameter: not two positive whole numbers.
    """
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT, as in 640x480", param_hint="--size")
    return int(height), int(width)
