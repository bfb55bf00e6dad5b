"""The batches and sizes an engine is built for: what it takes at least and at most, and what it is fastest at."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from depthcue.errors import DepthcueError

Size = tuple[int, int]
"""(height, width) in pixels."""

LONGEST = 4
"""Width to height, and height to width, up to which an engine takes pictures unless told otherwise."""


@dataclass(frozen=True)
class Span:
    """A range of whole numbers, and the one in it to be fastest at."""

    least: int
    best: int
    most: int

    def nearest(self, value: int) -> int:
        """The number in the range that is nearest to `value`."""
        return min(max(value, self.least), self.most)

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True)
class Shapes:
    """Frames per batch, and the frames' height and width in pixels."""

    batch: Span
    height: Span
    width: Span

    def nearest(self, height: int, width: int) -> Size:
        """The (height, width) in range that is nearest to these."""
        return self.height.nearest(height), self.width.nearest(width)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """Raises KeyError or TypeError where it is not what `as_json` gave."""
        return cls(*(Span(**fields[name]) for name in ("batch", "height", "width")))

    def __str__(self) -> str:
        return f"{self.width} x {self.height} pixels, {self.batch} a batch"


def plan_shapes(card: Mapping[str, Any], batch: Sequence[int], sizes: Sequence[Size] = (),
                around: Size | None = None) -> Shapes:
    """The shapes to build an engine for.

    Args:
        card: of the graph: its working size, and the multiple that sides must have.
        batch: frames per batch: least, best, most.
        sizes: least, best and most; or one alone, which then is the only one; or none: pictures up to four times as
            wide as high or as high as wide, of about the area of `around`, and best at `around`.
        around: by default the net's working size.

    Raises:
        DepthcueError: not in rising order, or sides that are not multiples.
    """
    least, best, most = batch
    if not 1 <= least <= best <= most:
        raise DepthcueError(f"a batch of {least},{best},{most} frames is not in rising order",
                            "Give --batch LEAST,BEST,MOST, as 1,8,32, or one number, up to which any will do.")
    multiple = card["height_and_width_are_multiples_of"]
    working = card["working_size"]["height"], card["working_size"]["width"]
    if sizes:
        small, wanted, large = sizes if len(sizes) == 3 else (sizes[0],) * 3
    else:
        small, wanted, large = _any_picture(around or working, multiple)
    for side in {*small, *wanted, *large}:
        if side % multiple:
            raise DepthcueError(f"--size has a side of {side} pixels; this net takes multiples of {multiple}",
                                f"Its own size is {working[1]}x{working[0]}.")
    spans = [Span(*sides) for sides in zip(small, wanted, large, strict=True)]
    if any(not span.least <= span.best <= span.most for span in spans):
        raise DepthcueError("the sizes are not in rising order",
                            "Give --size LEAST,BEST,MOST, as 96x96,192x144,384x384, or one size, to take no other.")
    return Shapes(Span(least, best, most), *spans)


def _any_picture(around: Size, multiple: int) -> tuple[Size, Size, Size]:
    side = math.sqrt(around[0] * around[1])
    stretch = math.sqrt(LONGEST)
    # two multiples at least: what exported graphs take
    shortest = max(math.floor(side / stretch / multiple), 2) * multiple
    longest = math.ceil(side * stretch / multiple) * multiple
    small = min(shortest, around[0]), min(shortest, around[1])
    large = max(longest, around[0]), max(longest, around[1])
    return small, around, large
