"""Which TensorRT there is: `tensorrt` or `tensorrt-rtx`, one Python interface under two names.

`tensorrt` (10.12 to 11) times kernels on the GPU while it builds; its engines belong to that GPU and to its own
version. `tensorrt-rtx` does half of the work without a GPU, and compiles the rest where the engine runs; its engines
fit several generations of GPUs. Both are optional: whoever has none is told what to install.
"""

import importlib
import importlib.util
import logging
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch

from depthcue.errors import DepthcueError

MODULES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Names of the packages, each the name of its extra too, and of what they are imported as."""
OLDEST = {"tensorrt": (10, 12), "tensorrt-rtx": (1, 2)}
"""From these on, precision is in the graph alone (strongly typed networks), and RTX has CUDA graphs of its own."""
INSTALL = {
    "tensorrt": "pip install 'depthcue[tensorrt]' (its libraries come from NVIDIA's own index)",
    "tensorrt-rtx": "pip install 'depthcue[tensorrt-rtx]'",
}

_ELSEWHERE = "Elsewhere use --backend torch or onnx; depthcue doctor says what is here."

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
        raise DepthcueError(f"{library} is too old; from {oldest} on it can be used",
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
    """What TensorRT writes its messages to; `errors` of it holds the last ones that were errors."""
    api = library.api

    class Log(api.ILogger):  # type: ignore[name-defined]
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=20)

        def log(self, severity: Any, message: str) -> None:
            if severity <= api.ILogger.Severity.ERROR:
                self.errors.append(message)
            # what it warns of is for those who wrote the graph, and there is much of it
            log.debug("%s: %s", library.name, message)

    return Log()


def said(messages: Any, otherwise: str) -> str:
    """The first of the errors that a log holds, in one line: what comes after it are its consequences."""
    first = next(iter(messages.errors), None) or otherwise
    return " ".join(first.split())[:400]


def plain(name: str) -> str:
    """A GPU's name as a part of a file's name."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
