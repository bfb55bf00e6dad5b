"""Exported mask nets run by ONNX Runtime, on a CPU or an NVIDIA GPU."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime

from depthcue.errors import DepthcueError
from depthcue.export import described_mask_net, read_graph_card
from depthcue.nets.graph_card import check_runs_on_cpu
from depthcue.runtime.halving import telling_out_of_memory
from depthcue.runtime.onnx_cuda import PROVIDER, REMEDY, OnGpu, preload_libraries
from depthcue.runtime.runner import Frames, Masks, check_frames, check_lambda

CPU_PROVIDER = "CPUExecutionProvider"

log = logging.getLogger(__name__)


class OnnxRunner:
    """Runs an exported graph that has its card beside it."""

    def __init__(self, graph: str | Path, lam: float | None = None, device: str = "cpu",
                 threads: int | None = None, cpu_fallback: bool = False) -> None:
        """
        Args:
            lam: λ; None takes the net's own.
            device: `cpu`, `cuda` or `cuda:N`.
            threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).
            cpu_fallback: where CUDA does not load, go on with the CPU and say so; else that is an error.

        Raises:
            DepthcueError: no graph, no card or a foreign one, λ outside the range, a device that ONNX Runtime has not,
                a precision that it cannot run there.
        """
        card = read_graph_card(graph, "mask")
        self.graph = Path(graph)
        self.identity = card["net_identity"]
        self.description = described_mask_net(card)
        self.lam = check_lambda(self.description, lam)
        if device.partition(":")[0] not in ("cpu", "cuda"):
            raise DepthcueError(f"ONNX Runtime does not run on {device!r} here", "Choose --device cpu or cuda.")
        if device == "cpu":
            check_runs_on_cpu(card, graph)
        self.device = device
        self._threads = threads
        self._cpu_fallback = cpu_fallback
        self._on_gpu: OnGpu | None = None
        self._takes_lambda = any(each["name"] == "lambda" for each in card["inputs"])
        self._session: Any = None
        self._precision = "" if card.get("precision", "fp32") == "fp32" else f" {card['precision']}"
        self.name = f"onnx {device}{self._precision}"

    def __enter__(self) -> Self:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        # threads that spin while they wait take the cores from decoding and encoding beside us
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = self._open(options, self.device)
        if self._session is None:
            complaint = preload_libraries() or "its libraries or its GPU are not here"
            if not self._cpu_fallback:
                raise DepthcueError(f"ONNX Runtime cannot use CUDA: {complaint}",
                                    f"{REMEDY}; see depthcue doctor. --cpu-fallback goes on with the CPU.")
            log.warning("ONNX Runtime cannot use CUDA (%s); going on with the CPU", complaint)
            self.device, self.name = "cpu", f"onnx cpu{self._precision}"
            self._session = self._open(options, self.device)
        if self.device != "cpu":
            self._on_gpu = OnGpu(self._session, self.device, self._takes_lambda)
        return self

    def _open(self, options: Any, device: str) -> Any:
        """A session on the device; None where ONNX Runtime has no CUDA that loads."""
        providers: list[tuple[str, dict[str, Any]]] = [(CPU_PROVIDER, {})]
        if device != "cpu":
            if PROVIDER not in onnxruntime.get_available_providers():
                return None
            preload_libraries()
            # with TF32, what the graph calls float32 would be multiplied with ten bits of mantissa
            providers.insert(0, (PROVIDER, {"device_id": int(device.partition(":")[2] or 0), "use_tf32": 0}))
        # a provider that does not load says so on stderr, in red and at length; we say it in a line
        onnxruntime.set_default_logger_severity(4)
        try:
            # without its fallback, which would print to stdout and go on with the CPU
            session = onnxruntime.InferenceSession(self.graph, options, providers=providers, enable_fallback=0)
        except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
            raise DepthcueError(f"ONNX Runtime cannot load {self.graph}: {error}",
                                "Export it again, or see depthcue doctor.") from error
        finally:
            onnxruntime.set_default_logger_severity(2)
        # it goes on with the CPU without a word where a GPU's libraries do not load
        return session if providers[0][0] in session.get_providers() else None

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
                return self._on_gpu.run(frames, self.lam)
            feeds: dict[str, Any] = {"frames": np.ascontiguousarray(frames)}
            if self._takes_lambda:
                feeds["lambda"] = np.full(len(frames), self.lam, np.float32)
            masks: Masks = self._session.run(None, feeds)[0]
            return masks

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames` on the device; what is returned runs the net on them there, and returns when it is done."""
        check_frames(frames, self.description.multiple)
        if self._on_gpu is not None:
            return self._on_gpu.staged(frames, self.lam)

        def run() -> None:
            self.infer(frames)

        return run
