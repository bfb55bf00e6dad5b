"""What `depthcue export` does: a spec to a checked file."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthcue import scenes
from depthcue.backends.precision import FP32, INT8, check_precision
from depthcue.data import open_data
from depthcue.errors import DepthcueError
from depthcue.export.onnx import export_onnx
from depthcue.export.versions import LEAST_CALIBRATION
from depthcue.nets import DepthNet, MaskDescription, load_depth_net, load_mask_net, load_target_of
from depthcue.scenes.api import SCENES_PER_KIND, rendered_pictures

PICTURES = 16
"""How many pictures of --data are compared on."""
CALIBRATION = 32
"""How many others int8 is calibrated on."""

Picture = NDArray[np.uint8]
"""uint8 (H, W, 3)."""

log = logging.getLogger(__name__)


def export_spec(weights: str | None, target: str | None, path: Path, data: str | None = None,
                precision: str = FP32) -> dict[str, Any]:
    """Export the mask net `weights` or the depth net `target` to `path` (.onnx); return its card.

    Args:
        data: a data spec with pictures to compare on and, for int8, others to calibrate on; None renders rooms and
            roads.
        precision: one of `PRECISIONS`.

    Raises:
        DepthcueError: not exactly one of the two, a wrong spec, too few pictures, or a graph that does not agree with
            torch.
    """
    if (weights is None) == (target is None):
        raise DepthcueError("export takes one net", "Give --weights W for a mask net or --target NET for a depth net.")
    check_precision(precision)
    pictures, calibration = _pictures(data, precision)
    if target is not None:
        return export_onnx(load_depth_net(target), path, pictures, precision=precision, calibration=calibration)
    assert weights is not None
    net = load_mask_net(weights)
    return export_onnx(net, path, pictures, depth_net_of(net.description, weights), precision=precision,
                       calibration=calibration)


def _pictures(data: str | None, precision: str) -> tuple[list[Picture], list[Picture] | None]:
    """Pictures to compare on and, for int8, others to calibrate on (None: ranges may come from those compared on)."""
    if precision != INT8:
        return rendered_pictures() if data is None else stored_pictures(data, PICTURES), None
    if data is None:
        log.warning("int8 is calibrated on rendered rooms and roads; give --data with pictures like those that the net "
                    "will see")
        return rendered_pictures(), rendered_pictures(CALIBRATION // len(scenes.KINDS), first=SCENES_PER_KIND)
    stored = stored_pictures(data, PICTURES + CALIBRATION)
    least = LEAST_CALIBRATION + LEAST_CALIBRATION // 2
    if len(stored) < least:
        raise DepthcueError(f"{data} holds {len(stored)} picture{'' if len(stored) == 1 else 's'}; int8 needs at least "
                            f"{least}, two thirds to calibrate on and the others to compare on",
                            "Give --data more pictures, of the kind that the net will see.")
    return stored[::3], [picture for index, picture in enumerate(stored) if index % 3]


def stored_pictures(data: str, count: int) -> list[Picture]:
    """Up to `count` pictures of a data spec, uint8 (H, W, 3)."""
    opened = open_data(data, limit=count)
    frames = opened.frames(range(min(count, len(opened))), "cpu")
    return list(frames.rgb.permute(0, 2, 3, 1).contiguous().numpy())


def depth_net_of(description: MaskDescription, source: str) -> DepthNet | None:
    """The depth net a mask net was trained for; None, with a warning, where it is not at hand.

    `source` is the file that the description comes from.
    """
    try:
        return load_target_of(description, source)
    except DepthcueError as error:
        # the graph can still be compared in numbers; the card then says that the task error was not measured
        log.warning("the depth net %r could not be loaded; its error under the mask is not compared: %s",
                    description.target, " ".join(str(error).splitlines()))
        return None
