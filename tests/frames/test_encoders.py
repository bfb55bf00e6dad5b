"""Encoders by name: the default is always there, what does not work is told, auto takes the first that does."""

import av
import pytest

from depthcue.errors import DepthcueError
from depthcue.frames import sinks
from depthcue.frames.sinks import ENCODERS, SOFTWARE, find_encoder


@pytest.fixture
def working(monkeypatch):
    """Sets which encoders work; the others have no device."""
    def only(*names):
        monkeypatch.setattr(sinks, "_complaint", lambda name, size: "" if name in names else "no device")
    return only


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (1, 1)])
def test_the_default_takes_every_size(size):
    assert find_encoder(SOFTWARE.name, size) is SOFTWARE


def test_auto_takes_a_gpu_where_one_encodes(working):
    working("libx264")
    assert find_encoder("auto", (48, 64)) is SOFTWARE
    working("libx264", "h264_qsv", "h264_amf")
    assert find_encoder("auto", (48, 64)).name == "h264_qsv"


def test_what_does_not_work_is_told_with_the_reason(working):
    working("libx264")
    with pytest.raises(DepthcueError, match="h264_nvenc does not work here: no device(?s:.*)libx264"):
        find_encoder("h264_nvenc", (48, 64))
    with pytest.raises(DepthcueError, match="must be one of auto, libx264, h264_nvenc(?s:.*)got 'h265'"):
        find_encoder("h265", (48, 64))


@pytest.mark.parametrize("name", ["h264_qsv", "h264_amf"])
def test_odd_sides_are_refused_where_they_cannot_be_kept(name):
    with pytest.raises(DepthcueError, match="odd sides, such as 47x33"):
        find_encoder(name, (33, 47))


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != SOFTWARE.name])
def test_an_encoder_of_a_gpu_works_or_says_why_not(name):
    """On a machine without that GPU the library's own complaint must come as an error that can be put right."""
    try:
        assert find_encoder(name, (480, 640)).name == name
    except DepthcueError as error:
        assert name in error.message and error.hint


def test_a_library_without_h264_is_told(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", frozenset())
    with pytest.raises(DepthcueError, match="cannot write H.264(?s:.*)pip install"):
        find_encoder("libx264", (48, 64))
