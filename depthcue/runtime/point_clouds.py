"""Depth as points in space, coloured by the picture: for .ply files, and for a recording that Rerun's viewer opens.

The field of view of the camera is not known from a monocular net; the points are laid out for a camera of a given
horizontal one, with square pixels and its axis in the middle of the picture.
"""

import math
import threading
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from depthcue.errors import DepthcueError
from depthcue.files import atomic_path
from depthcue.imaging import Grey, Map, Rgb, resize_map, resize_rgb

FIELD_OF_VIEW_DEG = 60.0
"""Between a phone's main camera and a webcam."""
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"),
                  ("kept", "u1")])
RECORDED_POINTS = 20_000
"""Most points of a frame in a recording, so that one of minutes can be opened."""


def check_field_of_view(degrees: float) -> float:
    """
    Raises:
        DepthcueError: not an angle that a flat picture can have.
    """
    if not 1 <= degrees <= 170:
        raise DepthcueError(f"--fov must be from 1 to 170 degrees, got {degrees:g}",
                            "A phone's camera has about 65, a webcam 60, the Kinect of NYU-v2 63, the cameras of "
                            "KITTI 81.")
    return degrees


def cloud_of(depth: Map, rgb: Rgb, kept: NDArray[np.bool_], field_of_view_deg: float, stride: int = 1) -> NDArray[Any]:
    """The points of a depth map, a record of POINT for each pixel of `kept` where the depth is known.

    Args:
        depth: float32 (h, w), of any size, distance along the camera's axis.
        rgb: uint8 (H, W, 3), of any size.
        kept: bool (height, width).
        stride: every how many pixels one becomes a point.

    Returns:
        (N,) in the depth's unit; x to the right, y up, z towards the viewer, as viewers of .ply files have it.
    """
    height, width = kept.shape
    if np.isfinite(depth).all():
        depth = resize_map(depth, height, width)
    else:  # what is not known does not spread to its neighbours
        depth = depth[np.arange(height) * depth.shape[0] // height][:, np.arange(width) * depth.shape[1] // width]
    focal_x = width / 2 / math.tan(math.radians(field_of_view_deg) / 2)
    focal_y = focal_x * (height / rgb.shape[0]) / (width / rgb.shape[1])  # nets may see the picture squeezed
    rows, columns = np.mgrid[0:height:stride, 0:width:stride]
    z = depth[::stride, ::stride]
    known = np.isfinite(z) & (z > 0)
    cloud = np.empty(int(known.sum()), POINT)
    cloud["x"] = ((columns + 0.5 - width / 2) / focal_x * z)[known]
    cloud["y"] = -((rows + 0.5 - height / 2) / focal_y * z)[known]
    cloud["z"] = -z[known]
    colours = resize_rgb(rgb, height, width)[::stride, ::stride][known]
    for channel, name in enumerate(("red", "green", "blue")):
        cloud[name] = colours[:, channel]
    cloud["kept"] = kept[::stride, ::stride][known]
    return cloud


class Recording:
    """A file for Rerun's viewer with picture, mask, both depths, and the points of each frame, all and the kept ones.

    A context manager; the file appears under its name when it is left without an error. Several threads may add frames.
    """

    def __init__(self, path: Path, field_of_view_deg: float) -> None:
        """
        Raises:
            DepthcueError: Rerun's package is not installed, or the name does not end in .rrd.
        """
        if path.suffix != ".rrd":
            raise DepthcueError(f"--rerun {path} does not end in .rrd", "Rerun's viewer opens files named so.")
        try:
            import rerun
        except ImportError:
            raise DepthcueError("--rerun needs Rerun's package, which is not installed",
                                "pip install 'depthcue[rerun]'") from None
        self._rerun = rerun
        self._path = path
        self._fov = field_of_view_deg
        self._lock = threading.Lock()
        self._count = 0
        self._inside = ExitStack()

    def __enter__(self) -> Self:
        partial = self._inside.enter_context(atomic_path(self._path))
        self._stream = self._rerun.RecordingStream("depthcue")
        self._stream.save(str(partial))
        self._stream.log("scene", self._rerun.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stream.flush()
        self._stream.disconnect()
        self._inside.__exit__(*error)

    def add(self, name: str, time: Fraction | None, rgb: Rgb, mask: Grey, depths: tuple[Map, ...],
            kept: NDArray[np.bool_], metres: bool) -> None:
        """Add a frame.

        Args:
            name: of the input, and of the frame in it.
            time: seconds since its first frame; None for a picture.
            mask: uint8 (h, w).
            depths: from all and from the kept pixels, each float32 (h, w).
            kept: bool (h, w).
        """
        rerun, stream = self._rerun, self._stream
        stride = max(math.ceil(math.sqrt(kept.size / RECORDED_POINTS)), 1)
        cloud = cloud_of(depths[0], rgb, kept, self._fov, stride)
        colours = np.stack([cloud[channel] for channel in ("red", "green", "blue")], axis=1)
        points = np.stack([cloud[axis] for axis in "xyz"], axis=1)
        shown = cloud["kept"] == 1
        with self._lock:
            stream.set_time("frame", sequence=self._count)
            self._count += 1
            if time is not None:
                stream.set_time("time", duration=float(time))
            stream.log("name", rerun.TextDocument(name))
            stream.log("picture", rerun.Image(rgb).compress(jpeg_quality=85))
            stream.log("mask", rerun.Image(mask))
            for entity, depth in zip(("depth/all", "depth/kept"), depths, strict=True):
                stream.log(entity, rerun.DepthImage(depth, meter=1.0 if metres else None))
            stream.log("scene/all", rerun.Points3D(points, colors=colours))
            stream.log("scene/kept", rerun.Points3D(points[shown], colors=colours[shown]))
