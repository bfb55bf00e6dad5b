"""The `depthcue` command: a table of commands, and what happens to errors."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import typer
import typer.core

from depthcue import __version__
from depthcue.cli.console import accept_any_console, say_error
from depthcue.cli.options import ADVANCED, INPUT, OUTPUT, PANELS
from depthcue.errors import DepthcueError, printable, without_secrets

COMMANDS = {
    "demo": "masks", "doctor": "about", "guide": "about", "app": "about", "scenes": "making", "mask": "masks",
    "train": "training", "train-depth": "training", "export": "making", "convert": "making", "publish": "making",
    "compare-edges": "measuring", "evaluate": "measuring", "optimize": "measuring", "compare-nets": "measuring",
    "compare-losses": "measuring", "findings": "measuring", "steadiness": "measuring", "probe": "measuring",
    "bench": "measuring", "report": "about",
}
"""Commands as the help page lists them, each with the module of this package that holds its function."""


def _without_types(params: list[Any]) -> list[Any]:
    """Parameters whose help shows no type where it says nothing: <bool> of a flag, <list[str]> of an argument."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
        if not hasattr(param, "is_flag"):
            param.display_type_rich = lambda ctx: None
    return params


@contextmanager
def _printable_errors(words: Sequence[str]) -> Iterator[None]:
    """Show words of the command line in errors without passwords and without control characters of terminals."""
    try:
        yield
    except Exception as error:
        if (message := getattr(error, "format_message", None)) is not None:  # one of click's, of whichever click
            options = [word for word in words if word.startswith("-")]
            parts = [*(word.lstrip("-") for word in options), *(word.partition("=")[2] for word in options)]
            typed = [form for word in (*words, *parts) for form in (word, repr(word)[1:-1]) if form]
            text = printable(without_secrets(message(), *typed))
            error.format_message = lambda: text  # type: ignore[attr-defined]
        raise


class GroupedCommands(typer.core.TyperGroup):
    """The table of commands."""

    def make_context(self, info_name: str | None, args: list[str], *others: Any, **extra: Any) -> Any:
        self._words = tuple(args)
        with _printable_errors(self._words):
            return super().make_context(info_name, args, *others, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _printable_errors(self._words):
            return super().invoke(ctx)

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(super().get_params(ctx))


class GroupedCommand(typer.core.TyperCommand):
    """A command whose help page shows options in the groups of `options.PANELS`, in that order.

    Options that can be given several times also take a list with commas. A comma before `word=` belongs to a spec
    (`hf:REPO,predicts=inverse`), and one in the name of a file that is there to the name.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        params = _without_types(super().get_params(ctx))
        for param in params:
            if param.name == "help":
                param.rich_help_panel = OUTPUT
            elif hasattr(param, "is_flag") and param.rich_help_panel is None:
                param.rich_help_panel = ADVANCED
        return sorted(params, key=lambda param: PANELS.index(getattr(param, "rich_help_panel", None) or INPUT))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        several = {name for param in self.params if getattr(param, "multiple", False) for name in param.opts}
        try:
            return super().parse_args(ctx, _unlisted(args, several))
        except typer.BadParameter as error:
            _explain(error, args)
            raise


def _explain(error: typer.BadParameter, arguments: Sequence[str]) -> None:
    """Make the message on an option that is missing or of the wrong form say what was given and what belongs there."""
    param: Any = getattr(error, "param", None)
    purpose = re.split(r"(?<=[.;]) ", getattr(param, "help", None) or "")[0].rstrip(".;")
    if not purpose:
        return
    option = param.opts[0] if param.opts[0].startswith("-") else ""
    if type(error).__name__ == "MissingParameter":
        error.message = f"Give {' '.join(word for word in (option, param.metavar) if word)}: {purpose}."
        return
    given = [word.partition("=")[2] if "=" in word else after
             for word, after in zip(arguments, [*arguments[1:], ""], strict=True)
             if word.partition("=")[0] in param.opts]
    required = re.sub(r"^Input should be (.*?)(, unable to .*)?$", r"it must be \1", error.message).rstrip(".")
    error.message = f"{required}{f', not {given[-1]!r}' if given else ''}. {option or param.metavar}: {purpose}."


def _unlisted(arguments: list[str], several: set[str]) -> list[str]:
    """The arguments with every `--option a,b` of the options `several` written as `--option a --option b`."""
    written: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            return [*written, word, *rest]
        name, equals, value = word.partition("=")
        if name not in several:
            written.append(word)
        elif equals or (value := next(rest, "")):
            path = value.partition(":")[2].partition(",size=")[0]
            is_one = Path(value).exists() or (path and Path(path).exists())
            parts = [value] if is_one else re.split(r",(?!\w+=)", value)
            written += [each for part in parts for each in (name, part.strip())]
        else:
            written.append(word)
    return written


def build_app() -> typer.Typer:
    """The application with every command; command modules import their libraries when called, not before."""
    app = typer.Typer(
        name="depthcue", cls=GroupedCommands, help="What a monocular depth network looks at, measured.",
        epilog="Begin with: depthcue demo, or depthcue mask PICTURES --out DIR. Every command explains itself: "
               "depthcue COMMAND --help. After depthcue --install-completion, the Tab key completes words.",
        no_args_is_help=True,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for name, module in COMMANDS.items():
        body: Callable[..., Any] = getattr(import_module(f"depthcue.cli.{module}"), name.replace("-", "_"))
        app.command(name, cls=GroupedCommand)(body)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 a mistake that can be put right, 2 a wrong option."""
    accept_any_console()
    try:
        with _clean_exit():
            try:
                build_app()(args=None if arguments is None else list(arguments), prog_name="depthcue")
            finally:
                sys.stdout.flush()  # here, where a full disk still gets a sentence
    except DepthcueError as error:
        say_error(error)
        return 1
    except BrokenPipeError:
        # the reader of our stdout (head, less) has left; nothing more to say to it
        _drop_stdout()
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        _drop_stdout()
        say_error(DepthcueError(f"what was to be written could not be: {os.strerror(error.errno)}",
                                "Make room, or write to another place."))
        return 1
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def _drop_stdout() -> None:
    """Let nothing more be written to a stdout that takes nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _clean_exit() -> Iterator[None]:
    """End the command on SIGTERM and on a closed terminal as on Ctrl-C, so that half-written files are removed."""
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        numbers = []
    # a signal that the parent process chose to ignore stays ignored
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


def _root(version: bool = typer.Option(False, "--version", "-V", metavar="", help="Print the "
                                       "version.", callback=_show_version,
                                       is_eager=True)) -> None:
    pass
