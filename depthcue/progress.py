"""Progress reports of long work, independent of who shows them."""

from typing import Protocol


class Progress(Protocol):
    """Something that shows work going on: a bar on a terminal, a log, nothing."""

    def start(self, what: str, total: int | None = None) -> None:
        """Begin a piece of work of `total` steps, or rename the current one; None where the number is unknown.

        A second call with the same name states the number once it is known; the steps done stay.
        """

    def change(self, total: int) -> None:
        """Correct the number of steps of the current piece of work; the steps done stay."""

    def advance(self, steps: int = 1, **figures: float) -> None:
        """Report `steps` more steps done, and figures worth showing beside the bar (a loss, a rate)."""


class Silent:
    """Shows nothing."""

    def start(self, what: str, total: int | None = None) -> None: ...

    def change(self, total: int) -> None: ...

    def advance(self, steps: int = 1, **figures: float) -> None: ...


class Named:
    """Progress of one of several pieces of work, with its name."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.name = progress, name

    def start(self, what: str, total: int | None = None) -> None:
        self.progress.start(f"{what} {self.name}", total)

    def change(self, total: int) -> None:
        self.progress.change(total)

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.progress.advance(steps, **figures)
