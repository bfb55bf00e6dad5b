"""`depthcue scenes`, `export`, `convert` and `publish`: pictures with depth, and nets as files for others."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from depthcue.cli import options as opt
from depthcue.cli.console import configure, print_json, print_table, progress_bar, say
from depthcue.cli.options import ADVANCED, INPUT, LISTED, MODEL, OUTPUT, SPEED

if TYPE_CHECKING:
    from depthcue.export.tensorrt_engine import EngineOptions

NUMBERS = {"max_abs": "largest", "mean_abs": "mean"}
DIFFERENCES = {
    "mask": {**NUMBERS, "changed_side": "share of pixels that change side at the threshold",
             "task_rmse_m": "between the depths seen under the two masks, m",
             "task_change_m": "of the depth's error under the mask, m"},
    "depth": {**NUMBERS, "task_rmse_m": "between the two depths, m"},
}


class Format(StrEnum):
    """File formats of an export."""

    onnx = "onnx"
    tensorrt = "tensorrt"


class Precision(StrEnum):
    """Precision in which the graph computes."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class EngineLibrary(StrEnum):
    """Library that builds engines."""

    auto = "auto"
    tensorrt = "tensorrt"
    tensorrt_rtx = "tensorrt-rtx"


EngineBatchOption = Annotated[str | None, typer.Option(
    "--batch", "-b", metavar="LEAST,BEST,MOST", rich_help_panel=SPEED, help="Engine: frames per batch that it takes, "
    "and is fastest at; one number for up to that many. Default: 1,8,32.")]
EngineSizeOption = Annotated[str | None, typer.Option(
    "--size", metavar="WxH,...", rich_help_panel=SPEED, help="Engine: the one size of pictures that it takes; or "
    "three, the least, the best and the most. Default: any shape up to four to one, fastest at the net's working "
    "size.")]
WorkspaceOption = Annotated[int | None, typer.Option(
    "--workspace", min=1, metavar="MIB", rich_help_panel=ADVANCED, help="Engine: most memory for intermediate results, "
    "in MiB. Default: no limit.")]
LibraryOption = Annotated[EngineLibrary, typer.Option(
    "--library", rich_help_panel=ADVANCED, help="Engine: what builds it. tensorrt builds on the GPU, for that GPU; "
    "tensorrt-rtx anywhere, for RTX GPUs from Ampere on. auto: the first with a GPU here, the second without one.")]
CapabilityOption = Annotated[list[str] | None, typer.Option(
    "--compute-capability", metavar="X.Y,...", rich_help_panel=ADVANCED, help="Engine of tensorrt-rtx: the GPUs that "
    f"it is for, as 8.9. {LISTED} Default: all from 8.0 on.")]


def engine_options(batch: str | None, size: str | None, workspace: int | None, library: EngineLibrary,
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


def _batch(text: str) -> tuple[int, int, int]:
    numbers = text.split(",")
    if len(numbers) not in (1, 3) or not all(number.strip().isdigit() for number in numbers):
        raise typer.BadParameter(f"{text!r} is not LEAST,BEST,MOST, as in 1,8,32, nor one number", param_hint="--batch")
    counts = [int(number) for number in numbers]
    return (1, counts[0], counts[0]) if len(counts) == 1 else (counts[0], counts[1], counts[2])


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    sizes = tuple(size for part in text.split(",") if (size := opt.parse_size(part.strip())) is not None)
    if len(sizes) not in (1, 3):
        raise typer.BadParameter(f"{text!r} is neither one size nor three, as in 96x96,192x144,384x384",
                                 param_hint="--size")
    return sizes


ExportWeightsOption = Annotated[str | None, typer.Option(
    "--weights", "-w", metavar="W", rich_help_panel=MODEL, help="Mask net to export: compact-indoor, compact-road, a "
    ".safetensors file, a released checkpoint, or NAME:PATH; for an engine also an exported .onnx.")]
ExportTargetOption = Annotated[str | None, typer.Option(
    "--target", "-t", metavar="NET", rich_help_panel=MODEL, help="Depth net to export: compact-indoor, compact-road, a "
    ".safetensors file, a released checkpoint, NAME:PATH, hf:REPO, ultralytics:FILE, python:MODULE:FUNCTION or "
    "hub:REPO:ENTRY; for an engine also an exported .onnx.")]
FormatOption = Annotated[Format, typer.Option(
    "--format", "-f", rich_help_panel=OUTPUT, help="What to write: an ONNX graph, or an engine of TensorRT for NVIDIA "
    "GPUs.")]
GraphPrecisionOption = Annotated[Precision, typer.Option(
    "--precision", rich_help_panel=OUTPUT, help="What the graph computes in: fp16 and bf16 keep fp32 where range asks "
    "for it; int8 is calibrated on --data. Inputs and outputs are the same in each.")]
CompareDataOption = Annotated[str | None, typer.Option(
    "--data", "-d", metavar="DATA", rich_help_panel=INPUT, help="Pictures on which the file must agree with torch, and "
    "for int8 (at least 12) others to calibrate on, as folder:PATH. Default: rendered rooms and roads.")]


def export(out: opt.OutFile, weights: ExportWeightsOption = None, target: ExportTargetOption = None,
           file_format: FormatOption = Format.onnx, precision: GraphPrecisionOption = Precision.fp32,
           data: CompareDataOption = None, batch: EngineBatchOption = None, size: EngineSizeOption = None,
           workspace: WorkspaceOption = None, library: LibraryOption = EngineLibrary.auto,
           capability: CapabilityOption = None, device: opt.Device = "auto", as_json: opt.Json = False,
           quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
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

        if any((batch, size, workspace, library is not EngineLibrary.auto, capability, device != "auto")):
            raise typer.BadParameter("--batch, --size, --workspace, --library, --compute-capability and --device are "
                                     "for --format tensorrt; a graph takes any size and batch", param_hint="--format")
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


KindArgument = Annotated[str, typer.Argument(metavar="KIND", show_default=False, help="indoor or road.")]
CountOption = Annotated[int, typer.Option(
    "--count", "-n", min=1, metavar="N", rich_help_panel=OUTPUT, help="Number of frames, one world each.")]
TruthOption = Annotated[bool, typer.Option(
    "--truth", rich_help_panel=OUTPUT, help="Also write NUMBER_truth.npz, all that is known of the scene: depth, "
    "normals, objects, materials, edges by cause, horizon, vanishing point.")]
PictureSizeOption = Annotated[str | None, typer.Option(
    "--size", metavar="WxH", rich_help_panel=OUTPUT, help="Width and height of the pictures in pixels. Default: "
    "320x240 of rooms, 640x192 of roads.")]


def scenes(kind: KindArgument, out: opt.OutDir, count: CountOption, size: PictureSizeOption = None,
           seed: opt.Seed = 0, truth: TruthOption = False, device: opt.Device = "cpu", as_json: opt.Json = False,
           quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Render rooms or roads whose depth is known.

    Frames have seeds S, S+1, ...; the same seed is the same frame everywhere. Pictures and depth (16-bit png,
    millimetres, 0 = sky or beyond 65.5 m) stand in DIR/KIND, listed in DIR/KIND.csv (image,depth): use them as
    nyu:DIR/KIND.csv or folder:DIR/KIND.
    """
    configure(quiet, verbose)
    from depthcue.backends.device import pick_device
    from depthcue.scenes.api import write_scenes

    with progress_bar(quiet) as progress:
        made = write_scenes(kind, out, count, opt.parse_size(size), seed, truth,
                            str(pick_device(device)), progress)
    if as_json:
        print_json(made)
    elif not quiet:
        say(f"{count} frames of {made['width']}x{made['height']} in {out / kind}, listed in {out / made['list']}")


CheckpointArgument = Annotated[str, typer.Argument(
    metavar="CHECKPOINT", help="A state dict of Hu et al., with or without an extension, or a folder of monodepth2 "
    "with encoder.pth and depth.pth; NAME:PATH where the keys do not tell the architecture.")]
LicenceOption = Annotated[str | None, typer.Option(
    "--licence", metavar="TEXT", rich_help_panel=OUTPUT, help="Licence of the weights. Default: unknown.")]
ExplainedOption = Annotated[str | None, typer.Option(
    "--target", "-t", metavar="NET", rich_help_panel=MODEL, help="Of a mask net: the depth net it was trained for. "
    "Default: hu-resnet50, as the authors'.")]
TrainedLambdaOption = Annotated[float | None, typer.Option(
    "--lambda", metavar="X", rich_help_panel=MODEL, help="Of a mask net: the lambda it was trained for. Default: 5, as "
    "the authors'.")]


def convert(checkpoint: CheckpointArgument, out: opt.OutFile, name: opt.Name = None, licence: LicenceOption = None,
            target: ExplainedOption = None, lam: TrainedLambdaOption = None, half: opt.Half = False,
            as_json: opt.Json = False, quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Turn a checkpoint that others released into a .safetensors file with a card.

    A pickle is read for its tensors alone; nothing in it is run. The keys show the architecture.
    """
    from depthcue.nets.catalog import convert as run

    configure(quiet, verbose)
    card = run(checkpoint, out, name=name, licence=licence, target=target, lam=lam, half=half)
    if as_json:
        return print_json(card)
    if not quiet:
        say(f"{card['architecture']}, a {card['kind']} net of {card['parameters']:,} parameters: {out}")


RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run folder of depthcue train, a .safetensors file "
                                            "with its card, or a shipped net.", show_default=False)]
RepositoryOption = Annotated[str | None, typer.Option(
    "--name", metavar="OWNER/NAME", show_default=False, help="What the repository will be called on the hub.")]
PublishedLicenceOption = Annotated[str | None, typer.Option(
    "--licence", metavar="L", show_default=False, help="Licence of the weights: mit, apache-2.0, cc-by-4.0, …, or in "
    "your words. Default: as the card says.")]
ExamplesOption = Annotated[list[Path] | None, typer.Option(
    "--picture", metavar="FILE", show_default=False, help="Example to mask, yours to publish. Can be given several "
    "times. Default: rendered rooms or roads.")]


def publish(run: RunArgument, out: opt.OutDir, name: RepositoryOption = None, licence: PublishedLicenceOption = None,
            picture: ExamplesOption = None, target: opt.Target = None, device: opt.Device = "auto",
            as_json: opt.Json = False, quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Write a repository folder for the Hugging Face hub: weights, card, README, licence and example pictures.

    Nothing is uploaded. Others use an uploaded one as --weights hub:OWNER/NAME, or depthcue.load("OWNER/NAME").
    """
    import depthcue

    configure(quiet, verbose)
    files = depthcue.publish(run, out, name=name, licence=licence, target=target, pictures=picture or (), device=device)
    if as_json:
        print_json({"files": [str(file) for file in files]})
    elif not quiet:
        for file in files:
            print(file)
        say(f"to upload it: hf upload {name or 'OWNER/NAME'} {shlex.quote(str(out))}", aside=True)
