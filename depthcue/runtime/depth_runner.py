"""Exported depth nets run as mask nets are: frames in, depths out."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime

from depthcue.errors import DepthcueError
from depthcue.export import described_depth_net, read_graph_card
from depthcue.nets import DepthNet
from depthcue.runtime.depth_through_mask import Depths
from depthcue.runtime.graph_cache import cached_graph
from depthcue.runtime.onnx_runner import check_runs
from depthcue.runtime.runner import Frames, check_frames


class OnnxDepthRunner:
    """Runs an exported depth net that has its card beside it, in ONNX Runtime on a CPU."""

    def __init__(self, graph: str | Path, threads: int | None = None) -> None:
        """
        Args:
            threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).

        Raises:
            DepthcueError: no graph, no card or that of a mask net, a precision that ONNX Runtime cannot run on a CPU.
        """
        card = read_graph_card(graph, "depth")
        check_runs(card, graph, "cpu")
        self.description = described_depth_net(card)
        self.name = "onnx cpu"
        self._graph = Path(graph)
        self._threads = threads
        self._session: Any = None

    def __enter__(self) -> Self:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(self._graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot load {self._graph}: {error}",
                                "Export it again, or see depthcue doctor.") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._session = None

    def infer(self, frames: Frames) -> Depths:
        """The depths of `frames` uint8 (B, H, W, 3): float32 (B, h, w), metres; of a relative net as it predicts them.

        Raises:
            ValueError: another type or shape, or sides that are no multiples of the description's.
            RuntimeError: outside the context.
        """
        if self._session is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        depths: Depths = self._session.run(None, {"frames": np.ascontiguousarray(frames)})[0]
        return depths


def open_depth_runner(net: DepthNet, *, backend: str, device: str, precision: str = "fp32",
                      threads: int | None = None) -> OnnxDepthRunner:
    """A runner, not entered yet, for a depth net, which is exported first where that was not done before.

    Raises:
        DepthcueError: a backend, device or precision that depth nets are not run by here; an export that fails.
    """
    if (backend, device, precision) != ("onnx", "cpu", "fp32"):
        raise DepthcueError(f"depth nets are not run by {backend} in {precision} on {device} here",
                            "Exported, they run in ONNX Runtime on a CPU.")
    return OnnxDepthRunner(cached_graph(net), threads)
