"""Linear perspective: does the floor recede for the net because lines on it converge?

The floor is striped along the view, without any other texture. Nothing but how the stripes converge is turned: from
not at all, as on a wall, through as they do on the floor as it lies, to more than that.
"""

from collections.abc import Iterator, Sequence

from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings
from depthcue.probes.following import conclude_cue, read_ratio, take
from depthcue.probes.painted import painted_case
from depthcue.probes.rendered import Rendered
from depthcue.scenes.materials import Material

LINES = "lines"
_STRIPE = 0.08
"""Width of a stripe as a share of the distance of the near strip."""


def pattern(near_m: float) -> Material:
    """Stripes that run along the view."""
    return Material("stone", (0.45, 0.44, 0.42), (0.10, 0.10, 0.11), cell=(_STRIPE * near_m, 0.0, 0.0),
                    parity=(1.0, 0.0, 0.0))


def _cases(stage: Rendered) -> Iterator[Case | Dropped]:
    return take(stage, lambda scene, _: painted_case(scene, LINES, pattern))


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told ratio between a far and a near strip of floor that is followed."""
    return conclude_cue("linear perspective", {LINES: "converging lines only"}, readings, chance)


EXPERIMENT = Experiment("perspective", "Does the ground recede for it because lines on it converge?",
                        {RENDERED: _cases}, read_ratio, conclude)
