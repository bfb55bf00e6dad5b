"""Sources and sinks of pictures: images, folders, globs, videos, sequences, cameras. Nothing about nets."""

from depthcue.frames.frame import Frame, FrameSource
from depthcue.frames.inputs import Input, find_inputs, stream_inputs
from depthcue.frames.kinds import SUPPORTED, kind_of_name
from depthcue.frames.live import LiveOptions, LiveSource
from depthcue.frames.pictures import ImageSource, SequenceSource, load_picture
from depthcue.frames.sinks import ENCODINGS, ImageSink, Sink, VideoSink
from depthcue.frames.videos import VideoSource

__all__ = ["ENCODINGS", "SUPPORTED", "Frame", "FrameSource", "ImageSink", "Input", "LiveOptions",
           "LiveSource", "Sink", "VideoSink", "VideoSource", "find_inputs", "kind_of_name", "load_picture",
           "open_input", "stream_inputs"]


def open_input(source: Input, *, live: LiveOptions | None = None, decoder: str = "cpu") -> FrameSource:
    """The frames of an input: `with open_input(source) as frames: for frame in frames: …`.

    Args:
        live: how to read a live source.
        decoder: one of `videos.DECODERS`.

    Raises:
        DepthcueError: here, on entering, or in reading; see FrameSource.
    """
    if source.kind == "image":
        return ImageSource(source.path, decoder)
    if source.kind == "sequence":
        return SequenceSource(source.path, decoder)
    if source.kind == "live":
        return LiveSource(source, live or LiveOptions(), decoder)
    return VideoSource(source.path, decoder)
