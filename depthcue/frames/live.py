"""Cameras and network streams as sources of frames: the newest frame wins, stalls and losses are reported."""

import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Self

import av
import av.container
import av.error
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from depthcue.errors import DepthcueError, without_secrets
from depthcue.frames.frame import DecodedSource, Frame
from depthcue.frames.inputs import Input
from depthcue.frames.videos import hardware_decoding, open_stream

_TICK = Fraction(1, 1000)
"""Resolution of the clock of arrivals, in seconds."""
_USUAL_RATE = Fraction(25)
_POLL_S = 0.1
"""Longest wait for a frame between two checks whether to end."""
_PAUSE_S = 0.5
"""Between a lost connection and the attempt to open it again."""
_LEAVE_S = 1.0
"""Longest wait at the end for a read in progress: a device that does not answer must not block the program."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LiveOptions:
    """How long to read a live source, and how long to wait for its frames."""

    stall_s: float = 10.0
    """Seconds without a frame after which a source counts as gone."""
    duration_s: float | None = None
    """Seconds to read, from the first frame; None: until `ending` is set."""
    ending: threading.Event = field(default_factory=threading.Event)
    """Event that makes the source end as if it were finished."""


class LiveSource(DecodedSource):
    """A camera or network stream, read by a thread of its own as fast as it delivers.

    Iterating gives the newest frame that has come since the last one, or waits for one. Older frames that it replaced
    are counted in `dropped` and cost only their decoding. Times are those of arrival, to a millisecond.

    A lost connection is opened again until it delivers; `reconnects` counts how often it did. After `stall_s` without a
    frame, DepthcueError ends the source, which has delivered all frames before. Entering waits for the first frame; a
    source that cannot be opened at all fails there, at once.
    """

    def __init__(self, source: Input, options: LiveOptions, decoder: str = "cpu") -> None:
        super().__init__(source.path)
        assert source.address is not None  # it is of the kind "live"
        self.dropped = 0
        """Frames that came and were overtaken by a newer one."""
        self.reconnects = 0
        """Number of times that a lost connection was opened again."""
        self._label = source.label
        scheme, _, number = source.address.partition(":")
        self._format: str | None = None
        """Input device of the operating system; None for a network stream."""
        self._file = source.address
        if scheme == "camera":
            self._format, self._file = camera(number)
        self._hardware = hardware_decoding(decoder)
        self._options = options
        self._leaving = threading.Event()
        self._news = threading.Condition()
        # from here on, guarded by it
        self._newest: tuple[VideoFrame, float] | None = None
        self._last_arrival = 0.0
        self._failure: Exception | None = None
        self._why = ""
        self._reader = threading.Thread(target=self._read_all, name="depthcue-live", daemon=True)

    def __enter__(self) -> Self:
        self._last_arrival = time.monotonic()
        self._reader.start()
        try:
            if self._wait() and self._newest is not None:
                self._take_size(self._newest[0])
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the connection and the thread that reads from it."""
        self._leaving.set()
        with self._news:
            self._newest = None
            self._news.notify_all()
        if self._reader.is_alive():
            self._reader.join(_LEAVE_S)

    # --- the thread that delivers

    def _frames(self) -> Iterator[Frame]:
        start = previous = -math.inf
        index = 0
        while self._wait():
            with self._news:
                assert self._newest is not None
                (frame, arrived), self._newest = self._newest, None
            if start == -math.inf:
                start = arrived
            if self._options.duration_s is not None and arrived - start >= self._options.duration_s:
                return
            at = max(round((arrived - start) / _TICK), previous + 1)  # every frame has a moment of its own
            yield Frame(self._shown(frame), index, int(at) * _TICK, f"{index:06d}", arrived)
            index, previous = index + 1, at

    def _wait(self) -> bool:
        """Wait for a frame; False where the source is to end.

        Raises:
            DepthcueError: none has come for too long, or none can come.
        """
        with self._news:
            while self._newest is None or self._options.ending.is_set():
                if self._options.ending.is_set() or self._leaving.is_set():
                    return False
                if self._failure is not None:
                    raise self._failure
                if time.monotonic() - self._last_arrival > self._options.stall_s:
                    raise DepthcueError(f"{self._label}: no frame for {self._options.stall_s:g} seconds"
                                        f"{f' ({self._why})' if self._why else ''}",
                                        "Check the camera or the network; --stall-timeout sets how long to wait.")
                self._news.wait(_POLL_S)
            return True

    # --- the thread that reads

    def _read_all(self) -> None:
        came_before = False
        while not self._leaving.is_set():
            why = "the stream ended"
            came = False
            try:
                for frame, arrived in self._connection():
                    if came_before and not came:
                        self.reconnects += 1
                        log.warning("%s is back", self._label)
                    came = True
                    self._offer(frame, arrived)
                    if self._leaving.is_set():
                        return
            except (av.error.FFmpegError, OSError) as error:
                why = without_secrets(_reason(error), self._file)
            except Exception as error:  # a user's mistake or a bug: both are raised where frames are awaited
                self._fail(error)
                return
            came_before |= came
            if not came_before:
                self._fail(DepthcueError(f"{self._label} cannot be opened: {why}", _hint(self._format)))
                return
            if came and not self._leaving.is_set():
                log.warning("%s is lost (%s); opening it again", self._label, why)
            with self._news:
                self._why = why
            self._leaving.wait(_PAUSE_S)

    def _connection(self) -> Iterator[tuple[VideoFrame, float]]:
        """The frames of one connection, each with the moment its last packet came."""
        # half of the wait, so that a connection that stalls is opened again before the source counts as gone
        patience_s = max(self._options.stall_s / 2, _POLL_S)
        options = {"fflags": "nobuffer", "flags": "low_delay"}
        if self._file.lower().startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # by UDP, lost packets are smeared over the picture until the next key
        with open_stream(self._file, self._format, options, (self._options.stall_s, patience_s),
                         self._hardware) as container:
            stream = self._stream(container)
            for packet in container.demux(stream):
                arrived = time.monotonic()
                try:
                    frames = [] if packet.is_corrupt else packet.decode()
                except av.error.InvalidDataError:  # before the first key frame, or damaged on its way
                    continue
                for frame in frames:
                    if isinstance(frame, VideoFrame):
                        yield frame, arrived

    def _stream(self, container: av.container.InputContainer) -> VideoStream:
        if not container.streams.video:
            raise DepthcueError(f"{self._label} has no video", "Name the address of a camera or a video stream.")
        if self._file.lower().startswith("http") and (container.duration or container.format.name.endswith("_pipe")):
            kind = "a recording" if container.duration else "a single picture"
            raise DepthcueError(f"{self._label} is {kind}, not a live stream", "Download it and name the file.")
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # threads that decode several frames at once would hold each of them back
        if self.frame_rate is None:
            self.frame_rate = Fraction(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
            self.time_base = _TICK
            self.pixel_aspect = Fraction(stream.sample_aspect_ratio or 1)
        return stream

    def _offer(self, frame: VideoFrame, arrived: float) -> None:
        with self._news:
            self.dropped += self._newest is not None
            self._newest = (frame, arrived)
            self._last_arrival = arrived
            self._news.notify()

    def _fail(self, error: Exception) -> None:
        with self._news:
            self._failure = error
            self._news.notify()


def camera(number: str) -> tuple[str, str]:
    """The input device of this operating system, and its name of the camera `number`.

    Raises:
        DepthcueError: this build of the video library reads no cameras, or there is none of that number.
    """
    if sys.platform == "darwin":
        return _device("avfoundation"), number
    if sys.platform == "win32":
        names = [device.name for device in av.device.enumerate_input_devices(_device("dshow"))
                 if "video" in device.media_types]
        if int(number) >= len(names):
            raise DepthcueError(f"camera:{number}: there are {len(names)} cameras",
                                f"They are {', '.join(names)}, from 0 on." if names else "Plug one in.")
        return "dshow", f"video={names[int(number)]}"
    return _device("v4l2"), f"/dev/video{number}"


def _device(format: str) -> str:
    try:
        av.ContainerFormat(format, "r")
    except ValueError:
        raise DepthcueError(f"this build of PyAV reads no cameras ({format} is missing)",
                            "Install PyAV built with it, or give the camera's network address.") from None
    return format


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.ExitError):  # what the library calls its own time limit
        return "nothing came within the time limit"
    return str(getattr(error, "strerror", None) or error)


def _hint(format: str | None) -> str:
    if format is None:
        return "Check the address, user name and password, and that this machine reaches it."
    listed = "; v4l2-ctl --list-devices shows what there is" if format == "v4l2" else ""
    return f"Check that it is plugged in, free and yours to read{listed}."
