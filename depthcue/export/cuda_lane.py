"""A CUDA stream and the memory that work on it goes through; all memory on the GPU is torch's, and counted by it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class CudaLane:
    """Work queued on it, while it is active, runs in order and beside that of other lanes. One thread at a time."""

    def __init__(self, device: str) -> None:
        self._stream = torch.cuda.Stream(torch.device(device))

    @property
    def handle(self) -> int:
        """The stream as other libraries take it, a `cudaStream_t`."""
        return int(self._stream.cuda_stream)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the stream, and the GPU it is on, the calling thread's: for all that follows."""
        with torch.cuda.stream(self._stream):
            yield

    def host(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the CPU that the GPU copies from and to on its own while others work."""
        return torch.empty(tuple(shape), dtype=dtype, pin_memory=True)

    def device(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of the GPU; in the active lane.

        Raises:
            torch.OutOfMemoryError: there is too little left.
        """
        return torch.empty(tuple(shape), dtype=dtype, device=self._stream.device)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` queues, without running it, as a CUDA graph; what comes back runs it again, in one call.

        Raises:
            RuntimeError: `work` does what cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        # other lanes go on meanwhile, and may allocate
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            work()
        finally:
            graph.capture_end()
        return graph.replay

    def wait(self) -> None:
        """Until all that was queued has run."""
        self._stream.synchronize()
