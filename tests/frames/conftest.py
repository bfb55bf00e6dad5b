"""Small videos made on the spot, so that every fault is there without a file in the repository."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest
from numbered_frames import numbered_picture


@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes `count` numbered pictures as a video in tmp_path.

    A stored point (x, y) is shown at (a x + c y, b x + d y) by `matrix` = (a, b, c, d); mp4 only.
    """

    def make(name: str = "clip.mp4", *, count: int = 12, size: tuple[int, int] = (48, 64), rate: Fraction | int = 25,
             ticks: Sequence[int] | None = None, time_base: Fraction | None = None, codec: str = "mpeg4",
             options: dict[str, str] | None = None, matrix: tuple[int, int, int, int] | None = None,
             pix_fmt: str = "yuv420p") -> Path:
        path = tmp_path / name
        with av.open(str(path), "w", options=options or {}) as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width = size
            stream.pix_fmt = pix_fmt
            stream.codec_context.gop_size = 4
            stream.codec_context.bit_rate = 4_000_000
            if time_base:
                stream.codec_context.time_base = stream.time_base = time_base
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(numbered_picture(number, *size), "rgb24")
                frame = frame.reformat(format=pix_fmt)
                frame.pts = ticks[number] if ticks else number
                frame.time_base = time_base or 1 / Fraction(rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if matrix:
            content = path.read_bytes()
            at = content.index(b"tkhd") + 44  # the 3x3 display matrix, 16.16 fixed point, rows (a b u) (c d v) (x y w)
            a, b, c, d = (value << 16 for value in matrix)
            path.write_bytes(content[:at] + struct.pack(">5i", a, b, 0, c, d) + content[at + 20:])
        return path

    return make
