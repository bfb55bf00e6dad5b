"""The installed TensorRT, the shapes an engine is built for, and the card beside an engine.

`tensorrt` (10.12 to 11) and `tensorrt-rtx` have one Python interface under two names. The former times kernels on the
GPU while it builds; its engines belong to that GPU and to its own version. The latter does half of the work without a
GPU, and compiles the rest where the engine runs; its engines fit several generations of GPUs. Both are optional.

Nothing of depthcue's is in an engine file, so that a C++ program can load it as it is. The card (`NAME.json` beside
`NAME.engine`) is that of the graph with the record of the engine's making: it states what to feed the engine, and tells
a file that does not fit this machine from one that does before the library opens it.
"""

import importlib
import importlib.util
import logging
import math
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch

from depthcue.errors import DepthcueError
from depthcue.nets.checkpoint import card_path
from depthcue.nets.exported import Kind, read_graph_card

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Names of the packages, each the name of its extra too, and of what they are imported as."""
OLDEST = {"tensorrt": (10, 12), "tensorrt-rtx": (1, 2)}
"""Oldest usable versions: precision is in the graph alone (strongly typed networks), and RTX has CUDA graphs."""
INSTALL = {
    "tensorrt": "pip install 'depthcue[tensorrt]' (its libraries come from NVIDIA's own index)",
    "tensorrt-rtx": "pip install 'depthcue[tensorrt-rtx]'",
}

_ELSEWHERE = "Elsewhere use --backend torch or onnx; depthcue doctor says what is here."
Size = tuple[int, int]
"""(height, width) in pixels."""
LONGEST = 4
"""Width to height, and height to width, up to which an engine takes pictures by default."""
SUFFIX = ".engine"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Library:
    """A TensorRT that was imported."""

    name: str
    """`tensorrt` or `tensorrt-rtx`."""
    api: Any
    """The module."""

    @property
    def version(self) -> str:
        return str(self.api.__version__)

    @property
    def compiles_where_it_runs(self) -> bool:
        """RTX: engines are built without a GPU and fit several; kernels are compiled when an engine first runs."""
        return self.name == "tensorrt-rtx"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def is_installed(name: str) -> bool:
    """Whether the package is there; it is not imported."""
    return importlib.util.find_spec(MODULES[name]) is not None


def load_library(name: str) -> Library:
    """Import `tensorrt` or `tensorrt-rtx`.

    Raises:
        DepthcueError: not installed, too old, or its own libraries do not load.
    """
    try:
        library = Library(name, importlib.import_module(MODULES[name]))
    except ModuleNotFoundError as error:
        raise DepthcueError(f"{name} is not installed: {error}", INSTALL[name]) from error
    except (ImportError, OSError, RuntimeError) as error:  # what its loader raises where a shared library is missing
        raise DepthcueError(f"{name} is installed but does not load: {error}",
                            f"Install it again: {INSTALL[name]}; see depthcue doctor.") from error
    if _numbers(library.version) < OLDEST[name]:
        oldest = ".".join(str(number) for number in OLDEST[name])
        raise DepthcueError(f"{library} is too old: {oldest} or newer is needed",
                            f"Install a newer one: {INSTALL[name]}")
    return library


def choose_library(wanted: str = "auto") -> Library:
    """The library to build with.

    Args:
        wanted: `tensorrt`, `tensorrt-rtx`, or `auto`: with a GPU the first that is installed, without one the second,
            which needs none.

    Raises:
        DepthcueError: no such library, or it is not here.
    """
    if wanted in MODULES:
        return load_library(wanted)
    if wanted != "auto":
        raise DepthcueError(f"no TensorRT library is called {wanted!r}", f"Choose auto, {' or '.join(MODULES)}.")
    order = ["tensorrt", "tensorrt-rtx"] if has_gpu() else ["tensorrt-rtx", "tensorrt"]
    for name in order:
        if is_installed(name):
            return load_library(name)
    raise DepthcueError("there is no TensorRT here", f"For GeForce and RTX GPUs, and to build without a GPU: "
                        f"{INSTALL['tensorrt-rtx']}; for every NVIDIA GPU: {INSTALL['tensorrt']}")


@dataclass(frozen=True)
class Gpu:
    """The GPU an engine is built for or runs on."""

    device: str
    """`cuda` or `cuda:N`."""
    name: str
    capability: str
    """Compute capability, as `8.9`."""


def has_gpu() -> bool:
    """Whether torch sees an NVIDIA GPU."""
    return torch.cuda.is_available()


def find_gpu(device: str = "cuda") -> Gpu:
    """The GPU that `device` names.

    Raises:
        DepthcueError: torch sees none there.
    """
    count = torch.cuda.device_count() if has_gpu() else 0
    named = re.fullmatch(r"cuda(?::(\d+))?", device)
    if count == 0:
        raise DepthcueError("an engine runs on an NVIDIA GPU, and torch sees none here", _ELSEWHERE)
    if named is None or int(named[1] or 0) >= count:
        raise DepthcueError(f"an engine runs on an NVIDIA GPU, cuda:0 to cuda:{count - 1} here, not on {device}",
                            _ELSEWHERE)
    facts = torch.cuda.get_device_properties(torch.device(device))
    return Gpu(device, facts.name, f"{facts.major}.{facts.minor}")


def make_log(library: Library) -> Any:
    """Logger for TensorRT's messages; its `errors` holds the last of them that were errors."""
    api = library.api

    class Log(api.ILogger):  # type: ignore[name-defined]
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, message: str) -> None:
            if severity <= api.ILogger.Severity.ERROR:
                self.errors.append(message)
            # its many warnings are for authors of graphs
            log.debug("%s: %s", library.name, message)

    return Log()


def logged_reason(messages: Any, otherwise: str) -> str:
    """The first of the errors that a log holds, in one line: what comes after it are its consequences."""
    first = next(iter(messages.errors), None) or otherwise
    return " ".join(first.split())[:400]


def plain(name: str) -> str:
    """A GPU's name as a part of a file's name."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


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
        """The record for the card."""
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


@dataclass(frozen=True)
class Making:
    """Record of an engine's making: library and GPU, graph, shapes."""

    library: str
    version: str
    gpu: str | None
    """The GPU's name; None for an engine that was built without one."""
    compute_capability: str | None
    targets: tuple[str, ...]
    """Compute capabilities to build for; empty: those that the library chooses."""
    graph_sha256: str
    shapes: Shapes
    precision: str

    def as_json(self) -> dict[str, Any]:
        """The record for the card."""
        return {**asdict(self), "targets": list(self.targets)}

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "Making":
        """Read the making from an engine's card; raises KeyError or TypeError where the card holds something else."""
        fields = dict(card["engine"])
        return cls(**{**fields, "targets": tuple(fields["targets"]), "shapes": Shapes.from_json(fields["shapes"])})

    def misfits(self, library: Library, gpu: Gpu) -> list[str]:
        """Why the engine cannot run here, in words; empty where it can."""
        reasons = []
        if self.library != library.name:
            reasons.append(f"it was built by {self.library}, not by {library.name}")
        elif self.version != library.version:
            reasons.append(f"it was built by {self.library} {self.version}; {library.version} is here")
        if library.compiles_where_it_runs:
            if self.targets and gpu.capability not in self.targets:
                reasons.append(f"it was built for compute capability {' and '.join(self.targets)}; {gpu.name} has "
                               f"{gpu.capability}")
        elif self.compute_capability != gpu.capability:
            reasons.append(f"it was built on {self.gpu} (compute capability {self.compute_capability}); here is "
                           f"{gpu.name} ({gpu.capability})")
        return reasons

    def tuned_for_another(self, library: Library, gpu: Gpu) -> str | None:
        """A GPU of another name but of the same compute capability, on which the engine runs, if not at its best."""
        if library.compiles_where_it_runs or self.gpu == gpu.name:
            return None
        return f"it was tuned on {self.gpu}; here is {gpu.name}"


def read_engine_card(engine: str | Path, kind: Kind) -> tuple[dict[str, Any], Making]:
    """The card of an engine, after checking that it belongs to this very file and is of the `kind` wanted.

    Raises:
        DepthcueError: no engine, no card, another kind, an engine that is cut short or has changed since.
    """
    card = read_graph_card(engine, kind, "engine")
    try:
        return card, Making.of(card)
    except (KeyError, TypeError) as error:
        raise DepthcueError(f"{card_path(engine)} is not the card of an engine",
                            "Build it again with depthcue export --format tensorrt.") from error
