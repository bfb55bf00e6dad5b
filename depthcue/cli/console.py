"""What a person sees: errors, progress and tables. Progress and logs go to stderr, results to stdout."""

import codecs
import io
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthcue.errors import DepthcueError
from depthcue.files import json_text
from depthcue.progress import Progress, Silent
from depthcue.text import one_line, printable, printable_json, shown, without_secrets

if TYPE_CHECKING:
    from depthcue.results import Result


def configure(quiet: bool, verbose: bool) -> None:
    """Set up logging to stderr: errors only when quiet, everything depthcue says when verbose."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Fit("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("depthcue").setLevel(level)


def accept_any_console() -> None:
    r"""Let stdout and stderr take every text, whatever the console's code page or the encoding of a redirection.

    What an encoding lacks is written as JSON writes it, `\u03bb`, so that documents stay documents; bytes of file names
    that are not UTF-8 as they are `shown`.
    """
    codecs.register_error("depthcue.escaped", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace", "surrogateescape"):
            stream.reconfigure(errors="depthcue.escaped")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = shown(error.object[error.start:error.end]).encode("utf-16-be")
    codes = [int.from_bytes(units[at:at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 128 else f"\\u{code:04x}" for code in codes), error.end


def say_error(error: DepthcueError) -> None:
    """Print an error and what to do about it on stderr."""
    print(f"error: {printable(without_secrets(error.message))}", file=sys.stderr)
    if error.hint:
        print(f"  {printable(error.hint)}", file=sys.stderr)


def say(text: str, *, aside: bool = False) -> None:
    """Print a sentence on stdout, or aside, on stderr."""
    print(printable(text), file=sys.stderr if aside else sys.stdout)


class _Fit(logging.Formatter):
    """Log lines as a terminal can take them: names of files and nets may hold anything, addresses passwords."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(without_secrets(super().format(record)))


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    print(printable_json(json_text(document, indent=2)))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout, words from the left and numbers to the right."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from depthcue.report.tables import word_columns

    # as text: a name in brackets is no markup
    table = Table(title=escape(one_line(title)), title_justify="left", header_style="bold")
    for column, words in zip(columns, word_columns(columns, rows), strict=True):
        table.add_column(Text(one_line(column)), justify="left" if words else "right")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    # piped into a file there is no window whose width should cut the numbers
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def show_results(results: "Result", folder: Path, as_json: bool) -> None:
    """Draw the plots of a result into its folder, and print its tables and sentences, or itself as JSON."""
    from depthcue.report.page import section_of
    from depthcue.report.section import draw_plots

    section = section_of(results, folder)
    written = draw_plots(section, folder)
    if as_json:
        return print_json(results.to_dict())
    for table in section.tables:
        print_table(table.title, table.columns, table.rows)
    for sentence in section.sentences:
        say(sentence)
    names = ["results.json", *(path.name for path in written), *(picture.path for picture in section.pictures)]
    say(f"written: {', '.join(names)} in {folder}")


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """A bar with rate and time left on a terminal; nothing where stderr is not one, or when quiet."""
    if quiet or not sys.stderr.isatty():
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as display:
        yield _Bar(display)


class _Bar:
    """One rich task at a time: starting another finishes the last."""

    def __init__(self, display: Any) -> None:
        self.display = display
        self.task: Any = None
        self.unknown = ""
        """Name of the task, while its number of steps is not known."""

    def start(self, what: str, total: int | None = None) -> None:
        if self.task is not None and what == self.unknown and total is not None:
            self.unknown = ""
            return self.display.update(self.task, total=total)
        self.unknown = what if total is None else ""
        if self.task is not None:
            self.display.remove_task(self.task)
        self.task = self.display.add_task(what, total=total, rate="", figures="")

    def advance(self, steps: int = 1, **figures: float) -> None:
        if self.task is None:
            return
        speed = self.display.tasks[-1].speed
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
        self.display.update(self.task, advance=steps, rate=f"{speed:.1f}/s" if speed else "",
                            **({"figures": shown} if figures else {}))
