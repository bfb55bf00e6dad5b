"""What every way of running a mask net has in common, so that one can stand for another.

A runner is a context manager. Making one opens no device; entering it loads the net onto its device, leaving it frees
that again. λ is fixed when it is made.
"""

from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from depthcue.nets import MaskDescription, MaskNet

Frames = NDArray[np.uint8]
"""uint8 RGB (B, H, W, 3)."""
Masks = NDArray[np.float32]
"""float32 (B, H, W) in [0, 1]."""


@runtime_checkable
class Runner(Protocol):
    """Frames in, masks out."""

    name: str
    """What runs and where, as `torch cpu fp32` or `onnx cpu`."""
    device: str
    identity: str
    """What tells the net from every other: `net_identity`."""
    description: MaskDescription
    lam: float
    """The λ of the masks."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None: ...

    def infer(self, frames: Frames) -> Masks:
        """The masks of `frames` uint8 (B, H, W, 3): float32 (B, H, W) in [0, 1], an array of the caller's own.

        Raises:
            ValueError: another type or shape, or sides that are no multiples of the description's.
            RuntimeError: outside the context.
        """


def check_frames(frames: Frames, multiple: int) -> None:
    """Refuse what is no batch of frames: a mistake of the calling code, not of the user."""
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.shape[0] == 0:
        raise ValueError(f"frames must be uint8 (B, H, W, 3) with B > 0, not {frames.dtype} {frames.shape}")
    if frames.shape[1] % multiple or frames.shape[2] % multiple or min(frames.shape[1:3]) < 1:
        raise ValueError(f"frames of {frames.shape[2]}x{frames.shape[1]} pixels: both sides must be multiples of "
                         f"{multiple}")


def check_lambda(description: MaskDescription, lam: float | None) -> float:
    """The λ to use with a net known by its description alone; as `MaskNet.check_lambda`."""
    return MaskNet(description).check_lambda(lam)
