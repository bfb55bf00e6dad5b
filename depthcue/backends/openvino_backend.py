"""Exported mask nets run by OpenVINO, on a CPU (extra `openvino`)."""

import importlib.util
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from depthcue.backends.onnx_backend import OnnxRunner
from depthcue.backends.precision import INT8, TOLERANCES
from depthcue.backends.session import Frames, Masks, check_dial, check_frames, telling_out_of_memory
from depthcue.errors import DepthcueError
from depthcue.imaging import resize_rgb
from depthcue.nets.exported import described_mask_net, dial_input, read_graph_card
from depthcue.scenes.api import rendered_pictures

_HINTS = {"fp32": "f32", "bf16": "bf16"}
"""Our precisions and what OpenVINO calls them."""


def has_openvino() -> bool:
    """Whether it is installed; it is not loaded."""
    return importlib.util.find_spec("openvino") is not None


def require_openvino(precision: str, device: str = "cpu") -> None:
    """Tell what is missing before anything is done for it.

    Raises:
        DepthcueError: no OpenVINO, a precision or a device that it is not used for here.
    """
    if precision not in _HINTS:
        raise DepthcueError(f"OpenVINO runs no precision {precision!r} here", f"Choose {' or '.join(_HINTS)}.")
    if device != "cpu":
        raise DepthcueError(f"OpenVINO runs on the CPU here, not on {device!r}", "Add --device cpu.")
    if not has_openvino():
        raise DepthcueError("OpenVINO is not installed", "pip install 'depthcue[openvino]', or leave --backend out.")


class OpenVinoRunner:
    """Runs an exported graph that has its card beside it. It may be called by several threads at the same time."""

    def __init__(self, graph: str | Path, dial: float | None = None, threads: int | None = None,
                 precision: str = "fp32") -> None:
        """
        Args:
            dial: the share to keep or λ, whichever the net takes; None for its own default.
            threads: CPU threads of one call, as many calls side by side as there are cores for; None gives all cores
                to one call.
            precision: what a graph in float32 is computed in: `fp32`, or `bf16` on a CPU that has it. A graph in
                another precision is computed as it says.

        Raises:
            DepthcueError: no graph, no card or a foreign one, a share or λ that the net does not take, no such
                precision, no OpenVINO.
        """
        require_openvino(precision)
        card = read_graph_card(graph, "mask")
        self.graph = Path(graph)
        self.identity = card["net_identity"]
        self.description = described_mask_net(card)
        self.dial = check_dial(self.description, dial)
        self._dial_input = dial_input(card)
        self.device = "cpu"
        own = card.get("precision", "fp32")
        self.precision = precision if own == "fp32" else own
        self.name = f"openvino cpu {self.precision}"
        # int8 is said by the nodes of the graph; what is around them stays in float32
        self._hint = "bf16" if self.precision == "bf16" else "fp32"
        self._threads = threads
        self._compiled: Any = None
        self._idle: list[Any] = []
        """Inference requests that no thread uses; each holds the memory of one call."""

    def __enter__(self) -> Self:
        import openvino

        core = openvino.Core()
        if self._hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise DepthcueError("this CPU does not compute in bf16", "Use --precision fp32.")
        try:
            model = core.read_model(self.graph)
            if self._dial_input is not None:
                _fix_dial(model, self._dial_input, self.dial)
            self._compiled = core.compile_model(model, "CPU", configuration(self._hint, self._threads))
        except RuntimeError as error:
            raise DepthcueError(f"OpenVINO cannot load {self.graph}: {error}",
                                "Use another --backend, or see depthcue doctor.") from error
        if self.precision == INT8:
            self._check_answers()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._idle = []
        self._compiled = None

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`."""
        if self._compiled is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        with telling_out_of_memory():
            try:
                request = self._idle.pop()
            except IndexError:
                request = self._compiled.create_infer_request()
            # the frames are not copied in; the masks are copied out, for the request's own memory is used again
            masks: Masks = request.infer([np.ascontiguousarray(frames)], share_inputs=True)[0]
        self._idle.append(request)
        return masks


    def _check_answers(self) -> None:
        """Look whether a graph in int8 is computed as it says: OpenVINO 2026.4 gets joined maps in int8 wrong.

        Raises:
            DepthcueError: ONNX Runtime, with which the graph was checked when it was exported, gives other masks.
        """
        size = self.description.height, self.description.width
        frames = np.stack([resize_rgb(picture, *size) for picture in rendered_pictures(1)])
        with OnnxRunner(self.graph, self.dial, threads=self._threads) as checked:
            wanted = checked.infer(frames)
        difference, allowed = float(np.abs(self.infer(frames) - wanted).mean()), TOLERANCES[INT8].mean_abs
        if not difference <= allowed:
            self.__exit__(None, None, None)
            raise DepthcueError(f"OpenVINO computes {self.graph} in int8 wrongly: masks are off by {difference:.2g} in "
                                f"the mean, {allowed:.2g} is allowed", "Use --backend onnx.")


def _fix_dial(model: Any, name: str, value: float) -> None:
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
    """How a graph in float32 is compiled to be computed in `precision`; `threads` as above."""
    settings: dict[str, Any] = {
        # said always: of its own it takes bf16 wherever the CPU has it
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        # threads bound to cores stand still while decoding and encoding use theirs
        "ENABLE_CPU_PINNING": False,
    }
    if threads is None:
        return {**settings, "PERFORMANCE_HINT": "LATENCY"}
    streams = max((os.cpu_count() or 1) // threads, 1)
    return {**settings, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams * threads}
