"""Encoders of H.264 by name: on the CPU, and on GPUs that have one; each set to the same constant quantiser, for speed.

A constant quantiser makes every frame as good as every other, and nothing is spent on looking ahead. None writes B
frames: decoding order is display order, which keeps the times in a file plain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from depthcue.errors import DepthcueError

AUTO = "auto"


@dataclass(frozen=True)
class Encoder:
    """How one is used."""

    name: str
    options: Callable[[int], dict[str, str]]
    """For a quantiser."""
    pixel_format: str
    """Of pictures with even sides."""
    odd_format: str | None
    """Of pictures with an odd side, which keeps the exact size; None where it has none such."""

    def format_for(self, size: tuple[int, int]) -> str | None:
        """The pixel format for pictures of `size` (H, W); None where it cannot take them."""
        return self.odd_format if size[0] % 2 or size[1] % 2 else self.pixel_format


ENCODERS = {encoder.name: encoder for encoder in (
    Encoder("libx264", lambda quantiser: {"qp": str(quantiser), "preset": "ultrafast", "bf": "0"},
            "yuv420p", "yuv444p"),
    # NVIDIA; not on H100 and H200, which decode but do not encode
    Encoder("h264_nvenc", lambda quantiser: {"rc": "constqp", "qp": str(quantiser), "preset": "p1", "bf": "0"},
            "yuv420p", "yuv444p"),
    # Intel
    Encoder("h264_qsv", lambda quantiser: {"global_quality": str(quantiser), "preset": "veryfast", "bf": "0"},
            "nv12", None),
    # AMD
    Encoder("h264_amf", lambda quantiser: {"rc": "cqp", "qp_i": str(quantiser), "qp_p": str(quantiser),
                                           "quality": "speed"}, "yuv420p", None),
)}
SOFTWARE = ENCODERS["libx264"]
"""The default: it is everywhere, takes every size, and writes the same bits on every machine."""


def check_encoder(name: str) -> None:
    """
    Raises:
        DepthcueError: no encoder has this name.
    """
    if name != AUTO and name not in ENCODERS:
        raise DepthcueError(f"there is no encoder {name!r}", f"Choose {AUTO}, {', '.join(ENCODERS)}.")


def find_encoder(name: str, size: tuple[int, int]) -> Encoder:
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
