"""Every option that more than one command takes, declared once."""

from pathlib import Path
from typing import Annotated

import typer

INPUT, OUTPUT, MODEL, MEASURING, TRAINING, SPEED, ADVANCED = PANELS = (
    "Input", "Output", "Model", "Measuring", "Training", "Speed", "Advanced")
"""Groups of a help page, in its order."""
LISTED = "Several: commas between them, or the option repeated."

NETS = "compact-indoor, compact-road, a .safetensors or .onnx file, a released checkpoint, or NAME:PATH"
MASK_NETS = ("compact-indoor, compact-road, fastdepth, pydnet-kitti, general, a run folder, a .safetensors or .onnx "
             "file, a released checkpoint, NAME:PATH, or hub:OWNER/NAME of the Hugging Face hub")
OWN = ("Default: the one shipped for --target; general, a first guess, for a net without one; compact-indoor without "
       "--target.")
FOREIGN = "hf:REPO, ultralytics:FILE, python:MODULE:FUNCTION, hub:REPO:ENTRY or onnx:FILE"
DATA = ("scenes:indoor or scenes:road (rendered; scenes:KIND:COUNT for COUNT pictures), nyu:LIST.csv, kitti:DIR or "
        "folder:DIR")

Weights = Annotated[str | None, typer.Option(
    "--weights", "-w", metavar="W", rich_help_panel=MODEL, show_default=False, help=f"Mask net: {MASK_NETS}. {OWN}")]
Target = Annotated[str | None, typer.Option(
    "--target", "-t", metavar="NET", rich_help_panel=MODEL, help=f"Depth net to look into: {NETS}, or a network of "
    f"others: {FOREIGN}. Default: the one the mask net was trained for.")]
WeightsList = Annotated[list[str], typer.Option(
    "--weights", "-w", metavar="W,...", rich_help_panel=MODEL, help=f"Mask nets. {LISTED}")]
RivalWeights = Annotated[list[str] | None, typer.Option(
    "--weights", "-w", metavar="W,...", rich_help_panel=MODEL, show_default=False, help=f"Mask nets. {LISTED} {OWN}")]
TargetList = Annotated[list[str] | None, typer.Option(
    "--target", "-t", metavar="NET,...", rich_help_panel=MODEL, help="Depth nets, one for every mask net, in the same "
    f"order. {LISTED} Default: those the mask nets were trained for.")]
Data = Annotated[str, typer.Option(
    "--data", "-d", metavar="DATA", rich_help_panel=INPUT, help=f"Pictures to measure on: {DATA}.")]
DataList = Annotated[list[str], typer.Option(
    "--data", "-d", metavar="DATA,...", rich_help_panel=INPUT, help=f"Pictures to train on: {DATA}. {LISTED} Of "
    "several, every batch draws from each in equal parts.")]
OutDir = Annotated[Path, typer.Option(
    "--out", "-o", metavar="DIR", rich_help_panel=OUTPUT, help="Folder for what comes out.")]
OutFile = Annotated[Path, typer.Option(
    "--out", "-o", metavar="FILE", rich_help_panel=OUTPUT, help="File to write.")]
Keep = Annotated[float | None, typer.Option(
    "--keep", "-k", metavar="S", rich_help_panel=MODEL, help="Share of the pixels to keep, above 0 and below 1; "
    "exactly as many are kept. Default: the mask net's own, 0.2 for the shipped ones; a net that takes lambda goes by "
    "its own lambda. Not with --lambda.")]
Lambda = Annotated[float | None, typer.Option(
    "--lambda", metavar="X", rich_help_panel=MODEL, help="In place of a share: the weight of sparseness in Eq. (4) of "
    "the paper; larger keeps fewer pixels. A net that takes shares is set to the share that this lambda leads to.")]
FixedLambda = Annotated[float | None, typer.Option(
    "--lambda", metavar="X", rich_help_panel=MODEL, help="Set mask nets that take lambda to this one. Default: to the "
    "lambda whose masks keep the share that is measured.")]
KeepList = Annotated[list[float] | None, typer.Option(
    "--keep", "-k", metavar="S,...", rich_help_panel=MEASURING, help="Shares of the pixels to keep, above 0 and below "
    f"1. {LISTED} Default: several, from few pixels to most.")]
Share = Annotated[float, typer.Option(
    "--keep", "-k", "--share", metavar="S", rich_help_panel=MEASURING, help="Share of the pixels, above 0 and below 1, "
    "that every mask keeps when it is compared. A mask net that takes lambda is set to the lambda whose masks keep "
    "about as many. --share is the same option.")]
Against = Annotated[list[str] | None, typer.Option(
    "--against", metavar="METHOD,...", rich_help_panel=MEASURING, help="Other ways to choose pixels that the mask is "
    "compared with: sobel, canny, hed, contrast, random, grid, centre, object-boundaries, depth-edges, gradient, "
    f"smoothgrad, integrated-gradients, occlusion, rollout, direct, or all that work here. {LISTED} Default: sobel and "
    "random.")]
DirectSteps = Annotated[int, typer.Option(
    "--direct-steps", min=1, metavar="N", rich_help_panel=MEASURING, help="Optimiser steps of --against direct, which "
    "searches the mask of each picture; each costs about three runs of the depth net.")]
Device = Annotated[str, typer.Option(
    "--device", metavar="D", rich_help_panel=SPEED, help="auto, cpu, cuda, cuda:N or mps.")]
Limit = Annotated[int | None, typer.Option(
    "--limit", "-n", min=1, metavar="N", rich_help_panel=INPUT, help="Use N pictures of the data. Default: all.")]
Seed = Annotated[int, typer.Option("--seed", metavar="S", rich_help_panel=ADVANCED,
                                   help="Seed of all random numbers; the same seed gives the same results.")]
Size = Annotated[str | None, typer.Option(
    "--size", metavar="WxH", rich_help_panel=MODEL, help="Width and height in pixels at which the nets see the "
    "pictures, such as 320x240; files keep the pictures' own size. Default: the size the net was made for.")]
BatchSize = Annotated[int, typer.Option(
    "--batch-size", "-b", min=1, metavar="N", rich_help_panel=SPEED, help="Pictures that go through the nets at a "
    "time.")]
Json = Annotated[bool, typer.Option(
    "--json", rich_help_panel=OUTPUT, help="Print the results as one JSON document, for scripts, instead of tables.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Print nothing but errors.")]
Verbose = Annotated[bool, typer.Option(
    "--verbose", "-v", rich_help_panel=OUTPUT, help="Print what is chosen and done on the way.")]


# training
Steps = Annotated[int | None, typer.Option("--steps", min=1, metavar="N", rich_help_panel=TRAINING,
                                           help="How long to train: optimiser steps of one batch each.")]
Minutes = Annotated[float | None, typer.Option(
    "--minutes", metavar="M", rich_help_panel=TRAINING, show_default=False, help="How long to train: time for all of "
    "it, opening the data and the report at the end included. Default: 10 for lite and compact nets, where neither "
    "--steps nor --epochs is given.")]
Aside = Annotated[float, typer.Option(
    "--aside", metavar="SHARE", rich_help_panel=TRAINING, help="Share of the pictures kept aside to measure the error "
    "on while training, which ends when the error no longer falls. 0: none, and all steps are made.")]
Patience = Annotated[int, typer.Option(
    "--patience", metavar="N", min=0, rich_help_panel=TRAINING, help="Measurements of the error on pictures kept "
    "aside, ten in a training, without a fall after which it ends. 0: never.")]
Epochs = Annotated[int | None, typer.Option(
    "--epochs", min=1, metavar="N", rich_help_panel=TRAINING, help="How long to train: passes over the data, in place "
    "of --steps. Default: 5000 steps of a compact or lite depth net; for the paper's nets 10 epochs of a mask net, 20 "
    "of a depth net.")]
Run = Annotated[Path | None, typer.Option("--out", "-o", metavar="RUN", rich_help_panel=OUTPUT, help="Run "
                                          "folder, which the weights end up in. Default: a new one under runs/.")]
ResumeRun = Annotated[bool, typer.Option(
    "--resume", rich_help_panel=OUTPUT, help="Go on with the stopped run in --out, with the same options.")]
Loss = Annotated[str, typer.Option("--loss", metavar="L", rich_help_panel=TRAINING, help="What the difference "
                                   "between two depths is: depth, depth+grad, depth+grad+normal, l1 or log.")]
DepthLoss = Annotated[str | None, typer.Option(
    "--loss", metavar="L", rich_help_panel=TRAINING, help="depth, depth+grad, depth+grad+normal, l1 or log. "
    "Default: l1 for compact, lite and laina-resnet50, depth+grad+normal for the others.")]
Init = Annotated[str | None, typer.Option(
    "--init", metavar="NET", rich_help_panel=TRAINING, show_default=False, help="Start from the weights of this net, "
    "of the same architecture. Mask nets can also start from general, which lite0 does by itself without --backbone "
    "and --lambda; none: random weights.")]
Backbone = Annotated[str, typer.Option(
    "--backbone", metavar="B", rich_help_panel=TRAINING, help="What the encoder starts from: none (random weights), "
    "imagenet (downloaded once) or a file of a classifier or of a net with this encoder.")]
FreezeEncoder = Annotated[bool, typer.Option(
    "--freeze-encoder", rich_help_panel=TRAINING, help="Train the decoder alone, as a first stage before the whole "
    "net: a random decoder would spoil what the encoder of --backbone knows.")]
Augmentation = Annotated[str, typer.Option(
    "--augmentation", metavar="A", rich_help_panel=TRAINING, help="How training pictures are varied: none, published "
    "(as Hu et al.) or strong (for small data sets).")]
LearningRate = Annotated[float | None, typer.Option(
    "--learning-rate", metavar="R", rich_help_panel=TRAINING, help="Step size of the optimiser, Adam. Default: 1e-4 "
    "for the paper's nets, 1e-3 for compact and lite nets.")]
WeightDecay = Annotated[float, typer.Option(
    "--weight-decay", metavar="R", rich_help_panel=TRAINING, help="Weight decay of the optimiser, Adam.")]
Schedule = Annotated[str | None, typer.Option(
    "--schedule", metavar="S", rich_help_panel=TRAINING, help="How the learning rate changes: constant, cosine, or "
    "step (a tenth after each quarter). Default: cosine for compact and lite nets; for the paper's, constant for mask "
    "nets and step for depth nets.")]
Average = Annotated[float | None, typer.Option(
    "--average", metavar="D", rich_help_panel=TRAINING, help="Save a running average of the weights, which forgets at "
    "this decay a step; 0 saves the last weights. Default: 0.999 for compact and lite nets, 0 for the paper's.")]
TrainingPrecision = Annotated[str, typer.Option(
    "--precision", metavar="P", rich_help_panel=SPEED, help="fp32; or bf16, which computes convolutions in bfloat16.")]
Compile = Annotated[bool, typer.Option(
    "--compile", rich_help_panel=SPEED, help="Let torch compile the net: a minute at the start, faster steps on a "
    "GPU.")]
Half = Annotated[bool, typer.Option(
    "--half", rich_help_panel=OUTPUT, help="Write the weights in 16-bit floats: half the file, nearly the same net.")]
Log = Annotated[str | None, typer.Option(
    "--log", metavar="TRACKER", rich_help_panel=OUTPUT, help="Show the training in tensorboard (files in the run "
    "folder), wandb or trackio. metrics.jsonl is written anyway.")]
Name = Annotated[str | None, typer.Option(
    "--name", metavar="NAME", rich_help_panel=OUTPUT, help="Name of the net on its card. Default: the architecture's.")]


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
