"""From a weights spec and a backend's name to a runner."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Literal

import numpy as np
import torch

from depthcue.device import resolve_device
from depthcue.errors import DepthcueError
from depthcue.nets import MaskNet, load_mask_net
from depthcue.runtime.graph_cache import cached_graph, has_graph
from depthcue.runtime.onnx_runner import OnnxRunner
from depthcue.runtime.runner import Runner
from depthcue.runtime.torch_runner import TorchRunner

Backend = Literal["auto", "torch", "onnx"]
BACKENDS = ("auto", "torch", "onnx")
PRECISIONS = ("auto", "fp32", "bf16")
WORTH_A_TRIAL = 50
"""Frames from which `auto` takes the second that a trial lasts."""
WORTH_EXPORTING = 500
"""Frames from which `auto` takes the seconds to export a net that is not in the cache yet."""

_TRIAL_ROUNDS = 5
_FASTER = 0.95
"""Share of the other's time a backend must need to be called faster: less is noise."""

log = logging.getLogger(__name__)


def open_runner(weights: str, *, backend: str = "auto", device: str = "auto", precision: str = "fp32",
                lam: float | None = None, batch_size: int = 2, size: tuple[int, int] | None = None,
                frames: int = WORTH_EXPORTING, threads: int | None = None) -> Runner:
    """A runner, not entered yet, for a mask net spec or an exported .onnx file.

    Args:
        backend: `auto` takes torch on a GPU, and on a CPU the one that a short trial finds faster.
        precision: `auto` takes bf16 where the device computes in it and a short trial finds it faster.
        batch_size, size: (height, width) of the frames to come, for the trials; by default the net's working size.
        frames: about how many are to come.
        threads: CPU threads of one call of an ONNX runner; those of torch are set for the process, by `torch_threads`.

    Raises:
        DepthcueError: a wrong spec, backend, device or precision; λ out of range.
    """
    if backend not in BACKENDS:
        raise DepthcueError(f"there is no backend {backend!r}", f"Choose {', '.join(BACKENDS)}.")
    if precision not in PRECISIONS:
        raise DepthcueError(f"there is no precision {precision!r}", f"Choose {', '.join(PRECISIONS)}.")
    device = resolve_device(device)
    if weights.endswith(".onnx"):
        if backend == "torch":
            raise DepthcueError(f"{weights} is an exported graph; torch cannot run it",
                                "Use --backend onnx, or give the .safetensors it was exported from.")
        _refuse_bf16(precision)
        return OnnxRunner(weights, lam, device, threads)
    net = load_mask_net(weights)
    if backend == "onnx":
        _refuse_bf16(precision)
        net.check_lambda(lam)  # before seconds go into an export
        return OnnxRunner(cached_graph(net), lam, device, threads)
    if frames < WORTH_A_TRIAL and precision != "auto" and backend != "torch":
        log.info("backend torch: for %d frames a trial would not pay", frames)
        return TorchRunner(net, lam, device, precision)
    shape = (batch_size, *(size or (net.description.height, net.description.width)), 3)
    trial = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if precision == "auto":
        precision = _faster_precision(net, lam, device, trial)
    in_torch = TorchRunner(net, lam, device, precision)
    if backend == "torch" or device != "cpu" or precision != "fp32":
        return in_torch
    if not has_graph(net) and frames < WORTH_EXPORTING:
        log.info("backend torch: for %d frames an export would not pay", frames)
        return in_torch
    return _faster(in_torch, OnnxRunner(cached_graph(net), lam, device, threads), trial)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Let every operation of torch use `count` CPU threads (None: as many as before) inside the context."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse_bf16(precision: str) -> None:
    if precision == "bf16":
        raise DepthcueError("exported graphs compute in fp32; bf16 was asked for",
                            "Use --backend torch --precision bf16, or leave --precision out.")


def _faster_precision(net: MaskNet, lam: float | None, device: str, trial: np.ndarray) -> str:
    if device.startswith("cuda") and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "fp32"
    chosen = _faster(TorchRunner(net, lam, device, "fp32"), TorchRunner(net, lam, device, "bf16"), trial)
    assert isinstance(chosen, TorchRunner)
    return chosen.precision


def _faster(usual: Runner, other: Runner, trial: np.ndarray) -> Runner:
    usual_s, other_s = _times(usual, other, trial)
    chosen = other if other_s < _FASTER * usual_s else usual
    log.info("%s: %.1f ms a frame, %s: %.1f ms a frame; taking %s", usual.name, 1e3 * usual_s / len(trial), other.name,
             1e3 * other_s / len(trial), chosen.name)
    return chosen


def _times(one: Runner, other: Runner, trial: np.ndarray) -> tuple[float, float]:
    """Median seconds a batch takes each, in turns, so that a disturbance hits both."""
    taken: tuple[list[float], list[float]] = ([], [])
    with one, other:
        for round_number in range(_TRIAL_ROUNDS + 1):
            for runner, times in zip((one, other), taken, strict=True):
                start = time.perf_counter()
                runner.infer(trial)
                if round_number:  # the first call allocates and chooses algorithms
                    times.append(time.perf_counter() - start)
    return median(taken[0]), median(taken[1])
