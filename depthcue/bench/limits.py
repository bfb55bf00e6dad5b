"""Limits of the hardware, the work of a net, and its peak memory: what speeds are set against.

The limits are measured beside the nets: matrix products and copies. A net's share of the matrix-product rate says how
much of its time is arithmetic that could not be done faster here. The product is torch's own, large enough that memory
does not hold it back; fast convolution algorithms (Winograd) need fewer products than are counted, so that a share can
exceed one.

The work of a net for a frame is its floating-point operations, a multiplication and an addition counting as two, and
the numbers that its products read and write. The times that both would take at the measured rates show which of them
is the limit.
"""

import ctypes
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from depthcue.backends.torch_backend import DTYPES, prepared
from depthcue.nets import DepthNet, MaskNet

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""Bytes of a number in each precision."""
_SIDE = {"cpu": 1536, "cuda": 8192}
_COPY_BYTES = {"cpu": 2**27, "cuda": 2**29}
"""More than any cache holds."""
_REPEATS = 5
_MIB = 2.0**20
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""Text that makes the kernel (Linux 4.0, proc(5)) begin the peak of the resident set anew."""


def measure_limits(device: str, precisions: Sequence[str]) -> dict[str, Any]:
    """Matrix products in each precision (TFLOP/s), and copies (GB/s), on `device`.

    The products of a precision that the device lacks are left out. `memory_gb_s` counts each byte twice, read and
    written; `to_device_gb_s` and `from_device_gb_s`, from and to pinned memory, are there on a GPU alone.
    """
    torch_device = torch.device(device)
    kind = "cuda" if torch_device.type == "cuda" else "cpu"
    product = {precision: _matmul_tflops(torch_device, DTYPES[precision], _SIDE[kind])
               for precision in precisions if precision in DTYPES}
    return {"device": device, "matrix_side": _SIDE[kind],
            "matmul_tflops": {precision: rate for precision, rate in product.items() if rate is not None},
            **_copies(torch_device, _COPY_BYTES[kind])}


def highest(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The higher of each rate from two measurements on one device: a limit is the best rate that was ever measured."""
    rates = {name: max(rate, other[name]) for name, rate in one.items() if name.endswith("_gb_s")}
    product = {precision: max(rate, other["matmul_tflops"].get(precision, 0.0))
               for precision, rate in one["matmul_tflops"].items()}
    return {**one, "matmul_tflops": product, **rates}


def _matmul_tflops(device: torch.device, dtype: torch.dtype, side: int) -> float | None:
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2)]
    with torch.inference_mode(), _as_convolutions(device):
        try:
            seconds = _seconds(lambda: torch.mm(*factors), device)
        except RuntimeError:
            return None
    return short(2.0 * side**3 / seconds / 1e12)


@contextmanager
def _as_convolutions(device: torch.device) -> Iterator[None]:
    """Let float32 products take TF32 on a GPU, as torch's convolutions do there by default.

    Engines and ONNX Runtime do not use TF32: their share in float32 is of a rate that they cannot reach.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _copies(device: torch.device, count: int) -> dict[str, float]:
    here, there = (torch.zeros(count, dtype=torch.uint8, device=device) for _ in range(2))
    rates = {"memory_gb_s": short(2 * count / _seconds(lambda: there.copy_(here), device) / 1e9)}
    if device.type == "cuda":
        pinned = torch.zeros(count, dtype=torch.uint8, pin_memory=True)
        rates["to_device_gb_s"] = short(count / _seconds(lambda: there.copy_(pinned), device) / 1e9)
        rates["from_device_gb_s"] = short(count / _seconds(lambda: pinned.copy_(there), device) / 1e9)
    return rates


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest time of `work`, after one call that does not count."""
    taken = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def short(value: float) -> float:
    """A measured value in the four digits that documents hold."""
    return float(f"{value:.4g}")


class Work(NamedTuple):
    """Work of a net for one frame; None where it cannot be counted."""

    flops: int | None = None
    """Operations of convolutions and matrix products."""
    values: int | None = None
    """Numbers that they read (maps and weights) and write: what has to pass through memory where all else is merged
    with them and no cache holds a map until it is read again."""


def work_per_frame(net: MaskNet | DepthNet, size: tuple[int, int], *, rewrite: bool) -> Work:
    """Count the work of a net for one frame, as given or rewritten.

    Counted on shapes alone, without computing; in inference mode convolutions would not be seen as such. What is done
    to single numbers (normalisation, activations, resizing) is left out, as it is everywhere else where FLOPs are
    stated.

    Args:
        size: (height, width) of the frame.
    """
    dial = torch.full((1,), net.dial_value(), device="meta") if isinstance(net, MaskNet) else None
    frames = torch.zeros(1, *size, 3, dtype=torch.uint8, device="meta")
    try:
        module = prepared(net, as_given=not rewrite).to("meta")
        with FlopCounterMode(display=False) as counter, _Traffic() as traffic, torch.no_grad():
            module(frames, dial)
    except Exception:  # a foreign net may leave torch or read values, which raises anything on shapes alone
        return Work()
    return Work(int(counter.get_total_flops()) or None, traffic.values or None)


class _Traffic(TorchDispatchMode):
    """Counts the numbers that convolutions and matrix products read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.values += sum(leaf.numel() for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor))
        return out


def peak_memory_mib(work: Callable[[], object], device: str,
                    by_torch: bool = True) -> tuple[float | None, float | None]:
    """Run `work` and return the peak of its memory in MiB, beyond what was held before: on the host, and on the GPU.

    On the host it is resident memory, None elsewhere than on Linux; None on the GPU where there is none.

    Args:
        by_torch: on a GPU, count torch's tensors at their peak. Of other libraries the memory that the device has less
            of at the end is counted, which is the peak of those that keep what they took.
    """
    _let_go()
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        free_before = torch.cuda.mem_get_info(device)[0]
        tensors_before = torch.cuda.memory_allocated(device)
    before = _resident_kib("VmRSS") if _reset_peak() else None
    work()
    peak = _resident_kib("VmHWM") if before is not None else None
    host = (peak - before) / 1024 if peak is not None and before is not None else None
    if not on_gpu:
        return host, None
    if by_torch:
        return host, (torch.cuda.max_memory_allocated(device) - tensors_before) / _MIB
    return host, (free_before - torch.cuda.mem_get_info(device)[0]) / _MIB


def _let_go() -> None:
    """Return free memory to the system, so that the next work does not reuse it uncounted."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)


def _reset_peak() -> bool:
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _resident_kib(field: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)
