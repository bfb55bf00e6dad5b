"""Memory freed in training stays with the process, and only there."""

import resource
import sys

import pytest
import torch

from depthcue.training.memory import keeping_freed_memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is of Linux")


def faults_of_rounds(count: int) -> int:
    """Pages the kernel had to hand out while a tensor of 64 MiB was made and dropped so many times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(16, 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_memory_is_used_again_without_the_kernel() -> None:
    pages = 64 * 2**20 // resource.getpagesize()
    given_back = faults_of_rounds(5)
    if given_back < pages:
        pytest.skip("this kernel or C library does not hand out pages one by one")
    with keeping_freed_memory("cpu"):
        faults_of_rounds(3)
        kept = faults_of_rounds(5)
    assert kept < pages // 10
    with keeping_freed_memory("cuda"):
        assert faults_of_rounds(5) > given_back // 2
    faults_of_rounds(1)
    assert faults_of_rounds(5) > given_back // 2


def test_elsewhere_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherLibrary:
        def __init__(self, name: None) -> None:
            pass

    monkeypatch.setattr("ctypes.CDLL", OtherLibrary)
    with keeping_freed_memory("cpu"):
        pass
