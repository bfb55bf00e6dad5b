"""The two nets of a measurement, from the words of the command line."""

from typing import Any

import torch

from depthcue.errors import DepthcueError
from depthcue.nets import DepthNet, MaskNet, load_depth_net, load_mask_net, load_target_of

ALIGNED = ("each picture by one scale and shift in what the net predicts, kept for all that it sees of that picture "
           "through masks: to ground truth by least squares where the data has depth (then metres), else, from the "
           "whole picture's prediction alone, to the median 2.7 and mean absolute deviation 0.8 of an average room")
"""What results documents say of relative nets, whose depths have no unit."""


def load_pair(weights: str, target: str | None = None, device: str | torch.device = "cpu") -> tuple[MaskNet, DepthNet]:
    """The mask net `weights` names and the depth net it explains, in eval mode on `device`.

    Args:
        target: spec of the depth net; None takes the one the mask net was trained for, where that is data.

    Raises:
        DepthcueError: a net cannot be loaded, or the mask net does not say for which net it was trained.
    """
    mask_net = load_mask_net(weights, device)
    if target is not None:
        return mask_net, load_depth_net(target, device)
    meant = mask_net.description.target
    try:
        return mask_net, load_target_of(mask_net.description, weights, device)
    except DepthcueError as error:
        raise error.within(f"the depth net that {weights} was trained for ({meant or 'not named'}) cannot be loaded",
                           "Or name another with --target." if meant else None) from error


def described(net: MaskNet | DepthNet) -> dict[str, Any]:
    """A net as results documents name it; of a relative depth net also how its depths came to be comparable."""
    named = {"name": net.description.name, "sha256": net.card.get("sha256")}
    if isinstance(net, DepthNet) and net.description.relative:
        named |= {"relative": True, "predicts": net.description.predicts, "aligned": ALIGNED}
    return named
