"""The one error class for what a user can put right."""


class DepthcueError(Exception):
    """A mistake in what was given: says what was given, what is allowed and, in `hint`, what to do next.

    The command line prints message and hint without a traceback and exits with status 1. Everything else that
    goes wrong is a bug and keeps its traceback.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def within(self, what: str, hint: str | None = None) -> "DepthcueError":
        """The same mistake as part of something larger: `what` stands before it, `hint` behind the hint it has."""
        hints = [each for each in (self.hint, hint) if each]
        return DepthcueError(f"{what}: {self.message}", " ".join(hints) or None)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


def check_share(share: float, option: str) -> None:
    """Check a share of pixels that was given for `option`, such as --keep.

    Raises:
        DepthcueError: it is not above 0 and below 1; a percentage is taken for what was meant.
    """
    if not 0 < share < 1:
        meant = share / 100 if 1 < share < 100 else 0.2
        raise DepthcueError(f"{option} must be above 0 and below 1, got {share:g}",
                            f"For {100 * meant:g}% of the pixels give {option} {meant:g}.")
