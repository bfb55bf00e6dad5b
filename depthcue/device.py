"""The device that `--device` names."""

import re

import torch

from depthcue.errors import DepthcueError


def resolve_device(device: str) -> str:
    """`auto` becomes `cuda` where torch sees a GPU, else `cpu`; the device itself is not touched.

    Raises:
        DepthcueError: not the name of a device.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise DepthcueError(f"--device {device} names no device", "Choose auto, cpu, cuda, cuda:N or mps.")
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_device(device: str) -> torch.device:
    """The device to compute on now, tried out.

    Raises:
        DepthcueError: no such device here.
    """
    picked = torch.device(resolve_device(device))
    try:
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        raise DepthcueError(f"torch cannot use --device {device}: {error}",
                            "Use auto or cpu, or see depthcue doctor.") from error
    return picked
