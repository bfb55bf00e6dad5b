"""Memory freed in training stays with the process, and only there."""

import resource
import sys
from typing import ClassVar

import pytest
import torch

from depthcue.training.engine import keeping_freed_memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")


def faults_of_rounds(count: int) -> int:
    """Pages the kernel had to hand out while a tensor of 64 MiB was made and dropped so many times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(16, 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again_without_the_kernel() -> None:
    pages = 64 * 2**20 // resource.getpagesize()
    if faults_of_rounds(5) < pages:
        pytest.skip("this kernel or C library does not hand out pages one by one")
    with keeping_freed_memory("cpu"):
        faults_of_rounds(12)  # until aligned chunks fit into what others left
        assert faults_of_rounds(5) < pages // 10


class Recorded:
    """A C library that notes what it is told."""

    calls: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, name: None) -> None:
        self.gnu_get_libc_version = None

    def mallopt(self, option: int, value: int) -> None:
        self.calls.append((option, value))


def test_the_process_gets_its_settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", Recorded)
    with pytest.raises(ZeroDivisionError), keeping_freed_memory("cpu"):
        assert Recorded.calls == [(-4, 0), (-1, 2**31 - 1)]
        raise ZeroDivisionError
    assert Recorded.calls[2:] == [(-4, 65536), (-1, 131072)]
    with keeping_freed_memory("cuda"):
        assert len(Recorded.calls) == 4


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    with keeping_freed_memory("cpu"):
        pass
