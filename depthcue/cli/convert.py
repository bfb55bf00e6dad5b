"""`depthcue convert`: a released checkpoint as safetensors with a card."""

from typing import Annotated

import typer

from depthcue.cli.console import configure, print_json, say
from depthcue.cli.options import (
    MODEL,
    OUTPUT,
    HalfOption,
    JsonOption,
    NameOption,
    OutFileOption,
    QuietOption,
    VerboseOption,
)

CheckpointArgument = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="A state dict of Hu et al., with or without an extension, or a "
                        "folder of monodepth2 with encoder.pth and depth.pth; NAME:PATH where the keys do not tell "
                        "the architecture.")]
LicenceOption = Annotated[
    str | None, typer.Option("--licence", metavar="TEXT", rich_help_panel=OUTPUT, help="Licence of the weights. "
                             "Default: unknown.")]
ExplainedOption = Annotated[
    str | None, typer.Option("--target", "-t", metavar="NET", rich_help_panel=MODEL, help="Of a mask net: the depth "
                             "net it was trained for. Default: hu-resnet50, as the authors'.")]
TrainedLambdaOption = Annotated[
    float | None, typer.Option("--lambda", metavar="X", rich_help_panel=MODEL, help="Of a mask net: the lambda it was "
                               "trained for. Default: 5, as the authors'.")]


def convert(checkpoint: CheckpointArgument, out: OutFileOption, name: NameOption = None, licence: LicenceOption = None,
            target: ExplainedOption = None, lam: TrainedLambdaOption = None, half: HalfOption = False,
            as_json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Turn a checkpoint that others released into a .safetensors file with a card.

    A pickle is read for its tensors alone; nothing in it is run. The architecture is told by the keys.
    """
    from depthcue.nets.convert import convert as run

    configure(quiet, verbose)
    card = run(checkpoint, out, name=name, licence=licence, target=target, lam=lam, half=half)
    if as_json:
        return print_json(card)
    if not quiet:
        say(f"{card['architecture']}, a {card['kind']} net of {card['parameters']:,} parameters: {out}")
