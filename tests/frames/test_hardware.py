"""Decoders by name: the CPU's is the default, a GPU that is not there is told."""

import av
import pytest

from depthcue.errors import DepthcueError
from depthcue.frames import find_inputs, open_input, videos
from depthcue.frames.videos import VideoSource


class FakeAcceleration:
    """In the place of the library's, which needs a GPU; `works` is whether there is one."""

    works = True

    def __init__(self, kind, allow_software_fallback):
        self.kind, self.fallback = kind, allow_software_fallback

    def create(self, codec):
        if not self.works:
            raise av.error.PermissionError(1, "Operation not permitted")
        return self


def test_the_cpu_needs_nothing():
    assert videos.hardware_decoding("cpu") is None


def test_an_unknown_decoder_is_told():
    with pytest.raises(DepthcueError, match="must be cpu or gpu, got 'nvdec'"):
        videos.check_decoder("nvdec")


@pytest.mark.parametrize(("platform", "kind"), [("linux", "cuda"), ("win32", "cuda"), ("darwin", "videotoolbox")])
def test_the_gpu_decodes_what_it_can_and_the_cpu_the_rest(monkeypatch, platform, kind):
    monkeypatch.setattr(videos.sys, "platform", platform)
    monkeypatch.setattr(videos, "hwdevices_available", lambda: [kind])
    monkeypatch.setattr(videos, "HWAccel", FakeAcceleration)
    made = videos.hardware_decoding("gpu")
    assert made.kind == kind and made.fallback


def test_a_missing_gpu_is_told_before_the_file_is_blamed(monkeypatch, make_video):
    monkeypatch.setattr(videos, "hwdevices_available", lambda: ["cuda", "videotoolbox"])
    monkeypatch.setattr(videos, "HWAccel", FakeAcceleration)
    monkeypatch.setattr(FakeAcceleration, "works", False)
    with pytest.raises(DepthcueError, match="no GPU here decodes video(?s:.*)--decoder"):
        with open_input(find_inputs([str(make_video())])[0], decoder="gpu"):
            pass


def test_a_library_without_it_says_so(monkeypatch):
    monkeypatch.setattr(videos, "hwdevices_available", lambda: [])
    with pytest.raises(DepthcueError, match="decodes nothing on a GPU"):
        videos.hardware_decoding("gpu")


@pytest.mark.gpu
def test_the_gpu_gives_the_same_picture(shared_data):
    path = shared_data / "video" / "driving.mp4"
    with VideoSource(path) as usual, VideoSource(path, "gpu") as other:
        for _, one, two in zip(range(5), usual, other, strict=False):
            # H.264 decodes to the same bits everywhere; only the layout of the chroma differs
            assert abs(one.rgb.astype(int) - two.rgb).mean() < 1
