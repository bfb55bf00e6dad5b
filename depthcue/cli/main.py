"""The `depthcue` command: a table of commands, and what happens to errors."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any

import typer

from depthcue import __version__
from depthcue.cli.console import accept_any_console, say_error
from depthcue.errors import DepthcueError

COMMANDS = ("demo", "doctor", "scenes", "mask", "train", "train-depth", "export", "convert", "publish", "compare-edges",
            "evaluate", "optimize", "compare-nets", "compare-losses", "findings", "probe", "bench", "report", "app")
"""In the order of the help page. The code of a command is `depthcue.cli.<name>:<name>`, underscores for dashes."""


def build_app() -> typer.Typer:
    """The application with every command; command modules import their libraries when called, not before."""
    app = typer.Typer(
        name="depthcue", help="What a monocular depth network looks at, measured.", no_args_is_help=True,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name in COMMANDS:
        attribute = name.replace("-", "_")
        body: Callable[..., Any] = getattr(import_module(f"depthcue.cli.{attribute}"), attribute)
        app.command(name)(body)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 a mistake that can be put right, 2 a wrong option."""
    accept_any_console()
    try:
        with _leaving_in_order():
            build_app()(args=None if arguments is None else list(arguments), prog_name="depthcue")
    except DepthcueError as error:
        say_error(error)
        return 1
    except BrokenPipeError:
        # the reader of our stdout (head, less) has left; nothing more to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


@contextmanager
def _leaving_in_order() -> Iterator[None]:
    """SIGTERM, and a terminal that is closed, end the command as Ctrl-C does: half-written files are removed."""
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        numbers = []
    # one that whoever started us has chosen to ignore stays ignored
    previous = {number: signal.signal(number, leave) for number in numbers
                if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def entry() -> None:
    """The console script."""
    # OpenMP threads that spin at barriers cost a busy machine ten times what they gain an idle one
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # a command opens no window, and a notebook's MPLBACKEND breaks every library that imports matplotlib
    os.environ["MPLBACKEND"] = "agg"
    sys.exit(main())


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit()


def _root(version: bool = typer.Option(False, "--version", help="Print the version.", callback=_show_version,
                                       is_eager=True)) -> None:
    pass
