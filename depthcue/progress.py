"""Progress reports of long work, independent of who shows them."""

from typing import Protocol


class Progress(Protocol):
    """Something that shows work going on: a bar on a terminal, a log, nothing."""

    def start(self, what: str, total: int | None = None) -> None:
        """Begin (or rename) the current piece of work of `total` steps; None where the number is unknown.

        Called once more under the same name when the number has become known, what was done stays.
        """

    def change(self, total: int) -> None:
        """Correct the number of steps of the current piece of work; what was done stays."""

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Report `steps` more steps done, and figures worth showing beside the bar (a loss, a rate)."""


class Silent:
    """Shows nothing."""

    def start(self, what: str, total: int | None = None) -> None: ...

    def change(self, total: int) -> None: ...

    def advance(self, steps: int = 1, **figures: float) -> None: ...


class Named:
    """Progress of one of several pieces of work, which says which."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name = progress, name

    def start(self, what: str, total: int | None = None) -> None:
        self.progress.start(f"{what} {self.name}", total)

    def change(self, total: int) -> None:
        self.progress.change(total)

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.progress.advance(steps, **figures)
