"""Output for a person: errors, progress and tables. Progress and logs go to stderr, results to stdout."""

import codecs
import io
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depthcue.errors import DepthcueError, one_line, printable, printable_json, shown, without_secrets
from depthcue.files import json_text
from depthcue.progress import Progress, Silent

LINE_EVERY_S = 10.0
"""Seconds between lines of progress where stderr is no terminal."""
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
        table.add_column(Text(one_line(column)), justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    # piped into a file there is no window whose width should cut the numbers; COLUMNS says it anyway
    sized = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    Console(width=None if sized else 120).print(table)


def show_results(results: "Result", folder: Path, as_json: bool, quiet: bool) -> None:
    """Draw the plots of a result into its folder, and print its tables and sentences, itself as JSON, or nothing.

    Raises:
        SystemExit: with status 1, where pictures could not be read.
    """
    from depthcue.report.page import section_of
    from depthcue.report.section import draw_plots, unreadable_note

    section = section_of(results, folder)
    written = draw_plots(section, folder)
    left_out = unreadable_note(results)
    if as_json:
        print_json(results.to_dict())
    elif quiet:
        for sentence in left_out:
            say(sentence, aside=True)
    else:
        for table in section.tables:
            print_table(table.title, table.columns, table.rows)
        for sentence in section.sentences:
            say(sentence)
        names = ["results.json", *(path.name for path in written), *(picture.path for picture in section.pictures)]
        say(f"written: {', '.join(names)} in {folder}")
    if left_out:
        raise SystemExit(1)


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal; where stderr is not one a line every ten seconds; nothing when quiet."""
    if quiet:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.table import Column

    # in 80 columns: what is done, a bar, count, rate and time left, and one number
    columns = (TextColumn("{task.description}", table_column=Column(max_width=26, no_wrap=True, overflow="ellipsis")),
               BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8, max_width=40)),
               TextColumn("{task.fields[pace]}", table_column=Column(no_wrap=True)))
    with RichProgress(*columns, console=Console(stderr=True), expand=True) as display:
        yield _TerminalBar(display)


class _Pace:
    """A piece of work as far as it is done, in words."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0
        self.figure = ""
        self._started = time.monotonic()
        self._recent: deque[tuple[float, int]] = deque([(self._started, 0)], maxlen=200)

    def advance(self, steps: int, figures: dict[str, float]) -> None:
        self.done += steps
        # the first report of a resumed run counts what was done before, in no time
        now = time.monotonic()
        if self.done == steps and now - self._started < 0.5 and steps > 1:
            self._recent.clear()
        if not self._recent or now - self._recent[-1][0] > 0.2:
            self._recent.append((now, self.done))
        for name, value in list(figures.items())[:1]:
            self.figure = f"{name} {value:.3g}"

    def words(self) -> str:
        """Count, rate, time left and the first of the figures."""
        parts = [f"{self.done}/{self.total}" if self.total else f"{self.done}"]
        if len(self._recent) > 1:
            (begun, before), (now, done) = self._recent[0], self._recent[-1]
            if (rate := (done - before) / (now - begun)) > 0:
                parts.append(f"{rate:.3g}/s" if rate >= 1 else f"{60 * rate:.1f}/min")
                if self.total:
                    parts.append(f"{_clock((self.total - self.done) / rate)} left")
        return "  ".join([*parts, self.figure] if self.figure else parts)


def _clock(seconds: float) -> str:
    """Seconds as 4:05, or 1:04:05."""
    minutes, rest = divmod(round(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Lines:
    """Progress as lines on stderr, one every LINE_EVERY_S seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._what = ""
        self._work: _Pace | None = None
        self._last = time.monotonic()

    def start(self, what: str, total: int | None = None) -> None:
        if self._work is not None and what == self._what and self._work.total is None and total is not None:
            self._work.total = total
            return
        self._what, self._work = what, _Pace(total)

    def change(self, total: int) -> None:
        if self._work is not None:
            self._work.total = total

    def advance(self, steps: int = 1, **figures: float) -> None:
        if self._work is None:
            return
        self._work.advance(steps, figures)
        if steps and time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            print(f"{printable(self._what)}: {self._work.words()}", file=sys.stderr, flush=True)


class _TerminalBar:
    """One rich task at a time: starting another finishes the last."""

    def __init__(self, display: Any) -> None:
        self.display = display
        self.task: Any = None
        self.work = _Pace(None)
        self.unknown = ""
        """Name of the task, while its number of steps is not known."""

    def start(self, what: str, total: int | None = None) -> None:
        if self.task is not None and what == self.unknown and total is not None:
            self.unknown = ""
            return self.change(total)
        self.unknown = what if total is None else ""
        if self.task is not None:
            self.display.remove_task(self.task)
        self.work = _Pace(total)
        self.task = self.display.add_task(what, total=total, pace="")

    def change(self, total: int) -> None:
        if self.task is not None:
            self.work.total = total
            self.display.update(self.task, total=total)

    def advance(self, steps: int = 1, **figures: float) -> None:
        if self.task is None:
            return
        self.work.advance(steps, figures)
        self.display.update(self.task, advance=steps, pace=self.work.words())
