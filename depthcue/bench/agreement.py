"""Whether a way of running a net gives the net's answers: fast and wrong is not fast.

The answers of the net as given, in float32 on the CPU, are the measure; how far one may be from them depends on its
precision and is the table that exported graphs have to pass (`export.precision`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.bench.torch_graph import TorchGraph
from depthcue.export.parity import kept_pixels
from depthcue.export.precision import TOLERANCES
from depthcue.imaging import resize_rgb
from depthcue.nets import DepthNet, MaskNet
from depthcue.runtime.runner import Frames

Maps = NDArray[np.float32]
"""Masks or depths, float32 (B, h, w)."""


@dataclass(frozen=True)
class Agreement:
    """How far answers are from those of the net as given."""

    right: bool
    """Within the tolerance of the precision."""
    max_abs: float | None
    """Largest difference: of masks; of depths as a share of the depth (of 1 m where it is less). None for NaN."""
    mean_abs: float | None
    changed_side: float | None
    """Share of pixels of masks that change side, by the share kept or the threshold; None for depths and for NaN."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Answers:
    """What the net as given, in float32 on the CPU, makes of some pictures."""

    def __init__(self, net: MaskNet | DepthNet, dial: float | None, pictures: Sequence[NDArray[np.uint8]],
                 size: tuple[int, int]) -> None:
        """
        Args:
            dial: of a mask net, the share or λ it is set to; None for its own.
            pictures: uint8 (H, W, 3) of any sizes.
            size: (height, width) that the net is to see them at.
        """
        self.frames: Frames = np.stack([resize_rgb(picture, *size) for picture in pictures])
        self._of_masks = isinstance(net, MaskNet)
        self._keep = dial if isinstance(net, MaskNet) and net.keeps_shares else None
        with TorchGraph(net, dial) as graph:
            self.maps = np.concatenate([graph.infer(self.frames[row:row + 1]) for row in range(len(self.frames))])

    def agreement(self, maps: Maps, precision: str) -> Agreement:
        """How far `maps`, made of the same frames in `precision`, are from these."""
        if maps.shape != self.maps.shape or not np.isfinite(maps).all():
            return Agreement(False, None, None, None)
        difference = np.abs(maps - self.maps)
        if not self._of_masks:
            difference = difference / np.maximum(self.maps, 1.0)
        largest, mean = float(difference.max()), float(difference.mean())
        changed = None
        if self._of_masks:
            changed = float(np.mean(kept_pixels(maps, self._keep) != kept_pixels(self.maps, self._keep)))
        limit = TOLERANCES[precision]
        limit = limit.for_depths() if not self._of_masks else limit if self._keep is None else limit.for_shares()
        right = largest <= limit.max_abs and mean <= limit.mean_abs and (changed or 0.0) <= limit.changed_side
        return Agreement(right, largest, mean, changed)
