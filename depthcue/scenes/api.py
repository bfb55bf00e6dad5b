"""The way in: render the frames of some seeds."""

from collections.abc import Sequence
from functools import lru_cache

import torch

from depthcue.errors import DepthcueError
from depthcue.scenes import indoor, road
from depthcue.scenes.render import Rendering, render_worlds
from depthcue.scenes.world import World

KINDS = ("indoor", "road")


def render(kind: str, seeds: Sequence[int], height: int, width: int, device: str | torch.device = "cpu") -> Rendering:
    """Render one frame for each seed; the same seed gives the same frame whatever the batch it is in."""
    worlds = [_world(kind, int(seed)) for seed in seeds]
    return render_worlds(worlds, height, width, _focal_px(kind, height, width), device)


def _focal_px(kind: str, height: int, width: int) -> float:
    if kind == "indoor":
        return indoor.FOCAL_PX * height / indoor.FOCAL_HEIGHT
    return road.FOCAL_PX * width / road.FOCAL_WIDTH


@lru_cache(maxsize=64)
def _world(kind: str, seed: int) -> World:
    if kind not in KINDS:
        raise DepthcueError(f"no kind of scene is called {kind!r}", f"Kinds: {', '.join(KINDS)}.")
    return (indoor if kind == "indoor" else road).build(seed)
