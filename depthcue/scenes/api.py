"""The way in: render the frames of some seeds."""

from collections.abc import Sequence
from functools import lru_cache

import torch

from depthcue.errors import DepthcueError
from depthcue.scenes import indoor, road
from depthcue.scenes.render import Rendering, render_worlds
from depthcue.scenes.turns import Turn, turned
from depthcue.scenes.world import World

KINDS = ("indoor", "road")


def render(kind: str, seeds: Sequence[int], height: int, width: int, device: str | torch.device = "cpu",
           turn: Turn | Sequence[Turn] | None = None) -> Rendering:
    """Render one frame for each seed; the same seed gives the same frame whatever the batch it is in.

    turn: what to change, the same for every frame or one for each; a seed may stand in `seeds` several times with
    different turns.

    Raises:
        DepthcueError: an unknown kind, a size without pixels, turns that do not fit the seeds or the worlds.
    """
    if height < 1 or width < 1:
        raise DepthcueError(f"a frame of {width}x{height} pixels", "Both sides have to be at least 1.")
    worlds = [build_world(kind, int(seed)) for seed in seeds]
    if not worlds:
        raise DepthcueError("no seeds to render", "Give at least one.")
    focal_px = reference_focal_px(kind, height, width)
    if turn is None:
        return render_worlds(worlds, height, width, focal_px, device)
    turns = [turn] * len(worlds) if isinstance(turn, Turn) else list(turn)
    if len(turns) != len(worlds):
        raise DepthcueError(f"{len(turns)} turns for {len(worlds)} seeds", "Give one turn, or one for each seed.")
    # the exposure is that of the frame as it was: a camera must not answer to what is being measured
    distinct = {id(world): world for world in worlds}
    gains = render_worlds(list(distinct.values()), height, width, focal_px, device).exposure
    gain_of = dict(zip(distinct, gains, strict=True))
    exposure = torch.stack([gain_of[id(world)] for world in worlds])
    changed = [turned(world, change) for world, change in zip(worlds, turns, strict=True)]
    return render_worlds(changed, height, width, focal_px, device, exposure)


def reference_focal_px(kind: str, height: int, width: int) -> float:
    """Focal length of a kind's camera: NYU-v2's by the height, KITTI's by the width of the frame."""
    check_kind(kind)
    if kind == "indoor":
        return indoor.FOCAL_PX * height / indoor.FOCAL_HEIGHT
    return road.FOCAL_PX * width / road.FOCAL_WIDTH


def check_kind(kind: str) -> None:
    """Raise DepthcueError unless there are scenes of this kind."""
    if kind not in KINDS:
        raise DepthcueError(f"there are no scenes of kind {kind!r}", f"Kinds: {', '.join(KINDS)}.")


@lru_cache(maxsize=512)
def build_world(kind: str, seed: int) -> World:
    """The world of a seed; not to be changed, since it is kept."""
    check_kind(kind)
    return indoor.build(seed) if kind == "indoor" else road.build(seed)
