"""Mask nets as TensorRT engines, on an NVIDIA GPU."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from depthcue.errors import DepthcueError
from depthcue.export import described_mask_net
from depthcue.export.tensorrt import EngineSession, read_engine_card
from depthcue.imaging import resize_map, resize_rgb
from depthcue.nets.graph_card import dial_input
from depthcue.runtime.halving import telling_out_of_memory
from depthcue.runtime.runner import Frames, Masks, check_dial, check_frames

log = logging.getLogger(__name__)


class TensorRtRunner:
    """Runs an engine that has its card beside it.

    Frames of a size that the engine was not built for are brought to the nearest that it was, and their masks back;
    that is said once for each size.
    """

    def __init__(self, engine: str | Path, dial: float | None = None, device: str = "cuda") -> None:
        """
        Args:
            dial: the share to keep or λ, whichever the net takes; None for its own default.
            device: `cuda` or `cuda:N`.

        Raises:
            DepthcueError: no engine, no card or a foreign one, a file cut short, a share or λ that the net does not
                take.
        """
        card, making = read_engine_card(engine, "mask")
        self.engine = Path(engine)
        self.identity = card["net_identity"]
        self.description = described_mask_net(card)
        self.dial = check_dial(self.description, dial)
        if device.partition(":")[0] != "cuda":
            raise DepthcueError(f"{engine} is an engine: it runs on an NVIDIA GPU, not on {device!r}",
                                "Use --device cuda where there is one; elsewhere the net's .onnx or .safetensors.")
        self.device = device
        self.name = f"{making.library} {device} {making.precision}"
        self._card = card
        self._shapes = making.shapes
        self._making = making
        self._session: EngineSession | None = None
        self._told: set[tuple[int, int]] = set()

    def __enter__(self) -> Self:
        session = EngineSession(self.engine, self._making, self.device, dial_input=dial_input(self._card),
                                sha256=self._card["sha256"])
        self._session = session.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(kind, error, traceback)

    def infer(self, frames: Frames) -> Masks:
        """As `Runner.infer`."""
        if self._session is None:
            raise RuntimeError("the runner is not entered")
        check_frames(frames, self.description.multiple)
        given = frames.shape[1], frames.shape[2]
        taken = self._shapes.nearest(*given)
        if taken == given:
            return self._run(frames)
        self._tell(given, taken)
        masks = self._run(np.stack([resize_rgb(frame, *taken) for frame in frames]))
        return np.stack([resize_map(mask, *given) for mask in masks])

    def staged(self, frames: Frames) -> Callable[[], None]:
        """Put `frames`, of a shape within the engine's, on the GPU; what is returned runs the net on them there, and
        returns when it is done."""
        if self._session is None:
            raise RuntimeError("the runner is not entered")
        with telling_out_of_memory():
            return self._session.staged(frames, self.dial)

    def _run(self, frames: Frames) -> Masks:
        assert self._session is not None
        with telling_out_of_memory():
            return self._session.run(frames, self.dial)

    def _tell(self, given: tuple[int, int], taken: tuple[int, int]) -> None:
        if given not in self._told:
            self._told.add(given)
            log.warning("%s was built for %s: frames of %dx%d are seen at %dx%d", self.engine, self._shapes,
                        given[1], given[0], taken[1], taken[0])
