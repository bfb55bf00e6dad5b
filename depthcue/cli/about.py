"""`depthcue guide`, `doctor`, `report` and `app`: explaining, checking and showing."""

import re
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from depthcue.cli import options as opt
from depthcue.cli.console import configure, print_json, print_table, say
from depthcue.cli.options import INPUT, OUTPUT
from depthcue.errors import DepthcueError, did_you_mean

GUIDES = {
    "masks": "masks of pictures, videos and cameras",
    "networks": "your own depth network, and what names a network or data",
    "training": "training mask nets and depth nets",
    "measuring": "comparing the mask with edges, other scorers and other networks",
    "probes": "which cues a depth network believes",
    "results": "results files, pages, and the fields that scripts may rely on",
    "export": "ONNX graphs, TensorRT engines and C++",
    "gpus": "speed: backends, precision, GPUs, and installing for a CPU alone",
    "clusters": "many machines, object stores and resuming",
    "papers": "the networks, equations, tables and figures of the papers",
    "developing": "tests, benchmarks and the tree of the code",
}
"""Every guide and what it is about, in the order of reading."""

TopicArgument = Annotated[str | None, typer.Argument(
    metavar="[TOPIC]", show_default=False, help=f"One of {', '.join(GUIDES)}. Without it the topics are listed.")]


def guide(topic: TopicArgument = None) -> None:
    """Show a guide: formatted on a terminal, as plain Markdown text where the output is piped."""
    if topic is None:
        width = max(map(len, GUIDES))
        return print(*(f"{name:<{width}}  {about}" for name, about in GUIDES.items()),
                     "\nShow one with: depthcue guide TOPIC", sep="\n")
    text = re.sub(r"<!--.*?-->\n?", "", guide_text(topic)).rstrip("\n")
    if not sys.stdout.isatty():
        return print(text)
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    # no black boxes behind code: they are hard to read on a light terminal
    Console(theme=Theme({"markdown.code": "bold cyan"})).print(Markdown(text, code_theme="ansi_dark"))


def guide_text(topic: str) -> str:
    """The text of a guide, in Markdown.

    Raises:
        DepthcueError: there is no guide of that name.
    """
    name = topic.lower().removesuffix(".md")
    if name not in GUIDES:
        about_it = [guide for guide, about in GUIDES.items() if name and name.rstrip("s") in about.lower()]
        near = did_you_mean(name, GUIDES) or (f"Did you mean {about_it[0]}? " if about_it else "")
        raise DepthcueError(f"there is no guide {topic!r}", f"{near}The topics are {', '.join(GUIDES)}.")
    return (files("depthcue") / "guides" / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")


def doctor(as_json: opt.Json = False) -> None:
    """Say what this machine can run, what is missing and how to get it. Exits with 1 if masking would not work."""
    from depthcue.runtime.doctor import examine

    configure(quiet=False, verbose=False)
    document = examine()
    if as_json:
        print_json(document)
    else:
        rows = [[each["what"], each["status"], each["detail"]] for each in document["findings"]]
        print_table("depthcue doctor", ["what", "", "found"], rows)
        for each in document["findings"]:
            if each["status"] != "ok" and each["remedy"]:
                say(f"{each['what']}: {each['remedy']}")
        say("Masking pictures and videos works here." if document["able"] else "Masking does not work here.")
    if not document["able"]:
        raise typer.Exit(1)


ResultsArgument = Annotated[list[Path], typer.Argument(
    metavar="RESULTS", help="results.json files that depthcue wrote, or the folders they are in; shown in this order.")]
TitleOption = Annotated[str | None, typer.Option(
    "--title", metavar="TEXT", rich_help_panel=OUTPUT, help="Title of the page.")]
PicturesOption = Annotated[bool, typer.Option(
    "--pictures/--no-pictures", rich_help_panel=OUTPUT, help="Whether to show pictures and films; results kept without "
    "theirs need --no-pictures.")]

MixedOption = Annotated[bool, typer.Option(
    "--mixed", rich_help_panel=INPUT, help="Take results of one command that were measured on different data too; the "
    "page says that they are no comparison.")]


def report(results: ResultsArgument, out: opt.OutFile, title: TitleOption = None, pictures: PicturesOption = True,
           mixed: MixedOption = False, quiet: opt.Quiet = False, verbose: opt.Verbose = False) -> None:
    """Make one page for a browser from results files: words, plots, tables, and a gallery to turn through.

    The page is a single file that needs no server and no internet. Every results file gets a section of its own;
    results of one command that were measured on different data are refused without --mixed.
    """
    from depthcue.report.page import TITLE, write_page

    configure(quiet, verbose)
    warnings = write_page(results, out, title or TITLE, pictures, mixed=mixed)
    if not quiet:
        for warning in warnings:
            say(warning, aside=True)
    say(f"written: {out} ({out.stat().st_size / 2**20:.1f} MiB)")


PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="Port on 127.0.0.1. "
                                                "Default: the first free one from 7860 on.", show_default=False)]
BrowserOption = Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open the page in a browser.")]


def app(weights: opt.Weights = None, target: opt.Target = None, device: opt.Device = "auto",
        port: PortOption = None, browser: BrowserOption = True, quiet: opt.Quiet = False,
        verbose: opt.Verbose = False) -> None:
    """Open a page on this machine: drop a picture, a video or a webcam frame, and move the share of pixels kept.

    The page is served on 127.0.0.1 alone, and nothing is sent out. Ctrl-C ends it. Needs the extra app.
    """
    from depthcue.app import Nets, serving
    from depthcue.nets.catalog import mask_net_for

    configure(quiet, verbose)
    nets = Nets(mask_net_for(target) if weights is None else weights, target or "", device)
    with serving(nets, port, browser) as address:
        say(f"The page is at {address} until Ctrl-C.")
        try:
            while True:  # a signal that another thread gets is seen when this one wakes
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("The page is closed.", aside=True)
