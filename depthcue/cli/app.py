"""`depthcue app`: the page on this machine where pictures are dropped and the share is moved."""

import time
from typing import Annotated

import typer

from depthcue.cli.console import configure, say
from depthcue.cli.options import DeviceOption, QuietOption, TargetOption, VerboseOption, WeightsOption

PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="Port on 127.0.0.1. "
                                                "Default: the first free one from 7860 on.", show_default=False)]
BrowserOption = Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open the page in a browser.")]


def app(weights: WeightsOption = "compact-indoor", target: TargetOption = None, device: DeviceOption = "auto",
        port: PortOption = None, browser: BrowserOption = True, quiet: QuietOption = False,
        verbose: VerboseOption = False) -> None:
    """Open a page on this machine: drop a picture, a video or a webcam frame, and move the share of pixels kept.

    The page is served on 127.0.0.1 alone, and nothing is sent out. Ctrl-C ends it. Needs the extra app.
    """
    from depthcue.app import Nets, serving

    configure(quiet, verbose)
    with serving(Nets(weights, target or "", device), port, browser) as address:
        say(f"The page is at {address} until Ctrl-C.")
        try:
            while True:  # a signal that another thread gets is seen when this one wakes
                time.sleep(0.5)
        except KeyboardInterrupt:
            say("The page is closed.", aside=True)
