"""Gradients through a borrowed depth net, whatever mode the caller measures in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from depthcue.nets import DepthNet, require_gradients, restore_mode
from depthcue.selection.contract import Means


@contextmanager
def gradients_through(net: DepthNet, rgb: Tensor) -> Iterator[Tensor]:
    """Pictures (B, 3, H, W) in [0, 1] normalised for `net`, in a context in which gradients can be taken.

    The net's own weights are frozen meanwhile: only the gradient to the picture is paid for.
    """
    with torch.inference_mode(False), torch.enable_grad(), restore_mode(net):
        # a tensor made in inference mode can never be part of a gradient; its copy can
        yield net.normalise(rgb.clone()).detach()


def depth_net_of(means: Means, gradients_for: str | None = None) -> DepthNet:
    """The depth net that a method was given.

    Args:
        gradients_for: the method's name where it takes gradients.

    Raises:
        DepthcueError: it takes gradients, and the net passes none on.
        ValueError: no net was given.
    """
    if means.depth_net is None:
        raise ValueError("this way to choose pixels needs the depth net")
    if gradients_for is not None:
        require_gradients(means.depth_net, gradients_for)
    return means.depth_net
