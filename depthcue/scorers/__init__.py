"""Ways to choose pixels at a given sparseness, behind one interface.

A method gives every pixel of a picture a score; the same number of best pixels is then kept for every method, so that
what is compared is which pixels, never how many. The method under test is the mask M = G(I) of Hu et al. (ICCV 2019,
Eq. (4)); `SCORERS` has those that stand against it.
"""

from depthcue.scorers.edges import canny_edges, sobel_edges
from depthcue.scorers.keeping import (
    THRESHOLD,
    DirectSettings,
    Pictures,
    Scorer,
    ScorerInputs,
    binarise,
    keep_first,
    keep_top,
    rank_pixels,
    scale_to_mean,
    sparseness,
)
from depthcue.scorers.oracles import Judgement, judge, optimise_masks
from depthcue.scorers.registry import ORACLES, SCORERS, build_scorer

__all__ = [
    "SCORERS", "ORACLES", "THRESHOLD", "DirectSettings", "Judgement", "ScorerInputs", "Pictures", "Scorer",
    "binarise",
    "build_scorer", "canny_edges", "judge", "keep_first", "keep_top", "optimise_masks", "rank_pixels", "scale_to_mean",
    "sobel_edges", "sparseness",
]
