"""Single pictures named by path as a data set without depth, each shown whole and at its own size."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from depthcue.data.rgbd import Batch, Frames
from depthcue.errors import DepthcueError
from depthcue.frames import load_picture
from depthcue.frames.inputs import Input, find_inputs

log = logging.getLogger(__name__)


def open_pictures(sources: Sequence[str], limit: int | None = None, without: Path | None = None) -> "PictureData":
    """The pictures that paths, folders and globs name, the first `limit` of them.

    Every picture is decoded once here; one that cannot be read is named in a warning and left out.

    Args:
        without: a folder whose contents are not taken from folders and globs.

    Raises:
        DepthcueError: a source names nothing, or a video or sequence; no picture can be read.
    """
    inputs = find_inputs(sources, without=without)
    for found in inputs:
        if found.kind != "image":
            raise DepthcueError(f"{found.path} is no single picture", "Name pictures; of a video, save frames first.")
    inputs, problems = inputs[:limit], []
    readable, sizes = [], []
    for found in inputs:
        try:
            height, width, _ = load_picture(found.path).rgb.shape
        except DepthcueError as error:
            log.warning("left out %s: %s", found.path, error.message)
            problems.append(error)
        else:
            readable.append(found)
            sizes.append((height, width))
    if not readable:
        raise problems[0]
    return PictureData(readable, uniform=len(set(sizes)) == 1)


class PictureData:
    """An `RgbdData` of picture files. Only pictures of one size can share a batch; `uniform` where all can."""

    spec = "pictures"
    has_depth = False
    max_depth_m = 65.535

    def __init__(self, inputs: Sequence[Input], uniform: bool) -> None:
        self._inputs, self.uniform = list(inputs), uniform

    def __len__(self) -> int:
        return len(self._inputs)

    def frames(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Frames:
        pictures = [torch.from_numpy(load_picture(self._inputs[index].path).rgb) for index in indices]
        rgb = torch.stack(pictures).permute(0, 3, 1, 2).contiguous()  # (B, 3, H, W)
        return Frames(rgb.to(device), None, None, [self._inputs[index].name for index in indices])

    def evaluation_batch(self, indices: Sequence[int], device: torch.device | str = "cpu") -> Batch:
        frames = self.frames(indices, device)
        return Batch(frames.rgb.float() / 255, None, None, frames.names)
