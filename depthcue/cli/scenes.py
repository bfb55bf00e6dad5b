"""`depthcue scenes`: rendered rooms or roads with depth, on disk."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, print_json, progress_bar, say
from depthcue.cli.options import (
    OUTPUT,
    DeviceOption,
    JsonOption,
    OutDirOption,
    QuietOption,
    SeedOption,
    VerboseOption,
    parse_size,
)

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="indoor or road.", show_default=False)]
CountOption = Annotated[int, typer.Option("--count", "-n", min=1, metavar="N", rich_help_panel=OUTPUT,
                                          help="Number of frames, one world each.")]
TruthOption = Annotated[bool, typer.Option("--truth", rich_help_panel=OUTPUT, help="Also write NUMBER_truth.npz, "
                                           "all that is known of the scene: depth, normals, objects, materials, edges "
                                           "by cause, horizon, vanishing point.")]
PictureSizeOption = Annotated[str | None, typer.Option("--size", metavar="WxH", rich_help_panel=OUTPUT, help="Width "
                                                       "and height of the pictures in pixels. Default: 320x240 of "
                                                       "rooms, 640x192 of roads.")]


def scenes(kind: KindArgument, out: OutDirOption, count: CountOption, size: PictureSizeOption = None,
           seed: SeedOption = 0, truth: TruthOption = False, device: DeviceOption = "cpu", as_json: JsonOption = False,
           quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Render rooms or roads whose depth is known.

    Frames have seeds S, S+1, ...; the same seed is the same frame everywhere. Pictures and depth (16-bit png,
    millimetres, 0 = sky or beyond 65.5 m) stand in DIR/KIND, listed in DIR/KIND.csv (image,depth): use them as
    nyu:DIR/KIND.csv or folder:DIR/KIND.
    """
    configure(quiet, verbose)
    from depthcue.device import pick_device
    from depthcue.scenes.api import write_scenes

    with progress_bar(quiet) as progress:
        made = write_scenes(kind, out, count, parse_size(size), seed, truth,
                            str(pick_device(device)), progress)
    if as_json:
        print_json(made)
    elif not quiet:
        say(f"{count} frames of {made['width']}x{made['height']} in {out / kind}, listed in {out / made['list']}")
