"""A frame as its decoder left it and as a screen shows it, and what every source of frames promises.

Most uses need a video's frames at one small size, or as luma and chroma. `Decoded` makes both from the decoder's frame,
in a fraction of the time that a full-size RGB picture takes to be made and shrunk.

`Display` shows frames as a screen of usual range does: high dynamic range tone-mapped, transparent frames on grey. HDR
video (PQ, BT.2100; HLG) holds light in BT.2020 colours that no net trained on photographs knows, and looks washed out
where it is shown as stored. FFmpeg's scaler brings it to BT.709 by two intents, of which the darker counts for each
pixel: *relative*, where the reference white of BT.2408 (203 cd/m²) becomes white, everything below stays as it is, and
highlights are cut off; and *perceptual*, which keeps highlights and darkens all the rest, lightened again. So what lies
below white is right, and highlights are compressed into the uppermost fifth.
"""

import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Self

import av.error
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from depthcue.imaging import BACKGROUND_GREY, Grey, Rgb, Yuv, resize_rgb

UNSPECIFIED = 2
"""Code of ITU-T H.273 for matrix, primaries and transfer characteristics that a file does not state."""
HIGH_RANGE = {16: "PQ", 18: "HLG"}
"""Transfer characteristics of video (ITU-T H.273)."""
_BT2020 = 9
_LIMITED, _FULL = 1, 2
_TARGET = "out_primaries=bt709:out_transfer=bt709"
"""Colours that the scaler converts to. It computes a table for them, which takes some seconds and serves all frames."""
_HIGHLIGHTS = 0.45
"""Share of the range below white that the perceptual intent keeps after it is lightened."""
_TILE = (256, 1024)
"""Size at which stills go through the scaler, (H, W): a table for each size would take its seconds for each."""
_of_stills = threading.Lock()


class Frame:
    """One upright picture of a source."""

    __slots__ = ("_decoded", "_rgb", "arrived", "duration", "index", "name", "time")

    def __init__(self, picture: "Rgb | Decoded | None", index: int, time: Fraction | None, name: str,
                 arrived: float | None = None, duration: Fraction | None = None) -> None:
        """
        Args:
            picture: uint8 (H, W, 3); or as the decoder left it; None for a frame that is a moment alone.
            index: 0, 1, 2, … in the order of delivery.
            time: seconds since the first frame, exact; None where the source has no clock (pictures).
            name: a file stem for outputs of one picture a frame: the source file's own stem; in a video 000000,
                000001, …
            arrived: time of arrival from a live source, in seconds of `time.monotonic`.
            duration: seconds for which it is shown; None where the next frame or the frame rate decides.
        """
        self._decoded = picture if isinstance(picture, Decoded) else None
        self._rgb = None if isinstance(picture, Decoded) else picture
        self.index = index
        self.time = time
        self.name = name
        self.arrived = arrived
        self.duration = duration

    @property
    def rgb(self) -> Rgb:
        """uint8 (H, W, 3), made at the first use and kept."""
        if self._rgb is None:
            if self._decoded is None:
                raise ValueError("a frame without a picture")
            self._rgb = self._decoded.rgb()
        return self._rgb

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        if self._decoded is not None:
            return self._decoded.size
        height, width = self.rgb.shape[:2]
        return height, width

    @property
    def nbytes(self) -> int:
        """Memory that it holds."""
        return (0 if self._rgb is None else self._rgb.nbytes) + (0 if self._decoded is None else self._decoded.nbytes)

    def resized(self, height: int, width: int) -> Rgb:
        """The picture at another size: uint8 (height, width, 3), bilinear, antialiased where it shrinks.

        To be called in the thread that reads the source.
        """
        if self._decoded is not None and self._rgb is None:
            return self._decoded.resized(height, width)
        return resize_rgb(self.rgb, height, width)

    def planes(self) -> Yuv | None:
        """Luma (H, W) and chroma (H/2, W/2), BT.709 in limited range; None where the source has RGB alone."""
        return None if self._decoded is None else self._decoded.planes()

    def without_picture(self) -> "Frame":
        """The same moment of the source without its picture, which holds no memory."""
        return Frame(None, self.index, self.time, self.name, self.arrived, self.duration)


class FrameSource(ABC):
    """Frames of one input, read one at a time: a context manager to be iterated once, by one thread.

    Memory does not grow with the number of frames, and leaving the context closes the file in every case.

    An input that cannot be opened raises DepthcueError on entering (videos) or at the first frame (pictures). Where
    only a part can be read, that part is delivered first and DepthcueError is raised after it, so that a caller can
    keep the partial result and still report the failure.
    """

    is_video = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frame_rate: Fraction | None = None
        """Frames a second, exact; the mean where the rate varies; None without a clock."""
        self.time_base: Fraction | None = None
        """A tick, in seconds, of which every frame's time is a multiple; None without a clock."""
        self.frame_count: int | None = None
        """Number of frames that the file states; None where it states none."""
        self.size: tuple[int, int] | None = None
        """(H, W), upright; None until known. Every frame of a video has it; pictures of a sequence may differ."""
        self.pixel_aspect: Fraction = Fraction(1)
        """Width of a pixel over its height, upright; 1 but for anamorphic video."""
        self.notes: list[str] = []
        """Notes for the user on the reading, such as "transparent: shown on mid-grey". The list grows in reading."""
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._started:
            raise RuntimeError(f"{self.path}: a source is iterated once; open it again")
        self._started = True
        return self._frames()

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """Deliver the frames."""

    def close(self) -> None:  # noqa: B027  pictures hold nothing open
        """Release the file; calling it again does nothing."""

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


class Decoded:
    """One frame; `size` is (H, W), upright. Used by one thread at a time."""

    def __init__(self, frame: VideoFrame, scaler: VideoReformatter, turn: "Orientation",
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

    def planes(self) -> Yuv | None:
        """Luma (H, W) and chroma (H/2, W/2), BT.709 in limited range; None where its size does not allow that."""
        if self.size != self.own_size or self._frame.height % 2 or self._frame.width % 2:
            return None
        frame = self._frame.reformat(format="yuv420p", src_colorspace=self._colourspace(),
                                     dst_colorspace=Colorspace.ITU709, dst_color_range=_LIMITED)
        luma, blue, red = (
            self._turn.applied(np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
                               [:plane.height, :plane.width]) for plane in frame.planes)
        return luma, blue, red

    def _colourspace(self) -> Colorspace | None:
        if self._frame.colorspace != UNSPECIFIED:
            return None
        return Colorspace.ITU709 if self._frame.height >= 720 else Colorspace.ITU601  # what players assume


class DecodedSource(FrameSource):
    """A source of decoded video: frames upright, as a screen shows them, at the size of the first."""

    is_video = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._scaler = VideoReformatter()
        self._display = Display(self._note)
        self._turn = Orientation(1, 0, 0, 1)

    def _take_size(self, first: VideoFrame) -> None:
        """Know the turn, and so the size, from the first frame."""
        self._turn = orientation_of(first)
        self.size = self._turn.size(first.height, first.width)

    def _shown(self, frame: VideoFrame) -> Decoded:
        decoded = Decoded(self._display.shown(frame), self._scaler, self._turn, self.size)
        if decoded.own_size != decoded.size:
            height, width = decoded.size
            self._note(f"the size changes within the video: frames are brought to {width}x{height}")
        return decoded


class Orientation:
    """Turn and mirroring that bring a stored frame upright: a display matrix, to the nearest right angle."""

    def __init__(self, a: int, b: int, c: int, d: int) -> None:
        # a stored point (x, y) is shown at (a x + c y, b x + d y), y downwards
        self.swaps_sides = abs(b) > abs(a)
        self._flips_columns = (c if self.swaps_sides else a) < 0
        self._flips_rows = (b if self.swaps_sides else d) < 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) upright from those stored, and the other way round."""
        return (width, height) if self.swaps_sides else (height, width)

    def applied(self, picture: Rgb) -> Rgb:
        """A view of (H, W) or (H, W, 3), upright."""
        upright = picture.swapaxes(0, 1) if self.swaps_sides else picture
        return upright[::-1 if self._flips_rows else 1, ::-1 if self._flips_columns else 1]


def orientation_of(frame: VideoFrame) -> Orientation:
    """The turn that a frame's display matrix states.

    Call it on a video's first frame alone: it makes the frame refer to itself, and such frames stay in memory until
    Python's collector runs.
    """
    try:
        matrix = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]
    except KeyError:
        return Orientation(1, 0, 0, 1)
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(memoryview(matrix)[:36]))
    return Orientation(a, b, c, d)


class Display:
    """The frames of one video as a screen of usual range shows them; used by one thread."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """
        Args:
            note: called with each note for the user, once or more often.
        """
        self._note = note
        self._key: tuple[int | str, ...] = ()
        self._graph: tuple[Graph, object, object] | None = None
        self._pushed = 0

    def shown(self, frame: VideoFrame) -> VideoFrame:
        """The frame as a screen shows it: itself, or a new one without its time; the given frame's time is lost."""
        alpha = _alpha(frame)
        high_range = HIGH_RANGE.get(int(frame.color_trc))
        if high_range is not None:
            frame = self._tone_mapped(frame, high_range)
        if alpha is None:
            return frame
        self._note("transparent: shown on mid-grey")
        colours = frame.reformat(format="rgb24").to_ndarray().view(np.uint8)
        return _as_frame(_composed(colours, alpha))

    def _tone_mapped(self, frame: VideoFrame, name: str) -> VideoFrame:
        if int(frame.color_primaries) == UNSPECIFIED:
            frame.color_primaries = _BT2020
        matrix, extent = int(frame.colorspace), int(frame.color_range)
        is_rgb = frame.format.is_rgb
        matrix = matrix if is_rgb or matrix != UNSPECIFIED else _BT2020
        extent = extent or (_FULL if is_rgb else _LIMITED)
        key = (frame.width, frame.height, frame.format.name, matrix, extent, name, int(frame.color_primaries))
        try:
            if key != self._key:
                self._key, self._graph = key, None
                self._graph = _graph(frame, matrix, extent)
            if self._graph is not None:
                _, entrance, exit_ = self._graph
                frame.pts = self._pushed  # both branches must agree on a time, whatever the file's clock says
                self._pushed += 1
                entrance.push(frame)  # type: ignore[attr-defined]
                mapped: VideoFrame = exit_.pull()  # type: ignore[attr-defined]
                self._note(f"HDR ({name}): tone-mapped to BT.709")
                return mapped
        except (av.error.FFmpegError, ValueError, OSError):
            self._graph = None
        self._note(f"HDR ({name}) cannot be tone-mapped by this build of PyAV: shown as it is stored, washed out")
        return frame


def shown_still(rgb: Rgb, primaries: int, transfer: int, note: Callable[[str], None]) -> Rgb:
    """A still of high dynamic range in the usual one, uint8 (H, W, 3); safe to call from several threads.

    Args:
        primaries: colours of the file (ITU-T H.273).
        transfer: one of HIGH_RANGE.
    """
    pixels, shown = rgb.reshape(-1, 3), np.empty(rgb.shape, np.uint8)
    part, size = np.zeros((*_TILE, 3), np.uint8), _TILE[0] * _TILE[1]
    with _of_stills:
        display, notes = _still_display(primaries, transfer)
        for start in range(0, len(pixels), size):
            count = len(pixels[start:start + size])
            part.reshape(-1, 3)[:count] = pixels[start:start + size]
            frame = _as_frame(part)
            frame.color_primaries, frame.color_trc = primaries, transfer
            tile = display.shown(frame).to_ndarray().view(np.uint8)
            shown.reshape(-1, 3)[start:start + size] = tile.reshape(-1, 3)[:count]
    for each in dict.fromkeys(notes):
        note(each)
    return shown


@lru_cache(maxsize=4)
def _still_display(primaries: int, transfer: int) -> tuple[Display, list[str]]:
    """Display for all stills of a kind, and the notes on them; used under the lock."""
    notes: list[str] = []
    return Display(lambda note: None if note in notes else notes.append(note)), notes


def _graph(frame: VideoFrame, matrix: int, extent: int) -> tuple[Graph, object, object]:
    graph = Graph()
    lightened = f"255-(255-val)*{_HIGHLIGHTS}"
    entrance = graph.add("buffer", f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
                                   f"time_base=1/25:pixel_aspect=1/1:colorspace={matrix}:range={extent}")
    both = graph.add("split")
    branches = [[("scale", f"{_TARGET}:intent=relative_colorimetric"), ("format", "gbrp")],
                [("scale", f"{_TARGET}:intent=perceptual"), ("format", "gbrp"),
                 ("lutrgb", f"r={lightened}:g={lightened}:b={lightened}")]]
    darker = graph.add("blend", "all_mode=darken")
    entrance.link_to(both)
    for number, branch in enumerate(branches):
        last, output = both, number
        for name, arguments in branch:
            filter_ = graph.add(name, arguments)
            last.link_to(filter_, output, 0)
            last, output = filter_, 0
        last.link_to(darker, 0, number)
    exit_ = graph.add("buffersink")
    rgb = graph.add("format", "rgb24")
    darker.link_to(rgb)
    rgb.link_to(exit_)
    graph.configure()
    return graph, entrance, exit_


def _alpha(frame: VideoFrame) -> Grey | None:
    """Opacity of each pixel, uint8 (H, W); None where all are opaque."""
    if not (frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)):
        return None
    alpha: Grey = frame.reformat(format="rgba").to_ndarray().view(np.uint8)[..., 3]
    return None if alpha.min() == 255 else alpha


def _composed(rgb: Rgb, alpha: Grey) -> Rgb:
    opacity = alpha.astype(np.uint16)[..., None]
    mixed: Rgb = ((rgb * opacity + np.uint16(BACKGROUND_GREY) * (255 - opacity) + 127) // 255).astype(np.uint8)
    return mixed


def _as_frame(rgb: Rgb) -> VideoFrame:
    return VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
