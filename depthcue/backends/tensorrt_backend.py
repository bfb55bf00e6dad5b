"""Exported nets as TensorRT engines, on an NVIDIA GPU: frames in, masks or depths out, any number of threads at a time.

An execution context of TensorRT belongs to one shape once its work is recorded as a CUDA graph, and to one thread. So
there is a slot for every shape and every thread that needs it at the same time: a context, a stream, pinned memory on
the host and memory on the GPU. The memory of a context's intermediate results is torch's too, just what the shape
needs, so that torch reports a lack of it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from depthcue.backends.device import CudaLane, SlotPool, recorded
from depthcue.backends.session import FileSession, Frames, Maps
from depthcue.backends.tensorrt_library import (
    Gpu,
    Library,
    Making,
    find_gpu,
    load_library,
    logged_reason,
    make_log,
    plain,
    read_engine_card,
)
from depthcue.errors import DepthcueError
from depthcue.files import cache_folder, write_bytes
from depthcue.imaging import resize_map, resize_rgb
from depthcue.nets import MaskDescription
from depthcue.nets.exported import Kind

log = logging.getLogger(__name__)


class TensorRtSession(FileSession):
    """Runs an engine.

    Frames of a size that the engine of a mask net was not built for are brought to the nearest that it was, and their
    masks back, with one warning for each size.
    """

    def __init__(self, engine: str | Path, dial: float | None = None, device: str = "cuda",
                 kind: Kind = "mask") -> None:
        """
        Args:
            engine: with its card beside it.
            dial: see `Session`.
            device: `cuda` or `cuda:N`.
            kind: what the engine must be of.

        Raises:
            DepthcueError: no engine, no card or a foreign one, a file cut short, a share or λ that the net does not
                take.
        """
        card, making = read_engine_card(engine, kind)
        super().__init__(engine, card, f"{making.library} {device} {making.precision}", device, dial)
        if device.partition(":")[0] != "cuda":
            raise DepthcueError(f"{engine} is an engine: it runs on an NVIDIA GPU, not on {device!r}",
                                "Use --device cuda where there is one; elsewhere the net's .onnx or .safetensors.")
        self._shapes = making.shapes
        self._engine = TensorRtEngine(self.path, making, device, dial_input=self._dial_input, sha256=card["sha256"])
        self._warned: set[tuple[int, int]] = set()

    def _open(self) -> None:
        self._engine.__enter__()

    def _close(self) -> None:
        self._engine.__exit__(None, None, None)

    def _run(self, frames: Frames, dial: float | None) -> Maps:
        given = frames.shape[1], frames.shape[2]
        taken = self._shapes.nearest(*given)
        if taken == given or not isinstance(self.description, MaskDescription):
            return self._engine.run(frames, dial)
        if given not in self._warned:
            self._warned.add(given)
            log.warning("%s was built for %s: frames of %dx%d are seen at %dx%d", self.path, self._shapes,
                        given[1], given[0], taken[1], taken[0])
        masks = self._engine.run(np.stack([resize_rgb(frame, *taken) for frame in frames]), dial)
        return np.stack([resize_map(mask, *given) for mask in masks])

    def _staged(self, frames: Frames) -> Callable[[], None]:
        return self._engine.staged(frames, self.dial)


class TensorRtEngine:
    """An engine file as it is, with or without its card; a context manager that holds the GPU's memory."""

    def __init__(self, engine: Path, making: Making, device: str = "cuda", *, dial_input: str | None,
                 sha256: str | None = None) -> None:
        """
        Args:
            making: what the engine was built by and for.
            dial_input: what the engine calls its input for a share or λ; None where it takes frames alone.
            sha256: of the engine; where given, kernels that `tensorrt-rtx` compiles here are kept for the next time.
        """
        self.engine_path = engine
        self.making = making
        self.device = device
        self._dial_input = dial_input
        self._sha256 = sha256
        self._slots = SlotPool(self._make_slot)
        self._loaded: _Loaded | None = None

    def __enter__(self) -> Self:
        """
        Raises:
            DepthcueError: no library, no GPU, or an engine that was built for others.
        """
        # the library before the GPU: where both are missing, the message is about the library
        library = load_library(self.making.library)
        gpu = find_gpu(self.device)
        kernels = None
        if self._sha256 is not None:
            kernels = cache_folder() / "kernels" / f"{self._sha256[:24]}-{plain(gpu.name)}.cache"
        with CudaLane(self.device).active():
            self._loaded = _Loaded(self.engine_path, self.making, library, gpu, kernels)
        return self

    def __exit__(self, *error: object) -> None:
        loaded, self._loaded = self._loaded, None
        # contexts before their engine, the engine before its runtime
        self._slots.clear()
        if loaded is not None:
            loaded.keep_runtime_cache()

    def run(self, frames: Frames, dial: float | None) -> Maps:
        """The maps of frames uint8 (B, H, W, 3), of a size within the engine's: float32 (B, h, w), the caller's own.

        More frames than the engine's largest batch are run in parts, fewer than its least are filled up.

        Raises:
            DepthcueError: a size the engine was not built for.
            RuntimeError: outside of the context, or TensorRT fails; out of memory among others.
        """
        if self._loaded is None:
            raise RuntimeError("the engine is not entered")
        shapes = self.making.shapes
        height, width = frames.shape[1:3]
        if shapes.nearest(height, width) != (height, width):
            raise DepthcueError(f"the engine was built for {shapes}, not for frames of {width}x{height}",
                                "Build one for this --size.")
        maps = [self._run_batch(frames[start:start + shapes.batch.most], dial)
                for start in range(0, len(frames), shapes.batch.most)]
        return maps[0] if len(maps) == 1 else np.concatenate(maps)

    def staged(self, frames: Frames, dial: float | None) -> Callable[[], None]:
        """Put `frames`, of a shape within the engine's, on the GPU; the function returned runs the engine on them
        there, and returns when it is done.

        Raises:
            RuntimeError: as `run`; a batch that the engine was not built for.
        """
        return self._make_slot(frames.shape).staged(frames, dial)

    def _run_batch(self, frames: Frames, dial: float | None) -> Maps:
        missing = self.making.shapes.batch.least - len(frames)
        if missing > 0:
            filled = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
            return self._run_batch(filled, dial)[:len(frames)].copy()
        with self._slots.taken(frames.shape) as slot:
            return slot.run(frames, dial)

    def _make_slot(self, shape: tuple[int, ...]) -> "_EngineSlot":
        assert self._loaded is not None
        return _EngineSlot(self._loaded, shape, self._dial_input, CudaLane(self.device))


class _Loaded:
    """An engine in the memory of a GPU."""

    def __init__(self, path: Path, making: Making, library: Library, gpu: Gpu, kernels: Path | None) -> None:
        reasons = making.misfits(library, gpu)
        if reasons:
            raise DepthcueError(f"{path} does not fit this machine: {'; '.join(reasons)}",
                                "Build it again here: depthcue export --format tensorrt, or mask --backend tensorrt.")
        tuned = making.tuned_for_another(library, gpu)
        if tuned is not None:
            log.warning("%s may be slower than it could be: %s", path, tuned)
        self.library = library
        self.messages = make_log(library)
        self._runtime = library.api.Runtime(self.messages)
        content = path.read_bytes()
        self.engine = self._runtime.deserialize_cuda_engine(content)
        if self.engine is None:
            raise DepthcueError(f"{library} cannot load {path}: {self._verdict(content)}",
                                "Build it again here, and see depthcue doctor.")
        self._cache_path = kernels
        self._config = self._runtime_config() if library.compiles_where_it_runs else None

    def context(self) -> Any:
        """A new execution context, without memory for its intermediate results."""
        if self._config is not None:
            context = self.engine.create_execution_context(self._config)
        else:
            strategy = self.library.api.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self.engine.create_execution_context(strategy)
        if context is None:
            raise self.failure("no execution context can be made")
        return context

    def failure(self, otherwise: str) -> RuntimeError:
        """The error to raise for a failed call. TensorRT reports a failure by its return value and the reason in its
        log."""
        reason = logged_reason(self.messages, otherwise)
        self.messages.errors.clear()
        return RuntimeError(f"{self.library}: {reason}")

    def keep_runtime_cache(self) -> None:
        """Write what was compiled here, for the next time."""
        if self._config is None or self._cache_path is None:
            return
        # a cache that cannot be written costs the next start some seconds, and is no reason to fail
        with suppress(DepthcueError, OSError):
            write_bytes(self._cache_path, bytes(self._cache.serialize()))

    def _runtime_config(self) -> Any:
        api = self.library.api
        config = self.engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(api.ExecutionContextAllocationStrategy.USER_MANAGED)
        # it swaps kernels while it compiles better ones, so it records its work itself
        config.cuda_graph_strategy = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache = config.create_runtime_cache()
        if self._cache_path is not None and self._cache_path.is_file():
            self._cache.deserialize(self._cache_path.read_bytes())  # of another GPU or version it takes nothing
        config.set_runtime_cache(self._cache)
        return config

    def _verdict(self, content: bytes) -> str:
        """Why an engine could not be loaded: what RTX finds wrong with it, else what was logged."""
        found: list[str] = []
        if hasattr(self._runtime, "get_engine_validity"):
            diagnostics = self._runtime.get_engine_validity(content)[1]
            members = self.library.api.EngineInvalidityDiagnostics.__members__
            found = [name.lower().replace("_", " ") for name, bit in members.items() if diagnostics & int(bit)]
        return ", ".join(found) or logged_reason(self.messages, "it does not say why")


class _EngineSlot:
    """Buffers and context with which one thread runs batches of one shape."""

    def __init__(self, loaded: _Loaded, shape: tuple[int, ...], dial_input: str | None, lane: Any) -> None:
        self.shape = shape
        self._loaded = loaded
        self._lane = lane
        self._runs = 0
        self._replay: Callable[[], None] | None = None
        self._dial_input = dial_input
        with lane.active():
            self._prepare()

    def _prepare(self) -> None:
        """Make the context, and give it its shape and its memory."""
        loaded, lane, shape = self._loaded, self._lane, self.shape
        context = self._context = loaded.context()
        inputs = {"frames": (shape, torch.uint8)}
        if self._dial_input is not None:
            inputs[self._dial_input] = (shape[:1], torch.float32)
        self._inputs: dict[str, tuple[Tensor, Tensor]] = {}
        for name, (size, dtype) in inputs.items():
            if not context.set_input_shape(name, size):
                raise loaded.failure(f"{name} {size} is refused")
            self._inputs[name] = lane.host(size, dtype), lane.device(size, dtype)
        unknown = context.infer_shapes()
        if unknown:
            raise RuntimeError(f"{loaded.library}: the shapes of {', '.join(unknown)} are not known")
        engine = loaded.engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        (output,) = (name for name in names if name not in self._inputs)
        size = tuple(context.get_tensor_shape(output))
        self._output = lane.host(size, torch.float32), lane.device(size, torch.float32)
        needed = context.update_device_memory_size_for_shapes()
        self._scratch = lane.device((max(needed, 1),), torch.uint8)
        context.set_device_memory(self._scratch.data_ptr(), needed)
        for name, (_, on_device) in {**self._inputs, output: self._output}.items():
            if not context.set_tensor_address(name, on_device.data_ptr()):
                raise loaded.failure(f"the memory of {name} is refused")

    def run(self, frames: Frames, dial: float | None) -> Maps:
        """Copy in, run, copy out, wait."""
        self._fill(frames, dial)
        with self._lane.active():
            # the first run of a shape makes what cannot be recorded; a shape that comes once is not worth recording
            if self._runs == 1:
                self._replay = self._recorded(self._work)
            (self._replay or self._work)()
            self._lane.wait()
        self._runs += 1
        return self._output[0].numpy().copy()

    def staged(self, frames: Frames, dial: float | None) -> Callable[[], None]:
        """As `TensorRtEngine.staged`."""
        self._fill(frames, dial)
        with self._lane.active():
            self._work()  # brings the frames, and sets up what cannot be recorded
            self._lane.wait()
            replay = self._recorded(self._execute) or self._execute

        def compute() -> None:
            with self._lane.active():
                replay()
                self._lane.wait()

        return compute

    def _fill(self, frames: Frames, dial: float | None) -> None:
        self._inputs["frames"][0].numpy()[...] = frames
        if self._dial_input is not None:
            assert dial is not None
            self._inputs[self._dial_input][0].fill_(dial)

    def _recorded(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """Function that replays `work` in one call; None where it cannot be recorded, or the library records by
        itself."""
        library = self._loaded.library
        return None if library.compiles_where_it_runs else recorded(self._lane, work, f"{library}: frames {self.shape}")

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._lane.handle):
            raise self._loaded.failure("the engine failed")

    def _work(self) -> None:
        for on_host, on_device in self._inputs.values():
            on_device.copy_(on_host, non_blocking=True)
        self._execute()
        on_host, on_device = self._output
        on_host.copy_(on_device, non_blocking=True)
