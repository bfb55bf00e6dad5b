"""Exported nets run by OpenVINO, on a CPU (extra `openvino`)."""

import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from depthcue.backends.onnx_backend import OnnxSession
from depthcue.backends.session import INT8, TOLERANCES, FileSession, Frames, Maps
from depthcue.errors import DepthcueError
from depthcue.imaging import resize_rgb
from depthcue.nets import MaskDescription
from depthcue.nets.exported import Kind, read_graph_card
from depthcue.scenes.api import rendered_pictures

_HINTS = {"fp32": "f32", "bf16": "bf16"}
"""Our precisions and what OpenVINO calls them."""
KEPT = 4
"""Shares or λ for which a session keeps its graph compiled."""


def has_openvino() -> bool:
    """Whether it is installed; it is not loaded."""
    return importlib.util.find_spec("openvino") is not None


def require_openvino(precision: str, device: str = "cpu") -> None:
    """Check that OpenVINO can run here, before any other work.

    Raises:
        DepthcueError: no OpenVINO, a precision or a device that it is not used for here.
    """
    if precision not in _HINTS:
        raise DepthcueError(f"OpenVINO runs no precision {precision!r} here", f"Choose {' or '.join(_HINTS)}.")
    if device != "cpu":
        raise DepthcueError(f"OpenVINO runs on the CPU here, not on {device!r}", "Add --device cpu.")
    if not has_openvino():
        raise DepthcueError("OpenVINO is not installed", "pip install 'depthcue[openvino]', or leave --backend out.")


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux: where a thread's signals are handled."""

    _fields_ = [("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


@contextmanager
def own_signal_stack() -> Iterator[None]:
    """Leave this thread's alternate signal stack as it was.

    OpenVINO's CPU plugin sets one in the thread that loads it, and frees that memory in whichever thread drops the last
    reference to it. Python handles signals on such a stack, so that the next Ctrl-C would end in a segmentation fault.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    library, before = ctypes.CDLL(None), _SignalStack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(before), None)


class OpenVinoSession(FileSession):
    """Runs an exported graph."""

    def __init__(self, graph: str | Path, dial: float | None = None, threads: int | None = None,
                 precision: str = "fp32", kind: Kind = "mask") -> None:
        """
        Args:
            graph: with its card beside it.
            dial: see `Session`. It is compiled into the graph; another one for a call takes the seconds to compile it.
            threads: CPU threads of one call, as many calls side by side as there are cores for; None gives all cores
                to one call.
            precision: what a graph in float32 is computed in: `fp32`, or `bf16` on a CPU that has it. A graph in
                another precision is computed as it says.
            kind: what the graph must be of.

        Raises:
            DepthcueError: no graph, no card or a foreign one, a share or λ that the net does not take, no such
                precision, no OpenVINO.
        """
        require_openvino(precision)
        card = read_graph_card(graph, kind)
        own = card.get("precision", "fp32")
        self.precision = precision if own == "fp32" else own
        super().__init__(graph, card, f"openvino cpu {self.precision}", "cpu", dial)
        self._threads = threads
        self._lock = threading.Lock()
        self._compiled: dict[float | None, tuple[Any, list[Any]]] = {}
        """For each of the last dials the graph, and inference requests that no thread uses, each with the memory of
        one call."""

    def _open(self) -> None:
        self._compile(self.dial)
        if self.precision == INT8:
            self._check_answers()

    def _close(self) -> None:
        self._compiled = {}

    @own_signal_stack()
    def _compile(self, dial: float | None) -> tuple[Any, list[Any]]:
        import openvino

        # the nodes of the graph state int8; all between them stays in float32
        hint = "bf16" if self.precision == "bf16" else "fp32"
        core = openvino.Core()
        if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DepthcueError("this CPU does not compute in bf16", "Use --precision fp32.")
        try:
            model = core.read_model(self.path)
            if self._dial_input is not None:
                _fix_dial(model, self._dial_input, dial)
            compiled = core.compile_model(model, "CPU", configuration(hint, self._threads))
        except RuntimeError as error:
            raise DepthcueError(f"OpenVINO cannot load {self.path}: {error}",
                                "Use another --backend, or see depthcue doctor.") from error
        if len(self._compiled) >= KEPT:
            del self._compiled[next(iter(self._compiled))]
        return self._compiled.setdefault(dial, (compiled, []))

    def _run(self, frames: Frames, dial: float | None) -> Maps:
        with self._lock:
            compiled, idle = self._compiled.get(dial) or self._compile(dial)
        try:
            request = idle.pop()
        except IndexError:
            request = compiled.create_infer_request()
        # the frames are not copied in; the maps are copied out, for the request's own memory is used again
        maps: Maps = request.infer([np.ascontiguousarray(frames)], share_inputs=True)[0]
        idle.append(request)
        return maps

    def _check_answers(self) -> None:
        """Compare a graph in int8 with ONNX Runtime: OpenVINO 2026.4 computes joined maps in int8 wrongly.

        Raises:
            DepthcueError: ONNX Runtime, with which the graph was checked when it was exported, gives other maps.
        """
        size = self.description.height, self.description.width
        frames = np.stack([resize_rgb(picture, *size) for picture in rendered_pictures(1)])
        kind: Kind = "mask" if isinstance(self.description, MaskDescription) else "depth"
        with OnnxSession(self.path, self.dial, threads=self._threads, kind=kind) as checked:
            wanted = checked.run(frames)
        limit, difference = TOLERANCES[INT8], np.abs(self._run(frames, self.dial) - wanted)
        if kind == "depth":
            limit, difference = limit.for_depths(), difference / np.maximum(wanted, 1.0)
        off = float(difference.mean())
        if not off <= limit.mean_abs:
            self._close()
            raise DepthcueError(f"OpenVINO computes {self.path} in int8 wrongly: {kind}s are off by {off:.2g} in the "
                                f"mean, {limit.mean_abs:.2g} is allowed", "Use --backend onnx.")


def _fix_dial(model: Any, name: str, value: float | None) -> None:
    """Make the share or λ a constant, one for all frames: scale and shift made of it then go into the convolutions."""
    from openvino import opset13

    for parameter in model.get_parameters():
        if name in parameter.output(0).get_names():
            constant = opset13.constant(np.array([value], np.float32))
            for taker in parameter.output(0).get_target_inputs():
                taker.replace_source_output(constant.output(0))
            model.remove_parameter(parameter)
            model.validate_nodes_and_infer_types()


def configuration(precision: str, threads: int | None) -> dict[str, Any]:
    """OpenVINO's settings for a graph in float32 that is to compute in `precision`; `threads` as above."""
    settings: dict[str, Any] = {
        # always given: by default it takes bf16 wherever the CPU has it
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        # a thread that is bound to a core waits whenever decoding or encoding uses that core
        "ENABLE_CPU_PINNING": False,
    }
    if threads is None:
        return {**settings, "PERFORMANCE_HINT": "LATENCY"}
    streams = max((os.cpu_count() or 1) // threads, 1)
    return {**settings, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads}
