"""Kinds of results that are saved of each frame, and their files.

A picture `walk/dog.jpg` gives `OUT/walk/dog_mask.png`, `dog_overlay.png` and so on. A video gives `OUT/clip_mask.mp4`
for kinds that are seen, and a folder `OUT/clip_frames/` with a file a frame, `000000_raw.png`, for kinds that are exact
numbers; so does a camera, `OUT/camera-0_mask.mp4`. The frames of a numbered sequence go to such a folder in every kind.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from depthcue import imaging
from depthcue.colours import USUAL, Look
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.frames import ENCODINGS, Frame, FrameSource, ImageSink, Input, Sink, VideoSink
from depthcue.frames.sinks import SOFTWARE
from depthcue.runtime.jobs import Maps, Prepared
from depthcue.runtime.point_clouds import FIELD_OF_VIEW_DEG, Recording, cloud_of
from depthcue.runtime.summary import nbytes_of

SEEN = {"mask": "png8", "overlay": "rgb-png", "panel": "rgb-png", "depth": "rgb-png"}
"""Kinds for the eye: a video of them is a video."""
EXACT = {"binary": "png1", "raw": "png16", "npy": "npy", "points": "ply"}
"""Kinds for further computing: a file a frame."""
SAVE_KINDS = (*SEEN, *EXACT)
SCALED_KINDS = ("panel", "depth")
"""Kinds whose colours depend on the frames before."""
DEPTH_KINDS = (*SCALED_KINDS, "points")
"""Kinds that need the depth net."""
PICTURE_KINDS = ("overlay", "panel", "depth", "points")
"""Kinds that need the frame at its full size."""
THRESHOLD = 0.025
"""A pixel is kept where its mask is above this (Hu et al. 2019, sec. 4.2), unless a share is given."""
_WIDEN_S, _NARROW_S = 0.3, 3.0
"""Seconds in which the ends of a video's depth colours go two thirds of the way to what is seen."""
MAX_TILE_SIDE = 1280
MAX_VIDEO_TILE_SIDE = 640
"""Five tiles stay below the 4096 pixels that many players can take."""
DEPTH_LABELS = ("depth from all pixels", "depth from the kept pixels")
_SHORTEST_S = 1e-4
"""Least duration that `Latencies` counts."""
_STEP = math.log(1.01)


class Latencies:
    """Durations, as many as may come; quantiles are exact to one per cent above a tenth of a millisecond."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()  # by logarithm; a hundred seconds are the 1389th
        self._longest_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[round(math.log(max(seconds, _SHORTEST_S) / _SHORTEST_S) / _STEP)] += 1
        self._longest_s = max(self._longest_s, seconds)

    def quantile(self, share: float) -> float | None:
        """Seconds below which `share` (0 to 1) of them lie; None where there are none."""
        left = share * self._counts.total()
        for step in sorted(self._counts):
            left -= self._counts[step]
            if left <= 0:
                return _SHORTEST_S * math.exp(step * _STEP)
        return None

    def as_json(self) -> dict[str, Any]:
        """Median, 95th percentile and longest, milliseconds; null where there were none."""
        median, late = self.quantile(0.5), self.quantile(0.95)
        return {"median": None if median is None else round(1e3 * median, 2),
                "p95": None if late is None else round(1e3 * late, 2),
                "longest": round(1e3 * self._longest_s, 2) if median is not None else None}


@dataclass(frozen=True)
class Cut:
    """Rule that separates kept from hidden pixels."""

    threshold: float = THRESHOLD
    """A pixel is kept where the mask is above this; not used where there is a share."""
    keep: float | None = None
    """The share of the pixels that is kept, exactly: those where the mask at the picture's size is highest."""
    is_binary: bool = False
    """Whether the mask itself is saved as these pixels, 0 and 1: that of a net which does not take the share."""


@dataclass(frozen=True)
class Drawing:
    """Styles of drawn results."""

    look: Look = USUAL
    field_of_view_deg: float = FIELD_OF_VIEW_DEG
    """Horizontal, of the camera that points are laid out for."""


USUAL_DRAWING = Drawing()


@dataclass(frozen=True)
class Kept:
    """Values of a frame that saving needs beside its mask."""

    frame: Frame
    """With its picture where a kind of PICTURE_KINDS is saved."""
    size: tuple[int, int]
    """(H, W) of the picture."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """Rendered results of a frame, ready to be written."""

    results: "_Results"
    values: dict[str, Any]
    """Results by kind but for SCALED_KINDS; the files' contents where pictures have files of their own."""


class Saver:
    """Saves one input's results in every wanted kind; a sink of the pipeline."""

    def __init__(self, source: Input, out: Path, kinds: Sequence[str], cut: Cut, metres: bool = True,
                 encoder: str = SOFTWARE.name, drawing: Drawing = USUAL_DRAWING,
                 recording: Recording | None = None) -> None:
        """
        Args:
            metres: whether depths are in metres, or in units without a name.
            encoder: of videos, as `VideoSink` takes it.
            recording: takes every frame too.
        """
        self.outputs: list[Path] = []
        """Written outputs: files, and folders that hold a file a frame."""
        self._source = source
        self._base = out / source.name
        self._folder = self._base.with_name(f"{self._base.name}_frames")
        self._kinds = kinds
        self._cut = cut
        self._metres = metres
        self._encoder = encoder
        self._drawing = drawing
        self._recording = recording
        self._moves = source.kind in ("video", "live")
        self._of_thread = threading.local()  # an enlarger each
        self._stack = ExitStack()
        self._sinks: dict[str, Sink] = {}
        self._scale = _SteadyScale()
        self.kept_sum = 0.0
        self.mask_sum = 0.0
        self.change_sum = 0.0
        """Mean squared difference of the two depths, summed over frames."""
        self.sizes: list[int | None] = []
        """Size of the outputs in bytes; once finished."""
        self.latencies = Latencies()
        """Delays of a live source, from each frame's arrival until its results were written."""
        self.stream: FrameSource | None = None
        """The open source, whose frame rate a video takes."""

    def path(self, kind: str) -> Path:
        """Path of a kind's output: a file; or a folder, where there is a file a frame."""
        if self._source.kind == "image":
            return self._base.with_name(f"{self._base.name}_{kind}{_suffix(kind)}")
        if self._is_video(kind):
            return self._base.with_name(f"{self._base.name}_{kind}.mp4")
        return self._folder

    def render(self, frame: Prepared, maps: Maps) -> Rendered:
        """As `Job.render`.

        Args:
            maps: the mask; then, where a kind needs them, the depth and the depth under the mask.
        """
        results = _Results(frame.kept, maps[0], maps[1:], self._cut, self._enlarger(), self._metres, self._drawing)
        values = {kind: results.of(kind) for kind in self._kinds if kind not in SCALED_KINDS}
        return Rendered(results, {kind: each if self._is_video(kind) else ENCODINGS[(SEEN | EXACT)[kind]].encode(each)
                                  for kind, each in values.items()})

    def write(self, frame: Prepared, rendered: Rendered) -> None:
        """As `JobSink.write`."""
        kept: Kept = frame.kept
        results = rendered.results
        self.kept_sum += results.share_kept()
        self.mask_sum += float(results.mask.mean())
        if results.depths:
            _check_finite(results.depths)
            self.change_sum += float(np.mean(np.square(results.depths[0] - results.depths[1])))
            results.depth_range_m = self._scale.ends(results.depths[0], kept.frame.time)
        if self._recording is not None:
            name = self._source.name if self._source.kind == "image" else f"{self._source.name} {kept.frame.name}"
            self._recording.add(name, kept.frame.time, imaging.resize_rgb(kept.frame.rgb, *results.panel_size()),
                                imaging.grey8(results.mask), results.depths, results.kept_by_net(), self._metres)
        for kind in self._kinds:
            values = rendered.values[kind] if kind in rendered.values else results.of(kind)
            if kind not in self._sinks:
                self._open(kind, values)
            self._sinks[kind].write(values, kept.frame)
        if kept.frame.arrived is not None:
            self.latencies.add(time.monotonic() - kept.frame.arrived)

    def finish(self) -> None:
        """As `JobSink.finish`."""
        self._stack.close()
        self.sizes = [nbytes_of(output) for output in self.outputs]

    def discard(self) -> None:
        """As `JobSink.discard`."""
        with suppress(_Discarded):
            self._stack.__exit__(_Discarded, _Discarded(), None)

    def _is_video(self, kind: str) -> bool:
        return self._moves and kind in SEEN

    def _enlarger(self) -> "_Enlarger | None":
        if not self._moves:
            return None
        if not hasattr(self._of_thread, "enlarger"):
            self._of_thread.enlarger = _Enlarger()
        enlarger: _Enlarger = self._of_thread.enlarger
        return enlarger

    def _open(self, kind: str, first: Any) -> None:
        path = self.path(kind)
        if path not in self.outputs:
            self.outputs.append(path)
        if self._is_video(kind):
            size = first[0].shape if isinstance(first, tuple) else first.shape[:2]
            stream = self.stream
            assert stream is not None and stream.frame_rate is not None  # the reader has opened it
            sink: Sink = VideoSink(path, stream.frame_rate, size, time_base=stream.time_base,
                                   pixel_aspect=stream.pixel_aspect, encoder=self._encoder,
                                   endless=self._source.kind == "live")
        else:
            many = path == self._folder
            sink = ImageSink(path / f"{kind}{_suffix(kind)}" if many else path, (SEEN | EXACT)[kind], per_frame=many)
        self._sinks[kind] = self._stack.enter_context(sink)


class _SteadyScale:
    """Ends of depth colours that follow what is seen, without flicker: they widen at once and narrow slowly."""

    def __init__(self) -> None:
        self._ends: np.ndarray | None = None  # logarithms of near and far
        self._time: Fraction | None = None

    def ends(self, depth: imaging.Map, time: Fraction | None) -> tuple[float, float]:
        """The ends for the next frame, seen at `time` in seconds (None: a tenth after the last)."""
        known = depth[np.isfinite(depth) & (depth > 0)]
        seen = np.log(np.percentile(known, (1, 99)) if known.size else (1.0, 2.0))
        since_s = 0.1 if time is None or self._time is None else max(float(time - self._time), 0.0)
        self._time = time
        if self._ends is None:
            self._ends = seen
        else:
            widens = (seen - self._ends) * (-1, 1) > 0
            self._ends = self._ends + (1 - np.exp(-since_s / np.where(widens, _WIDEN_S, _NARROW_S))) * (
                seen - self._ends)
        near, far = (float(end) for end in np.exp(self._ends))
        return near, max(far, 1.05 * near)


def _check_finite(depths: Sequence[imaging.Map]) -> None:
    """
    Raises:
        DepthcueError: the depth net gives NaN or infinity.
    """
    for depth, seen in zip(depths, ("the picture", "the kept pixels"), strict=True):
        wrong = float(np.mean(~np.isfinite(depth)))
        if wrong:
            raise DepthcueError(f"the depth net gives NaN or infinity at {wrong:.1%} of the pixels of {seen}",
                                "Its masks need no depth: --save mask, without depth, panel and points.")


def _suffix(kind: str) -> str:
    return ENCODINGS[(SEEN | EXACT)[kind]].suffix


class _Enlarger:
    """Enlarges grey frames with the video library's scaler: as `imaging` does, in a sixth of the time and less."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()  # keeps its tables, so it is one video's and one thread's

    def resize(self, grey: imaging.Grey, height: int, width: int) -> imaging.Grey:
        if height < grey.shape[0] or width < grey.shape[1]:
            return imaging.resize_grey(grey, height, width)
        return self._enlarged(grey, "gray", height, width)

    def resize_map(self, values: imaging.Map, height: int, width: int) -> imaging.Map | NDArray[np.uint16]:
        """A map in [0, 1], in 16 bit where it is enlarged: fine enough to order pixels by."""
        if height < values.shape[0] or width < values.shape[1]:
            return imaging.resize_map(values, height, width)
        return self._enlarged(imaging.grey16(values), "gray16le", height, width)

    def _enlarged(self, grey: NDArray[Any], form: str, height: int, width: int) -> NDArray[Any]:
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(grey), form)
        return self._scaler.reformat(frame, width=width, height=height, interpolation=Interpolation.BILINEAR
                                     ).to_ndarray()


class _Discarded(Exception):
    """Raised to sinks whose files are not wanted."""


class _Results:
    """The values of each kind for one frame; what several kinds need is computed once."""

    def __init__(self, kept: Kept, mask: NDArray[np.float32], depths: Maps, cut: Cut,
                 enlarger: "_Enlarger | None", metres: bool, drawing: Drawing) -> None:
        self.kept = kept
        self.mask = mask
        self.depths = depths
        self.cut = cut
        self.depth_range_m: tuple[float, float] | None = None
        """Range of the depth colours; set before a kind that shows depth is rendered."""
        self._metres = metres
        self._drawing = drawing
        self._enlarger = enlarger
        self._as_yuv = enlarger is not None and kept.size[0] % 2 == 0 == kept.size[1] % 2
        self._full: NDArray[np.float32] | None = None
        self._grey: NDArray[np.uint8] | None = None
        self._kept: NDArray[np.bool_] | None = None

    def share_kept(self) -> float:
        """The share of the pixels that are kept."""
        if self.cut.keep is not None:
            pixels = self.kept.size[0] * self.kept.size[1]
            return round(self.cut.keep * pixels) / pixels
        # counted at the size the net works at: enlarging a mask blurs it and would count more
        return float(np.mean(self.mask > self.cut.threshold))

    def of(self, kind: str) -> Any:
        """Value for a sink of this kind: an array, or luma and chroma for a video that stores those."""
        if self._as_yuv and kind == "mask":
            return imaging.grey_yuv(self.grey())
        if self._as_yuv and kind == "overlay" and (planes := self.kept.frame.planes()) is not None:
            return imaging.overlay_yuv(planes, self.laid_over(), self._drawing.look)
        make: dict[str, Callable[[], NDArray[Any]]] = {
            "mask": self.grey, "binary": self.kept_pixels, "overlay": self.overlay,
            "panel": self.panel, "raw": self.values, "npy": self.values, "depth": self.depth,
            "points": self.points,
        }
        return make[kind]()

    def full(self) -> NDArray[np.float32]:
        """The net's mask at the picture's size."""
        if self._full is None:
            self._full = imaging.resize_map(self.mask, *self.kept.size)
        return self._full

    def kept_pixels(self) -> NDArray[np.bool_]:
        """Kept pixels of the picture."""
        keep = self.cut.keep
        if keep is None:
            return self.full() > self.cut.threshold
        if self._kept is None:
            self._kept = imaging.top_pixels(self.full() if self._enlarger is None
                                            else self._enlarger.resize_map(self.mask, *self.kept.size), keep)
        return self._kept

    def values(self) -> NDArray[np.float32]:
        """The mask at the picture's size."""
        return self.kept_pixels().astype(np.float32) if self.cut.is_binary else self.full()

    def grey(self) -> NDArray[np.uint8]:
        """The mask at the picture's size in 8 bit; enlarged in 8 bit, which is four times as fast."""
        if self._grey is None:
            small = imaging.grey8(self.mask)
            self._grey = (imaging.grey8(self.kept_pixels()) if self.cut.is_binary
                          else imaging.resize_grey(small, *self.kept.size) if self._enlarger is None
                          else self._enlarger.resize(small, *self.kept.size))
        return self._grey

    def shown(self) -> NDArray[np.uint8]:
        """Map that drawings show as kept: with a share its pixels, 0 or 255; without one the mask."""
        return self.grey() if self.cut.keep is None else imaging.grey8(self.kept_pixels())

    def laid_over(self) -> NDArray[np.uint8]:
        """Map that an overlay shows: the kept pixels; in heat the mask itself."""
        if self._drawing.look.style != "heat" or not self.cut.is_binary:
            return self.grey() if self._drawing.look.style == "heat" else self.shown()
        return imaging.resize_grey(imaging.grey8(self.mask), *self.kept.size)

    def kept_by_net(self) -> NDArray[np.bool_]:
        """Kept pixels at the size that the net works at."""
        keep = self.cut.keep
        return self.mask > self.cut.threshold if keep is None else imaging.top_pixels(self.mask, keep)

    def overlay(self) -> imaging.Rgb:
        return imaging.overlay(self.kept.frame.rgb, self.laid_over(), self._drawing.look)

    def points(self) -> NDArray[Any]:
        return cloud_of(self.depths[0], self.kept.frame.rgb, self.kept_by_net(), self._drawing.field_of_view_deg)

    def panel(self) -> imaging.Rgb:
        size, look = self.panel_size(), self._drawing.look
        rgb, mask = imaging.resize_rgb(self.kept.frame.rgb, *size), imaging.resize_grey(self.grey(), *size)
        over = imaging.overlay(rgb, imaging.resize_grey(self.laid_over(), *size), look)
        share = "" if self.cut.keep is None else f" ({100 * self.cut.keep:.3g} %)"
        return imaging.panel(
            [rgb, imaging.colourise_mask(mask, look.mask_colours), over, *self._coloured_depths()],
            ["picture", "mask", f"kept pixels{share}", *DEPTH_LABELS], [None, None, None, *self._bars()])

    def depth(self) -> imaging.Rgb:
        return imaging.panel(self._coloured_depths(), DEPTH_LABELS, self._bars())

    def panel_size(self) -> tuple[int, int]:
        """The size of a panel's tiles, so that nothing is computed at a photograph's size to be shrunk afterwards."""
        height, width = self.kept.size
        limit = MAX_TILE_SIDE if self._enlarger is None else MAX_VIDEO_TILE_SIDE
        scale = min(1.0, limit / max(height, width))
        return max(round(height * scale), 1), max(round(width * scale), 1)

    def _coloured_depths(self) -> list[imaging.Rgb]:
        assert self.depth_range_m is not None
        return [imaging.colourise_depth(imaging.resize_map(depth, *self.panel_size()), *self.depth_range_m,
                                        self._drawing.look.depth_colours) for depth in self.depths]

    def _bars(self) -> list[imaging.ColourBar]:
        assert self.depth_range_m is not None
        bar = imaging.ColourBar(*self.depth_range_m, "m" if self._metres else "", self._drawing.look.depth_colours)
        return [bar, bar]


def check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    """The kinds without repetition.

    Raises:
        DepthcueError: one is unknown.
    """
    unknown = [kind for kind in kinds if kind not in SAVE_KINDS]
    if unknown:
        raise must_be_one_of("--save", SAVE_KINDS, unknown[0])
    return tuple(dict.fromkeys(kinds))
