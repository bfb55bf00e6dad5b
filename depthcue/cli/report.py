"""`depthcue report`: one page from results files."""

from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli.console import configure, say
from depthcue.cli.options import INPUT, OUTPUT, OutFileOption, QuietOption, VerboseOption

ResultsArgument = Annotated[list[Path], typer.Argument(metavar="RESULTS", help="results.json files that depthcue "
                                                       "wrote, or the folders they are in; shown in this order.")]
TitleOption = Annotated[str | None, typer.Option("--title", metavar="TEXT", rich_help_panel=OUTPUT,
                                                 help="Title of the page.")]
PicturesOption = Annotated[bool, typer.Option("--pictures/--no-pictures", rich_help_panel=OUTPUT,
                                              help="Whether to show pictures and films; results kept without theirs "
                                              "need --no-pictures.")]

MixedOption = Annotated[bool, typer.Option("--mixed", rich_help_panel=INPUT, help="Take results of one command that "
                                           "were measured on different data too; the page says that they are no "
                                           "comparison.")]


def report(results: ResultsArgument, out: OutFileOption, title: TitleOption = None, pictures: PicturesOption = True,
           mixed: MixedOption = False, quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Make one page for a browser from results files: words, plots, tables, and a gallery to turn through.

    The page is a single file that needs no server and no internet. Every results file gets a section of its own;
    results of one command that were measured on different data are refused unless they are asked for with --mixed.
    """
    from depthcue.report.page import TITLE, write_page

    configure(quiet, verbose)
    warnings = write_page(results, out, title or TITLE, pictures, mixed=mixed)
    if not quiet:
        for warning in warnings:
            say(warning, aside=True)
    say(f"written: {out} ({out.stat().st_size / 2**20:.1f} MiB)")
