"""The options of `depthcue export` that are about engines, declared once, and what they mean together."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from depthcue.cli.options import parse_size

if TYPE_CHECKING:
    from depthcue.export.tensorrt import EngineOptions


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
    from depthcue.export.tensorrt import EngineOptions

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
