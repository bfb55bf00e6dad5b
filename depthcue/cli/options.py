"""Every option that more than one command takes, declared once."""

from pathlib import Path
from typing import Annotated

import typer

WeightsOption = Annotated[
    str, typer.Option("--weights", "-w", metavar="W", help="Mask net G: compact-indoor, compact-road, a "
                      ".safetensors or .onnx file, a released checkpoint, or NAME:PATH.")]
TargetOption = Annotated[
    str | None, typer.Option("--target", "-t", metavar="NET", help="Depth net N: compact-indoor, compact-road, a "
                             ".safetensors or .onnx file, a released checkpoint, NAME:PATH, or a network of "
                             "others: hf:REPO, ultralytics:FILE, python:MODULE:FUNCTION, hub:REPO:ENTRY, onnx:FILE. "
                             "Default: the one the mask net was trained for.")]
WeightsListOption = Annotated[
    list[str], typer.Option("--weights", "-w", metavar="W", help="Mask nets G, one --weights each.")]
TargetListOption = Annotated[
    list[str] | None, typer.Option("--target", "-t", metavar="NET", help="Depth nets N, one --target for every "
                                   "--weights, in the same order. Default: those the mask nets were trained for.")]
DataOption = Annotated[
    str, typer.Option("--data", "-d", metavar="DATA", help="scenes:indoor, scenes:road, nyu:PATH, kitti:PATH or "
                      "folder:PATH.")]
DataListOption = Annotated[
    list[str], typer.Option("--data", "-d", metavar="DATA", help="scenes:indoor, scenes:road, nyu:PATH, kitti:PATH or "
                            "folder:PATH. Given several times, every batch draws from each in equal parts.")]
OutDirOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for what comes out.")]
OutFileOption = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.")]
KeepOption = Annotated[
    float | None, typer.Option("--keep", metavar="S", help="Share of the pixels to keep, above 0 and below 1; exactly "
                               "as many are kept. Default: the mask net's own, 0.2 unless its card says another; a "
                               "net that takes lambda is set to its own lambda. Not with --lambda.")]
LambdaOption = Annotated[
    float | None, typer.Option("--lambda", metavar="X", help="Weight of sparseness in Eq. (4): larger keeps fewer "
                               "pixels. A net that takes shares is set to the share that answers to it. Default: the "
                               "mask net's own.")]
KeepListOption = Annotated[
    list[float] | None, typer.Option("--keep", metavar="S", help="Share of the pixels to keep, above 0 and below 1. "
                                     "Can be given several times. Default: several, from few pixels to most.")]
ShareOption = Annotated[
    float, typer.Option("--keep", "--share", metavar="S", help="Share of the pixels that binary masks keep; a mask net "
                        "with a lambda dial is set to the lambda whose masks have a mean near it.")]
AgainstOption = Annotated[
    list[str] | None, typer.Option("--against", metavar="METHOD", help="What the mask is compared with: direct, "
                                   "sobel, canny, hed, contrast, random, grid, centre, object-boundaries, "
                                   "depth-edges, gradient, smoothgrad, integrated-gradients, occlusion, rollout, or "
                                   "all that can work. Can be given several times. Default: sobel and random.")]
DirectStepsOption = Annotated[int, typer.Option("--direct-steps", min=1, metavar="N", help="Optimiser steps of direct; "
                                                "each costs about three looks of the depth net.")]
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


# training
StepsOption = Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="Optimiser steps.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", min=1, metavar="N", help="Passes over the data; give "
                                                  "this or --steps. Default: 5000 steps for compact; for the paper's "
                                                  "nets 10 epochs of a mask net, 20 of a depth net.")]
RunOption = Annotated[Path | None, typer.Option("--out", "-o", metavar="RUN", help="Run folder; the weights end up in "
                                                "it. Default: a new one under runs/.")]
ResumeRunOption = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
LossOption = Annotated[str, typer.Option("--loss", metavar="L", help="depth, depth+grad, depth+grad+normal or l1.")]
DepthLossOption = Annotated[str | None, typer.Option("--loss", metavar="L", help="depth, depth+grad, depth+grad+normal "
                                                      "or l1. Default: l1 for compact and laina-resnet50, all three "
                                                      "for the others.")]
InitOption = Annotated[str | None, typer.Option("--init", metavar="NET", help="Start from these weights.")]
BackboneOption = Annotated[str, typer.Option("--backbone", metavar="B", help="Weights of the encoder: none, imagenet "
                                             "(downloaded once) or a file: of a classifier, or of a net with this "
                                             "encoder.")]
FreezeEncoderOption = Annotated[bool, typer.Option("--freeze-encoder", help="Train the decoder alone, as a first "
                                                   "stage: one that knows nothing undoes what a --backbone knows.")]
AugmentationOption = Annotated[str, typer.Option("--augmentation", metavar="A", help="none, published (Hu et al.) or "
                                                 "strong (for small data sets).")]
LearningRateOption = Annotated[float | None, typer.Option("--learning-rate", metavar="R", help="Of Adam. Default: 1e-4 "
                                                          "for the paper's nets, 1e-3 for compact.")]
WeightDecayOption = Annotated[float, typer.Option("--weight-decay", metavar="R", help="Of Adam.")]
ScheduleOption = Annotated[str | None, typer.Option("--schedule", metavar="S", help="constant, cosine or step (a tenth "
                                                    "after each quarter). Default: the net's.")]
AverageOption = Annotated[float | None, typer.Option("--average", metavar="D", help="Decay of the averaged weights "
                                                     "that are kept; 0 keeps the last. Default: the net's.")]
TrainingPrecisionOption = Annotated[str, typer.Option("--precision", metavar="P", help="fp32, or bf16: convolutions in "
                                                      "bfloat16.")]
CompileOption = Annotated[bool, typer.Option("--compile", help="Compile the net; pays on a GPU.")]
HalfOption = Annotated[bool, typer.Option("--half", help="Store the weights in 16 bit.")]
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", help="What the card calls the net.")]

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


def parse_range(text: str | None) -> tuple[float, ...]:
    """`"0.04:0.8"` as two numbers; nothing for None.

    Raises:
        typer.BadParameter: not two numbers with a colon between them.
    """
    if text is None:
        return ()
    try:
        low, high = (float(end) for end in text.split(":"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} must be two numbers with a colon between them, such as 0.04:0.8.",
                                 param_hint="--keep-range") from None
    return low, high
