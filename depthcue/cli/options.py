"""Every option that more than one command takes, declared once.

The options of `depthcue export` that are about engines, declared once, and what they mean together.

The options that every training command takes beside its own, declared once.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from depthcue.cli.console import configure, print_json, progress_bar

if TYPE_CHECKING:
    from depthcue.export.tensorrt_engine import EngineOptions


INPUT, OUTPUT, MODEL, MEASURING, TRAINING, SPEED, ADVANCED = PANELS = (
    "Input", "Output", "Model", "Measuring", "Training", "Speed", "Advanced")
"""Groups of a help page, in its order."""
LISTED = "Several: commas between them, or the option repeated."

NETS = "compact-indoor, compact-road, a .safetensors or .onnx file, a released checkpoint, or NAME:PATH"
FOREIGN = "hf:REPO, ultralytics:FILE, python:MODULE:FUNCTION, hub:REPO:ENTRY or onnx:FILE"
DATA = ("scenes:indoor or scenes:road (rendered; scenes:KIND:COUNT for COUNT pictures), nyu:LIST.csv, kitti:DIR or "
        "folder:DIR")

WeightsOption = Annotated[
    str, typer.Option("--weights", "-w", metavar="W", rich_help_panel=MODEL, help=f"Mask net: {NETS}; or "
                      "hub:OWNER/NAME of the Hugging Face hub.")]
TargetOption = Annotated[
    str | None, typer.Option("--target", "-t", metavar="NET", rich_help_panel=MODEL, help=f"Depth net to look into: "
                             f"{NETS}, or a network of others: {FOREIGN}. Default: the one the mask net was trained "
                             "for.")]
WeightsListOption = Annotated[
    list[str], typer.Option("--weights", "-w", metavar="W,...", rich_help_panel=MODEL, help=f"Mask nets. {LISTED}")]
TargetListOption = Annotated[
    list[str] | None, typer.Option("--target", "-t", metavar="NET,...", rich_help_panel=MODEL, help="Depth nets, one "
                                   f"for every mask net, in the same order. {LISTED} Default: those the mask nets "
                                   "were trained for.")]
DataOption = Annotated[
    str, typer.Option("--data", "-d", metavar="DATA", rich_help_panel=INPUT, help=f"Pictures to measure on: {DATA}.")]
DataListOption = Annotated[
    list[str], typer.Option("--data", "-d", metavar="DATA,...", rich_help_panel=INPUT, help="Pictures to train on: "
                            f"{DATA}. {LISTED} Of several, every batch draws from each in equal parts.")]
OutDirOption = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", rich_help_panel=OUTPUT,
                                            help="Folder for what comes out.")]
OutFileOption = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", rich_help_panel=OUTPUT,
                                             help="File to write.")]
KeepOption = Annotated[
    float | None, typer.Option("--keep", "-k", metavar="S", rich_help_panel=MODEL, help="Share of the pixels to keep, "
                               "above 0 and below 1; exactly as many are kept. Default: the mask net's own, 0.2 for "
                               "the shipped ones; a net that takes lambda goes by its own lambda. Not with --lambda.")]
LambdaOption = Annotated[
    float | None, typer.Option("--lambda", metavar="X", rich_help_panel=MODEL, help="In place of a share: the weight "
                               "of sparseness in Eq. (4) of the paper; larger keeps fewer pixels. A net that takes "
                               "shares is set to the share that this lambda leads to.")]
FixedLambdaOption = Annotated[
    float | None, typer.Option("--lambda", metavar="X", rich_help_panel=MODEL, help="Set mask nets that take lambda to "
                               "this one. Default: to the lambda whose masks keep the share that is measured.")]
KeepListOption = Annotated[
    list[float] | None, typer.Option("--keep", "-k", metavar="S,...", rich_help_panel=MEASURING, help="Shares of the "
                                     f"pixels to keep, above 0 and below 1. {LISTED} Default: several, from few pixels "
                                     "to most.")]
ShareOption = Annotated[
    float, typer.Option("--keep", "-k", "--share", metavar="S", rich_help_panel=MEASURING, help="Share of the pixels, "
                        "above 0 and below 1, that every mask keeps when it is compared. A mask net that takes lambda "
                        "is set to the lambda whose masks keep about as many. --share is the same option.")]
AgainstOption = Annotated[
    list[str] | None, typer.Option("--against", metavar="METHOD,...", rich_help_panel=MEASURING, help="Other ways to "
                                   "choose pixels that the mask is compared with: sobel, canny, hed, contrast, random, "
                                   "grid, centre, object-boundaries, depth-edges, gradient, smoothgrad, "
                                   "integrated-gradients, occlusion, rollout, direct, or all that work here. "
                                   f"{LISTED} Default: sobel and random.")]
DirectStepsOption = Annotated[int, typer.Option("--direct-steps", min=1, metavar="N", rich_help_panel=MEASURING,
                                                help="Optimiser steps of --against direct, which searches the mask of "
                                                "each picture; each costs about three runs of the depth net.")]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="D", rich_help_panel=SPEED, help="auto, cpu, cuda, cuda:N or mps.")]
LimitOption = Annotated[int | None, typer.Option("--limit", "-n", min=1, metavar="N", rich_help_panel=INPUT,
                                                 help="Use N pictures of the data. Default: all.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="S", rich_help_panel=ADVANCED,
                                         help="Seed of all random numbers; the same seed gives the same results.")]
SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", rich_help_panel=MODEL, help="Width and height in pixels at which "
                             "the nets see the pictures, such as 320x240; files keep the pictures' own size. Default: "
                             "the size the net was made for.")]
BatchSizeOption = Annotated[int, typer.Option("--batch-size", "-b", min=1, metavar="N", rich_help_panel=SPEED,
                                              help="Pictures that go through the nets at a time.")]
JsonOption = Annotated[bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print the results as one JSON "
                                          "document, for scripts, instead of tables.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT,
                                           help="Print nothing but errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", rich_help_panel=OUTPUT,
                                             help="Print what is chosen and done on the way.")]


# training
StepsOption = Annotated[int | None, typer.Option("--steps", min=1, metavar="N", rich_help_panel=TRAINING,
                                                 help="How long to train: optimiser steps of one batch each.")]
MinutesOption = Annotated[float | None, typer.Option("--minutes", metavar="M", rich_help_panel=TRAINING,
                                                     help="How long to train: time for all of it, opening the data "
                                                     "and the report at the end included. Default: 10 for lite and "
                                                     "compact nets, where neither --steps nor --epochs is "
                                                     "given.", show_default=False)]
AsideOption = Annotated[float, typer.Option("--aside", metavar="SHARE", rich_help_panel=TRAINING,
                                            help="Share of the pictures kept aside to measure the error on while "
                                            "training, which ends when the error no longer falls. 0: none, and all "
                                            "steps are made.")]
PatienceOption = Annotated[int, typer.Option("--patience", metavar="N", min=0, rich_help_panel=TRAINING,
                                             help="Measurements of the error on pictures kept aside, ten in a "
                                             "training, without a fall after which it ends. 0: never.")]
EpochsOption = Annotated[int | None, typer.Option("--epochs", min=1, metavar="N", rich_help_panel=TRAINING,
                                                  help="How long to train: passes over the data, in place of --steps. "
                                                  "Default: 5000 steps of a compact or lite depth net; for the "
                                                  "paper's nets 10 epochs of a mask net, 20 of a depth net.")]
RunOption = Annotated[Path | None, typer.Option("--out", "-o", metavar="RUN", rich_help_panel=OUTPUT, help="Run "
                                                "folder, which the weights end up in. Default: a new one under runs/.")]
ResumeRunOption = Annotated[bool, typer.Option("--resume", rich_help_panel=OUTPUT,
                                               help="Go on with the stopped run in --out, with the same options.")]
LossOption = Annotated[str, typer.Option("--loss", metavar="L", rich_help_panel=TRAINING, help="What the difference "
                                         "between two depths is: depth, depth+grad, depth+grad+normal or l1.")]
DepthLossOption = Annotated[str | None, typer.Option("--loss", metavar="L", rich_help_panel=TRAINING, help="depth, "
                                                     "depth+grad, depth+grad+normal or l1. Default: l1 for compact, "
                                                     "lite and laina-resnet50, depth+grad+normal for the others.")]
InitOption = Annotated[str | None, typer.Option("--init", metavar="NET", rich_help_panel=TRAINING,
                                                help="Start from the weights of this net, of the same architecture. "
                                                "Mask nets can also start from general, which lite0 does by itself "
                                                "without --backbone and --lambda; none: random "
                                                "weights.", show_default=False)]
BackboneOption = Annotated[str, typer.Option("--backbone", metavar="B", rich_help_panel=TRAINING, help="What the "
                                             "encoder starts from: none (random weights), imagenet (downloaded once) "
                                             "or a file of a classifier or of a net with this encoder.")]
FreezeEncoderOption = Annotated[bool, typer.Option("--freeze-encoder", rich_help_panel=TRAINING, help="Train the "
                                                   "decoder alone, as a first stage before the whole net: a random "
                                                   "decoder would spoil what the encoder of --backbone knows.")]
AugmentationOption = Annotated[str, typer.Option("--augmentation", metavar="A", rich_help_panel=TRAINING, help="How "
                                                 "training pictures are varied: none, published (as Hu et al.) or "
                                                 "strong (for small data sets).")]
LearningRateOption = Annotated[float | None, typer.Option("--learning-rate", metavar="R", rich_help_panel=TRAINING,
                                                          help="Step size of the optimiser, Adam. Default: 1e-4 for "
                                                          "the paper's nets, 1e-3 for compact and lite nets.")]
WeightDecayOption = Annotated[float, typer.Option("--weight-decay", metavar="R", rich_help_panel=TRAINING,
                                                  help="Weight decay of the optimiser, Adam.")]
ScheduleOption = Annotated[str | None, typer.Option("--schedule", metavar="S", rich_help_panel=TRAINING, help="How "
                                                    "the learning rate changes: constant, cosine, or step (a tenth "
                                                    "after each quarter). Default: cosine for compact and lite nets; "
                                                    "for the paper's, constant for mask nets and step for depth nets.")]
AverageOption = Annotated[float | None, typer.Option("--average", metavar="D", rich_help_panel=TRAINING, help="Save a "
                                                     "running average of the weights, which forgets at this decay a "
                                                     "step; 0 saves the last weights. Default: 0.999 for compact and "
                                                     "lite nets, 0 for the paper's.")]
TrainingPrecisionOption = Annotated[str, typer.Option("--precision", metavar="P", rich_help_panel=SPEED, help="fp32; "
                                                      "or bf16, which computes convolutions in bfloat16.")]
CompileOption = Annotated[bool, typer.Option("--compile", rich_help_panel=SPEED, help="Let torch compile the net: a "
                                             "minute at the start, faster steps on a GPU.")]
HalfOption = Annotated[bool, typer.Option("--half", rich_help_panel=OUTPUT, help="Write the weights in 16-bit floats: "
                                          "half the file, nearly the same net.")]
LogOption = Annotated[str | None, typer.Option("--log", metavar="TRACKER", rich_help_panel=OUTPUT, help="Show the "
                                               "training in tensorboard (files in the run folder), wandb or trackio. "
                                               "metrics.jsonl is written anyway.")]
NameOption = Annotated[str | None, typer.Option("--name", metavar="NAME", rich_help_panel=OUTPUT, help="Name of the "
                                                "net on its card. Default: the architecture's.")]


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


class Library(StrEnum):
    """What builds engines."""

    auto = "auto"
    tensorrt = "tensorrt"
    tensorrt_rtx = "tensorrt-rtx"


EngineBatchOption = Annotated[
    str | None, typer.Option("--batch", "-b", metavar="LEAST,BEST,MOST", rich_help_panel=SPEED,
                             help="Engine: frames per batch that it takes, and is fastest at; one number for up to "
                             "that many. Default: 1,8,32.")]
EngineSizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH,...", rich_help_panel=SPEED, help="Engine: the one size of "
                             "pictures that it takes; or three, the least, the best and the most. Default: any shape "
                             "up to four to one, fastest at the net's working size.")]
WorkspaceOption = Annotated[
    int | None, typer.Option("--workspace", min=1, metavar="MIB", rich_help_panel=ADVANCED,
                             help="Engine: most memory for intermediate results, in MiB. Default: no limit.")]
LibraryOption = Annotated[
    Library, typer.Option("--library", rich_help_panel=ADVANCED, help="Engine: what builds it. tensorrt builds on the "
                          "GPU, for that GPU; tensorrt-rtx anywhere, for RTX GPUs from Ampere on. auto: the first "
                          "with a GPU here, the second without one.")]
CapabilityOption = Annotated[
    list[str] | None, typer.Option("--compute-capability", metavar="X.Y,...", rich_help_panel=ADVANCED,
                                   help=f"Engine of tensorrt-rtx: the GPUs that it is for, as 8.9. {LISTED} Default: "
                                   "all from 8.0 on.")]


def engine_options(batch: str | None, size: str | None, workspace: int | None, library: Library,
                   capability: list[str] | None, device: str) -> "EngineOptions":
    """The options of an engine, parsed.

    Raises:
        typer.BadParameter: not numbers where numbers are wanted.
    """
    from depthcue.export.tensorrt_engine import EngineOptions

    chosen = EngineOptions()
    return EngineOptions(library=library.value, batch=chosen.batch if batch is None else _batch(batch),
                         sizes=() if size is None else _sizes(size), workspace_mib=workspace,
                         targets=tuple(capability or ()), device="cuda" if device == "auto" else device)


def refuse_engine_options(*given: object) -> None:
    """Tell who asks something of an engine that no engine is written.

    Raises:
        typer.BadParameter: one was given.
    """
    if any(given):
        raise typer.BadParameter("--batch, --size, --workspace, --library, --compute-capability and --device are "
                                 "for --format tensorrt; a graph takes any size and batch", param_hint="--format")


def _batch(text: str) -> tuple[int, int, int]:
    numbers = text.split(",")
    if len(numbers) not in (1, 3) or not all(number.strip().isdigit() for number in numbers):
        raise typer.BadParameter(f"{text!r} is not LEAST,BEST,MOST, as in 1,8,32, nor one number", param_hint="--batch")
    counts = [int(number) for number in numbers]
    return (1, counts[0], counts[0]) if len(counts) == 1 else (counts[0], counts[1], counts[2])


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    sizes = tuple(size for part in text.split(",") if (size := parse_size(part.strip())) is not None)
    if len(sizes) not in (1, 3):
        raise typer.BadParameter(f"{text!r} is neither one size nor three, as in 96x96,192x144,384x384",
                                 param_hint="--size")
    return sizes


@dataclass(frozen=True)
class TrainingWords:
    """Options that both training commands share; each field is one."""

    steps: StepsOption = None
    epochs: EpochsOption = None
    out: RunOption = None
    resume: ResumeRunOption = False
    init: InitOption = None
    backbone: BackboneOption = "none"
    freeze_encoder: FreezeEncoderOption = False
    batch_size: BatchSizeOption = 8
    learning_rate: LearningRateOption = None
    weight_decay: WeightDecayOption = 1e-4
    schedule: ScheduleOption = None
    average: AverageOption = None
    precision: TrainingPrecisionOption = "fp32"
    compile: CompileOption = False
    half: HalfOption = False
    name: NameOption = None
    log: LogOption = None
    device: DeviceOption = "auto"
    limit: LimitOption = None
    seed: SeedOption = 0
    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False

    def plain_options(self) -> dict[str, Any]:
        """Fields of `TrainingOptions` that need nothing more."""
        return {name: getattr(self, name) for name in (
            "init", "backbone", "freeze_encoder", "batch_size", "weight_decay", "precision", "compile", "half", "name",
            "limit", "seed")}

    def recipe_options(self) -> dict[str, Any]:
        """What a recipe fills in where it is None."""
        return {name: getattr(self, name) for name in ("steps", "epochs", "learning_rate", "schedule", "average")}

    def run(self, train: Callable[..., Path], what: Any, kind: str) -> None:
        """Train, and print where the weights are."""
        from depthcue.training.run import new_run_folder

        with progress_bar(self.quiet) as progress:
            weights = train(what, self.out or new_run_folder(kind, what.net), resume=self.resume, device=self.device,
                            progress=progress, tracker=self.log)
        print_json({"weights": str(weights)}) if self.json else print(weights)


def training_command(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options of TrainingWords after its own, and gets them as its argument `words`."""
    own = [parameter for name, parameter in inspect.signature(command).parameters.items() if name != "words"]
    hints = get_type_hints(TrainingWords, include_extras=True)
    shared = [inspect.Parameter(field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default,
                                annotation=hints[field.name]) for field in fields(TrainingWords)]

    @functools.wraps(command)
    def with_words(**given: Any) -> None:
        words = TrainingWords(**{parameter.name: given.pop(parameter.name) for parameter in shared})
        configure(words.quiet, words.verbose)
        command(**given, words=words)

    # the options on the help page are read from the signature
    with_words.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return with_words
