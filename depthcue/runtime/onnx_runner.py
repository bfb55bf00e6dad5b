"""Exported mask nets run by ONNX Runtime, on a CPU or an NVIDIA GPU."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime

from depthcue.errors import DepthcueError
from depthcue.export import described_mask_net, read_graph_card
from depthcue.runtime.runner import Frames, Masks, check_frames, check_lambda


class OnnxRunner:
    """Runs an exported graph that has its card beside it."""

    def __init__(self, graph: str | Path, lam: float | None = None, device: str = "cpu",
                 threads: int | None = None) -> None:
        """
        Args:
            lam: λ; None takes the net's own.
            device: `cpu`, `cuda` or `cuda:N`.
            threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).

        Raises:
            DepthcueError: no graph, no card or a foreign one, λ outside the range, a device that ONNX Runtime has not.
        """
        card = read_graph_card(graph, "mask")
        self.graph = Path(graph)
        self.identity = card["net_identity"]
        self.description = described_mask_net(card)
        self.lam = check_lambda(self.description, lam)
        if device.partition(":")[0] not in ("cpu", "cuda"):
            raise DepthcueError(f"ONNX Runtime does not run on {device!r} here", "Choose --device cpu or cuda.")
        self.device = device
        self._threads = threads
        self._takes_lambda = any(each["name"] == "lambda" for each in card["inputs"])
        self._session: Any = None
        self.name = f"onnx {device}"

    def __enter__(self) -> Self:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        # threads that spin while they wait take the cores from decoding and encoding beside us
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = _providers(self.device)
        try:
            # without its fallback, which would print to stdout and go on with the CPU
            session = onnxruntime.InferenceSession(self.graph, options, providers=providers, enable_fallback=0)
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot load {self.graph}: {error}",
                                "Export it again, or see depthcue doctor.") from error
        wanted = providers[0][0]
        # it falls back to the CPU without a word where a GPU's libraries do not load
        if wanted not in session.get_providers():
            raise DepthcueError(f"ONNX Runtime has {wanted} but cannot load it here",
                                "Use --device cpu or --backend torch; depthcue doctor says what is missing.")
        self._session = session
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._session = None

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`."""
        if self._session is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        feeds: dict[str, Any] = {"frames": np.ascontiguousarray(frames)}
        if self._takes_lambda:
            feeds["lambda"] = np.full(len(frames), self.lam, np.float32)
        masks: Masks = self._session.run(None, feeds)[0]
        return masks


def _providers(device: str) -> list[tuple[str, dict[str, Any]]]:
    kind, _, number = device.partition(":")
    on_cpu: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})
    if kind == "cpu":
        return [on_cpu]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise DepthcueError("this ONNX Runtime is built without CUDA",
                            "Use --device cpu or --backend torch, or install onnxruntime-gpu.")
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA libraries that came with torch
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), on_cpu]
