"""JPEG files decoded on an NVIDIA GPU: several times as fast as on a core, from what such files usually are."""

from pathlib import Path

import numpy as np
from PIL import Image

from depthcue.errors import DepthcueError
from depthcue.imaging import Rgb

_ORIENTATION = 0x0112
_END_OF_IMAGE = b"\xff\xd9"
_TAIL_BYTES = 1024
"""Where the end must be; some cameras write a little behind it."""


def check_nvjpeg() -> None:
    """
    Raises:
        DepthcueError: there is no GPU that decodes JPEG files here.
    """
    import torch  # only where it is wanted: pictures need no torch otherwise

    if not torch.cuda.is_available():
        raise DepthcueError("no GPU here decodes JPEG files (torch sees no CUDA device)",
                            "Leave --decoder out; depthcue doctor tells what this machine has.")


def decode_on_gpu(path: Path, opened: Image.Image) -> Rgb | None:
    """The upright picture uint8 (H, W, 3); None where the CPU should do it: for no or no usual JPEG, or a damaged one.

    Colours differ by a level or two from the CPU's: the transform is rounded otherwise.

    Args:
        opened: the file's header.
    """
    if opened.format != "JPEG" or opened.mode not in ("RGB", "L"):
        return None
    if opened.getexif().get(_ORIENTATION, 1) != 1:
        return None
    content = np.fromfile(path, np.uint8)
    if _END_OF_IMAGE not in content[-_TAIL_BYTES:].tobytes():
        return None  # cut off: the CPU's decoder says so, the GPU's fills in grey
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    try:
        planes = decode_jpeg(torch.from_numpy(content), ImageReadMode.RGB, device="cuda")  # (3, H, W)
        rgb: Rgb = planes.permute(1, 2, 0).contiguous().cpu().numpy()
    except RuntimeError:  # an arithmetic or progressive kind it does not know, or no memory left
        return None
    return rgb
