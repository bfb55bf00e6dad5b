"""Exported depth nets run as mask nets are: frames in, depths out.

What the depth net makes of the whole picture and of the masked one, for saving beside the mask.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from depthcue.backends.onnx_backend import open_session, without_cuda
from depthcue.backends.openvino_backend import configuration, has_openvino
from depthcue.backends.session import Frames, Masks, check_frames, telling_out_of_memory
from depthcue.backends.tensorrt_backend import EngineSession
from depthcue.backends.tensorrt_library import choose_library, find_gpu, read_engine_card
from depthcue.errors import DepthcueError
from depthcue.export.tensorrt_engine import EngineOptions
from depthcue.imaging import top_pixels
from depthcue.nets import DepthNet, depth_from, whole_depth
from depthcue.nets.exported import described_depth_net, read_graph_card
from depthcue.runtime.compiled_cache import cached_engine, cached_graph

Depths = NDArray[np.float32]
"""float32 (B, h, w), metres; of a relative net in units of its own (see `nets.units`)."""


class DepthThroughMask:
    """A depth net in torch; a context manager, as runners are."""

    def __init__(self, net: DepthNet, device: str = "cpu", keep: float | None = None) -> None:
        """
        Args:
            keep: the share of pixels that is seen, those where a mask is highest; None: all, each as far as its mask
                says.
        """
        self._keep = keep
        self.description = net.description
        self.device = device
        self._net = net

    def __enter__(self) -> Self:
        self._net = self._net.to(self.device).eval()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._net = self._net.to("cpu")

    def depths(self, frames: Frames, masks: Masks) -> tuple[Depths, Depths]:
        """Depth from frames uint8 (B, H, W, 3), and from the same under masks (B, H, W).

        Raises:
            OutOfDeviceMemory: the batch is too large.
        """
        if self._keep is not None:
            masks = np.stack([top_pixels(mask, self._keep) for mask in masks]).astype(np.float32)
        with telling_out_of_memory(), torch.inference_mode():
            rgb = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float() / 255.0
            normalised = self._net.normalise(rgb)
            mask = torch.from_numpy(masks).to(self.device)[:, None]
            whole, units = whole_depth(self._net, normalised)
            masked = depth_from(self._net, normalised, mask, units=units)
        return whole[:, 0].cpu().numpy(), masked[:, 0].cpu().numpy()


Run = Callable[[Frames], Depths]
_DEVICES = {"onnx": ("cpu", "cuda"), "openvino": ("cpu",), "tensorrt": ("cuda",)}


class DepthRunner:
    """Runs an exported depth net; a context manager as other runners are."""

    def __init__(self, name: str, graph: Path, opened: Callable[[], AbstractContextManager[Run]]) -> None:
        """
        Args:
            name: what runs and where, as `onnx cpu`.
            graph: with its card beside it.
            opened: gives what runs it, and frees it at the end.

        Raises:
            DepthcueError: no graph, no card, or that of a mask net.
        """
        self.description = described_depth_net(read_graph_card(graph, "depth"))
        self.name = name
        self._opened = opened
        self._stack = ExitStack()
        self._run: Run | None = None

    def __enter__(self) -> Self:
        self._run = self._stack.enter_context(self._opened())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._run = None
        self._stack.close()

    def infer(self, frames: Frames) -> Depths:
        """The depths of `frames` uint8 (B, H, W, 3): float32 (B, h, w), metres; of a relative net as it predicts them.

        Raises:
            ValueError: another type or shape, or sides that are no multiples of the description's.
            RuntimeError: outside the context.
            OutOfDeviceMemory: a smaller batch may fit.
        """
        if self._run is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        with telling_out_of_memory():
            return self._run(np.ascontiguousarray(frames))


def open_depth_runner(net: DepthNet | Path, *, backend: str, device: str, precision: str = "fp32",
                      threads: int | None = None, batch_size: int = 32,
                      size: tuple[int, int] | None = None) -> DepthRunner:
    """A runner, not entered yet, for a depth net, which is exported first where that was not done before.

    Args:
        net: or an exported graph of one.
        backend: onnx, openvino or tensorrt.
        precision: of a net; a graph computes in its own, which this then has to be.
        threads: CPU threads of one operation; None leaves it to the backend.
        batch_size, size: the largest batch, and (height, width) of the frames, None for the net's own: what an engine
            is built for.

    Raises:
        DepthcueError: a backend that is not there, that has not this device or precision; an export that fails.
    """
    if device.partition(":")[0] not in _DEVICES.get(backend, ()):
        raise DepthcueError(f"depth nets are not run by {backend} on {device} here",
                            f"Choose {' or '.join(f'{name} on {places[0]}' for name, places in _DEVICES.items())}.")
    # what is missing should be told before minutes go into an export
    if backend == "openvino":
        if not has_openvino():
            raise DepthcueError("OpenVINO is not installed", "pip install 'depthcue[openvino]'")
        # a net's graph is computed in bf16 where that is asked for; one in int8 says so itself, by its nodes
        graph = net if isinstance(net, Path) else cached_graph(net)
        hint = "bf16" if precision == "bf16" else "fp32"
        return DepthRunner(f"openvino cpu {precision}", graph, lambda: _in_openvino(graph, hint, threads))
    if backend == "tensorrt":
        library = choose_library().name
        find_gpu(device)
        graph = net if isinstance(net, Path) else cached_graph(net, precision)
        options = EngineOptions(batch=(1, batch_size, batch_size), around=size, device=device)
        engine = cached_engine(graph, options, kind="depth")
        return DepthRunner(f"{library} {device} {precision}", graph, lambda: _in_tensorrt(engine, device))
    graph = net if isinstance(net, Path) else cached_graph(net, precision)
    return DepthRunner(f"onnx {device} {precision}", graph, lambda: _in_onnx_runtime(graph, device, threads))


@contextmanager
def _in_onnx_runtime(graph: Path, device: str, threads: int | None) -> Iterator[Run]:
    session = open_session(graph, device, threads)
    if session is None:
        raise without_cuda()
    yield lambda frames: session.run(None, {"frames": frames})[0]


@contextmanager
def _in_openvino(graph: Path, precision: str, threads: int | None) -> Iterator[Run]:
    import openvino

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise DepthcueError("this CPU does not compute in bf16", "Use fp32.")
    try:
        request = core.compile_model(core.read_model(graph), "CPU",
                                     configuration(precision, threads)).create_infer_request()
    except RuntimeError as error:
        raise DepthcueError(f"OpenVINO cannot load {graph}: {error}", "See depthcue doctor.") from error
    # the frames are not copied in; the depths are copied out
    yield lambda frames: request.infer([frames], share_inputs=True)[0]


@contextmanager
def _in_tensorrt(engine: Path, device: str) -> Iterator[Run]:
    card, making = read_engine_card(engine, "depth")
    with EngineSession(engine, making, device, dial_input=None, sha256=card["sha256"]) as session:
        yield lambda frames: session.run(frames, None)
