"""The ways of running a net that are worth trying on a device. Which of them work, the measurement finds out.

A mask net or a depth net in torch, as it was given or rewritten, with its frames on the device or not.

As given, in float32, it is what every other way of running it is compared with, in answers and in time. A runner of
`runtime` is tuned; this one does what whoever has the network and torch would write down first.

Architectures without weights, so that their speed can be measured where no checkpoint is at hand.

A net costs the same whatever it has learned, but its answers tell a wrong computation only if they depend on the
picture. Fresh weights give nearly constant answers, so the net is brought to where a trained one is: its
normalisations know the statistics of pictures, and its last convolution spreads the answers.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from depthcue.backends.session import Frames, Masks, check_dial
from depthcue.errors import DepthcueError
from depthcue.export.graph_module import DepthGraph, MaskGraph
from depthcue.nets import DepthNet, MaskNet, build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS
from depthcue.nets.exported import Kind, read_graph_card
from depthcue.nets.rewriting import rewritten
from depthcue.runtime.depth_runner import open_depth_runner
from depthcue.runtime.opening import open_runner

_LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("fp32", *_LOW)


class TorchGraph:
    """Frames in, masks or depths out; a context manager as runners are. The net given is copied."""

    def __init__(self, net: MaskNet | DepthNet, dial: float | None = None, device: str = "cpu",
                 precision: str = "fp32", *, rewrite: bool = False) -> None:
        """
        Args:
            dial: the share or λ that a mask net is set to; None for its own.
            precision: `fp32`; `bf16` or `fp16` for convolutions in it, by autocast.
            rewrite: whether to run it rewritten to less arithmetic, in channels-last order.

        Raises:
            DepthcueError: no such precision, or a share or λ that the net does not take.
        """
        if precision not in PRECISIONS:
            raise DepthcueError(f"torch runs no precision {precision!r} here", f"Choose {', '.join(PRECISIONS)}.")
        self.name = f"torch {device} {precision}" + ("" if rewrite else " as given")
        self.device = device
        self._net = net
        self._dial = check_dial(net.description, dial) if isinstance(net, MaskNet) else None
        self._low = _LOW.get(precision)
        self._rewrite = rewrite
        self._module: MaskGraph | DepthGraph | None = None

    def __enter__(self) -> Self:
        self._module = graph_of(self._net, rewrite=self._rewrite).to(self.device)
        if self._rewrite:
            self._module = self._module.to(memory_format=torch.channels_last)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._module = None

    def infer(self, frames: Frames) -> Masks:
        """Masks or depths float32 (B, h, w) of frames uint8 (B, H, W, 3)."""
        # torch takes neither mirrored nor read-only arrays
        batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)
        maps: Masks = self._run(batch).cpu().numpy()
        return maps

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        batch = torch.from_numpy(np.require(frames, requirements=("C", "W"))).to(self.device)

        def run() -> None:
            self._run(batch)
            if batch.is_cuda:
                torch.cuda.synchronize(batch.device)

        return run

    def _run(self, batch: Tensor) -> Tensor:
        if self._module is None:
            raise RuntimeError("the graph is not entered")
        low: AbstractContextManager[object] = nullcontext()
        if self._low is not None:
            low = torch.autocast(batch.device.type, self._low)
        with torch.inference_mode(), low:
            maps: Tensor = self._module(batch, *dial_tensor(self._dial, batch))
        return maps


def graph_of(net: MaskNet | DepthNet, *, rewrite: bool) -> MaskGraph | DepthGraph:
    """A copy of the net behind its preprocessing, in eval mode, as given or rewritten."""
    graph: MaskGraph | DepthGraph
    if isinstance(net, MaskNet):
        graph = MaskGraph(rewritten(net)[0] if rewrite else copy.deepcopy(net))
    else:
        graph = DepthGraph(rewritten(net)[0] if rewrite else copy.deepcopy(net))
    return graph.eval().requires_grad_(False)


def dial_tensor(dial: float | None, batch: Tensor) -> tuple[Tensor, ...]:
    """What a graph takes beside `batch` (B, H, W, 3): the share or λ of each frame, or nothing."""
    return () if dial is None else (torch.full((len(batch),), dial, device=batch.device),)


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


Spread = tuple[float, float]
"""Mean and deviation of what the last convolution gives."""
BEFORE_SIGMOID: Spread = (0.0, 2.0)
METRES: Spread = (3.0, 0.7)
LOGARITHM: Spread = (0.0, 0.5)
SPREADS = {**dict.fromkeys(("lite0", "lite1", "lite2", "compact"), LOGARITHM),
           **dict.fromkeys(("monodepth2-resnet18", "monodepth2-resnet50"), BEFORE_SIGMOID)}
"""What the last convolution of a depth net gives, by its name; of any other net metres."""


def mask_net_of(spec: str, pictures: Tensor) -> tuple[MaskNet, bool]:
    """The mask net of a spec, or an untrained one where the spec is an architecture alone; and whether it is trained.

    Args:
        pictures: RGB in [0, 1], (B, 3, H, W), of a size the net takes, B > 1.

    Raises:
        DepthcueError: as `load_mask_net`.
    """
    if spec in MASK_NETS:
        net = build_mask_net(spec)
        settle(net, pictures, BEFORE_SIGMOID)
        return net, False
    return load_mask_net(spec), True


def depth_net_of(spec: str, pictures: Tensor) -> tuple[DepthNet, bool]:
    """As `mask_net_of`, a depth net."""
    if spec in DEPTH_NETS:
        net = build_depth_net(spec)
        settle(net, pictures, SPREADS.get(spec, METRES))
        return net, False
    return load_depth_net(spec), True


def settle(net: MaskNet | DepthNet, pictures: Tensor, spread: Spread) -> None:
    """Let normalisations take the statistics of `pictures`, and the convolution that runs last spread its values."""
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    ran: list[tuple[nn.Conv2d, Tensor]] = []
    hooks = [module.register_forward_hook(lambda conv, inputs, output: ran.append((conv, output)))
             for module in net.modules() if isinstance(module, nn.Conv2d)]
    dial = (torch.full((len(pictures),), net.dial_value()),) if isinstance(net, MaskNet) else ()
    try:
        with torch.no_grad():
            for norm in norms:
                norm.momentum = None  # the mean over all batches, here of one
                norm.reset_running_stats()
            net.train()
            net(net.normalise(pictures), *dial)
            net.eval()
            net(net.normalise(pictures), *dial)
            last, values = ran[-1]
            assert last.bias is not None  # the last one of every architecture here has one
            scale = spread[1] / float(values.std())
            last.weight.mul_(scale)
            last.bias.mul_(scale).add_(spread[0] - scale * float(values.mean()))
    finally:
        for hook in hooks:
            hook.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
