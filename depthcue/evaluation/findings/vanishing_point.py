"""The vanishing point of a picture, estimated: where the straight edges of its main direction meet.

Every edge pixel with a clear direction votes for the points that its line leads to, as in the voting of road
followers (Rasmussen, CVPR 2004; Kong, Audibert, Ponce, CVPR 2009), there by texture, here by edges:

1. Edge pixels are the strongest across their edge; the direction of the edge comes from the structure tensor around
   the pixel, and pixels without a clear one (corners, foliage) have no vote. Neither have level and upright edges:
   in most pictures they belong to other directions of the world, and would meet all along the horizon or nowhere.
2. A vote counts for a point by how well the line leads to it (a Gaussian of the angle). The votes that come from one
   direction are counted by their root, so that a single long line cannot win alone wherever it leads.
3. The best point of a coarse grid over the picture is sought again among the pixels around it.

A point outside the picture is not found. How many of all votes lead to the point is given as its agreement.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from depthcue.nets import resize
from depthcue.selection.edges import gray, gray_gradient, thinned

WIDTH = 320
"""Pictures are looked at in this width: enough for lines, and textures are gone."""
LEAST_GRADIENT = 0.08
"""Of a voting pixel's Sobel gradient; black to white is 4."""
LEAST_COHERENCE = 0.8
"""Of the structure tensor; 1 is one direction alone."""
LEVEL_DEG, UPRIGHT_DEG = 10.0, 4.0
"""Edges closer than this to level or upright have no vote."""
SPREAD_DEG = 2.0
"""Deviation of the angle between a line and the way to the point."""
NEAREST = 0.1
"""Of the picture's width: pixels closer to a point do not vote for it, as everything close by points somewhere near."""
STEP_PX = 4
"""Of the coarse grid."""
SECTORS = 24
"""Directions in which votes are counted together."""
FEWEST = 40
"""Voting pixels below which there is nothing to go by."""
CLEAR = 0.14
"""Agreement from which a point is taken for a vanishing point. Noise, however coarse, stays below 0.1; nineteen of
twenty rendered roads come above."""


@dataclass(frozen=True)
class Sighting:
    """A vanishing point that was looked for.

    Attributes:
        x, y: in pixels of the picture from the centre of its top left pixel.
        agreement: the share of all votes that lead to it, in [0, 1].
    """

    x: float
    y: float
    agreement: float

    @property
    def clear(self) -> bool:
        """Whether enough of the picture agrees on it."""
        return self.agreement >= CLEAR


@dataclass(frozen=True)
class _Voters:
    """Edge pixels with a direction: place, unit vector along the edge and weight, (n,) each, in pixels."""

    x: Tensor
    y: Tensor
    along_x: Tensor
    along_y: Tensor
    weight: Tensor


def find_vanishing_point(rgb: Tensor) -> Sighting | None:
    """Estimate the vanishing point of one picture (3, H, W) in [0, 1]; None where hardly anything has a direction."""
    height = max(round(rgb.shape[1] * WIDTH / rgb.shape[2]), 16)
    voters = _voters(resize(gray(rgb[None]), (height, WIDTH)))
    if len(voters.x) < FEWEST:
        return None
    coarse = _grid(0, height - 1, 0, WIDTH - 1, STEP_PX, rgb.device)
    x, y = coarse[_votes(voters, coarse)[0].argmax()].tolist()
    fine = _grid(y - STEP_PX, y + STEP_PX, x - STEP_PX, x + STEP_PX, 1, rgb.device)
    score, agreement = _votes(voters, fine)
    best = int(score.argmax())
    # a pixel's centre lies half a pixel from its corner, in both sizes
    scale_x, scale_y = rgb.shape[2] / WIDTH, rgb.shape[1] / height
    return Sighting((float(fine[best, 0]) + 0.5) * scale_x - 0.5, (float(fine[best, 1]) + 0.5) * scale_y - 0.5,
                    float(agreement[best]))


def _voters(brightness: Tensor) -> _Voters:
    """The edge pixels of a gray picture (1, 1, H, W) that have a direction."""
    gradient = gray_gradient(brightness)  # (1, 2, H, W)
    magnitude = gradient.square().sum(1, keepdim=True).sqrt()
    horizontal, vertical = gradient[:, :1], gradient[:, 1:]
    products = torch.cat([horizontal.square(), horizontal * vertical, vertical.square()], dim=1)
    xx, xy, yy = functional.avg_pool2d(products, 5, stride=1, padding=2)[0]  # (H, W) each
    across = torch.atan2(2 * xy, xx - yy) / 2
    coherence = torch.hypot(xx - yy, 2 * xy) / (xx + yy).clamp_min(1e-12)
    along_x, along_y = -torch.sin(across), torch.cos(across)
    level = along_y.abs() < math.sin(math.radians(LEVEL_DEG))
    upright = along_x.abs() < math.sin(math.radians(UPRIGHT_DEG))
    votes = thinned(gradient, magnitude)[0, 0] & (magnitude[0, 0] > LEAST_GRADIENT) \
        & (coherence > LEAST_COHERENCE) & ~level & ~upright
    # the frame itself is no edge, but its repeated pixels bend directions beside it
    votes[:2], votes[-2:], votes[:, :2], votes[:, -2:] = False, False, False, False
    rows, columns = votes.nonzero(as_tuple=True)
    return _Voters(columns.float(), rows.float(), along_x[votes], along_y[votes], magnitude[0, 0][votes].sqrt())


def _votes(voters: _Voters, points: Tensor) -> tuple[Tensor, Tensor]:
    """Score and agreement, (p,) each, of points (p, 2) given as x and y."""
    to_x, to_y = points[:, :1] - voters.x, points[:, 1:] - voters.y  # (p, n)
    distance = torch.hypot(to_x, to_y)
    off = (to_x * voters.along_y - to_y * voters.along_x).abs() / distance.clamp_min(1e-3)  # sine of the angle
    leads = torch.exp(-(off / math.radians(SPREAD_DEG)).square() / 2) * voters.weight
    leads = torch.where(distance > NEAREST * WIDTH, leads, 0.0)
    sector = ((torch.atan2(to_y, to_x) / (2 * math.pi) + 0.5) * SECTORS).long().clamp_max(SECTORS - 1)
    by_sector = torch.zeros(len(points), SECTORS, device=points.device).scatter_add_(1, sector, leads)
    return by_sector.sqrt().sum(1), leads.sum(1) / voters.weight.sum()


def _grid(top: float, bottom: float, left: float, right: float, step: int, device: torch.device) -> Tensor:
    """Points (p, 2), x and y, of a grid that includes the top left corner."""
    rows = torch.arange(top, bottom + 0.5, step, device=device)
    columns = torch.arange(left, right + 0.5, step, device=device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)
