"""The ways of running a net that are worth trying on a device. Which of them work, the measurement finds out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from depthcue.bench.torch_graph import TorchGraph
from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.graph_card import Kind, read_graph_card
from depthcue.runtime.depth_runner import open_depth_runner
from depthcue.runtime.opening import open_runner
from depthcue.runtime.runner import Frames, Masks

AS_GIVEN = "torch as given"
REFERENCE = f"{AS_GIVEN} fp32"
"""What ratios are to: the net in torch as it was given, eager, in float32. Of an exported file it is ONNX Runtime."""

_TORCH = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32",)}
_OTHERS = {
    "cpu": (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")),
    "cuda": (("onnx", "fp32"), ("onnx", "fp16"), ("tensorrt", "fp32"), ("tensorrt", "fp16")),
    "mps": (),
}
"""Backends beside torch and the precisions that they may gain by, for each kind of device. int8 is left out: it costs
accuracy, so it is something to export and look at, and not to be offered by a table of speeds."""
_OF_FILES = {"cpu": ("onnx", "openvino"), "cuda": ("onnx", "tensorrt")}
"""Backends that run an exported graph, in the precision it was exported in."""


class Runs(Protocol):
    """What all contenders have in common: a context manager that makes maps of frames."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None: ...

    def infer(self, frames: Frames) -> Masks:
        """Maps float32 (B, h, w) of frames uint8 (B, H, W, 3)."""


@runtime_checkable
class Staging(Protocol):
    """A runner that can keep frames on its device, so that the network can be timed without the copies."""

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""


@dataclass(frozen=True)
class Contender:
    """One way of running a net."""

    name: str
    backend: str
    device: str
    precision: str
    rewritten: bool
    """Whether it runs the net rewritten to less arithmetic, as it is exported."""
    open: Callable[[], Runs]
    """
    Raises:
        DepthcueError: it cannot work here.
    """
    in_jobs: bool = False
    """Whether `depthcue mask` can be told to use it, by --backend and --precision."""


def mask_contenders(net: MaskNet, spec: str, lam: float | None, device: str, threads: int, batch_size: int = 32,
                    size: tuple[int, int] | None = None, keep: float | None = None) -> list[Contender]:
    """Ways of running a mask net, the reference first.

    Args:
        net: what `spec` names, on the CPU; of an exported graph, ways to run that very file.
        device: cpu, cuda, cuda:N or mps.
        lam, keep: λ, or the share to keep; None for the net's own.
        threads: CPU threads of one call.
        batch_size, size: the largest batch, and (height, width) of the frames, None for the net's own: what engines
            are built for.

    Raises:
        DepthcueError: a graph, and a device that runs none.
    """
    def opener(backend: str, precision: str) -> Callable[[], Runs]:
        return lambda: open_runner(spec, backend=backend, device=device, precision=precision, keep=keep, lam=lam,
                                   threads=threads, batch_size=batch_size, size=size)

    if net.graph_file is not None:
        precision = _precision_of(net.graph_file, "mask")
        return [Contender(f"{backend} {precision}", backend, device, precision, True, opener(backend, precision), True)
                for backend in _backends_of_files(device)]
    return [*_as_given(net, net.dial_value(keep, lam), device),
            *(Contender(f"{backend} {precision}", backend, device, precision, True, opener(backend, precision), True)
              for backend, precision in _tuned(device))]


def depth_contenders(net: DepthNet, device: str, threads: int, batch_size: int = 32,
                     size: tuple[int, int] | None = None) -> list[Contender]:
    """Ways of running a depth net, the reference first; arguments and errors as above."""
    def opener(backend: str, precision: str) -> Callable[[], Runs]:
        if backend == "torch":
            return lambda: TorchGraph(net, None, device, precision, rewrite=True)
        return lambda: open_depth_runner(net.graph_file or net, backend=backend, device=device, precision=precision,
                                         threads=threads, batch_size=batch_size, size=size)

    if net.graph_file is not None:
        precision = _precision_of(net.graph_file, "depth")
        return [Contender(f"{backend} {precision}", backend, device, precision, True, opener(backend, precision))
                for backend in _backends_of_files(device)]
    return [*_as_given(net, None, device),
            *(Contender(f"{backend} {precision}", backend, device, precision, True, opener(backend, precision))
              for backend, precision in _tuned(device))]


def _as_given(net: MaskNet | DepthNet, dial: float | None, device: str) -> Iterator[Contender]:
    for precision in _TORCH[_kind(device)]:
        def opened(precision: str = precision) -> Runs:
            return TorchGraph(net, dial, device, precision)

        yield Contender(f"{AS_GIVEN} {precision}", "torch", device, precision, False, opened)


def _precision_of(graph: Path, kind: Kind) -> str:
    return str(read_graph_card(graph, kind).get("precision", "fp32"))


def _backends_of_files(device: str) -> tuple[str, ...]:
    if _kind(device) not in _OF_FILES:
        raise DepthcueError(f"an exported graph is not run on {device} here", "Choose --device cpu or cuda.")
    return _OF_FILES[_kind(device)]


def _tuned(device: str) -> Iterator[tuple[str, str]]:
    kind = _kind(device)
    yield from (("torch", precision) for precision in _TORCH[kind])
    yield from _OTHERS[kind]


def _kind(device: str) -> str:
    return device.partition(":")[0]
