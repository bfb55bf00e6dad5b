"""What kind of edge a pixel lies on: by cause on rendered scenes, by depth on pictures with dense depth."""

from torch import Tensor
from torch.nn import functional

from depthcue.data import SceneTruth
from depthcue.evaluation.findings.cells import NOWHERE
from depthcue.evaluation.findings.seeing import Seen
from depthcue.selection.oracles import LEAST_KNOWN, depth_bends

INSIDE = "inside"
CAUSES = ("occlusion", "crease", "shadow", "texture", INSIDE)
"""Kinds on rendered scenes, in the order in which they are looked for: a pixel on two edges is of the first kind."""
BY_DEPTH = ("depth edge", "image edge", INSIDE)
"""Kinds on pictures with dense depth."""
GEOMETRY = ("occlusion", "crease", "depth edge")
"""Kinds that the shape of the scene makes."""
APPEARANCE = ("shadow", "texture", "image edge")
"""Kinds that only the picture has."""

DEPTH_JUMP = 0.05
"""Of `depth_bends`: a depth that jumps by a tenth, or a crease as sharp."""
IMAGE_EDGE = 0.032
"""Strength (share of black to white a pixel) from which a pixel off all depth edges is an edge of the picture; a bound
of the bins of strength, so that this kind tells nothing that strength does not."""

HOW = {
    CAUSES: "by cause, as the renderer knows it; a pixel beside an edge counts as on it, its Sobel filter sees it",
    BY_DEPTH: f"depth edges where inverse depth bends by more than {DEPTH_JUMP:g} of itself, a pixel to each side "
              "included; image edges are all other pixels with a strong slope of brightness: textures and shadows, and "
              "creases too slight to be seen in the depth",
}


def kinds_by_cause(truth: SceneTruth) -> Tensor:
    """The place in CAUSES of every pixel, int64 (B, 1, H, W); a Sobel filter reaches one pixel beyond an edge."""
    kinds = truth.object_id.new_full(truth.object_id.shape, CAUSES.index(INSIDE))
    # the later are overwritten by the earlier
    for place, cause in reversed(list(enumerate(CAUSES[:-1]))):
        kinds[widened(truth.edges[cause])] = place
    return kinds


def kinds_by_depth(seen: Seen) -> Tensor | None:
    """The place in BY_DEPTH of every pixel, int64 (B, 1, H, W), NOWHERE where depth is unknown; None without depth.

    Pictures whose depth is too sparse to tell neighbours apart are NOWHERE all over.
    """
    if seen.depth_as_stored is None:
        return None
    bends, known = depth_bends(*seen.depth_as_stored)
    dense = known.float().mean(dim=(1, 2, 3), keepdim=True) >= LEAST_KNOWN
    # the frame of the depth has no neighbours on one side; the pixels beside it tell of it as well
    told = functional.interpolate(widened(known & dense).float(), size=seen.size, mode="nearest-exact") > 0
    jumps = functional.adaptive_max_pool2d((bends > DEPTH_JUMP).float(), seen.size) > 0
    strong = seen.strength >= IMAGE_EDGE
    kinds = strong.long() * BY_DEPTH.index("image edge") + (~strong).long() * BY_DEPTH.index(INSIDE)
    kinds[widened(jumps)] = BY_DEPTH.index("depth edge")
    kinds[~told] = NOWHERE
    return kinds


def widened(marks: Tensor) -> Tensor:
    """Marks and the eight pixels around each, bool (B, 1, H, W)."""
    return functional.max_pool2d(marks.float(), 3, stride=1, padding=1) > 0
