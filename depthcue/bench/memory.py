"""Peak memory of a piece of work: what it adds to this process, and what it takes on a GPU."""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import torch

_MIB = 2.0**20
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""What the kernel (Linux 4.0, proc(5)) takes to begin the peak of the resident set anew."""


def peak_memory_mib(work: Callable[[], object], device: str,
                    by_torch: bool = True) -> tuple[float | None, float | None]:
    """Run `work` and tell the peak of its memory in MiB: on the host beyond what was there before, and on the GPU.

    On the host it is resident memory, None where the system does not tell (elsewhere than on Linux); None on the GPU
    where there is none.

    Args:
        by_torch: on a GPU, count torch's tensors at their most. Other libraries do not say what they need: of them it
            is what the device has less of at the end, which is the peak of those that keep what they took.
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
    """Return to the system what is free, so that the next work cannot hide in it."""
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
