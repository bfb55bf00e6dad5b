"""Decoding on a GPU: which decoders there are by name, and what is said where they are missing."""

import sys

import av
import av.error
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available

from depthcue.errors import DepthcueError

DECODERS = ("cpu", "gpu")
"""cpu: the same pixels on every machine. gpu: NVDEC for videos and streams (VideoToolbox on macOS), nvJPEG for JPEG
files (see nvjpeg.py)."""


def check_decoder(name: str) -> None:
    """
    Raises:
        DepthcueError: no decoder has this name.
    """
    if name not in DECODERS:
        raise DepthcueError(f"there is no decoder {name!r}", f"Choose {' or '.join(DECODERS)}.")


def hardware_decoding(decoder: str) -> HWAccel | None:
    """What to open a video with: None for the CPU; frames are brought to the CPU's memory in any case.

    Raises:
        DepthcueError: not one of DECODERS, or this build of the video library has no such decoder.
    """
    if decoder not in DECODERS:
        raise DepthcueError(f"there is no decoder {decoder!r}", f"Choose {' or '.join(DECODERS)}.")
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
