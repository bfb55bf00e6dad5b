"""`depthcue demo`: a first look at everything, on a page."""

from pathlib import Path

from depthcue.cli.console import configure, progress_bar, say
from depthcue.cli.options import OutDirOption, QuietOption, VerboseOption


def demo(out: OutDirOption = Path("depthcue-demo"), quiet: QuietOption = False, verbose: VerboseOption = False) -> None:
    """Render rooms and a short drive, mask them, compare the masks with edges, and explain it all on a page.

    Takes a minute or two on two cores, and needs neither internet nor a GPU.
    """
    from depthcue.demo import demo as make_demo

    configure(quiet, verbose)
    with progress_bar(quiet) as progress:
        page = make_demo(out, progress=progress)
    say(f"Open {page.resolve()} in a browser.")
