"""What the hardware can do at most, measured where and when the nets are: matrix products and copies.

A net's share of the matrix-product rate says how much of its time is arithmetic that could not be done faster here.
The product is torch's own, large enough that memory does not hold it back; fast convolution algorithms (Winograd) do
with fewer products than are counted, so that a share can exceed one.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SIDE = {"cpu": 1536, "cuda": 8192}
_COPY_BYTES = {"cpu": 2**27, "cuda": 2**29}
"""More than any cache holds."""
_REPEATS = 5


def measure_limits(device: str, precisions: Sequence[str]) -> dict[str, Any]:
    """Matrix products in each precision (TFLOP/s), and copies (GB/s), on `device`.

    The products of a precision that the device lacks are left out. `memory_gb_s` counts each byte twice, read and
    written; `to_device_gb_s` and `from_device_gb_s`, from and to pinned memory, are there on a GPU alone.
    """
    place = torch.device(device)
    kind = "cuda" if place.type == "cuda" else "cpu"
    product = {precision: _matmul_tflops(place, _TYPES[precision], _SIDE[kind])
               for precision in precisions if precision in _TYPES}
    return {"device": device, "matrix_side": _SIDE[kind],
            "matmul_tflops": {precision: rate for precision, rate in product.items() if rate is not None},
            **_copies(place, _COPY_BYTES[kind])}


def highest(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The higher rate of two measurements on the same device, each: a limit is what was ever reached."""
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
    return _short(2.0 * side**3 / seconds / 1e12)


@contextmanager
def _as_convolutions(device: torch.device) -> Iterator[None]:
    """Let float32 products take TF32 on a GPU, as torch's convolutions do there unless told otherwise.

    Engines and ONNX Runtime are told otherwise: their share in float32 is one of a rate that they do not ask for.
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
    rates = {"memory_gb_s": _short(2 * count / _seconds(lambda: there.copy_(here), device) / 1e9)}
    if device.type == "cuda":
        pinned = torch.zeros(count, dtype=torch.uint8, pin_memory=True)
        rates["to_device_gb_s"] = _short(count / _seconds(lambda: there.copy_(pinned), device) / 1e9)
        rates["from_device_gb_s"] = _short(count / _seconds(lambda: pinned.copy_(there), device) / 1e9)
    return rates


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest time of `work`, after one call that does not count: what is wanted is what can be done at most."""
    taken = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _short(value: float) -> float:
    return float(f"{value:.4g}")
