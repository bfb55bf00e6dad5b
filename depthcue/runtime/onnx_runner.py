"""Exported mask nets run by ONNX Runtime, on a CPU or an NVIDIA GPU."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from depthcue.errors import DepthcueError
from depthcue.export import described_mask_net, read_graph_card
from depthcue.nets.graph_card import check_runs_on_cpu, dial_input
from depthcue.runtime.halving import telling_out_of_memory
from depthcue.runtime.onnx_cuda import OnGpu
from depthcue.runtime.onnx_session import open_session, why_no_cuda, without_cuda
from depthcue.runtime.runner import Frames, Masks, check_dial, check_frames

log = logging.getLogger(__name__)


class OnnxRunner:
    """Runs an exported graph that has its card beside it."""

    def __init__(self, graph: str | Path, dial: float | None = None, device: str = "cpu",
                 threads: int | None = None, cpu_fallback: bool = False) -> None:
        """
        Args:
            dial: the share to keep or λ, whichever the net takes; None for its own default.
            device: `cpu`, `cuda` or `cuda:N`.
            threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).
            cpu_fallback: where CUDA does not load, go on with the CPU and say so; else that is an error.

        Raises:
            DepthcueError: no graph, no card or a foreign one, a share or λ that the net does not take, a device that
                ONNX Runtime has not, a precision that it cannot run there.
        """
        card = read_graph_card(graph, "mask")
        self.graph = Path(graph)
        self.identity = card["net_identity"]
        self.description = described_mask_net(card)
        self.dial = check_dial(self.description, dial)
        if device.partition(":")[0] not in ("cpu", "cuda"):
            raise DepthcueError(f"ONNX Runtime does not run on {device!r} here", "Choose --device cpu or cuda.")
        if device == "cpu":
            check_runs_on_cpu(card, graph)
        self.device = device
        self._threads = threads
        self._cpu_fallback = cpu_fallback
        self._on_gpu: OnGpu | None = None
        self._dial_input = dial_input(card)
        self._session: Any = None
        self._precision = "" if card.get("precision", "fp32") == "fp32" else f" {card['precision']}"
        self.name = f"onnx {device}{self._precision}"

    def __enter__(self) -> Self:
        self._session = open_session(self.graph, self.device, self._threads)
        if self._session is None:
            if not self._cpu_fallback:
                raise without_cuda(" --cpu-fallback goes on with the CPU.")
            log.warning("ONNX Runtime cannot use CUDA (%s); going on with the CPU", why_no_cuda())
            self.device, self.name = "cpu", f"onnx cpu{self._precision}"
            self._session = open_session(self.graph, self.device, self._threads)
        if self.device != "cpu":
            self._on_gpu = OnGpu(self._session, self.device, self._dial_input)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        # what is bound to the session before the session
        self._on_gpu = self._session = None

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`."""
        if self._session is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        with telling_out_of_memory():
            if self._on_gpu is not None:
                return self._on_gpu.run(frames, self.dial)
            feeds: dict[str, Any] = {"frames": np.ascontiguousarray(frames)}
            if self._dial_input is not None:
                feeds[self._dial_input] = np.full(len(frames), self.dial, np.float32)
            masks: Masks = self._session.run(None, feeds)[0]
            return masks

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        check_frames(frames, self.description.multiple)
        if self._on_gpu is not None:
            return self._on_gpu.staged(frames, self.dial)

        def run() -> None:
            self.infer(frames)

        return run
