"""A decoded frame's short cuts show what its full RGB picture shows."""

import numpy as np
import pytest

from depthcue import imaging
from depthcue.colours import STYLES, Look
from depthcue.frames import Frame, VideoSource


def first_frame(path):
    with VideoSource(path) as source:
        return next(iter(source))


TURNS = [None, (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1)]


@pytest.mark.parametrize("matrix", TURNS)
def test_a_frame_made_small_is_the_picture_made_small(make_video, matrix):
    path = make_video(count=1, size=(240, 320), matrix=matrix)
    small = first_frame(path).resized(60, 80)
    frame = first_frame(path)
    wanted = imaging.resize_rgb(frame.rgb, 60, 80)
    assert small.shape == (60, 80, 3) and small.dtype == np.uint8
    # two scalers' rounding, and chroma enlarged before or after
    assert np.abs(small.astype(int) - wanted).mean() < 3
    assert np.abs(small.astype(int) - wanted[::-1]).mean() > 6, "a picture that is its own mirror tests nothing"


@pytest.mark.parametrize("matrix", TURNS)
@pytest.mark.parametrize(("codec", "pix_fmt"), [("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p"), ("libx264", "yuv444p"),
                                                ("libx264", "yuv420p10le")])
def test_planes_are_the_pictures_luma_and_chroma(make_video, matrix, codec, pix_fmt):
    frame = first_frame(make_video(count=1, size=(48, 66), matrix=matrix, codec=codec, pix_fmt=pix_fmt))
    planes = frame.planes()
    assert planes[0].shape == frame.size == frame.rgb.shape[:2] and planes[1].shape == planes[2].shape
    red, green, blue = frame.rgb.astype(float).transpose(2, 0, 1) / 255
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    # chroma that RGB cannot hold is cut off there
    assert np.abs(planes[0] - (16 + 219 * light)).mean() < 4
    height, width = planes[1].shape
    for plane, chroma in ((planes[1], (blue - light) / 1.8556), (planes[2], (red - light) / 1.5748)):
        assert np.abs(plane - (128 + 224 * chroma.reshape(height, 2, width, 2).mean(axis=(1, 3)))).mean() < 6


def test_a_picture_is_its_own_frame():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    frame = Frame(rgb, 3, None, "a")
    assert frame.size == (40, 30) and frame.nbytes == rgb.nbytes and frame.rgb is rgb
    np.testing.assert_array_equal(frame.resized(20, 10), imaging.resize_rgb(rgb, 20, 10))
    assert frame.planes() is None  # there is nothing to be gained


def test_a_place_in_time_alone_holds_nothing(make_video):
    frame = first_frame(make_video(count=1))
    assert frame.nbytes > 0
    timed = frame.without_picture()
    assert (timed.index, timed.time, timed.name, timed.nbytes) == (0, frame.time, "000000", 0)
    with pytest.raises(ValueError, match="without a picture"):
        _ = timed.rgb


@pytest.mark.parametrize("style", STYLES)
def test_an_overlay_in_luma_and_chroma_is_the_overlay(make_video, style):
    """Both ways into a video file end in the same colours."""
    from av import VideoFrame
    from av.video.reformatter import Colorspace

    frame = first_frame(make_video(count=1, size=(48, 64)))
    mask = imaging.resize_grey(np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8), 48, 64)
    look = Look(style)
    planes = imaging.overlay_yuv(frame.planes(), mask, look)
    picture = VideoFrame.from_ndarray(imaging.overlay(frame.rgb, mask, look), "rgb24")
    wanted = picture.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
    for plane, stored, tolerance in zip(planes, wanted.planes, (3.0, 9.0, 9.0), strict=True):
        values = np.frombuffer(memoryview(stored), np.uint8).reshape(-1, stored.line_size)[:, :plane.shape[1]]
        # chroma of one pixel of four against the mean of the four
        assert np.abs(plane.astype(int) - values[:plane.shape[0]]).mean() < tolerance
    grey = imaging.grey_yuv(mask)[0]
    assert grey.min() >= 16 and grey.max() <= 235
    np.testing.assert_allclose((grey.astype(float) - 16) * 255 / 219, mask, atol=1.2)


def test_frames_are_given_back_one_by_one_and_not_left_to_the_collector(make_video):
    import gc

    from av import VideoFrame

    path = make_video(count=40, matrix=(0, 1, -1, 0))
    gc.collect()
    gc.disable()
    try:
        before = sum(type(each) is VideoFrame for each in gc.get_objects())
        with VideoSource(path) as source:
            for frame in source:
                frame.resized(16, 16)
                frame.planes()
            left = sum(type(each) is VideoFrame for each in gc.get_objects()) - before
    finally:
        gc.enable()
    # the first one, which was asked for its turn, and those in hand
    assert left < 5
