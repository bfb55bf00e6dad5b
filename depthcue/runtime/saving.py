"""What can be saved of each frame, and where it goes.

A picture `walk/dog.jpg` gives `OUT/walk/dog_mask.png`, `dog_overlay.png` and so on. A video gives `OUT/clip_mask.mp4`
for kinds that are seen, and a folder `OUT/clip_frames/` with a file a frame, `000000_raw.png`, for kinds that are exact
numbers; so does a camera, `OUT/camera-0_mask.mp4`. The frames of a numbered sequence go to such a folder in every kind.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from depthcue import imaging
from depthcue.errors import DepthcueError
from depthcue.frames import ENCODINGS, Frame, FrameSource, ImageSink, Input, Sink, VideoSink
from depthcue.frames.encoders import SOFTWARE
from depthcue.runtime.jobs import Maps, Prepared
from depthcue.runtime.live import Latencies

SEEN = {"mask": "png8", "overlay": "rgb-png", "panel": "rgb-png", "depth": "rgb-png"}
"""Kinds for the eye: a video of them is a video."""
EXACT = {"binary": "png1", "raw": "png16", "npy": "npy"}
"""Kinds for further computing: a file a frame."""
SAVE_KINDS = (*SEEN, *EXACT)
DEPTH_KINDS = ("panel", "depth")
"""Kinds that need the depth net."""
PICTURE_KINDS = ("overlay", "panel", "depth")
"""Kinds that need the frame at its full size."""

MAX_TILE_SIDE = 1280
MAX_VIDEO_TILE_SIDE = 640
"""Five tiles stay below the 4096 pixels that many players can take."""


@dataclass(frozen=True)
class Kept:
    """What saving needs of a frame beside its mask."""

    frame: Frame
    """With its picture where a kind of PICTURE_KINDS is saved."""
    size: tuple[int, int]
    """(H, W) of the picture."""


class Saver:
    """Saves one input's results in every kind asked for; a sink of the pipeline."""

    def __init__(self, source: Input, out: Path, kinds: Sequence[str], threshold: float, metres: bool = True,
                 encoder: str = SOFTWARE.name) -> None:
        """
        Args:
            metres: whether depths are in metres, or in units without a name.
            encoder: of videos, as `VideoSink` takes it.
        """
        self.outputs: list[Path] = []
        """What was written: files, and folders that hold a file a frame."""
        self._source = source
        self._base = out / source.name
        self._folder = self._base.with_name(f"{self._base.name}_frames")
        self._kinds = kinds
        self._threshold = threshold
        self._metres = metres
        self._encoder = encoder
        self._moves = source.kind in ("video", "live")
        self._enlarger = _Enlarger() if self._moves else None
        self._stack = ExitStack()
        self._sinks: dict[str, Sink] = {}
        self._depth_range_m: tuple[float, float] | None = None
        self.kept_sum = 0.0
        self.mask_sum = 0.0
        self.latencies = Latencies()
        """Of a live source, from each frame's arrival until its results were written."""
        self.stream: FrameSource | None = None
        """The open source, whose frame rate a video takes."""

    def path(self, kind: str) -> Path:
        """Where a kind goes: a file; or a folder, where there is a file a frame."""
        if self._source.kind == "image":
            return self._base.with_name(f"{self._base.name}_{kind}{_suffix(kind)}")
        if self._moves and kind in SEEN:
            return self._base.with_name(f"{self._base.name}_{kind}.mp4")
        return self._folder

    def write(self, frame: Prepared, maps: Maps) -> None:
        """As `JobSink.write`.

        Args:
            maps: the mask; then, where a kind needs them, the depth and the depth under the mask.
        """
        kept: Kept = frame.kept
        mask = maps[0]
        # counted at the size the net works at: enlarging a mask blurs it and would count more
        self.kept_sum += float(np.mean(mask > self._threshold))
        self.mask_sum += float(mask.mean())
        results = _Results(kept, mask, maps[1:], self._threshold, self._scale(maps), self._enlarger, self._metres)
        for kind in self._kinds:
            values = results.of(kind)
            if kind not in self._sinks:
                self._open(kind, values[0].shape if isinstance(values, tuple) else values.shape[:2])
            self._sinks[kind].write(values, kept.frame)
        if kept.frame.arrived is not None:
            self.latencies.add(time.monotonic() - kept.frame.arrived)

    def finish(self) -> None:
        """As `JobSink.finish`."""
        self._stack.close()

    def discard(self) -> None:
        """As `JobSink.discard`."""
        reason = _Discarded()
        try:
            self._stack.__exit__(_Discarded, reason, None)
        except _Discarded:
            pass

    def _open(self, kind: str, size: tuple[int, int]) -> None:
        path = self.path(kind)
        if path not in self.outputs:
            self.outputs.append(path)
        if self._moves and kind in SEEN:
            stream = self.stream
            assert stream is not None and stream.frame_rate is not None  # the reader has opened it
            sink: Sink = VideoSink(path, stream.frame_rate, size, time_base=stream.time_base,
                                   pixel_aspect=stream.pixel_aspect, encoder=self._encoder,
                                   endless=self._source.kind == "live")
        else:
            many = path == self._folder
            sink = ImageSink(path / f"{kind}{_suffix(kind)}" if many else path, (SEEN | EXACT)[kind], per_frame=many)
        self._sinks[kind] = self._stack.enter_context(sink)

    def _scale(self, maps: Maps) -> tuple[float, float] | None:
        """Ends of the depth colours, from the first frame alone: in a video they must not flicker."""
        if len(maps) > 1 and self._depth_range_m is None:
            near, far = (float(value) for value in np.percentile(maps[1], (1, 99)))
            self._depth_range_m = (near, max(far, 1.05 * near))
        return self._depth_range_m


def _suffix(kind: str) -> str:
    return ENCODINGS[(SEEN | EXACT)[kind]].suffix


class _Enlarger:
    """Enlarges grey frames with the video library's scaler: as `imaging.resize_grey`, in a sixth of the time."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()  # keeps its tables, so it is one video's and one thread's

    def resize(self, grey: imaging.Grey, height: int, width: int) -> imaging.Grey:
        if height < grey.shape[0] or width < grey.shape[1]:
            return imaging.resize_grey(grey, height, width)
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(grey), "gray")
        enlarged = self._scaler.reformat(frame, width=width, height=height, interpolation=Interpolation.BILINEAR)
        return enlarged.to_ndarray()  # type: ignore[return-value]


class _Discarded(Exception):
    """Tells sinks that their files are not wanted."""


class _Results:
    """The values of each kind for one frame; what several kinds need is computed once."""

    def __init__(self, kept: Kept, mask: NDArray[np.float32], depths: Maps, threshold: float,
                 depth_range_m: tuple[float, float] | None, enlarger: "_Enlarger | None", metres: bool) -> None:
        self.kept = kept
        self.mask = mask
        self.depths = depths
        self.threshold = threshold
        self.depth_range_m = depth_range_m
        self._metres = metres
        self._enlarger = enlarger
        self._as_yuv = enlarger is not None and kept.size[0] % 2 == 0 == kept.size[1] % 2
        self._full: NDArray[np.float32] | None = None
        self._grey: NDArray[np.uint8] | None = None

    def of(self, kind: str) -> Any:
        """What a sink of this kind takes: an array, or luma and chroma where that is what a video ends up as."""
        if self._as_yuv and kind == "mask":
            return imaging.grey_yuv(self.grey())
        if self._as_yuv and kind == "overlay":
            return imaging.overlay_yuv(self.kept.frame.light(), self.grey())
        make: dict[str, Callable[[], NDArray[Any]]] = {
            "mask": self.grey, "binary": lambda: self.full() > self.threshold, "overlay": self.overlay,
            "panel": self.panel, "raw": self.full, "npy": self.full, "depth": self.depth,
        }
        return make[kind]()

    def full(self) -> NDArray[np.float32]:
        """The mask at the picture's size."""
        if self._full is None:
            self._full = imaging.resize_map(self.mask, *self.kept.size)
        return self._full

    def grey(self) -> NDArray[np.uint8]:
        """The mask at the picture's size in 8 bit; enlarged in 8 bit, which is four times as fast."""
        if self._grey is None:
            small = imaging.grey8(self.mask)
            self._grey = (imaging.resize_grey(small, *self.kept.size) if self._enlarger is None
                          else self._enlarger.resize(small, *self.kept.size))
        return self._grey

    def overlay(self) -> imaging.Rgb:
        return imaging.overlay(self.kept.frame.rgb, self.grey())

    def panel(self) -> imaging.Rgb:
        size = self._panel_size()
        rgb, mask = imaging.resize_rgb(self.kept.frame.rgb, *size), imaging.resize_grey(self.grey(), *size)
        return imaging.panel([rgb, imaging.colourise_mask(mask), imaging.overlay(rgb, mask), *self._coloured_depths()],
                             ["picture", "mask", "what is kept", *self._depth_labels()])

    def depth(self) -> imaging.Rgb:
        return imaging.panel(self._coloured_depths(), self._depth_labels())

    def _panel_size(self) -> tuple[int, int]:
        """The size of a panel's tiles, so that nothing is computed at a photograph's size to be shrunk afterwards."""
        height, width = self.kept.size
        limit = MAX_TILE_SIDE if self._enlarger is None else MAX_VIDEO_TILE_SIDE
        scale = min(1.0, limit / max(height, width))
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def _coloured_depths(self) -> list[imaging.Rgb]:
        assert self.depth_range_m is not None
        return [imaging.colourise_depth(imaging.resize_map(depth, *self._panel_size()), *self.depth_range_m)
                for depth in self.depths]

    def _depth_labels(self) -> list[str]:
        assert self.depth_range_m is not None
        near, far = self.depth_range_m
        ends = f"{near:.1f} to {far:.1f} m" if self._metres else "near pale, far dark"
        return [f"depth, {ends}", "depth from what is kept"]


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds without repetition.

    Raises:
        DepthcueError: one is unknown.
    """
    unknown = [kind for kind in kinds if kind not in SAVE_KINDS]
    if unknown:
        raise DepthcueError(f"nothing to save is called {unknown[0]!r}", f"Choose from {', '.join(SAVE_KINDS)}.")
    return tuple(dict.fromkeys(kinds))
