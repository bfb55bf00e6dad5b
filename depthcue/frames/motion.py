"""Motion between frames of a video, and maps that follow it, so that masks do not flicker.

A mask net looks at every frame anew. Where two pixels matter about equally, noise decides between them, and the kept
pixels flicker. `SteadyMaps` carries its map of the last frame along the optical flow (DIS: Kroeger et al., ECCV
2016, from OpenCV) and mixes it with the map of the new frame. It uses past frames only, so it works on live sources.
The new map alone counts where the flow cannot be trusted: where forward and backward flow disagree, or the brightness
changed (picture border, uncovered background, a cut).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError, import_extra
from depthcue.imaging import Map, Rgb, grey_of

STRENGTH = 0.75
"""Weight of the previous frame's map where the flow is trusted."""
CLOSES_WITHIN_PX = 1.0
"""Largest distance between a pixel and the end of the flow to the other frame and back."""
ALIKE_WITHIN = 32
"""Largest change of a pixel's brightness, in grey levels of 255."""
_SMALLEST = 16
"""Pixels that both sides of a frame need for optical flow."""
Field = NDArray[np.float32]
"""Flow in pixels, (H, W, 2): x and y."""


class SteadyMaps:
    """Maps of one video, frame after frame, that follow its motion.

    Example:
        >>> steady = SteadyMaps()
        >>> frame = np.zeros((64, 64, 3), np.uint8)
        >>> float(steady(frame, np.ones((64, 64), np.float32)).mean())
        1.0

    Raises:
        DepthcueError: OpenCV is not installed.
    """

    def __init__(self, strength: float = STRENGTH) -> None:
        """
        Args:
            strength: of the last frame's map in the next, 0 (none) to below 1.
        """
        if not 0 <= strength < 1:
            raise DepthcueError(f"the strength must be from 0 to below 1, got {strength:g}", f"Usual is {STRENGTH}.")
        self.strength = strength
        self._flow = OpticalFlow()
        self._last: tuple[Rgb, Map] | None = None

    def __call__(self, frame: Rgb, values: Map) -> Map:
        """The map of the next frame, float32 (H, W).

        Args:
            frame: uint8 (H, W, 3) of the map's size. A frame of another size than the last begins anew.
            values: the map of this frame alone, in any units.
        """
        steady = values
        if self._last is not None and self._last[0].shape == frame.shape:
            last_frame, last_values = self._last
            flow, trusted = self._flow.back(last_frame, frame)
            carried = carry(last_values, flow)
            mixed = self.strength * carried + (1 - self.strength) * values
            steady = np.where(trusted, mixed, values).astype(np.float32)
        self._last = frame, steady
        return steady


class OpticalFlow:
    """Dense optical flow between two frames.

    Raises:
        DepthcueError: OpenCV is not installed.
    """

    def __init__(self) -> None:
        self._cv2 = _opencv()
        self._dis = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def back(self, earlier: Rgb, later: Rgb) -> tuple[Field, NDArray[np.bool_]]:
        """Position in the earlier frame of each pixel of the later one.

        Args:
            earlier, later: uint8 (H, W, 3) of one size.

        Returns:
            The flow from later to earlier, and where it can be trusted, bool (H, W): it ends inside the picture, the
            flow from earlier to later leads back to within CLOSES_WITHIN_PX, and both pixels are about equally bright.
        """
        before, after = grey_of(earlier), grey_of(later)
        if min(before.shape) < _SMALLEST:
            return np.zeros((*before.shape, 2), np.float32), np.zeros(before.shape, np.bool_)
        flow, forward = self._dis.calc(after, before, None), self._dis.calc(before, after, None)
        returned = carry(forward, flow, outside=np.inf)
        closes = np.hypot(*np.moveaxis(flow + returned, -1, 0)) < CLOSES_WITHIN_PX
        return flow, closes & (np.abs(carry(before.astype(np.float32), flow) - after) < ALIKE_WITHIN)


def carry(values: NDArray[np.float32], flow: Field, outside: float = 0.0) -> NDArray[np.float32]:
    """Values (H, W) or (H, W, C) of the earlier frame, at the pixels of the later one; bilinear.

    Args:
        flow: from later to earlier, (H, W, 2) pixels.
        outside: the value of pixels that were not in the earlier frame.
    """
    cv2 = _opencv()
    height, width = flow.shape[:2]
    columns = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    rows = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    carried = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    carried[~inside] = outside
    result: NDArray[np.float32] = carried
    return result


def _opencv() -> Any:
    return import_extra("cv2", "following the motion of a video", "steady")
