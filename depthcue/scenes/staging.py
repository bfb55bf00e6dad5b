"""Scenes for experiments: a free floor before a level camera, and objects put on it at will.

The road is a road of `road.build` whose camera is level along it and whose lane is cleared; the room is a long one,
furnished along its walls. An object stands exactly where it is put, so that one thing can be changed while all else,
the exposure included, stays.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.scenes import fittings, indoor, road
from depthcue.scenes.api import check_kind, reference_focal_px
from depthcue.scenes.finish import Finish
from depthcue.scenes.indoor import FloorPlan
from depthcue.scenes.props import PROPS
from depthcue.scenes.render import Rendering, render_worlds
from depthcue.scenes.world import Builder, Camera, Turn, World, WorldObject, turned

FLOOR = ("ground", "road", "footway", "floor", "rug")
"""Names of the objects that lie flat underfoot."""
_MOVABLE = ("car", "van", "lorry", "bus", "cyclist", "pedestrian", "trailer", "bin")
_LANE_HALF_WIDTH_M = 3.0
_STYLES = ("living", "bedroom", "office", "dining", "study")


@dataclass(frozen=True)
class Prop:
    """An object of `props.PROPS` on the floor ahead of the camera.

    forward_m: how far its nearest part is ahead of the camera, along the floor; left_m: its middle, to the left of the
    camera's line of sight; up_m: how far it is lifted; scale: about the middle of its nearest lower edge, so that the
    nearest part stays where it is; shadow: whether it casts one; seed: of what its builder draws by chance.
    """

    kind: str
    forward_m: float
    left_m: float = 0.0
    up_m: float = 0.0
    scale: float = 1.0
    yaw_deg: float = 0.0
    shadow: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Show:
    """One picture of a staged scene: what is turned, and what is put in."""

    turn: Turn = Turn()
    props: tuple[Prop, ...] = ()


@lru_cache(maxsize=64)
def stage_world(kind: str, seed: int) -> World:
    """The staged scene of a seed; not to be changed, since it is kept."""
    check_kind(kind)
    return _hall(seed) if kind == "indoor" else _cleared_road(seed)


def photograph(kind: str, seed: int, shows: Sequence[Show], height: int, width: int,
               device: str | torch.device = "cpu", exposure: Tensor | None = None) -> Rendering:
    """Photograph a staged scene once for each of `shows`.

    In the rendering's tables the props of a picture come last, in their order; an object id of a part that stands on
    another names the part.

    Args:
        exposure: (1,), gain of the scene without any turn; None measures it. Every picture is taken with it.

    Raises:
        DepthcueError: an unknown kind of scene or prop, or a scale that is not above 0.
    """
    world = stage_world(kind, seed)
    focal_px = reference_focal_px(kind, height, width)
    if exposure is None:
        exposure = render_worlds([world], height, width, focal_px, device).exposure
    worlds = []
    for show in shows:
        filled = world
        for prop in show.props:
            filled = with_prop(filled, prop)
        worlds.append(turned(filled, show.turn))
    return render_worlds(worlds, height, width, focal_px, device, exposure.expand(len(worlds)))


def with_prop(world: World, prop: Prop) -> World:
    """A copy of the world with the prop in it; the world itself is not touched.

    Raises:
        DepthcueError: an unknown kind, or a scale that is not above 0.
    """
    if not prop.scale > 0:
        raise DepthcueError(f"the scale of a prop must be above 0, got {prop.scale}", "1 is its own size.")
    thing = _built(prop.kind, prop.seed, prop.yaw_deg)
    near, left, right, low = _extent(thing)
    anchor = np.array((near, (left + right) / 2, low))
    camera = world.camera
    yaw = np.radians(camera.yaw_deg)
    cos, sin = np.cos(yaw), np.sin(yaw)
    position = np.array((camera.position[0] + prop.forward_m * cos - prop.left_m * sin,
                         camera.position[1] + prop.forward_m * sin + prop.left_m * cos, prop.up_m))
    turn = np.array(((cos, sin, 0.0), (-sin, cos, 0.0), (0.0, 0.0, 1.0)))
    # a world point q is anchor + turn @ (q - place) / scale in the prop's own frame
    linear = thing.linear @ turn / prop.scale
    offset = thing.offset + thing.linear @ anchor - linear @ position
    first, parts = len(world.objects), thing.objects
    objects = [WorldObject(item.name, (float(position[0]), float(position[1]), float(position[2])),
                           -1 if item.parent < 0 else item.parent + first) for item in parts]
    arrays: dict[str, Any] = {name: getattr(thing, name) for name in World.PER_PRIMITIVE}
    arrays |= {"linear": linear.astype(np.float32), "offset": offset.astype(np.float32),
               "casts": thing.casts & prop.shadow, "object_id": thing.object_id + np.int32(first)}
    joined: dict[str, Any] = {name: np.concatenate((getattr(world, name), arrays[name])) for name in arrays}
    return replace(world, **joined, objects=[*world.objects, *objects])


def prop_regions(rendering: Rendering, kind: str, seed: int) -> Tensor:
    """Visible pixels of props: bool (B, 1, H, W)."""
    return rendering.object_id >= len(stage_world(kind, seed).objects)


def floor_region(rendering: Rendering) -> Tensor:
    """Visible pixels of the floor: bool (B, 1, H, W)."""
    floor = torch.zeros_like(rendering.valid)
    for frame, objects in enumerate(rendering.objects):
        flat = torch.tensor([item.name in FLOOR for item in objects], device=floor.device)
        floor[frame] = flat[rendering.object_id[frame].clamp_min(0)] & rendering.valid[frame]
    return floor


@lru_cache(maxsize=64)
def _built(kind: str, seed: int, yaw_deg: float) -> World:
    if kind not in PROPS:
        raise DepthcueError(f"there is no prop called {kind!r}", f"Props: {', '.join(PROPS)}.")
    b = Builder(random.Random(f"prop/{kind}/{seed}"))
    with b.at(0.0, 0.0, 0.0, yaw_deg):
        PROPS[kind](b)
    return b.finish(b.rng.getrandbits(30))


def _extent(world: World) -> tuple[float, float, float, float]:
    """Nearest x, least and largest y, and least z of the boxes of all primitives."""
    inverse = np.linalg.inv(world.linear.astype(np.float64))
    centre = -(inverse @ world.offset[:, :, None])[:, :, 0]
    reach = np.abs(inverse).sum(2)
    low, high = (centre - reach).min(0), (centre + reach).max(0)
    return float(low[0]), float(low[1]), float(high[1]), max(0.0, float(low[2]))


def _cleared_road(seed: int) -> World:
    """A road with a level camera that looks along it, without what moves or parks on its lane."""
    world = road.build(seed)
    camera = world.camera
    removed = set()
    for number, item in enumerate(world.objects):
        on_lane = (abs(item.anchor[1] - camera.position[1]) < _LANE_HALF_WIDTH_M
                   and item.anchor[0] > camera.position[0] - 5)
        if (item.name in _MOVABLE and on_lane) or item.parent in removed:
            removed.add(number)
    kept = ~np.isin(world.object_id, sorted(removed))
    arrays = {name: getattr(world, name)[kept] for name in World.PER_PRIMITIVE}
    return replace(world, **arrays, camera=Camera(camera.position, world.main_yaw_deg))


def _hall(seed: int) -> World:
    """A long room furnished along its walls, its middle free, seen from one end."""
    rng = random.Random(f"hall/{seed}")
    b = Builder(rng)
    finish = Finish(rng)
    style = rng.choice(_STYLES)
    width, length, height = rng.uniform(4.2, 5.4), rng.uniform(9.5, 11.5), rng.uniform(3.0, 3.5)
    plan = FloorPlan(width, length)
    daylight = rng.random() < 0.6
    glow = rng.uniform(1.5, 6.0) if daylight else 0.2
    with b.object("floor"):
        b.box((width / 2, length / 2, -0.1), (width + 12, length + 12, 0.2),
              finish.floor(rng.choice(("wood", "carpet", "tiles"))))
    with b.object("ceiling"):
        b.box((width / 2, length / 2, height + 0.1), (width + 12, length + 12, 0.2), finish.ceiling(), casts=False)
    material = finish.wall()
    frames = ((0.0, 0.0, 0.0, width), (width, 0.0, 90.0, length), (width, length, 180.0, width),
              (0.0, length, 270.0, length))
    for number, (x, y, yaw, span) in enumerate(frames):
        with b.at(x, y, 0.0, yaw):
            fittings.wall(b, finish, span, height, material, doorway=False)
            if number:  # nothing stands at the wall behind the camera
                indoor.dress_wall(b, finish, plan, style, span, height, glow, (x, y, yaw), first=False, second=False)
    fittings.ceiling_things(b, finish, width, length, height)
    indoor.light_room(b, rng, width, length, height, daylight)
    b.main_yaw_deg = 90.0
    b.camera = Camera((width / 2, 0.35, rng.uniform(1.0, 1.15)), 90.0)
    return b.finish(rng.getrandbits(30))
