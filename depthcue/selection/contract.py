"""What a way to choose pixels is given, and what it gives: the one interface of all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet


@dataclass(frozen=True)
class Pictures:
    """A batch at the nets' working size, as any method may want to see it, with the truth where it is known.

    The truth shows the same view at the data's own size, which need not be that of the pictures; it is None where the
    data does not have it.

    Attributes:
        rgb: (B, 3, H, W) in [0, 1].
        places: the place of each picture in its data set; chance hangs on it, so that a picture gets the same random
            pixels whatever the batch it comes in.
        depth_m: (B, 1, h, w) metres; where not valid, inf for what lies beyond the data's range, 0 for unknown.
        valid: bool (B, 1, h, w), where there is a measured depth.
        edges: bool (B, 1, h, w) by cause: occlusion, crease, texture, shadow (rendered scenes).
        object_id: int64 (B, 1, h, w), which object each pixel shows (rendered scenes).
    """

    rgb: Tensor
    places: Sequence[int]
    depth_m: Tensor | None = None
    valid: Tensor | None = None
    edges: Mapping[str, Tensor] | None = None
    object_id: Tensor | None = None


@dataclass(frozen=True)
class DirectSettings:
    """How Eq. (3) is minimised (see `optimised`)."""

    steps: int = 100
    learning_rate: float = 0.3
    restarts: int = 1
    """Starts; the best end counts."""
    variation: float = 0.0
    """Weight of the total variation of M; 0 is Eq. (3) itself."""
    blur_px: float = 0.0
    """Deviation of the Gaussian that M is blurred by, in pixels; 0 leaves every pixel free."""
    seed: int = 0

    def check(self) -> "DirectSettings":
        """Itself.

        Raises:
            DepthcueError: a number that makes no sense.
        """
        if min(self.steps, self.restarts) < 1 or not self.learning_rate > 0:
            raise DepthcueError("steps and restarts have to be at least 1, and the learning rate above 0",
                                "Leave them out for the defaults.")
        if not (self.variation >= 0 and self.blur_px >= 0):
            raise DepthcueError("the weight of total variation and the blur cannot be below 0", "0 leaves them out.")
        return self


@dataclass(frozen=True)
class Means:
    """What methods may draw on.

    Attributes:
        mask_net: for `mask`.
        lam: weight of sparseness; None takes the mask net's own.
        seed: of all that is drawn by chance.
        depth_net: the N that gradients are taken of, on the pictures' device and in eval mode.
        direct: how `direct` searches.
        keep: the share that a mask net of shares is asked to keep, in place of `lam`; None takes the net's own.
    """

    mask_net: MaskNet | None = None
    lam: float | None = None
    seed: int = 0
    depth_net: DepthNet | None = None
    direct: DirectSettings = DirectSettings()
    keep: float | None = None


Score = Callable[[Pictures], Tensor]
"""Gives (B, 1, H, W) in [0, 1]; a pixel with a higher score is kept earlier."""
