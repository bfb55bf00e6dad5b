"""Where pictures come from and go to: images, folders, globs, videos, numbered sequences; sinks. Nothing about nets."""

from depthcue.frames.frame import Frame, FrameSource
from depthcue.frames.inputs import IMAGE_SUFFIXES, SUPPORTED, VIDEO_SUFFIXES, Input, find_inputs
from depthcue.frames.pictures import ImageSource, SequenceSource, load_picture
from depthcue.frames.sinks import ENCODINGS, ImageSink, Sink, VideoSink
from depthcue.frames.videos import VideoSource

__all__ = ["ENCODINGS", "IMAGE_SUFFIXES", "SUPPORTED", "VIDEO_SUFFIXES", "Frame", "FrameSource", "ImageSink", "Input",
           "Sink", "VideoSink", "find_inputs", "load_picture", "open_input"]


def open_input(source: Input) -> FrameSource:
    """The frames of an input: `with open_input(source) as frames: for frame in frames: …`.

    Raises:
        DepthcueError: here, on entering, or in reading; see FrameSource.
    """
    if source.kind == "image":
        return ImageSource(source.path)
    if source.kind == "sequence":
        return SequenceSource(source.path)
    return VideoSource(source.path)
