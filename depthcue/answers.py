"""Answers of nets to one picture: arrays of its size, and the pictures, figures and files made of them."""

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from depthcue import imaging
from depthcue.errors import DepthcueError
from depthcue.files import atomic_path
from depthcue.frames import Frame, Input
from depthcue.imaging import Map, Rgb
from depthcue.runtime.jobs import Prepared
from depthcue.runtime.saving import DEPTH_KINDS, THRESHOLD, Cut, Kept, Saver, check_kinds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_OTHER_PICTURES = (".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".npy", ".pdf", ".svg")
"""Formats that are not written. A path with such an ending is refused: it was not meant as a folder."""
_WIDE = 1.6
"""Pictures wider than this many times their height stand in two columns, others in three."""
_DPI = 110
_BAR: dict[str, Any] = {"location": "bottom", "aspect": 40, "pad": 0.02, "shrink": 0.9}


@dataclass(eq=False, repr=False)
class DepthResult:
    """Depth of a picture as a depth net predicts it.

    Example:
        >>> result = depthcue.load_depth("compact-indoor", device="cpu")("room.png")
        >>> result.save("room_depth.npy")
        PosixPath('room_depth.npy')
        >>> result.colours().size
        (128, 96)
    """

    picture: Rgb
    """uint8 (H, W, 3)."""
    name: str
    """Name of the picture, without a suffix."""
    depth: Map
    """float32 (H, W): metres where `metric`, else units of the picture's own, which grow with distance."""
    metric: bool

    @property
    def unit(self) -> str:
        """m, or relative."""
        return "m" if self.metric else "relative"

    def colours(self) -> Image.Image:
        """The depth as a picture: pale and warm is near, dark is far."""
        return Image.fromarray(imaging.colourise_depth(self.depth, *_depth_range(self.depth)))

    def plot(self) -> "Figure":
        """A matplotlib figure of the picture and its depth, with a scale; no window is opened."""
        figure, axes = _axes(self.picture.shape, ("picture", "depth"))
        _show_picture(axes["picture"], self.picture, self.name)
        _show_depth(axes["depth"], self.depth, _depth_range(self.depth), "depth", self.metric)
        return figure

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the depth: exactly, as float32 (.npy), or as colours (.png, .jpg, .webp).

        Raises:
            DepthcueError: another suffix, or nowhere to write.
        """
        path = Path(path)
        if path.suffix == ".npy":
            return _write_array(self.depth, path)
        return _write_picture(self.colours(), path, ".npy for the depth itself")

    def _repr_png_(self) -> bytes:
        return png_of(self.plot())


class MaskResult:
    """The pixels of a picture that matter to a depth net, and its depth from those alone.

    Depths are computed at their first use, which takes two passes of the depth net.

    Attributes:
        picture: uint8 (H, W, 3).
        name: of the picture, without a suffix.
        lam: λ that the mask answers to; None where the net's card does not say.
        index, time_s: of a frame of a video: its number, and its time in seconds where the source has a clock.

    Example:
        >>> result = depthcue.load("compact-indoor", device="cpu")("room.png", keep=0.25)
        >>> result.mask.shape, result.mask.dtype, result.kept.dtype, result.keep
        ((96, 128), dtype('float32'), dtype('bool'), 0.25)
        >>> result.depth_from_kept.shape, result.unit
        ((96, 128), 'm')
        >>> result.overlay().save("overlay.png")
        >>> result.plot().savefig("plot.png")
        >>> [path.name for path in result.save("out")]
        ['room_mask.png', 'room_overlay.png']
    """

    def __init__(self, picture: Rgb, name: str, mask: Map, cut: Cut, lam: float | None,
                 metric: Callable[[], bool], predict: Callable[[], tuple[Map, Map]]) -> None:
        """
        Args:
            mask: (h, w) at the mask net's working size.
            metric: whether depths are in metres; may open the depth net.
            predict: gives the depth of the whole picture and of the kept pixels, at the nets' working size.
        """
        self.picture, self.name, self.lam = picture, name, lam
        self.index: int | None = None
        self.time_s: float | None = None
        self._small_mask, self._cut, self._metric, self._predict = mask, cut, metric, predict

    def __repr__(self) -> str:
        height, width = self.size
        return f"<depthcue.MaskResult {self.name}, {width}x{height}: {self.keep:.1%} of the pixels kept>"

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the picture."""
        return self.picture.shape[0], self.picture.shape[1]

    @cached_property
    def mask(self) -> Map:
        """float32 (H, W) in 0 to 1: how much each pixel is kept, as the mask net gives it."""
        return imaging.resize_map(self._small_mask, *self.size)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """bool (H, W): the kept pixels, exactly the share given; of a mask of λ those above 0.025."""
        if self._cut.keep is None:
            return self.mask > THRESHOLD
        return imaging.top_pixels(self.mask, self._cut.keep)

    @property
    def keep(self) -> float:
        """The share of the pixels that are kept."""
        return float(self.kept.mean())

    @property
    def metric(self) -> bool:
        """Whether depths are in metres."""
        return self._metric()

    @property
    def unit(self) -> str:
        """m, or relative."""
        return "m" if self.metric else "relative"

    @property
    def depth(self) -> Map:
        """float32 (H, W): depth of the whole picture; metres where `metric`, else units that grow with distance."""
        return imaging.resize_map(self._depths[0], *self.size)

    @property
    def depth_from_kept(self) -> Map:
        """float32 (H, W): depth of the kept pixels alone, in the same units; where λ was given, through the mask."""
        return imaging.resize_map(self._depths[1], *self.size)

    @cached_property
    def _depths(self) -> tuple[Map, Map]:
        return self._predict()

    def overlay(self) -> Image.Image:
        """The picture with the kept pixels lit up, (W, H) as the picture."""
        shown = self.kept if self._cut.keep is not None else self.mask
        return Image.fromarray(imaging.overlay(self.picture, imaging.grey8(shown)))

    def plot(self) -> "Figure":
        """A matplotlib figure: picture, mask, kept pixels, and both depths on one scale; no window is opened."""
        whole, masked = self.depth, self.depth_from_kept
        ends = _depth_range(whole)
        figure, axes = _axes(self.picture.shape, ("picture", "mask", "kept", "depth", "depth from kept", "difference"))
        _show_picture(axes["picture"], self.picture, self.name)
        _show_picture(axes["mask"], imaging.colourise_mask(self.mask), "mask")
        _show_picture(axes["kept"], np.asarray(self.overlay()), f"what is kept: {self.keep:.0%} of the pixels")
        _show_depth(axes["depth"], whole, ends, "depth", self.metric)
        _show_depth(axes["depth from kept"], masked, ends, "depth from what is kept", self.metric)
        error = np.abs(masked - whole)
        rmse = float(np.sqrt(np.mean(np.square(error))))
        image = axes["difference"].imshow(error, cmap="magma", vmin=0, vmax=max(float(np.percentile(error, 99)), 1e-6))
        _titled(axes["difference"], f"difference, RMSE {rmse:.2f} m" if self.metric else "difference, relative units")
        figure.colorbar(image, ax=axes["difference"], label="m" if self.metric else None, **_BAR)
        return figure

    def save(self, out: str | os.PathLike[str], kinds: Sequence[str] = ("mask", "overlay")) -> list[Path]:
        """Write files as `depthcue mask` does.

        Args:
            out: a folder, which gets NAME_KIND.png (or .npy); or a picture file (.png, .jpg), for the overlay alone.
            kinds: of mask, overlay, panel, depth, binary, raw, npy.

        Raises:
            DepthcueError: an unknown kind, a file of another format, or nowhere to write.
        """
        out = Path(out)
        if out.suffix.lower() in _FORMATS:
            return [_write_picture(self.overlay(), out, "a folder for other kinds")]
        if out.suffix.lower() in _OTHER_PICTURES:
            raise DepthcueError(f"{out} cannot be written", f"Use {', '.join(_FORMATS)} for the overlay, or a folder.")
        kinds = check_kinds(kinds)
        depths = self._depths if any(kind in DEPTH_KINDS for kind in kinds) else ()
        saver = Saver(Input(Path(self.name), "image", self.name), out, kinds, self._cut, not depths or self.metric)
        prepared = Prepared(self.picture, Kept(Frame(self.picture, 0, None, self.name), self.size), 0)
        try:
            saver.write(prepared, saver.render(prepared, (self._small_mask, *depths)))
        except BaseException:
            saver.discard()
            raise
        saver.finish()
        return list(saver.outputs)

    def _repr_png_(self) -> bytes:
        return png_of(self.plot())


def _depth_range(depth: Map) -> tuple[float, float]:
    """Ends of the depth colours of a picture: the 1st and 99th percentile."""
    near, far = (max(float(value), 1e-3) for value in np.percentile(depth, (1, 99)))
    return near, max(far, 1.05 * near)


def _write_array(values: Map, path: Path) -> Path:
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.save(file, values)
    return path


def _write_picture(picture: Image.Image, path: Path, other: str) -> Path:
    if path.suffix.lower() not in _FORMATS:
        raise DepthcueError(f"{path} has no ending of a picture", f"Use {', '.join(_FORMATS)}, or {other}.")
    with atomic_path(path) as partial:
        picture.save(partial, format=_FORMATS[path.suffix.lower()])
    return path


def _axes(shape: tuple[int, ...], names: Sequence[str]) -> "tuple[Figure, dict[str, Axes]]":
    """A figure with axes of these names for pictures of a shape (H, W, …), with room for a bar below all but the first.

    Of six, the last is the difference of the two before it: below them where pictures are wide.
    """
    from depthcue.report.figures import LIGHT, new_figure

    ratio = shape[1] / shape[0]
    columns = min(2 if ratio > _WIDE else 3, len(names))
    if columns == 2 and len(names) == 6:
        names = (*names[:3], names[5], *names[3:5])
    rows = -(-len(names) // columns)
    width = 4.8 if columns == 2 else 3.9
    height = width * min(max(1 / ratio, 0.2), 1.6)
    heights = [height + 0.35 + (0.6 if row or rows == 1 else 0.0) for row in range(rows)]
    figure = new_figure(width * columns, sum(heights), LIGHT)
    figure.dpi = _DPI
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    return figure, dict(zip(names, axes.flat, strict=True))


def _titled(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=9.5, loc="left").set_parse_math(False)  # a name may hold dollar signs
    axes.set_axis_off()
    axes.set_anchor("N")


def _show_picture(axes: "Axes", picture: Rgb, title: str) -> None:
    axes.imshow(picture)
    _titled(axes, title)


def _show_depth(axes: "Axes", depth: Map, ends: tuple[float, float], title: str, metric: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, LogNorm

    _show_picture(axes, imaging.colourise_depth(depth, *ends), title)
    ramp = imaging.colourise_depth(np.geomspace(*ends, 256, dtype=np.float32)[None], *ends)[0]
    bar = axes.figure.colorbar(ScalarMappable(LogNorm(*ends), ListedColormap(ramp / 255)), ax=axes, **_BAR)
    bar.minorticks_off()
    marks = [step * 10.0 ** power for power in range(-3, 5) for step in (1, 2, 3, 5, 7)]
    marks = [mark for mark in marks if ends[0] <= mark <= ends[1]] or list(ends)
    if metric:
        bar.set_ticks(marks, labels=[f"{mark:.2g}" for mark in marks])
        bar.set_label("m")
    else:
        bar.set_ticks(list(ends), labels=["near", "far"])


def png_of(figure: "Figure") -> bytes:
    """A figure as the bytes of a png, for notebooks."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()
