"""Lessons for a surrogate: a depth net S that is taught to answer as a depth net N does, masked pictures included.

N may be a black box: a graph that cannot be differentiated, a function that calls a server. A mask net G needs the
gradient of N(I M) by M, and gets that of S(I M) in its place. It is worth something only where S answers to holes as
N does, so most lessons are masked pictures, seen through the kinds of masks that G passes on its way: those of the
general mask net, of edges, scattered pixels and blobs, at shares from few pixels to most, with all the fills that G
is trained with. The depth that N answers with is brought to 0..10 m: of a metric net by its range, of a relative net
by the units of the whole picture, which S has to guess from what it sees of it.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.nets import DepthNet, MaskNet, depth_from, whole_depth
from depthcue.nets.units import draw_background, hide
from depthcue.objective import to_reference_range
from depthcue.scorers import keep_top, sobel_edges

SHARES = (0.04, 0.8)
FILL_CHANCES = {"mean": 0.6, "colour": 0.1, "own-mean": 0.1, "blur": 0.1, "noise": 0.1}
"""How likely hidden pixels show each fill, here and where mask nets of shares are trained."""
KINDS = ("general", "general", "sobel", "random", "blobs")
"""Kinds of masks, each as likely as it is often named."""
BLOB_PX = 16


@torch.no_grad()
def lesson(teacher: DepthNet, general: MaskNet, rgb: Tensor, masked: float, chance: torch.Generator,
           ) -> tuple[Tensor, Tensor]:
    """Pictures as teacher and surrogate see them, some through masks, and what the teacher answers.

    Args:
        teacher: N; the surrogate takes pictures of the same size and normalisation.
        general: the general mask net.
        rgb: (B, 3, H, W) in [0, 1].
        masked: how likely each picture is seen through a mask.

    Returns:
        What the nets take, (B, 3, H, W), and depth (B, 1, h, w) in 0..10 m.
    """
    normalised = teacher.normalise(rgb)
    whole, units = whole_depth(teacher, normalised)
    hidden = (torch.rand(len(rgb), generator=chance) < masked).nonzero()[:, 0].tolist()
    mask = torch.ones_like(rgb[:, :1])
    for row in hidden:
        mask[row:row + 1] = draw_mask(rgb[row:row + 1], general, chance)
    seen = hide(normalised, mask, draw_background(normalised, teacher, chance, FILL_CHANCES))
    answer = whole if not hidden else depth_from(teacher, seen, units=units)
    return seen, to_reference_range(answer.float(), teacher.description.depth_range)


def draw_mask(rgb: Tensor, general: MaskNet, chance: torch.Generator) -> Tensor:
    """A mask (1, 1, H, W) of one of KINDS for a picture (1, 3, H, W), binary or, from the general net, also soft."""
    low, high = (math.log(end) for end in SHARES)
    draws = torch.rand(3, generator=chance).tolist()
    share = math.exp(low + (high - low) * draws[0])
    kind = KINDS[min(int(draws[1] * len(KINDS)), len(KINDS) - 1)]
    height, width = rgb.shape[-2:]
    if kind == "general":
        scores = general(general.normalise(rgb), torch.full((1,), share, device=rgb.device)).float()
        if draws[2] < 0.3:
            return scores
    elif kind == "sobel":
        scores = sobel_edges(rgb)
    elif kind == "random":
        scores = torch.rand(1, 1, height, width, generator=chance).to(rgb)
    else:
        cells = torch.rand(1, 1, max(height // BLOB_PX, 2), max(width // BLOB_PX, 2), generator=chance).to(rgb)
        scores = functional.interpolate(cells, size=(height, width), mode="bilinear", align_corners=False)
    return keep_top(scores, share).to(rgb.dtype)
