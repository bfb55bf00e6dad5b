"""Backends and precisions that are worth trying for a net on a device; the measurement finds out which of them work.

Every candidate is compared, in answers and in time, with the net in torch as it was given, eager and in float32: what a
user who has the network and torch would run first.

An architecture can be measured without weights, where no checkpoint is at hand. A net costs the same whatever it has
learned, but its answers show a wrong computation only if they depend on the picture. Fresh weights give nearly constant
answers, so `set_output_spread` brings the net to where a trained one is: its normalisations have the statistics of
pictures, and its last convolution spreads the answers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from depthcue.backends.session import Session
from depthcue.backends.torch_backend import TorchSession
from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet, build_depth_net, build_mask_net, load_depth_net, load_mask_net
from depthcue.nets.catalog import DEPTH_NETS, MASK_NETS
from depthcue.nets.exported import read_graph_card
from depthcue.runtime.opening import open_session

AS_GIVEN = "torch as given"
REFERENCE = f"{AS_GIVEN} fp32"
"""Base of all ratios; for an exported file it is ONNX Runtime."""

_TORCH = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "bf16", "fp16"), "mps": ("fp32",)}
_OTHERS = {
    "cpu": (("onnx", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")),
    "cuda": (("onnx", "fp32"), ("onnx", "fp16"), ("tensorrt", "fp32"), ("tensorrt", "fp16")),
    "mps": (),
}
"""Backends beside torch and the precisions that may make them faster, for each kind of device. int8 is left out: it
costs accuracy, so that speed alone is no reason to choose it."""
_OF_FILES = {"cpu": ("onnx", "openvino"), "cuda": ("onnx", "tensorrt")}
"""Backends that run an exported graph, in the precision it was exported in."""
Spread = tuple[float, float]
"""Mean and deviation of what the last convolution gives."""
BEFORE_SIGMOID: Spread = (0.0, 2.0)
METRES: Spread = (3.0, 0.7)
LOGARITHM: Spread = (0.0, 0.5)
SPREADS = {**dict.fromkeys(("lite0", "lite1", "lite2", "compact"), LOGARITHM),
           **dict.fromkeys(("monodepth2-resnet18", "monodepth2-resnet50"), BEFORE_SIGMOID)}
"""Spread of the last convolution of a depth net by its name; metres for any other net."""


@dataclass(frozen=True)
class Candidate:
    """One way of running a net."""

    name: str
    backend: str
    device: str
    precision: str
    rewritten: bool
    """Whether it runs the net rewritten to less arithmetic, as it is exported."""
    open: Callable[[], Session]
    """
    Raises:
        DepthcueError: it cannot work here.
    """
    in_jobs: bool = False
    """Whether `depthcue mask` can use it, by --backend and --precision."""


def mask_candidates(net: MaskNet, spec: str, lam: float | None, device: str, threads: int, batch_size: int = 32,
                    size: tuple[int, int] | None = None, keep: float | None = None) -> list[Candidate]:
    """Ways of running a mask net, the reference first.

    Args:
        net: what `spec` names, on the CPU; of an exported graph, for running that very file.
        device: cpu, cuda, cuda:N or mps.
        lam, keep: λ, or the share to keep; None for the net's own.
        threads: CPU threads of one call.
        batch_size, size: the largest batch, and (height, width) of the frames, None for the net's own: what engines
            are built for.

    Raises:
        DepthcueError: a graph, and a device that runs none.
    """
    opener = partial(open_session, spec, device=device, keep=keep, lam=lam, threads=threads, batch_size=batch_size,
                     size=size)
    return _candidates(net, net.dial_value(keep, lam), device, opener, in_jobs=True)


def depth_candidates(net: DepthNet, device: str, threads: int, batch_size: int = 32,
                     size: tuple[int, int] | None = None) -> list[Candidate]:
    """Ways of running a depth net, the reference first; arguments and errors as `mask_candidates`."""
    opener = partial(open_session, net if net.graph_file is None else str(net.graph_file), "depth", device=device,
                     threads=threads, batch_size=batch_size, size=size)
    return _candidates(net, None, device, opener, in_jobs=False)


def _candidates(net: MaskNet | DepthNet, dial: float | None, device: str, opener: Callable[..., Session],
                in_jobs: bool) -> list[Candidate]:
    kind = device.partition(":")[0]
    if net.graph_file is not None:
        if kind not in _OF_FILES:
            raise DepthcueError(f"an exported graph is not run on {device} here", "Choose --device cpu or cuda.")
        card = read_graph_card(net.graph_file, "mask" if isinstance(net, MaskNet) else "depth")
        variants = [(backend, str(card.get("precision", "fp32"))) for backend in _OF_FILES[kind]]
        as_given = []
    else:
        variants = [*(("torch", precision) for precision in _TORCH[kind]), *_OTHERS[kind]]
        as_given = [Candidate(f"{AS_GIVEN} {precision}", "torch", device, precision, False,
                              partial(TorchSession, net, dial, device, precision, as_given=True))
                    for precision in _TORCH[kind]]
    return [*as_given, *(Candidate(f"{backend} {precision}", backend, device, precision, True,
                                   partial(opener, backend=backend, precision=precision), in_jobs)
                         for backend, precision in variants)]


def mask_net_of(spec: str, pictures: Tensor) -> tuple[MaskNet, bool]:
    """The mask net of a spec, or an untrained one where the spec is an architecture alone; and whether it is trained.

    Args:
        pictures: RGB in [0, 1], (B, 3, H, W), of a size the net takes, B > 1.

    Raises:
        DepthcueError: as `load_mask_net`.
    """
    if spec in MASK_NETS:
        net = build_mask_net(spec)
        set_output_spread(net, pictures, BEFORE_SIGMOID)
        return net, False
    return load_mask_net(spec), True


def depth_net_of(spec: str, pictures: Tensor) -> tuple[DepthNet, bool]:
    """As `mask_net_of`, a depth net."""
    if spec in DEPTH_NETS:
        net = build_depth_net(spec)
        set_output_spread(net, pictures, SPREADS.get(spec, METRES))
        return net, False
    return load_depth_net(spec), True


def set_output_spread(net: MaskNet | DepthNet, pictures: Tensor, spread: Spread) -> None:
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
