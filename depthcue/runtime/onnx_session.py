"""Exported graphs opened in ONNX Runtime, on a CPU or an NVIDIA GPU, with the settings that all who run them share."""

from pathlib import Path
from typing import Any

import onnxruntime

from depthcue.errors import DepthcueError
from depthcue.runtime.onnx_cuda import PROVIDER, REMEDY, preload_libraries

CPU_PROVIDER = "CPUExecutionProvider"


def open_session(graph: Path, device: str, threads: int | None) -> Any:
    """A session on the device; None where ONNX Runtime has no CUDA that loads.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        threads: CPU threads of one operation; None leaves it to ONNX Runtime (one a core).

    Raises:
        DepthcueError: the graph does not load.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    # threads that spin while they wait take the cores from decoding and encoding beside us
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
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
        session = onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # ONNX Runtime raises classes of its own that share no base but this
        raise DepthcueError(f"ONNX Runtime cannot load {graph}: {error}",
                            "Export it again, or see depthcue doctor.") from error
    finally:
        onnxruntime.set_default_logger_severity(2)
    # it goes on with the CPU without a word where a GPU's libraries do not load
    return session if providers[0][0] in session.get_providers() else None


def without_cuda(also: str = "") -> DepthcueError:
    """What to raise where `open_session` gave None; `also` is added to what can be done."""
    return DepthcueError(f"ONNX Runtime cannot use CUDA: {why_no_cuda()}", f"{REMEDY}; see depthcue doctor.{also}")


def why_no_cuda() -> str:
    """In a few words."""
    return preload_libraries() or "its libraries or its GPU are not here"
