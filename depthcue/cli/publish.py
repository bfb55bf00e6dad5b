"""`depthcue publish`: a trained mask net as a repository folder for the Hugging Face hub."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli.console import configure, print_json, say
from depthcue.cli.options import DeviceOption, JsonOption, OutDirOption, QuietOption, TargetOption, VerboseOption

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Run folder of depthcue train, a .safetensors file "
                                            "with its card, or a shipped net.", show_default=False)]
RepositoryOption = Annotated[str | None, typer.Option("--name", metavar="OWNER/NAME", help="What the repository will "
                                                      "be called on the hub.", show_default=False)]
LicenceOption = Annotated[str | None, typer.Option("--licence", metavar="L", help="Licence of the weights: mit, "
                                                   "apache-2.0, cc-by-4.0, …, or in your words. Default: as the card "
                                                   "says.", show_default=False)]
PicturesOption = Annotated[list[Path] | None, typer.Option("--picture", metavar="FILE", help="Example to mask, yours "
                                                           "to publish. Can be given several times. Default: rendered "
                                                           "rooms or roads.", show_default=False)]


def publish(run: RunArgument, out: OutDirOption, name: RepositoryOption = None, licence: LicenceOption = None,
            picture: PicturesOption = None, target: TargetOption = None, device: DeviceOption = "auto",
            as_json: JsonOption = False, quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
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
