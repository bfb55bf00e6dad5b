"""A decoded video frame, kept as the decoder left it and turned upright in whatever form is asked for.

Most uses need a video's frames at one small size, or their light alone. Both come from the decoder's luma and chroma in
a fraction of the time that a full-size RGB picture takes to be made and shrunk.
"""

import struct

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from depthcue.imaging import Grey, Rgb, grey_of, resize_grey, resize_rgb

_UNSPECIFIED = 2
"""AVCOL_SPC_UNSPECIFIED: the file does not say how its YUV was made from RGB."""
_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG: luma from 0 to 255, not from 16 to 235."""
_LUMA_FIRST = frozenset(("yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12"))
"""Formats of 8 bits whose first plane is luma."""



class Decoded:
    """One frame; `size` is (H, W), upright. Used by one thread at a time."""

    def __init__(self, frame: VideoFrame, scaler: VideoReformatter, turn: "Turn",
                 size: tuple[int, int] | None = None) -> None:
        """
        Args:
            scaler: keeps its tables from frame to frame; `resized` may only be called by the thread that owns it.
            turn: how it is turned upright.
            size: the size to show it at; None for its own.
        """
        self._frame = frame
        self._scaler = scaler
        self._turn = turn
        self.own_size = turn.size(frame.height, frame.width)
        self.size = size or self.own_size

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return sum(plane.buffer_size for plane in self._frame.planes)

    def rgb(self) -> Rgb:
        """uint8 (H, W, 3)."""
        stored = self._frame.reformat(format="rgb24", src_colorspace=self._colourspace()).to_ndarray()
        upright = self._turn.applied(stored.view(np.uint8))
        return np.ascontiguousarray(resize_rgb(upright, *self.size))

    def resized(self, height: int, width: int) -> Rgb:
        """uint8 (height, width, 3): bilinear, antialiased where it shrinks."""
        if self.size != self.own_size:
            return resize_rgb(self.rgb(), height, width)
        stored_height, stored_width = self._turn.size(height, width)
        stored = self._scaler.reformat(self._frame, width=stored_width, height=stored_height, format="rgb24",
                                       src_colorspace=self._colourspace(), interpolation=Interpolation.BILINEAR)
        return np.ascontiguousarray(self._turn.applied(stored.to_ndarray().view(np.uint8)))

    def light(self) -> Grey:
        """uint8 (H, W): how light each pixel is, 0 to 255."""
        frame = self._frame
        if frame.format.name not in _LUMA_FIRST:
            return grey_of(self.rgb())
        plane = frame.planes[0]
        stored = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:frame.height, :frame.width]
        is_full = frame.format.name.startswith("yuvj") or frame.color_range == _FULL_RANGE
        light = stored if is_full else _widened(stored)
        return resize_grey(np.ascontiguousarray(self._turn.applied(light)), *self.size)

    def _colourspace(self) -> Colorspace | None:
        if self._frame.colorspace != _UNSPECIFIED:
            return None
        return Colorspace.ITU709 if self._frame.height >= 720 else Colorspace.ITU601  # what players assume


def _widened(luma: Grey) -> Grey:
    """Luma from 16 to 235 as light from 0 to 255."""
    above_black = np.clip(luma, 16, 235).astype(np.uint16) - np.uint16(16)
    return ((above_black * np.uint16(298) + np.uint16(128)) >> 8).astype(np.uint8)  # 298/256 for 255/219


class Turn:
    """How a stored frame is turned and mirrored to stand upright: a display matrix, to the nearest right angle."""

    def __init__(self, a: int, b: int, c: int, d: int) -> None:
        # a stored point (x, y) is shown at (a x + c y, b x + d y), y downwards
        self.swaps_sides = abs(b) > abs(a)
        self._flips_columns = (c if self.swaps_sides else a) < 0
        self._flips_rows = (b if self.swaps_sides else d) < 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after turning, and before."""
        return (width, height) if self.swaps_sides else (height, width)

    def applied(self, picture: Rgb) -> Rgb:
        """A view of (H, W) or (H, W, 3), upright."""
        upright = picture.swapaxes(0, 1) if self.swaps_sides else picture
        return upright[::-1 if self._flips_rows else 1, ::-1 if self._flips_columns else 1]


def turn_of(frame: VideoFrame) -> Turn:
    """The turn that a frame asks for.

    To be asked of a video's first frame alone: asking makes the frame refer to itself, and such frames stay in memory
    until Python's collector comes round.
    """
    try:
        matrix = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]
    except KeyError:
        return Turn(1, 0, 0, 1)
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(memoryview(matrix)[:36]))
    return Turn(a, b, c, d)
