"""What every way of running a mask net has in common, so that one can stand for another.

A runner is a context manager. Making one opens no device; entering it loads the net onto its device, leaving it frees
that again. The dial, a share or λ, is fixed when it is made.
"""

from dataclasses import dataclass
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
    dial: float
    """What the net is set to: see `Dial.value`."""

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


@dataclass(frozen=True)
class Dial:
    """What a mask net is set to."""

    value: float
    """What the net takes: the share to keep, or λ; of a net that takes neither, its own λ."""
    keep: float | None
    """The share of pixels that is kept, exactly; None where λ decides how many are."""
    lam: float | None
    """λ of Eq. (4); of a net that takes shares the one that its share answers to, None where its card says none."""

    @classmethod
    def of(cls, description: MaskDescription, keep: float | None = None, lam: float | None = None) -> Self:
        """The setting for a share or for λ; for the net's own default where both are None.

        Raises:
            DepthcueError: both are given, or one is outside of what the net takes.
        """
        net = MaskNet(description)
        value = net.dial_value(keep, lam)
        if not net.keeps_shares:
            return cls(value, keep, value)
        return cls(value, value, net.lambda_at(value) if lam is None else lam)


def check_dial(description: MaskDescription, dial: float | None) -> float:
    """What to set a net to that is known by its description alone: `dial`, or its own default where None.

    Raises:
        DepthcueError: the net takes no such share or λ.
    """
    net = MaskNet(description)
    return net.dial_value(keep=dial) if net.keeps_shares else net.check_lambda(dial)
