"""What `depthcue export` does: a spec to a checked file."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue import scenes
from depthcue.data import open_data
from depthcue.errors import DepthcueError
from depthcue.export.onnx import export_onnx
from depthcue.nets import DepthNet, load_depth_net, load_mask_net

FORMATS = ("onnx",)
SCENE_SIZE = (240, 320)
SCENES_PER_KIND = 4
PICTURES = 16
"""How many pictures of --data are compared on."""

log = logging.getLogger(__name__)


def export_spec(weights: str | None, target: str | None, path: Path, data: str | None = None) -> dict[str, Any]:
    """Export the mask net `weights` or the depth net `target` to `path` (.onnx); return its card.

    Args:
        data: a data spec with pictures to compare on; None renders rooms and roads.

    Raises:
        DepthcueError: not exactly one of the two, a wrong spec, or a graph that does not agree with torch.
    """
    if (weights is None) == (target is None):
        raise DepthcueError("export takes one net", "Give --weights W for a mask net or --target NET for a depth net.")
    pictures = rendered_pictures() if data is None else stored_pictures(data)
    if target is not None:
        return export_onnx(load_depth_net(target), path, pictures)
    assert weights is not None
    net = load_mask_net(weights)
    return export_onnx(net, path, pictures, depth_net_of(net.description.target))


def rendered_pictures() -> list[NDArray[np.uint8]]:
    """A few rendered rooms and roads, uint8 (H, W, 3): pictures that are there on every machine."""
    height, width = SCENE_SIZE
    pictures: list[NDArray[np.uint8]] = []
    for kind in scenes.KINDS:
        rgb = scenes.render(kind, range(SCENES_PER_KIND), height, width).rgb
        pictures += list((rgb.permute(0, 2, 3, 1) * 255.0).round().byte().numpy())
    return pictures


def stored_pictures(data: str) -> list[NDArray[np.uint8]]:
    """Pictures of a data spec, uint8 (H, W, 3)."""
    opened = open_data(data, limit=PICTURES)
    frames = opened.frames(range(min(PICTURES, len(opened))), "cpu")
    return list(frames.rgb.permute(0, 2, 3, 1).contiguous().numpy())


def depth_net_of(target: str) -> DepthNet | None:
    """The depth net a mask net was trained for; None, with a warning, where it is not at hand."""
    try:
        return load_depth_net(target)
    except DepthcueError as error:
        # the graph can still be compared in numbers; the card then says that the task error was not measured
        log.warning("the depth net %r could not be loaded; its error under the mask is not compared: %s",
                    target, error.message)
        return None
