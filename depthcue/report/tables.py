"""Verdicts on numbers, and results as tables of text, for a terminal or a page.

One rule decides what every sentence of the report says. A number differs clearly from a reference where its 95%
interval leaves the reference out and at least ENOUGH images (or cases) stand behind it. Where the interval holds the
reference there is no clear difference, which does not mean that there is none. Where fewer stand behind it nothing is
concluded, whatever the interval: that is too few to tell.

Durations have no intervals over images. One is clearly longer than another where their quartiles over batches do not
meet, and the sentence says how many batches stand behind it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from depthcue.results import AtSetting, Cost, OverImages

ENOUGH = 7
"""Images or cases from which on intervals are believed: one less than the eight cases of a probe, of which one may not
be readable. In a simulation with skewed numbers, a bootstrap interval that is called 95% held the true mean in 80% of
draws of 4 images, in 87% of 7, in 91% of 12 and in 94% of 40."""

INTERVALS = ("95% intervals are bootstrapped over images: as many images as there are get drawn from them again and "
             "again, with replacement, and 95% of the numbers that this gives lie in the interval. It tells how far "
             "the choice of images moves a number. It tells nothing of other kinds of images, of another training of "
             f"the nets, or of errors in the method. Over fewer than {ENOUGH} images it is too narrow to be trusted.")
"""Note on what an interval in a results document covers."""

TRUTH, TARGET = "ground truth", "the depth net on whole pictures"
"""References of errors."""
SHARE = 0.2
"""Share of the pixels at which scorers are compared in words and in one table."""
MANY = 3
"""More rivals than this are rows of a table and not pairs of columns."""
LABELS = {"direct": "Eq. (3)", "sobel": "edges", "canny": "Canny edges", "hed": "HED edges", "smoothgrad": "SmoothGrad",
          "object-boundaries": "object boundaries (oracle)", "depth-edges": "depth edges (oracle)",
          "integrated-gradients": "integrated gradients", "rollout": "attention rollout"}
"""Short names of scorers; any other goes by its own."""
_NUMBER = re.compile(r"[-+−±<>~]?\s*\d")


class HasNumbers(Protocol):
    """Anything that has numbers by name: fields of a typed document, or a part of one that is not typed."""

    def __getitem__(self, name: str, /) -> Any:
        """A field."""


class Verdict(Enum):
    """Verdict on a number; the value is its word."""

    MORE = "more"
    LESS = "less"
    NOT_CLEAR = "no clear difference"
    TOO_FEW = "too few to tell"

    @property
    def clear(self) -> bool:
        """Whether there is a difference to speak of."""
        return self in (Verdict.MORE, Verdict.LESS)


PHRASES = {**{each: each.value for each in Verdict}, Verdict.TOO_FEW: "too few images to tell"}
"""What a sentence over images calls each verdict."""


def verdict_words(found: Verdict, more: str | None = None, less: str | None = None, few: str | None = None) -> str:
    """The phrase of a verdict, or the words given in place of one."""
    own = {Verdict.MORE: more, Verdict.LESS: less, Verdict.TOO_FEW: few}.get(found)
    return PHRASES[found] if own is None else own


def compared_with(found: Verdict, other: str, where: str = "", few: str | None = None) -> str:
    """A verdict and what the number was compared with: "more than from A", where `where` is "from ", or "no clear
    difference to A"."""
    if found.clear:
        return f"{PHRASES[found]} than {where}{other}"
    return verdict_words(found, few=few) + (" a difference" if found is Verdict.TOO_FEW else "") + f" to {other}"


def verdict(interval: Sequence[float] | None, count: int, reference: float = 0.0) -> Verdict:
    """The verdict on a number with a 95% interval.

    Args:
        interval: low and high; None where there are too few numbers for one.
        count: images or cases behind it.
        reference: what no difference would be: 0 for differences, 1 for ratios.
    """
    if interval is None or count < ENOUGH:
        return Verdict.TOO_FEW
    low, high = interval
    return Verdict.MORE if low > reference else Verdict.LESS if high < reference else Verdict.NOT_CLEAR


def apart(interval: Sequence[float] | None, other: Sequence[float] | None, count: int) -> Verdict:
    """The verdict on two numbers whose difference was not measured: clear where their intervals do not meet.

    Stricter than the interval of the difference. `count` is the smaller of the images or cases behind them.
    """
    if interval is None or other is None or count < ENOUGH:
        return Verdict.TOO_FEW
    return Verdict.MORE if interval[0] > other[1] else Verdict.LESS if interval[1] < other[0] else Verdict.NOT_CLEAR


def clearly_longer(cost: Cost, other: Cost) -> bool:
    """Whether a scorer takes clearly longer than another."""
    return cost.quartiles[0] > other.quartiles[1]


def duration(milliseconds: float) -> str:
    """A duration in the unit that suits it, two or three digits: 0.42 ms, 85 ms, 1.3 s, 250 s."""
    value, unit = (milliseconds, "ms") if milliseconds < 1000 else (milliseconds / 1000, "s")
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def medians_of(*costs: Cost) -> str:
    """How many batches stand behind durations, the smallest number: "medians of 3 batches"."""
    batches = min((cost["batches"] for cost in costs if "batches" in cost), default=None)
    return "medians" if batches is None else f"medians of {batches} batch{'' if batches == 1 else 'es'}"


def too_few(count: int, what: str = "image") -> list[str]:
    """The one sentence on too few images or cases; none where there are enough."""
    return [] if count >= ENOUGH else [
        f"{few_to_tell(count, what)}: intervals over fewer than {ENOUGH} are too narrow."]


def few_to_tell(count: int, what: str = "image") -> str:
    """The remark on fewer images or cases than ENOUGH: "1 image is too few to tell"."""
    return f"{counted(count, what)} {'is' if count == 1 else 'are'} too few to tell"


def counted(count: int, what: str = "image") -> str:
    """A number of things: "1 image", "6 images"."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def sorted_out(verdicts: Iterable[tuple[str, Verdict]]) -> dict[Verdict, list[str]]:
    """Names by their verdict, every verdict there, names in the order given."""
    found: dict[Verdict, list[str]] = {each: [] for each in Verdict}
    for name, each in verdicts:
        found[each].append(name)
    return found


def number(entry: HasNumbers, name: str, form: str = ".3f") -> str:
    """A number of an entry and its interval as tables print them: "0.123 (0.100 to 0.150)"."""
    return f"{entry[name]:{form}} ({span(entry[f'{name}_ci95'], form)})"


def span(interval: Sequence[float], form: str = ".3f") -> str:
    """An interval as it is printed: "0.100 to 0.150"."""
    low, high = interval
    return f"{low:{form}} to {high:{form}}"


def measured_against(results: OverImages) -> tuple[str, ...]:
    """References of a compare-edges document's errors: ground truth first, where there is any."""
    return (TRUTH, TARGET) if results.ground_truth else (TARGET,)


def fields_for(reference: str) -> tuple[str, str]:
    """The names of the error and of its difference to the mask's in an entry, for what it is measured against."""
    return ("rmse", "minus_mask") if reference == TRUTH else ("rmse_to_target", "to_target_minus_mask")


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Whether each column holds words, which are read from the left, and not numbers."""
        return word_columns(self.columns, self.rows)


def word_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[bool, ...]:
    """Whether each column holds words: the first one does, and any in which no cell begins with a number."""
    return tuple(column == 0 or not any(_NUMBER.match(row[column]) for row in rows) for column in range(len(columns)))


def label_of(method: str) -> str:
    """Name of a scorer in tables and figures."""
    return LABELS.get(method, method)


def setting_name(entry: AtSetting) -> str:
    """Setting of a mask net as a number: the share of one that takes shares, else λ."""
    return f"{entry.keep:.3g}" if "keep" in entry else f"{entry.lam:.3g}"


def setting_title(entry: AtSetting) -> str:
    """The same within a sentence: "a share of 0.2", "lambda 4"."""
    return f"a share of {entry.keep:.3g}" if "keep" in entry else f"lambda {entry.lam:.3g}"


def setting_column(entries: Sequence[AtSetting]) -> str:
    """Heading of a column of such names."""
    return "share" if any("keep" in entry for entry in entries) else "lambda"
