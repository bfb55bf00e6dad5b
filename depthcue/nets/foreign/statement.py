"""What a foreign net says of itself, or its user of it: units, size, colours, which of its outputs is the depth.

The same few words wherever they are said: keywords of a dictionary `depth_description` on a Python object, keys of a
JSON file beside an ONNX graph, or `,key=value` behind a spec. What the user writes in the spec counts most, then what
the net says, then what its kind is known for.
"""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depthcue.documents import MAX_PIXELS, MAX_SIDE
from depthcue.errors import DepthcueError
from depthcue.nets.base import DISPARITY, INVERSE_DEPTH, METRIC_DEPTH, DepthDescription

NORMALISED, RGB, RGB255 = "normalised", "rgb", "rgb255"
TAKES = (NORMALISED, RGB, RGB255)
"""What a net takes: the z-scored picture, RGB in [0, 1], or RGB in [0, 255]."""
_PREDICTS = {"metric": METRIC_DEPTH, "inverse": INVERSE_DEPTH, "disparity": DISPARITY}
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Statement:
    """What is known of a foreign net.

    Attributes:
        takes: one of TAKES.
        output: key or place of the depth among several outputs; None where there is one, or a usual name.
        fixed: whether it takes pictures of its working size alone; others are then stretched to that size.
    """

    description: DepthDescription
    takes: str = NORMALISED
    output: str | int | None = None
    fixed: bool = False


def split_spec(spec: str) -> tuple[str, dict[str, str]]:
    """`hf:DIR,predicts=metric,size=640x480` as `hf:DIR` and {"predicts": "metric", "size": "640x480"}.

    Only words of the form key=value are taken off the end, and none of what is the path of a file or folder that is
    there, so that a path may hold commas and equals signs.
    """
    asked: dict[str, str] = {}
    while not names_path(spec):
        bare, comma, last = spec.rpartition(",")
        key, equals, value = last.partition("=")
        if not (comma and equals and key.isidentifier()):
            break
        if key not in _READ:
            if "/" in value or "\\" in value:  # a folder of a path that is not there
                break
            raise DepthcueError(f"nothing called {key!r} can be said of a network", f"There are: {', '.join(_READ)}.")
        asked.setdefault(key, value)
        spec = bare
    return spec, asked


def names_path(spec: str) -> bool:
    """Whether a spec as it stands, or what is behind its KIND: or NAME:, is the path of something that is there."""
    place = spec.partition(":")[2]
    folder, _, entry = place.rpartition(":")  # of hub:FOLDER:ENTRY
    return any(text and Path(text).exists() for text in (spec, place, folder if "," not in entry else ""))


def statement(name: str, known: Mapping[str, Any], said: DepthDescription | Mapping[str, Any] | None,
              asked: Mapping[str, Any]) -> Statement:
    """Put together what is known of a net called `name`.

    Args:
        known: what its kind is known for.
        said: what the net says of itself.
        asked: what the user says.

    Raises:
        DepthcueError: a word that does not exist, or a value that makes no sense.
    """
    if isinstance(said, DepthDescription):
        said = {field.name: getattr(said, field.name) for field in dataclasses.fields(said)}
    elif said is not None and not isinstance(said, Mapping):
        raise DepthcueError(f"the depth_description of {name} is a {type(said).__name__}",
                            "Give a DepthDescription or a dictionary of its fields.")
    words: dict[str, Any] = {}
    for source in (known, said or {}, asked):
        words |= _read(name, source)
    if "predicts" not in words:
        log.warning("%s does not say what it predicts; taken as metric depth. Behind the spec: ,predicts=inverse", name)
    if "height" not in words:
        log.warning("%s does not say its working size; taken as 384x384. Behind the spec: ,size=WxH", name)
    words = {"name": name, "height": 384, "width": 384, "multiple": 1 if words.get("fixed") else 32, **words}
    own = {key: words.pop(key) for key in ("takes", "output", "fixed") if key in words}
    description = DepthDescription(**words)
    if description.height * description.width > MAX_PIXELS:
        raise DepthcueError(f"{name} cannot work at {description.width}x{description.height}: that is more than "
                            f"{MAX_PIXELS:,} pixels", "Choose a smaller size.")
    if not own.get("fixed") and (description.height % description.multiple or description.width % description.multiple):
        raise DepthcueError(f"{name} cannot work at {description.width}x{description.height}: it wants multiples of "
                            f"{description.multiple}", "Choose another size or multiple.")
    return Statement(description, **own)


def _read(name: str, source: Mapping[str, Any]) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for key, value in source.items():
        if key not in _READ:
            raise DepthcueError(f"{name} is said to have {key!r}, which means nothing here",
                                f"What can be said: {', '.join(_READ)}.")
        try:
            read = _READ[key](value)
        except (ValueError, TypeError, OverflowError) as error:
            raise DepthcueError(f"{name} is said to have {key}={str(value)[:200]!r}: {error}",
                                "Put it right in the spec or in what the network says of itself.") from error
        words |= {"height": read[0], "width": read[1]} if key == "size" else {key: read}
    return words


def _predicts(value: Any) -> str:
    word = str(value)
    if word in _PREDICTS.values():
        return word
    if word not in _PREDICTS:
        raise ValueError(f"one of {', '.join(_PREDICTS)}")
    return _PREDICTS[word]


def _flag(value: Any) -> bool:
    word = str(value).lower()
    if word not in (*_YES, *_NO):
        raise ValueError("yes or no")
    return word in _YES


def _count(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("a whole number of at least 1")
    if number > MAX_SIDE:
        raise ValueError(f"a whole number of at most {MAX_SIDE}")
    return number


def _metres(value: Any) -> float:
    number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError("a number of metres above 0")
    return number


def _size(value: Any) -> tuple[int, int]:
    """WxH, or (height, width)."""
    if not isinstance(value, str):
        height, width = value
        return _count(height), _count(width)
    width, cross, height = value.lower().partition("x")
    if not cross:
        raise ValueError("WIDTHxHEIGHT, as in 640x480")
    return _count(height), _count(width)


def _three(value: Any) -> tuple[float, float, float]:
    """Three numbers, as 0.5/0.5/0.5 in a spec."""
    parts = value.split("/") if isinstance(value, str) else value
    red, green, blue = (float(part) for part in parts)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError("three numbers")
    return red, green, blue


def _deviations(value: Any) -> tuple[float, float, float]:
    read = _three(value)
    if min(read) <= 0:
        raise ValueError("three numbers above 0")
    return read


def _takes(value: Any) -> str:
    if value not in TAKES:
        raise ValueError(f"one of {', '.join(TAKES)}")
    return str(value)


def _output(value: Any) -> str | int:
    return int(value) if str(value).isdigit() else str(value)


_READ: dict[str, Callable[[Any], Any]] = {
    "predicts": _predicts, "relative": _flag, "shift_unknown": _flag, "size": _size, "height": _count,
    "width": _count, "multiple": _count, "fixed": _flag, "max_depth_m": _metres, "takes": _takes, "output": _output,
    "mean": _three, "std": _deviations, "name": str, "licence": str, "source": str,
}
"""What can be said, and how it is read."""
