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


WeightsOption = Annotated[
    str, typer.Option("--weights", "-w", metavar="W", help="Mask net G: compact-indoor, compact-road, a "
                      ".safetensors or .onnx file, a released checkpoint, NAME:PATH, or hub:OWNER/NAME of the "
                      "Hugging Face hub.")]
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


class Library(StrEnum):
    """What builds engines."""

    auto = "auto"
    tensorrt = "tensorrt"
    tensorrt_rtx = "tensorrt-rtx"


EngineBatchOption = Annotated[
    str | None, typer.Option("--batch", metavar="LEAST,BEST,MOST", help="Engine: frames per batch that it takes, and "
                             "is fastest at; one number for up to that many. Default: 1,8,32.")]
EngineSizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH[,WxH,WxH]", help="Engine: the one size that it takes; or the "
                             "least, the best and the most. Default: pictures up to four times as wide as high, or as "
                             "high as wide, best at the net's working size.")]
WorkspaceOption = Annotated[
    int | None, typer.Option("--workspace", min=1, metavar="MIB", help="Engine: most memory for intermediate results, "
                             "in MiB. Default: no limit.")]
LibraryOption = Annotated[
    Library, typer.Option("--library", help="Engine: what builds it. tensorrt builds on the GPU, for that GPU; "
                          "tensorrt-rtx anywhere, for RTX GPUs from Ampere on. auto: the first with a GPU here, the "
                          "second without one.")]
CapabilityOption = Annotated[
    list[str] | None, typer.Option("--compute-capability", metavar="X.Y", help="Engine of tensorrt-rtx: a GPU that it "
                                   "is for, as 8.9. Can be given several times. Default: all from 8.0 on.")]


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
    """What was said of how to train; each field is an option."""

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
    device: DeviceOption = "auto"
    limit: LimitOption = None
    seed: SeedOption = 0
    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False

    def settled(self) -> dict[str, Any]:
        """Fields of `TrainingOptions` that need nothing more."""
        return {name: getattr(self, name) for name in (
            "init", "backbone", "freeze_encoder", "batch_size", "weight_decay", "precision", "compile", "half", "name",
            "limit", "seed")}

    def asked(self) -> dict[str, Any]:
        """What a recipe fills in where it is None."""
        return {name: getattr(self, name) for name in ("steps", "epochs", "learning_rate", "schedule", "average")}

    def run(self, train: Callable[..., Path], what: Any, kind: str) -> None:
        """Train, and print where the weights are."""
        from depthcue.training.run import new_run_folder

        with progress_bar(self.quiet) as progress:
            weights = train(what, self.out or new_run_folder(kind, what.net), resume=self.resume, device=self.device,
                            progress=progress)
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
