"""What a person sees: errors, progress and tables. Progress and logs go to stderr, results to stdout."""

import codecs
import io
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from depthcue.errors import DepthcueError
from depthcue.progress import Progress, Silent


def accept_any_console() -> None:
    """Let stdout and stderr take every text, whatever the console's code page or the encoding of a redirection.

    What an encoding lacks is written as JSON writes it, `\\u03bb`, so that documents stay documents.
    """
    codecs.register_error("depthcue.escaped", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "backslashreplace"):
            stream.reconfigure(errors="depthcue.escaped")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start:error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at:at + 2], 'big'):04x}" for at in range(0, len(units), 2)), error.end


def configure(quiet: bool, verbose: bool) -> None:
    """Set up logging to stderr: errors only when quiet, everything depthcue says when verbose."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s", force=True)
    logging.getLogger("depthcue").setLevel(level)


def say_error(error: DepthcueError) -> None:
    """Print an error and what to do about it on stderr."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
    print()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table on stdout, words from the left and numbers to the right."""
    from rich.console import Console
    from rich.table import Table

    from depthcue.report.tables import word_columns

    table = Table(title=title, title_justify="left", header_style="bold")
    for column, words in zip(columns, word_columns(columns, rows), strict=True):
        table.add_column(column, justify="left" if words else "right")
    for row in rows:
        table.add_row(*row)
    # piped into a file there is no window whose width should cut the numbers
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def show_results(results: dict[str, Any], folder: Path, as_json: bool) -> None:
    """Draw the plots of a results document into its folder, and print its tables and sentences, or itself as JSON."""
    from depthcue.report.section import draw_plots
    from depthcue.report.sections import section_of

    section = section_of(results, folder)
    written = draw_plots(section, folder)
    if as_json:
        return print_json(results)
    for table in section.tables:
        print_table(table.title, table.columns, table.rows)
    for sentence in section.sentences:
        print(sentence)
    names = ["results.json", *(path.name for path in written), *(picture.path for picture in section.pictures)]
    print("written:", ", ".join(names), "in", folder)


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

    def start(self, what: str, total: int | None = None) -> None:
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
