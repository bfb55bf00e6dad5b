"""From scores to masks that keep a given share of the pixels, in a form that gradients pass through.

Scores are first brought to a mean of 0 and a deviation of 1 within each picture, so that a temperature T means the same
whatever a net's scores span. A threshold τ is found for each picture so that the mean of sigmoid((score − τ) / T) is
the share: by bisection, then one step of Newton's method, which carries the gradient (raising all scores changes
nothing; raising one pixel lowers the others). Seen binary, the mask is 1 above τ and 0 below, and the gradient passes
through the soft one (straight-through estimator: Bengio, Léonard, Courville, 2013).
"""

import torch
from torch import Tensor

from depthcue.nets.base import MaskNet

TEMPERATURE = 0.05
"""T of the masks that nets answer with, in deviations of the picture's scores."""
_CERTAIN = 16.0
"""Beyond so many temperatures from the threshold a pixel of a mask is as good as 0 or 1."""
_BISECTIONS = 20
_FLAT = 1e-12
"""Variance of scores far below which a picture has no order."""


class ScoredMaskNet(MaskNet):
    """A mask net with a dial that gives each pixel a score: its mask is that of the share, or of λ the sigmoid."""

    def scores(self, normalised: Tensor, dial: Tensor) -> Tensor:
        """What orders the pixels, (B, 1, H, W) float32, any real number; higher is kept earlier.

        Args:
            normalised: (B, 3, H, W).
            dial: the share to keep or λ of each picture, (B,).
        """
        raise NotImplementedError

    def forward(self, normalised: Tensor, dial: Tensor | None = None,
                temperature: Tensor | float = TEMPERATURE) -> Tensor:
        """See `MaskNet`; `temperature` is that of `normalised_to`, one number or one a picture (B,)."""
        dial = self.dial_of(normalised, dial)
        scores = self.scores(normalised, dial)
        return normalised_to(scores, dial, temperature) if self.keeps_shares else torch.sigmoid(scores)


def normalised_to(scores: Tensor, share: Tensor, temperature: Tensor | float = TEMPERATURE) -> Tensor:
    """Masks in (0, 1) whose mean is the share of each picture, (B, 1, H, W).

    Args:
        scores: (B, 1, H, W) float32; a higher score is kept earlier.
        share: (B,), strictly between 0 and 1.
        temperature: T, one number or one a picture (B,); towards 0 the mask becomes binary.
    """
    wide, standard = _column(temperature, scores), standardised(scores)
    return torch.sigmoid((standard - threshold(standard, share, wide)) / wide)


def standardised(scores: Tensor) -> Tensor:
    """Scores (B, 1, H, W) with a mean of 0 and a deviation of 1 in each picture; 0 everywhere where all are equal."""
    centred = scores - scores.mean(dim=(1, 2, 3), keepdim=True)
    return centred / (centred.square().mean(dim=(1, 2, 3), keepdim=True) + _FLAT).sqrt()


def threshold(scores: Tensor, share: Tensor, temperature: Tensor | float) -> Tensor:
    """τ of each picture, (B, 1, 1, 1), for scores that are standardised. Its gradient is that of the exact solution."""
    wide, mean = _column(temperature, scores), _column(share, scores)
    known = scores.detach() / wide  # in temperatures, so that nothing is divided at every step
    low = known.amin(dim=(1, 2, 3), keepdim=True) - _CERTAIN
    high = known.amax(dim=(1, 2, 3), keepdim=True) + _CERTAIN
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        above = torch.sigmoid(known - middle).mean(dim=(1, 2, 3), keepdim=True) > mean
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    found = wide * (low + high) / 2
    if not scores.requires_grad:
        return found
    steep = torch.sigmoid((scores - found) / wide)
    slope = (steep * (1 - steep)).detach().mean(dim=(1, 2, 3), keepdim=True) / wide
    excess = steep.mean(dim=(1, 2, 3), keepdim=True) - mean
    return found + (excess - excess.detach()) / slope.clamp_min(1e-4)


def seen_binary(mask: Tensor) -> Tensor:
    """The mask of `normalised_to` as 0 and 1, with the gradient of the soft one."""
    return mask + ((mask > 0.5).to(mask.dtype) - mask).detach()


def _column(values: Tensor | float, like: Tensor) -> Tensor:
    """One number, or one a picture (B,) or (B, 1, 1, 1), as (B or 1, 1, 1, 1)."""
    return torch.as_tensor(values, dtype=like.dtype, device=like.device).reshape(-1, 1, 1, 1)
