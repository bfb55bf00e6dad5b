"""What a user reads when something is wrong: the one error class, and text from outside made fit to be shown.

Names and addresses come from anyone. Before they reach a terminal, a log or a file's name, what could command a
terminal is written out, and passwords are taken out of addresses.
"""

import difflib
import importlib
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

MAX_LABEL = 80
"""Characters of a name's part that comes from outside."""

_ADDRESS = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]+)://")
_ADDRESSES = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]+://\S*")
_LIKE_ADDRESS = re.compile(r"\s*(rtsps?|rtmp[a-z]*|rtp|udp|tcp|srt|https?|ftps?|sftp|s3|gs|gcs|abfss?|hdfs|ray)\s*:",
                           re.IGNORECASE)
_LOGIN = re.compile(r"//[^/\s:]+:\S*@|[^\s/:@]+:[^\s/@]+@(?:localhost|[\w-]+(?:\.[\w-]+)+|\[[\da-f:.]+\])(?=[:/]|$)",
                    re.IGNORECASE)
"""The beginning of an address whose scheme was left out: `//me:secret@…`, `me:secret@cam.local/live`."""
HIDDEN = "…"
"""Stands for what is not shown."""
_UNSEEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that terminals obey, that turn the direction of writing, or that are halves of others."""
NOT_UTF8 = re.compile("[\ud800-\udfff]")
"""Characters by which Python holds bytes of file names that are not UTF-8; no file and no terminal takes them."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class DepthcueError(Exception):
    """A user's mistake: the message says what is wrong and what is allowed, `hint` what to do next.

    The command line prints message and hint without a traceback and exits with status 1. Everything else that
    goes wrong is a bug and keeps its traceback.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def within(self, what: str, hint: str | None = None) -> "DepthcueError":
        """The same mistake as part of something larger: `what` comes before its message, `hint` after its hint."""
        hints = [each for each in (self.hint, hint) if each]
        return DepthcueError(f"{what}: {self.message}", " ".join(hints) or None)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


def check_share(share: float, option: str) -> None:
    """Check a share of pixels that was given for `option`, such as --keep.

    Raises:
        DepthcueError: it is not above 0 and below 1; the hint takes it for a percentage.
    """
    if not 0 < share < 1:
        if share == 1:
            raise DepthcueError(f"{option} must be above 0 and below 1, got 1", "A share of 1 would mask nothing.")
        likely = share / 100 if 1 < share < 100 else 0.2
        raise DepthcueError(f"{option} must be above 0 and below 1, got {share:g}",
                            f"For {100 * likely:g}% of the pixels give {option} {likely:g}.")


def check_one_dial(keep: float | None, lam: float | None) -> None:
    """Check that a mask net is given a share to keep or a λ, and not both.

    Raises:
        DepthcueError: both are given.
    """
    if keep is not None and lam is not None:
        raise DepthcueError("a share to keep and a lambda were both given", "Give either --keep or --lambda.")


def must_be_one_of(option: str, allowed: Iterable[str], got: object, hint: str | None = None) -> DepthcueError:
    """The mistake of a word that an option does not take, to be raised.

    Args:
        option: as the user gave it: "--backend".
        hint: how to choose, beside the word that is likely meant.
    """
    words = list(allowed)
    return DepthcueError(f"{option} must be one of {', '.join(words)}, got {got!r}",
                         f"{did_you_mean(str(got), words)}{hint or 'Choose one of these.'}")


def import_extra(module: str, purpose: str, extra: str) -> Any:
    """Import an optional package when it is needed.

    Args:
        purpose: what needs it, for the message: "the page".
        extra: extra of depthcue that installs it.

    Raises:
        DepthcueError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DepthcueError(f"{purpose} needs {error.name or module}, which is not installed",
                            f"Install it with: pip install 'depthcue[{extra}]'.") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def shown(text: str) -> str:
    r"""Text that can be written everywhere: bytes of file names that are not UTF-8 become `\xe9`."""
    return NOT_UTF8.sub(_written_out, text)


def printable(text: str) -> str:
    r"""Text for a terminal or a log: characters that a terminal obeys are written out, `\x1b`.

    Lines stay lines. Each but the first is indented, so that a line within a name is not taken for one of ours.
    """
    return _UNSEEN.sub(_written_out, text).replace("\n", "\n  ")


def one_line(text: str) -> str:
    """As `printable`, with ends of lines and tabulators written out too, for a cell or a name."""
    return _UNSEEN.sub(_written_out, text).replace("\n", "\\n").replace("\t", "\\t")


def printable_json(text: str) -> str:
    """JSON with the characters that a terminal obeys, which JSON allows in strings, as \\u escapes."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`Did you mean X? ` where one of the known words is near to `word`; empty where none is."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[found[0]]}? " if found else ""


def file_label(name: str) -> str:
    """A name as part of a file's name: letters, digits and `._-`, not hidden, of limited length."""
    return _NOT_IN_NAMES.sub("_", name)[:MAX_LABEL].strip("._-") or "unnamed"


def without_password(address: str) -> str:
    """An address as it may be shown and kept: without user, password, query, fragment and path parameters.

    A text that is no address stays as it is. Of an address that cannot be parsed only the scheme is left: the password
    can then be anywhere.
    """
    found = _ADDRESS.match(address)
    if found is None:
        broken = _LIKE_ADDRESS.match(address)
        if broken is not None and any(each in address for each in ("@", "//", "\\\\")):
            return f"{broken[1]}:{HIDDEN}"
        if _LOGIN.match(address.lstrip()):
            return HIDDEN
        inner = _ADDRESS.search(address)  # behind a kind of data, or what commands a terminal
        return address if inner is None else address[:inner.start()] + without_password(address[inner.start():])
    hidden = f"{found[1]}://{HIDDEN}"
    rest = address[found.end():]
    end = re.search(r"[?#;]", rest)
    at = rest.rfind("@")
    if end is not None and at > end.start():
        return hidden  # an @ in the query, or a ? in the password
    shown = rest[at + 1:end.start() if end is not None else None]
    try:
        parts = urlsplit(f"{found[1]}://{shown}")
        _ = parts.port  # raises where it is none: `rtsp://user:secret`
    except ValueError:
        return hidden
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def argument(word: str) -> str:
    """A word of a command line as it may be kept, without the password of an address, also in `--out=s3://…`."""
    start = _ADDRESS.search(word)
    if start is not None:
        return word[:start.start()] + without_password(word[start.start():])
    option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
    return option + equals + without_password(value)


def without_secrets(text: str, *addresses: str) -> str:
    """A message with its addresses as they may be shown; `addresses` are those that are known to be in it."""
    for address in addresses:
        text = text.replace(address, without_password(address))
        # messages of libraries hold parts of an address, too
        rest = address.partition("://")[2]
        for secret in (rest, rest.rpartition("@")[0], *re.split(r"[?#;]", rest)[1:]):
            if len(secret) > 2:
                text = text.replace(secret, HIDDEN)
    return _ADDRESSES.sub(lambda found: without_password(found[0]), text)


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # stands for a byte
        code &= 0xFF
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
