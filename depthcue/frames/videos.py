"""Video files frame by frame, upright and with exact times, damaged files too; decoding on a CPU or a GPU.

A path never counts as an address, and a file opens no other file. FFmpeg takes a relative path such as
`http:/host/x.mp4`, `subfile,,…` or `10:30.mp4` for an address, and a script among videos (ffconcat, a playlist, a
session description) makes it open the files that the script lists. So FFmpeg gets `file:PATH` with that protocol alone
allowed, and formats that hold their own pictures. Protocols of the network are for addresses that the user has typed.
"""

import math
import os
import sys
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import IO, Self

import av
import av.container
import av.error
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from depthcue.errors import DepthcueError
from depthcue.frames.frame import UNSPECIFIED, DecodedSource, Frame
from depthcue.frames.kinds import opening

DECODERS = ("cpu", "gpu")
"""cpu: the same pixels on every machine. gpu: NVDEC for videos and streams (VideoToolbox on macOS), nvJPEG for JPEG
files (see pictures.py)."""

FORMATS = ("mov", "matroska", "avi", "flv", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "vvc", "av1", "obu",
           "ivf", "asf", "asf_o", "ogg", "mxf", "nut", "rm", "dv", "gxf", "wtv", "yuv4mpegpipe", "mjpeg", "gif", "apng",
           "dnxhd", "dirac", "vc1", "vc1test", "h261", "h263", "nsv", "lxf", "bink", "smk", "flic", "pva", "ty", "dhav",
           "cine", "amv", "avs2", "avs3", "evc")
"""Demuxers of files that hold pictures and refer to nothing else."""

_NETWORK = ("rtsp", "rtsps", "rtp", "srtp", "udp", "tcp", "tls", "http", "https", "httpproxy", "crypto", "data")
"""Protocols that serve an address; `file` is not among them, so that no server can have a file read."""

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_FLV_TAGS = (8, 9, 18)
"""Kinds of parts in FLV: sound, pictures, data."""

_JOINT = 2
"""Number of packets after one that looks cut off; where the clock starts again within them, files were joined there."""

_SCRIPTS = (b"ffconcat", b"#EXTM3U", b"v=0", b"[playlist]", b"<?xml", b"<MPD", b"<SmoothStreamingMedia")
"""First bytes of files that list others: concat scripts, playlists, session descriptions, manifests."""

_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that read the transparency of WebM, which FFmpeg's own do not."""
_DOLBY_VISION = ("dav1", "dva1", "dvav", "dvh1", "dvhe")
"""Marks in MP4 of Dolby Vision that shows right colours on no other screen."""
_FINEST_TICK = Fraction(1, 1_000_000)
_COARSE_TICK = Fraction(1, 1000)


def open_file(path: Path, hardware: HWAccel | None = None) -> av.container.InputContainer:
    """Open a video file for reading.

    Raises:
        DepthcueError: it is a script that names other files.
        av.error.FFmpegError: it cannot be opened.
        OSError: likewise.
    """
    if _is_script(path):
        raise DepthcueError(f"{path} is a script that names other files or addresses, and those are not opened",
                            "Name the videos themselves, or an address by its http://, https:// or rtsp://.")
    return av.open(_as_file(path), metadata_errors="replace", hwaccel=hardware,
                   options={"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)})


def create_file(path: Path, format: str, options: Mapping[str, str]) -> av.container.OutputContainer:
    """Open a video file for writing.

    Raises:
        av.error.FFmpegError: it cannot be written.
        OSError: likewise.
    """
    return av.open(_as_file(path), "w", format=format, options=dict(options))


def open_stream(name: str, format: str | None, options: Mapping[str, str], timeout_s: tuple[float, float],
                hardware: HWAccel | None = None) -> av.container.InputContainer:
    """Open the address of a stream, or a camera by its name for the input device `format`.

    Args:
        format: None for an address, whose scheme may be written in any case.
        timeout_s: longest time for opening and for each read.

    Raises:
        av.error.FFmpegError: it cannot be opened.
        OSError: likewise.
    """
    settings = dict(options)
    if format is None:
        scheme, colon, rest = name.partition(":")
        name, settings["protocol_whitelist"] = f"{scheme.lower()}{colon}{rest}", ",".join(_NETWORK)
    return av.open(name, format=format, timeout=timeout_s, hwaccel=hardware, metadata_errors="replace",
                   options=settings)


def is_whole(path: Path) -> bool:
    """Whether a Matroska, WebM or FLV file is as long as it states, or ends where a part of it ends; False for others.

    These do not state how long their last picture is shown: only in a whole file is the rest of its length that time.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            begin = file.read(4)
            if begin == _EBML:
                file.seek(_varint(file), os.SEEK_CUR)
                return file.read(4) == _SEGMENT and _varint(file) + file.tell() <= size
            if begin[:3] == b"FLV" and size > 15:
                file.seek(size - 4)
                tag = int.from_bytes(file.read(4), "big")  # the last part's size, its head of 11 bytes included
                file.seek(max(size - 4 - tag, 0))
                head = file.read(4)
                return head[0] in _FLV_TAGS and int.from_bytes(head[1:4], "big") + 11 == tag
    except (OSError, IndexError, ValueError):
        pass
    return False


def _as_file(path: Path) -> str:
    return f"file:{path}"


def _varint(file: IO[bytes]) -> int:
    """A length as EBML writes it: the leading zero bits count the bytes that follow; all ones are an unknown length."""
    first = file.read(1)[0]
    following = 8 - first.bit_length()
    return int.from_bytes(bytes([first & (0x7F >> following)]) + file.read(following), "big")


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        begin = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return begin.startswith(_SCRIPTS)


def check_decoder(name: str) -> None:
    """Refuse a name that no decoder has.

    Raises:
        DepthcueError: it is not one of DECODERS.
    """
    if name not in DECODERS:
        raise DepthcueError(f"--decoder must be {' or '.join(DECODERS)}, got {name!r}", "Leave it out for cpu.")


def hardware_decoding(decoder: str) -> HWAccel | None:
    """Acceleration to open a video with, None for the CPU; frames are brought to the CPU's memory in any case.

    Raises:
        DepthcueError: not one of DECODERS, or this build of the video library has no such decoder.
    """
    check_decoder(decoder)
    if decoder == "cpu":
        return None
    kind = "videotoolbox" if sys.platform == "darwin" else "cuda"
    if kind not in hwdevices_available():
        raise DepthcueError(f"this build of PyAV decodes nothing on a GPU ({kind} is missing)",
                            "Leave --decoder out, or install PyAV from PyPI.")
    # a codec that the GPU does not know is decoded on the CPU; a GPU that is not there is an error
    accelerated = HWAccel(kind, allow_software_fallback=True)
    try:
        accelerated.create(Codec("h264", "r"))
    except (av.error.FFmpegError, OSError, RuntimeError) as error:
        raise DepthcueError(f"no GPU here decodes video ({kind}: {getattr(error, 'strerror', None) or error})",
                            "It needs a GPU and its driver: depthcue doctor tells what is here. Or leave --decoder "
                            "out.") from error
    return accelerated


class VideoSource(DecodedSource):
    """A video file as a source of frames, decoded on several threads inside the library, one frame held at a time.

    The display rotation (and mirroring) of phone videos is applied. Times are the file's own, so that a variable frame
    rate is kept; Matroska's millisecond clock, too coarse for rates such as 30000/1001, is put back on the exact rate.
    Entering decodes the first frame, so that `size` is known and a file without frames fails there.
    """

    def __init__(self, path: Path, decoder: str = "cpu") -> None:
        """
        Args:
            decoder: one of DECODERS.
        """
        super().__init__(path)
        self._decoder = decoder
        self._container: av.container.InputContainer | None = None
        self._first: VideoFrame | None = None
        self._decoded: Iterator[VideoFrame] = iter(())
        self._damaged = 0
        self._begun = False
        """A frame has been decoded."""
        self._start: Fraction | None = None

    def __enter__(self) -> Self:
        self._container = _open(self.path, self._decoder)
        try:
            self._prepare(self._container)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Close the file."""
        self._first = None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _prepare(self, container: av.container.InputContainer) -> None:
        # a stream whose description is cut off has no codec
        streams = [stream for stream in container.streams.video if stream.codec_context is not None
                   and not _is_still(stream)]
        if not streams:
            kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
            only = f", only {' and '.join(kinds)}" if kinds else ""
            raise DepthcueError(f"{self.path} holds no video stream{only}",
                                "Name a video; if this should be one, it is damaged or cut off.")
        self._stream = max(streams, key=_rank)
        if len(streams) > 1:
            self._note(f"{len(streams)} videos in the file: number {streams.index(self._stream) + 1} is read, "
                       f"{self._stream.codec_context.width}x{self._stream.codec_context.height}")
        self._stream.thread_type = "AUTO"
        self._codec = self._transparent_codec()
        rate = self._stream.average_rate or self._stream.guessed_rate
        if not rate:
            rate = Fraction(25)
            self._note("frame rate unknown: 25 a second assumed")
        self.frame_rate = Fraction(rate)
        self._tick = Fraction(self._stream.time_base or 1 / self.frame_rate)
        exact = Fraction(1, math.lcm(self._tick.denominator, self.frame_rate.numerator))
        self.time_base = exact if exact >= _FINEST_TICK else self._tick
        self.frame_count = self._stream.frames or None
        self._decoded = self._decode(container)
        self._first = next(self._decoded, None)
        if self._first is None:
            raise DepthcueError(f"{self.path} holds no frame that can be decoded", "It is empty, damaged or cut off.")
        if int(self._first.color_trc) == UNSPECIFIED and _is_dolby_vision(self._stream, self._first):
            raise DepthcueError(f"{self.path} is Dolby Vision of a kind (profile 5) whose colours nothing here can "
                                "read: they would come out green and purple", "Convert it to HDR10 or usual video "
                                "first, with a program that knows Dolby Vision.")
        aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        self._take_size(self._first)
        self.pixel_aspect = 1 / aspect if self._turn.swaps_sides else aspect

    def _frames(self) -> Iterator[Frame]:
        first, self._first = self._first, None
        if first is None:
            raise RuntimeError(f"{self.path}: iterate inside the context")
        index, end, previous = 0, Fraction(0), Fraction(-1)
        frame: VideoFrame | None = first
        while frame is not None:
            following = next(self._decoded, None)
            time = self._time(frame, index)
            if time <= previous:  # a broken clock; the frames stay in their order
                time = previous + self._step
            duration = self._last_duration(frame, time) if following is None else None
            yield Frame(self._shown(frame), index, time, f"{index:06d}", duration=duration)
            index, previous = index + 1, time
            end = time + (duration or self._step)
            frame = following
        reason = self._incomplete(index, end)
        if reason:
            raise DepthcueError(f"{self.path} {reason}", "The file is damaged or cut off; what could be read is used.")

    @property
    def _step(self) -> Fraction:
        assert self.frame_rate is not None  # set on entering
        return 1 / self.frame_rate

    def _decode(self, container: av.container.InputContainer) -> Iterator[VideoFrame]:
        """All frames that decode. Damage counts from the first frame on; a broadcast may begin in the middle of one."""
        packets = self._whole_packets(container)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                frames = packet.decode() if self._codec is None else self._codec.decode(packet)
            except av.error.EOFError:
                return
            except av.error.InvalidDataError:
                self._damaged += self._begun
                continue
            except (av.error.FFmpegError, OSError, IndexError) as error:
                self._damaged += 1  # an IndexError is damage that looks like a new stream
                self._note(f"reading stopped: {error}")
                return
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    self._begun = True
                    yield frame

    def _whole_packets(self, container: av.container.InputContainer) -> "Iterator[Packet[VideoStream]]":
        """The packets without those that are cut off, which would decode to half-grey pictures; these are counted.

        Where files of a broadcast are joined, one of the last packets of the first looks cut off. It does not count as
        damage: the clock starts again soon after it.
        """
        clock: int | None = None
        suspects, since = 0, 0  # packets that look cut off and are not counted yet, and how many came after them
        try:
            for packet in container.demux(self._stream):
                since += 1
                if packet.dts is not None and clock is not None and packet.dts < clock:
                    suspects = 0
                elif since > _JOINT:
                    self._damaged, suspects = self._damaged + suspects, 0
                clock = packet.dts if packet.dts is not None else clock
                if packet.is_corrupt:
                    suspects, since = suspects + self._begun, 0
                else:
                    yield packet
        finally:
            self._damaged += suspects

    def _time(self, frame: VideoFrame, index: int) -> Fraction:
        """Seconds since the first frame."""
        if frame.pts is None:
            return index * self._step
        time = frame.pts * Fraction(frame.time_base or self._tick)
        if self._start is None:
            self._start = time
        time -= self._start
        if self._tick >= _COARSE_TICK and (self._step / self._tick).denominator != 1:
            exact = round(time / self._step) * self._step
            if abs(exact - time) <= self._tick:
                return exact
        return time

    def _last_duration(self, frame: VideoFrame, time: Fraction) -> Fraction | None:
        """Duration of the last frame where it is longer than others; None elsewhere, and in damaged files."""
        own = (frame.duration or 0) * Fraction(frame.time_base or self._tick)
        promised_s = self._promised_s()
        if promised_s is not None and is_whole(self.path):
            own = max(own, promised_s - time)
        return own if own > 1.5 * self._step and not self._damaged else None

    def _transparent_codec(self) -> VideoCodecContext | None:
        """A decoder for streams whose transparency the usual one leaves out."""
        if {key.lower(): value for key, value in self._stream.metadata.items()}.get("alpha_mode") != "1":
            return None
        name = _WITH_ALPHA.get(self._stream.codec_context.codec.canonical_name)
        if name is None or name not in av.codecs_available:
            self._note("its transparency cannot be read here: shown as if it were opaque")
            return None
        codec = av.CodecContext.create(name, "r")
        assert isinstance(codec, VideoCodecContext)
        return codec

    def _incomplete(self, count: int, end: Fraction) -> str:
        """Why fewer frames came than the file states; empty if all came."""
        promised_s = self._promised_s()
        # the number of frames alone is no proof: files may list frames that are not to be shown
        if promised_s is not None and end < promised_s - 3 * self._step and count < (self.frame_count or math.inf):
            of = f" of {self.frame_count}" if self.frame_count else ""
            return f"ends early: {count}{of} frames, {float(end):.2f} of {float(promised_s):.2f} seconds could be read"
        if self._damaged:
            return f"is damaged: {self._damaged} pieces of it could not be decoded, {count} frames could"
        return ""

    def _promised_s(self) -> Fraction | None:
        """Length of the video in seconds as the file states it; None where a container only estimates it."""
        container = self._container
        if container is None:
            return None
        name = container.format.name
        if self._stream.duration and ("mp4" in name or name == "avi"):
            return self._stream.duration * self._tick
        if container.duration and len(container.streams) == 1 and ("matroska" in name or name == "flv"):
            return Fraction(container.duration, av.time_base)
        return None


def _is_dolby_vision(stream: VideoStream, first: VideoFrame) -> bool:
    """Whether a video has colours of its own that its metadata explain; of its first frame alone."""
    if stream.codec_context.codec_tag in _DOLBY_VISION:
        return True
    try:
        return bool(first.side_data["DOVI_METADATA"])  # type: ignore[typeddict-item]
    except KeyError:
        return False


def _open(path: Path, decoder: str) -> av.container.InputContainer:
    try:
        with opening(path):
            return open_file(path, hardware_decoding(decoder))
    except (av.error.FFmpegError, OSError) as error:
        raise DepthcueError(f"{path} is not a video that can be read: {_reason(error)}",
                            "It is damaged, cut off (an mp4 without its end has no index) or not a video: see whether "
                            "another player opens it, and save it anew as mp4.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ArgumentError):
        return "its content is of no format that is read as video"
    log = getattr(error, "log", None)  # (level, component, message) where the library says more
    return f"{getattr(error, 'strerror', error)}" + (f" ({log[2].strip()})" if log else "")


def _is_still(stream: VideoStream) -> bool:
    """Whether a stream is no video: the cover of a piece of music, thumbnails for a time line."""
    stills = stream.disposition.attached_pic | stream.disposition.timed_thumbnails | stream.disposition.still_image
    return bool(stream.disposition & stills)


def _rank(stream: VideoStream) -> tuple[bool, bool, int, int, int]:
    """Sort key of a file's video streams: what marks the main one, from the most to the least important."""
    context = stream.codec_context
    return (stream.frames != 1, bool(stream.disposition & stream.disposition.default), context.width * context.height,
            stream.frames, -stream.index)
