"""Texture gradient: does the floor recede for the net because its texture gets finer?

The floor is covered with blotches of unknown size, without lines or rows. Nothing but how their size falls towards the
horizon is turned: from none, as on a wall, through that of the floor as it lies, to more than that.
"""

from collections.abc import Iterator, Sequence

from depthcue.probes.contract import RENDERED, Case, Chance, Dropped, Experiment, Findings, Readings
from depthcue.probes.following import conclude_cue, read_ratio, take
from depthcue.probes.painted import painted_case
from depthcue.probes.rendered import Rendered
from depthcue.scenes.materials import Material

TEXTURE = "texture"
_BLOTCH = 0.08
"""Size of a blotch as a share of the distance of the near strip."""


def pattern(near_m: float) -> Material:
    """Blotches, alike in all directions."""
    return Material("stone", (0.55, 0.54, 0.52), (0.07, 0.07, 0.08), noise_period=(_BLOTCH * near_m,) * 3,
                    noise_mix=1.0, sharpness=4.0)


def _cases(stage: Rendered) -> Iterator[Case | Dropped]:
    return take(stage, lambda scene, _: painted_case(scene, TEXTURE, pattern))


def conclude(readings: Sequence[Readings], chance: Chance) -> Findings:
    """The share of the told ratio between a far and a near strip of floor that is followed."""
    return conclude_cue("texture gradient", {TEXTURE: "texture gradient only"}, readings, chance)


EXPERIMENT = Experiment("texture-gradient", "Does the ground recede for it because its texture gets finer?",
                        {RENDERED: _cases}, read_ratio, conclude)
