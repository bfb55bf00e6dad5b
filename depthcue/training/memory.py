"""Memory that training on a CPU frees and asks for again, kept by the process instead of given back.

A step frees and allocates the same large tensors as the one before. glibc maps each afresh and gives it back, so the
kernel zeroes every page of them in every step: about a quarter of the time of a step of the paper's nets. Told to keep
what was freed, a process uses no more memory at its peak.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# of glibc's malloc.h, with what they are unless told otherwise
_M_TRIM_THRESHOLD, _TRIM_THRESHOLD = -1, 128 * 1024
_M_MMAP_MAX, _MMAP_MAX = -4, 65536
_NEVER = 2**31 - 1


@contextmanager
def keeping_freed_memory(device: str) -> Iterator[None]:
    """Context in which freed memory stays with the process; without effect on a GPU or another C library than glibc."""
    mallopt = _mallopt() if device == "cpu" else None
    if mallopt is None:
        yield
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        mallopt(_M_MMAP_MAX, _MMAP_MAX)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)


def _mallopt() -> "ctypes._NamedFuncPointer | None":
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - raises where the C library is not glibc
        return library.mallopt
    except (AttributeError, OSError, TypeError):
        return None
