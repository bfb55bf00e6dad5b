"""A video and a folder of pictures to time whole jobs on, made here: a camera that glides over rendered scenes."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depthcue import scenes
from depthcue.atomic import write_bytes
from depthcue.frames import ENCODINGS, Frame, VideoSink

PIXELS = 640 * 480
"""Pixels of a frame, about as many as webcams and robots give."""
SCENES = 6
RATE = 25
_MARGIN = 1.125
"""How much larger than a frame a rendered scene is, so that there is something to glide over."""
_WIDE = 2.0
"""Frames wider than this many times their height are roads."""


def write_sources(folder: Path, working: tuple[int, int], count: int) -> dict[str, str]:
    """Write FOLDER/video.mp4 and FOLDER/pictures/ (JPEG), `count` frames each; the paths by `video` and `pictures`.

    Args:
        working: (height, width) that the net works at, whose aspect ratio the frames have.

    Raises:
        DepthcueError: the folder cannot be written.
    """
    video, pictures = folder / "video.mp4", folder / "pictures"
    height, width = frame_size(working)
    with VideoSink(video, Fraction(RATE), (height, width)) as sink:
        for number, rgb in enumerate(_frames(height, width, count)):
            sink.write(rgb, Frame(rgb, number, None, f"{number:06d}"))
            write_bytes(pictures / f"{number:06d}.jpg", ENCODINGS["rgb-jpg"].encode(rgb))
    return {"video": str(video), "pictures": str(pictures)}


def frame_size(working: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a frame for a net that works at `working`: the same aspect ratio, even sides."""
    scale = math.sqrt(PIXELS / (working[0] * working[1]))
    height, width = (2 * round(side * scale / 2) for side in working)
    return height, width


def _frames(height: int, width: int, count: int) -> Iterator[NDArray[np.uint8]]:
    kind = "road" if width > _WIDE * height else "indoor"
    tall, wide = round(height * _MARGIN), round(width * _MARGIN)
    each = math.ceil(count / SCENES)
    for number in range(count):
        scene, step = divmod(number, each)
        if step == 0:
            rgb = scenes.render(kind, [scene], tall, wide).rgb[0].permute(1, 2, 0)
            picture: NDArray[np.uint8] = (rgb * 255).round().byte().contiguous().numpy()
        top, left = ((side * step) // each for side in (tall - height, wide - width))
        yield np.ascontiguousarray(picture[top:top + height, left:left + width])
