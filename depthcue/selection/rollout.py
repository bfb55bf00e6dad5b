"""Attention rollout: which patches the layers of a transformer draw on, all layers taken together.

Abnar and Zuidema, Quantifying Attention Flow in Transformers (ACL 2020). A layer passes on half of what it gets by its
skip connection and half by its attention W, the mean over heads; through all layers that is the product of

    A = (W + I) / 2                                                                    sec. 3

from the last layer to the first, whose row i says how much of each input token is in output token i. Deviations: the
paper reads the row of the token that a class is made of. A depth map has no such token: every patch of it is a query,
so a patch scores the mean over the rows of all patches. What flows through the summary token and the registers counts;
what ends in them belongs to no pixel and is left out. Scores of patches are resized bilinearly to pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from depthcue.nets import resize
from depthcue.nets.foreign.transformers_model import attention_of, check_attention
from depthcue.selection.contract import Means, Pictures, Score
from depthcue.selection.gradients import depth_net_of


def rollout(means: Means) -> Score:
    """How much of each patch is in the last layer's patches, resized to pixels.

    Raises:
        DepthcueError: the depth net has no attention that can be rolled out.
    """
    net = depth_net_of(means)
    check_attention(net)

    def score(pictures: Pictures) -> Tensor:
        maps = []
        # one at a time: all layers' attention is held at once
        for rgb in pictures.rgb.split(1):
            attention = attention_of(net, net.normalise(rgb))
            maps.append(patch_scores(attention.layers, attention.grid))
        height, width = pictures.rgb.shape[-2:]
        scores = resize(torch.cat(maps), (height, width))
        return scores / scores.amax(dim=(2, 3), keepdim=True)

    return score


def patch_scores(layers: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
    """The rollout of attention (B, heads, T, T), from the first layer, as a map of patches (B, 1, h, w).

    Args:
        grid: (h, w); the last h·w of the T tokens are the patches.
    """
    rolled = torch.eye(layers[0].shape[-1], device=layers[0].device)
    for attention in layers:
        # softmax rows sum to 1, and so do these halves
        rolled = (attention.float().mean(dim=1) + torch.eye(attention.shape[-1], device=attention.device)) / 2 @ rolled
    height, width = grid
    patches = rolled[:, -height * width:, -height * width:]
    return patches.mean(dim=1).view(-1, 1, height, width)
