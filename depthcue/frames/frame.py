"""A frame, and what every source of frames promises."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from depthcue.frames.decoded import Decoded
from depthcue.imaging import Rgb, Yuv, resize_rgb


class Frame:
    """One upright picture of a source."""

    __slots__ = ("_decoded", "_rgb", "arrived", "duration", "index", "name", "time")

    def __init__(self, picture: Rgb | Decoded | None, index: int, time: Fraction | None, name: str,
                 arrived: float | None = None, duration: Fraction | None = None) -> None:
        """
        Args:
            picture: uint8 (H, W, 3); or as the decoder left it; None for a frame that is a place in time alone.
            index: 0, 1, 2, … in the order of delivery.
            time: seconds since the first frame, exact; None where the source has no clock (pictures).
            name: a file stem for outputs that are one picture a frame: the source file's own stem; in a video 000000,
                000001, …
            arrived: of a live source, when it came: seconds of `time.monotonic`.
            duration: seconds for which it is shown; None where the next frame or the frame rate tells.
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
        """uint8 (H, W, 3); made at the first use, and kept."""
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
        """Luma (H, W) and chroma (H/2, W/2), BT.709 in limited range; None where only the picture itself is there."""
        return None if self._decoded is None else self._decoded.planes()

    def without_picture(self) -> "Frame":
        """Its place in the source alone, which holds no memory."""
        return Frame(None, self.index, self.time, self.name, self.arrived, self.duration)


class FrameSource(ABC):
    """Frames of one input, read one at a time: a context manager to be iterated once, by one thread.

    Memory does not grow with the number of frames, and leaving the context closes the file whatever happened.

    What cannot be opened raises DepthcueError on entering (videos) or at the first frame (pictures). Where only a part
    can be read, all of that part is delivered first and DepthcueError is raised after it, so that a caller can keep
    the partial result and still report the failure.
    """

    is_video = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frame_rate: Fraction | None = None
        """Frames a second, exact; the mean where the rate varies; None without a clock."""
        self.time_base: Fraction | None = None
        """A tick, in seconds, of which every frame's time is a multiple; None without a clock."""
        self.frame_count: int | None = None
        """Number of frames by the file's own account; None where it has none."""
        self.size: tuple[int, int] | None = None
        """(H, W), upright; None until known. Every frame of a video has it; pictures of a sequence may differ."""
        self.pixel_aspect: Fraction = Fraction(1)
        """Width of a pixel over its height, upright; 1 but for anamorphic video."""
        self.notes: list[str] = []
        """Notes for the user on the reading, such as "transparent: shown on mid-grey". The list grows in reading."""
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
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
