"""Ways to choose pixels at a given sparseness, behind one interface.

A method gives every pixel of a picture a score; the same number of best pixels is then kept for every method, so that
what is compared is which pixels, never how many. The method under test is the mask M = G(I) of Hu et al. (ICCV 2019,
Eq. (4)); `METHODS` has those that stand against it.
"""

from depthcue.selection.contract import Means, Pictures, Score
from depthcue.selection.edges import LUMA, sobel_edges
from depthcue.selection.keeping import (
    THRESHOLD,
    binarise,
    keep_first,
    keep_top,
    rank_pixels,
    scale_to_mean,
    sparseness,
)
from depthcue.selection.methods import METHODS, build_method

__all__ = [
    "LUMA", "METHODS", "THRESHOLD", "Means", "Pictures", "Score", "binarise", "build_method", "keep_first", "keep_top",
    "rank_pixels", "scale_to_mean", "sobel_edges", "sparseness",
]
