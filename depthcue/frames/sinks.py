"""Sinks for results: pictures in several encodings, and video at the source's own times. Files are whole or absent.

Encoders of H.264 run on the CPU, or on GPUs that have one. Each is set to the same constant quantiser, for speed: all
frames have one quality, and no time goes into looking ahead. None writes B frames, so decoding order is display order
and the times in a file are plain.
"""

import errno
import io
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import av
import av.container
import av.error
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.files import atomic_path, write_bytes
from depthcue.frames.frame import Frame
from depthcue.frames.videos import create_file
from depthcue.imaging import Yuv, grey8, grey16

AUTO = "auto"
Values = NDArray[Any]
"""A picture uint8 (H, W, 3), or a map (H, W): uint8, bool, or float in [0, 1]."""
_BT709 = 1
_LIMITED_RANGE = 1
_FEW_CORES = 4
"""Up to so many cores, an encoder's own threads gain nothing: they only take turns with the threads that feed them."""
_PLY_TYPES = {"f4": "float", "u1": "uchar"}


@dataclass(frozen=True)
class VideoEncoding:
    """Settings of an encoder."""

    name: str
    options: Callable[[int], dict[str, str]]
    """Options of the encoder for a quantiser."""
    pixel_format: str
    """Pixel format of pictures with even sides."""
    odd_format: str | None
    """Pixel format that keeps the exact size of pictures with an odd side; None where the encoder has none."""

    def format_for(self, size: tuple[int, int]) -> str | None:
        """The pixel format for pictures of `size` (H, W); None where it cannot take them."""
        return self.odd_format if size[0] % 2 or size[1] % 2 else self.pixel_format


ENCODERS = {encoder.name: encoder for encoder in (
    VideoEncoding("libx264", lambda quantiser: {"qp": str(quantiser), "preset": "ultrafast", "bf": "0"},
                  "yuv420p", "yuv444p"),
    # NVIDIA; not on H100 and H200, which decode but do not encode
    VideoEncoding("h264_nvenc", lambda quantiser: {"rc": "constqp", "qp": str(quantiser), "preset": "p1", "bf": "0"},
                  "yuv420p", "yuv444p"),
    # Intel
    VideoEncoding("h264_qsv", lambda quantiser: {"global_quality": str(quantiser), "preset": "veryfast", "bf": "0"},
                  "nv12", None),
    # AMD
    VideoEncoding("h264_amf", lambda quantiser: {"rc": "cqp", "qp_i": str(quantiser), "qp_p": str(quantiser),
                                                 "quality": "speed"}, "yuv420p", None),
)}
SOFTWARE = ENCODERS["libx264"]
"""The default: it is available everywhere, takes every size, and writes the same bits on every machine."""


def check_encoder(name: str) -> None:
    """Refuse a name that no encoder has.

    Raises:
        DepthcueError: it is neither `auto` nor one of ENCODERS.
    """
    if name != AUTO and name not in ENCODERS:
        raise must_be_one_of("--encoder", (AUTO, *ENCODERS), name, f"Leave it out for {AUTO}.")


def find_encoder(name: str, size: tuple[int, int]) -> VideoEncoding:
    """The encoder `name` for pictures of `size` (H, W), tried out; `auto`: the first on a GPU that works, else libx264.

    Raises:
        DepthcueError: an unknown name, or it does not work here or not for this size.
    """
    check_encoder(name)
    if name == AUTO:
        return next((each for each in ENCODERS.values() if each is not SOFTWARE and not _complaint(each.name, size)),
                    SOFTWARE)
    if name == SOFTWARE.name and "libx264" not in av.codecs_available:
        raise DepthcueError("this build of PyAV cannot write H.264 video",
                            "Install PyAV from PyPI: pip install --force-reinstall av")
    if complaint := _complaint(name, size):
        raise DepthcueError(f"the encoder {name} does not work here: {complaint}",
                            "It needs a GPU of its maker that encodes, and the driver. Use "
                            f"{SOFTWARE.name}, or auto for what works.")
    return ENCODERS[name]


@lru_cache(maxsize=64)
def _complaint(name: str, size: tuple[int, int]) -> str:
    """Why an encoder cannot be used for pictures of a size; empty where it can."""
    encoder = ENCODERS[name]
    pixel_format = encoder.format_for(size)
    if pixel_format is None:
        return f"it takes no odd sides, such as {size[1]}x{size[0]}"
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.height, context.width = size
        context.pix_fmt = pixel_format
        context.time_base = Fraction(1, 25)
        context.options = encoder.options(20)
        context.open(strict=False)
    except (av.error.FFmpegError, ValueError, OSError) as error:  # ValueError: an encoder this build has not got
        return str(getattr(error, "strerror", None) or error)
    return ""


class Sink(Protocol):
    """Takes the results of one input, frame by frame, inside a context, and writes them to `path`."""

    path: Path

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None: ...

    def write(self, values: Values, frame: Frame) -> None:
        """Write the result for one frame.

        Raises:
            DepthcueError: the disk is full, or the folder cannot be written.
        """


@dataclass(frozen=True)
class Encoding:
    """An encoding of a result as a file of its own."""

    suffix: str
    encode: Callable[[Values], bytes]


def _image_bytes(values: Values, format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values)).save(buffer, format, **options)
    return buffer.getvalue()


def _npy_bytes(values: Values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(values, np.float32), allow_pickle=False)
    return buffer.getvalue()


def _ply_bytes(points: Values) -> bytes:
    """A structured array (N,) as a point cloud of Stanford's format, little-endian."""
    fields: Any = points.dtype.fields or {}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}",
             *(f"property {_PLY_TYPES[kind.str[1:]]} {name}" for name, (kind, *_) in fields.items()), "end_header"]
    return ("\n".join(lines) + "\n").encode() + points.tobytes()


# compress_level 3 instead of 6: three times as fast, a few per cent larger
ENCODINGS: dict[str, Encoding] = {
    "png8": Encoding(".png", lambda values: _image_bytes(grey8(values), "PNG", compress_level=3)),
    "png1": Encoding(".png", lambda values: _image_bytes(np.asarray(values, np.bool_), "PNG")),
    "png16": Encoding(".png", lambda values: _image_bytes(grey16(values), "PNG", compress_level=3)),
    "npy": Encoding(".npy", _npy_bytes),
    "ply": Encoding(".ply", _ply_bytes),
    "rgb-png": Encoding(".png", lambda values: _image_bytes(values, "PNG", compress_level=3)),
    "rgb-jpg": Encoding(".jpg", lambda values: _image_bytes(values, "JPEG", quality=92)),
}
"""Ways to write a picture by name: png8 and png16 (float [0, 1] times 255 or 65535, rounded), png1 (bool),
npy (float32), ply (points with named fields), rgb-png, rgb-jpg (uint8)."""


class ImageSink:
    """Writes results as picture files, each whole or absent. May be written to from several threads at once."""

    def __init__(self, path: Path, encoding: str, *, per_frame: bool = False) -> None:
        """Write to `path`, whose suffix must be the encoding's.

        With `per_frame` there is a file a frame: `path` out/walk/mask.png gives out/walk/frame_00012_mask.png for the
        frame of that name.
        """
        self._encoding = ENCODINGS[encoding]
        if path.suffix != self._encoding.suffix:
            raise ValueError(f"{encoding} files end in {self._encoding.suffix}, not as {path.name}")
        self.path = path
        self._per_frame = per_frame

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def path_for(self, frame: Frame) -> Path:
        """The file that the result for `frame` goes to."""
        return self.path.with_name(f"{frame.name}_{self.path.name}") if self._per_frame else self.path

    def write(self, values: Values | bytes, frame: Frame) -> None:
        """Write the result for one frame, or its file's content, encoded before; see Sink."""
        path, content = self.path_for(frame), values if isinstance(values, bytes) else self._encoding.encode(values)
        try:
            write_bytes(path, content, durable=False)  # one of thousands, and a run that is resumed looks for it
        except OSError as error:
            raise _user_error(error, path) from error


class VideoSink:
    """Writes an H.264 mp4 whose frames have the times, and the file the mean rate, of the source, exactly.

    The file appears under its name when the context is left without an error; otherwise nothing does. Frames are
    yuv420p, which everything plays; with an odd side, which that format cannot have, yuv444p, which keeps the exact
    size and plays in VLC, mpv, ffmpeg and Chrome. Colours are BT.709, limited range, and tagged so.
    """

    def __init__(self, path: Path, frame_rate: Fraction, size: tuple[int, int], *, time_base: Fraction | None = None,
                 pixel_aspect: Fraction = Fraction(1), quantiser: int = 20, encoder: str = SOFTWARE.name,
                 endless: bool = False) -> None:
        """Prepare a video of `size` (H, W); the file is opened on entering.

        Args:
            frame_rate: frames a second; the times of frames that carry none.
            time_base: the tick that times are multiples of (a source's own); by default one that suits the rate.
            pixel_aspect: width over height of a pixel.
            quantiser: 0 is lossless; 20 shows no loss, 8 keeps binary masks exact when thresholded at half.
            encoder: one of `ENCODERS`, or auto.
            endless: for hours of video: the file is written in fragments with an index each, so that memory does not
                grow with its length. Some players cannot jump within such a file.
        """
        self.path = path
        self._rate = frame_rate
        # a rate's own grid, made finer than a tenth of a millisecond so that other times land close as well
        fineness = -(-10_000 // frame_rate.numerator)
        self._tick = time_base or Fraction(1, frame_rate.numerator * fineness)
        self._size = size
        self._aspect = pixel_aspect
        self._quantiser = quantiser
        self._encoder = encoder
        # the usual index at the end of the file has an entry a frame, held in memory until then
        self._endless = endless
        self._mp4_options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if endless else {}
        self._reformatter = VideoReformatter()  # keeps its tables from frame to frame
        self._file = ExitStack()
        self._container: av.container.OutputContainer | None = None
        self._start: Fraction | None = None
        self._count = 0
        self._last = -1  # ticks
        self._shown_for: Fraction | None = None

    def __enter__(self) -> Self:
        try:
            partial = self._file.enter_context(atomic_path(self.path))
            self._container = create_file(partial, "mp4", self._mp4_options)
            self._stream = self._add_stream(self._container)
        except BaseException as error:
            self._discard(error)
            raise _user_error(error, self.path) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if error is not None:
            self._discard(error)
            return
        try:
            if not self._count:
                raise DepthcueError(f"no frame to write to {self.path}", "The source gave none.")
            self._finish()
        except BaseException as failure:
            self._discard(failure)
            raise _user_error(failure, self.path) from failure
        self._file.close()  # renames

    def write(self, values: Values | Yuv, frame: Frame) -> None:
        """Append the result for one frame: uint8 RGB (H, W, 3), or a map (H, W) as uint8, bool or float in [0, 1].

        Where both sides are even, also luma and chroma, which saves the conversion.
        """
        size = values[0].shape if isinstance(values, tuple) else values.shape[:2]
        if size != self._size:
            raise ValueError(f"a frame of {size} in a video of {self._size}")
        try:
            self._encode(values, self._ticks(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise _user_error(error, self.path) from error
        self._count += 1
        self._shown_for = frame.duration

    def _add_stream(self, container: av.container.OutputContainer) -> VideoStream:
        encoder = find_encoder(self._encoder, self._size)
        stream = container.add_stream(encoder.name, rate=self._rate)
        assert isinstance(stream, VideoStream)  # all encoders are of video
        stream.height, stream.width = self._size
        stream.pix_fmt = encoder.format_for(self._size)
        stream.options = {**encoder.options(self._quantiser)}
        context = stream.codec_context
        if (os.cpu_count() or 1) <= _FEW_CORES:
            context.thread_count = 1
        context.time_base = stream.time_base = self._tick
        context.sample_aspect_ratio = self._aspect
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return stream

    def _ticks(self, frame: Frame) -> int:
        time = frame.time if frame.time is not None else self._count / self._rate
        if self._start is None:
            self._start = time
        return max(round((time - self._start) / self._tick), self._last + 1)

    def _encode(self, values: Values | Yuv, ticks: int) -> None:
        encoded = _from_planes(values) if isinstance(values, tuple) else self._converted(values)
        if encoded.format.name != self._stream.pix_fmt:
            encoded = self._reformatter.reformat(encoded, format=self._stream.pix_fmt)
        encoded.pts, encoded.time_base = ticks, self._tick
        self._last = ticks
        self._mux(self._stream.encode(encoded))

    def _converted(self, values: Values) -> VideoFrame:
        if values.ndim == 3:
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(values), "rgb24")
        else:
            picture = VideoFrame.from_ndarray(np.ascontiguousarray(grey8(values)), "gray")
        return self._reformatter.reformat(picture, format=self._stream.pix_fmt, dst_colorspace=Colorspace.ITU709)

    def _finish(self) -> None:
        for packet in self._stream.encode(None):
            if packet.pts == self._last:
                packet.duration = self._last_duration()
            self._mux([packet])
        if self._container is not None:
            self._container.close()

    def _last_duration(self) -> int:
        """Ticks for which the last frame is shown: as in the source, or what makes the mean rate the source's exactly,
        or one period."""
        if self._shown_for is not None:
            return max(round(self._shown_for / self._tick), 1)
        rest = self._count / self._rate / self._tick - self._last
        if not self._endless and rest.denominator == 1 and rest > 0:
            return int(rest)
        return max(round(1 / self._rate / self._tick), 1)

    def _mux(self, packets: "Sequence[Packet[VideoStream]]") -> None:
        if self._container is None:
            raise RuntimeError(f"{self.path}: write inside the context")
        self._container.mux(packets)

    def _discard(self, error: BaseException) -> None:
        """Close what is open and leave nothing behind."""
        if self._container is not None:
            # the first error is the one to tell; the file is removed anyway
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()
        with suppress(DepthcueError, OSError):
            self._file.__exit__(type(error), error, error.__traceback__)


def _user_error(error: BaseException, path: Path) -> BaseException:
    """The error to raise for an error in writing: a DepthcueError where the user can put it right."""
    if not isinstance(error, (av.error.FFmpegError, OSError)):
        return error
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return DepthcueError(f"no space left on the disk while writing {path}", "Free some space; with --resume, what "
                             "is finished is kept.")
    return DepthcueError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}",
                         "Choose another --out, or check the disk.")


def _from_planes(planes: Yuv) -> VideoFrame:
    height, width = planes[0].shape
    picture = VideoFrame(width, height, "yuv420p")
    for plane, values in zip(picture.planes, planes, strict=True):
        # rows are padded
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, :plane.width] = values
    return picture
