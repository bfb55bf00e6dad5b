"""Running a graph on the CPU while it is made and checked: how it is opened, and what it is fed."""

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from depthcue.imaging import fit_size, resize_rgb
from depthcue.nets import DepthDescription, MaskDescription

PROVIDER = "CPUExecutionProvider"
"""What graphs are compared on: it is everywhere, and computes in float32 unless the graph says int8."""

Feeds = dict[str, NDArray[Any]]
"""What one run of a graph takes: `frames`, and `keep` or `lambda` where it takes one."""


def open_session(graph: bytes | str | os.PathLike[str]) -> onnxruntime.InferenceSession:
    """A graph, or the path of one, ready to run on the CPU, without ONNX Runtime's warnings."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=[PROVIDER])


def feeds(description: MaskDescription | DepthDescription, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[Feeds]:
    """One run of a graph for each picture, at the size at which the net would see it.

    Share or λ take turns from picture to picture: the ends of the range, their geometric mean, and the net's own.
    """
    dials: list[float] = []
    if isinstance(description, MaskDescription) and description.dial_range is not None:
        low, high = description.dial_range
        dials = [low, high, math.sqrt(low * high), description.default_dial]
    for number, picture in enumerate(pictures):
        size = fit_size(picture.shape[0], picture.shape[1], (description.height, description.width),
                        description.multiple)
        run: Feeds = {"frames": resize_rgb(picture, *size)[None]}
        if description.dial_name is not None:
            run[description.dial_name] = np.array([dials[number % len(dials)]], np.float32)
        yield run
