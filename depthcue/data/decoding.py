"""Reading a picture and its depth from files and bringing both to one frame size, so that they still show one view.

A frame is *covered*: the largest box of the frame's aspect ratio is cut from the file and resized to the frame,
pictures by antialiased bilinear interpolation, depths by the nearest pixel (an average of two depths is neither).
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from depthcue.documents import require_regular
from depthcue.errors import DepthcueError
from depthcue.imaging import open_picture

Size = tuple[int, int]
Box = tuple[float, float, float, float]
Anchor = Literal["centre", "bottom"]
DepthArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]

ASPECT_TOLERANCE = 0.02
"""Picture and depth may differ in resolution; more than 2% in aspect ratio means that they are not of one view."""


def read_depth_png(path: Path) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Read a single-channel png as stored: uint8 or uint16 (H, W), by its bit depth."""
    try:
        require_regular(path)
        with open_picture(path, path) as image:
            if image.mode == "L":
                return np.asarray(image)
            if image.mode.startswith("I"):
                return np.asarray(image).astype(np.uint16)
            mode = image.mode
    except DepthcueError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise DepthcueError(f"cannot read the depth map {path}: {error}",
                            "Expected a whole single-channel png of 8 or 16 bits.") from error
    raise DepthcueError(f"the depth map {path} has pixels of kind {mode}",
                        "Expected a single-channel png of 8 or 16 bits; a colourised depth holds no metres.")


def covering_box(size: Size, frame_size: Size, anchor: Anchor = "centre") -> Box:
    """The largest box (left, top, right, bottom) of the frame's aspect ratio in a file of `size` (height, width)."""
    height, width = size
    scale = min(height / frame_size[0], width / frame_size[1])
    box_height, box_width = frame_size[0] * scale, frame_size[1] * scale
    left = (width - box_width) / 2
    top = height - box_height if anchor == "bottom" else (height - box_height) / 2
    return left, top, min(left + box_width, width), min(top + box_height, height)


def cover_picture(rgb: npt.NDArray[np.uint8], frame_size: Size, box: Box) -> npt.NDArray[np.uint8]:
    """Resize what is in `box` to the frame, antialiased: uint8 (H, W, 3)."""
    if rgb.shape[:2] == frame_size:
        return rgb
    image = Image.fromarray(rgb)
    resized = image.resize((frame_size[1], frame_size[0]), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)
    return np.asarray(resized)


def cover_depth(depth: DepthArray, frame_size: Size, box: Box) -> DepthArray:
    """The depth pixel nearest to the centre of each frame pixel, (H, W), in the units and type of the file."""
    if depth.shape == frame_size:
        return depth
    left, top, right, bottom = box
    rows = _nearest(frame_size[0], top, bottom, depth.shape[0])
    columns = _nearest(frame_size[1], left, right, depth.shape[1])
    return depth[rows[:, None], columns[None, :]]


def check_same_view(picture: Path, picture_size: Size, depth: Path, depth_size: Size) -> None:
    """Refuse a depth map whose aspect ratio is not the picture's."""
    picture_aspect, depth_aspect = picture_size[1] / picture_size[0], depth_size[1] / depth_size[0]
    if abs(depth_aspect / picture_aspect - 1) > ASPECT_TOLERANCE:
        raise DepthcueError(
            f"{depth} is {depth_size[1]}x{depth_size[0]}, "
            f"but its picture {picture} is {picture_size[1]}x{picture_size[0]}",
            "A depth map must show the same view as its picture: the same aspect ratio, at any resolution.")


def _nearest(count: int, start: float, stop: float, limit: int) -> npt.NDArray[Any]:
    centres = start + (np.arange(count) + 0.5) * (stop - start) / count
    return np.clip(np.floor(centres).astype(np.int64), 0, limit - 1)
