"""Frames of rendered worlds: by seed, in flight, and staged for experiments; in memory, or on disk with their truth.

A staged scene is a free floor before a level camera. The road is a road of `road.build` whose camera is level along it
and whose lane is cleared; the room is a long one, furnished along its walls. An object stands exactly where it is put,
so that one thing can be changed while all else, the exposure included, stays.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from depthcue import files
from depthcue.errors import DepthcueError, must_be_one_of
from depthcue.files import atomic_path, write_text
from depthcue.progress import Progress, Silent
from depthcue.scenes import fittings, indoor, road
from depthcue.scenes.finish import Finish
from depthcue.scenes.materials import CLASSES
from depthcue.scenes.props import PROPS
from depthcue.scenes.render import Rendering, camera_axes, render_worlds
from depthcue.scenes.world import Builder, Camera, Turn, World, WorldObject, turned

KINDS = ("indoor", "road")
SCENE_SIZE = (240, 320)
SCENES_PER_KIND = 4
_STEP = {"indoor": np.array((0.02, 0.012, 0.006, 0.8, 0.4)), "road": np.array((0.6, 0.02, 0.0, 0.3, 0.05))}
"""The largest step between two frames of a flight: metres ahead, aside and up, degrees of yaw and pitch."""
DEFAULT_SIZE = {"indoor": (240, 320), "road": (192, 640)}
"""Height and width of a frame where none is given."""

_AT_ONCE = {"cpu": 8, "cuda": 64}
_MILLIMETRES_AT_MOST = 65535

FLOOR = ("ground", "road", "footway", "floor", "rug")
"""Names of the objects that lie flat underfoot."""
_MOVABLE = ("car", "van", "lorry", "bus", "cyclist", "pedestrian", "trailer", "bin")
_LANE_HALF_WIDTH_M = 3.0
_STYLES = ("living", "bedroom", "office", "dining", "study")


def render(kind: str, seeds: Sequence[int], height: int, width: int, device: str | torch.device = "cpu",
           turn: Turn | Sequence[Turn] | None = None) -> Rendering:
    """Render one frame for each seed; the same seed gives the same frame whatever the batch it is in.

    Args:
        turn: what to change, the same for every frame or one for each; `seeds` may name a seed several times, with
            different turns.

    Raises:
        DepthcueError: an unknown kind, a size without pixels, turns that do not fit the seeds or the worlds.
    """
    if height < 1 or width < 1:
        raise DepthcueError(f"both sides of a frame must be at least 1 pixel, got {width}x{height}",
                            "For example 304x228.")
    worlds = [build_world(kind, int(seed)) for seed in seeds]
    if not worlds:
        raise DepthcueError("there are no seeds to render", "Give at least one.")
    focal_px = reference_focal_px(kind, height, width)
    if turn is None:
        return render_worlds(worlds, height, width, focal_px, device)
    turns = [turn] * len(worlds) if isinstance(turn, Turn) else list(turn)
    if len(turns) != len(worlds):
        raise DepthcueError(f"there must be one turn for all seeds or one for each, got {len(turns)} turns for "
                            f"{len(worlds)} seeds", "Give one turn, or one for each seed.")
    # the exposure is that of the frame as it was: a camera must not answer to what is being measured
    distinct = {id(world): world for world in worlds}
    gains = render_worlds(list(distinct.values()), height, width, focal_px, device).exposure
    gain_of = dict(zip(distinct, gains, strict=True))
    exposure = torch.stack([gain_of[id(world)] for world in worlds])
    changed = [turned(world, change) for world, change in zip(worlds, turns, strict=True)]
    return render_worlds(changed, height, width, focal_px, device, exposure)


def render_flight(kind: str, seed: int, frames: int, height: int, width: int, device: str | torch.device = "cpu",
                  ) -> tuple[Rendering, NDArray[np.float64]]:
    """Frames of a camera that moves through the world of a seed, as a hand or a car does at some 25 frames a second.

    Returns:
        The rendering, all frames at the exposure of the first, and the camera-to-world pose of each, (frames, 4, 4) in
        metres; camera axes x right, y down, z forward.
    """
    world, focal_px = build_world(kind, seed), reference_focal_px(kind, height, width)
    drawn = np.random.default_rng(seed)
    ahead_m, aside_m, up_m, yaw_deg, pitch_deg = _STEP[kind] * drawn.uniform((0.3, -1, -1, -1, -1), 1)
    worlds, poses = [], []
    for frame in range(frames):
        camera = world.camera
        axes = camera_axes(camera)
        position = np.array(camera.position) + frame * (ahead_m * axes[:, 2] + aside_m * axes[:, 0])
        position[2] += frame * up_m
        moved = replace(camera, position=(position[0], position[1], position[2]),
                        yaw_deg=camera.yaw_deg + frame * yaw_deg, pitch_deg=camera.pitch_deg + frame * pitch_deg)
        worlds.append(replace(world, camera=moved))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = camera_axes(moved), position
        poses.append(pose)
    exposure = render_worlds(worlds[:1], height, width, focal_px, device).exposure.expand(frames)
    return render_worlds(worlds, height, width, focal_px, device, exposure), np.stack(poses)


def rendered_pictures(per_kind: int = SCENES_PER_KIND, first: int = 0) -> list[NDArray[np.uint8]]:
    """A few rendered rooms and roads, uint8 (H, W, 3): pictures that are there on every machine."""
    height, width = SCENE_SIZE
    pictures: list[NDArray[np.uint8]] = []
    for kind in KINDS:
        rgb = render(kind, range(first, first + per_kind), height, width).rgb
        pictures += list((rgb.permute(0, 2, 3, 1) * 255.0).round().byte().numpy())
    return pictures


def reference_focal_px(kind: str, height: int, width: int) -> float:
    """Focal length of a kind's camera: NYU-v2's by the height, KITTI's by the width of the frame."""
    check_kind(kind)
    if kind == "indoor":
        return indoor.FOCAL_PX * height / indoor.FOCAL_HEIGHT
    return road.FOCAL_PX * width / road.FOCAL_WIDTH


def check_kind(kind: str) -> None:
    """Check a kind of scenes.

    Raises:
        DepthcueError: it is unknown.
    """
    if kind not in KINDS:
        raise must_be_one_of("the kind of scenes", KINDS, kind)


@lru_cache(maxsize=512)
def build_world(kind: str, seed: int) -> World:
    """The world of a seed; not to be changed, since it is kept."""
    check_kind(kind)
    return indoor.build(seed) if kind == "indoor" else road.build(seed)


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
    """One picture of a staged scene: its changes, and the props put into it."""

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
    # a world point q is anchor + turn @ (q - position) / scale in the prop's own frame
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
    """A long room furnished along its walls, its middle free, with the camera at one end."""
    rng = random.Random(f"hall/{seed}")
    b = Builder(rng)
    finish = Finish(rng)
    style = rng.choice(_STYLES)
    width, length, height = rng.uniform(4.2, 5.4), rng.uniform(9.5, 11.5), rng.uniform(3.0, 3.5)
    plan = indoor.FloorPlan(width, length)
    daylight = rng.random() < 0.6
    glow = rng.uniform(1.5, 6.0) if daylight else 0.2
    walls = indoor.floor_and_ceiling(b, finish, width, length, height, ("wood", "carpet", "tiles"))
    material = finish.wall()
    for number, (x, y, yaw, span) in enumerate(walls):
        with b.at(x, y, 0.0, yaw):
            fittings.wall(b, finish, span, height, material, doorway=False)
            if number:  # nothing stands at the wall behind the camera
                indoor.dress_wall(b, finish, plan, style, span, height, glow, (x, y, yaw), first=False, second=False)
    fittings.ceiling_things(b, finish, width, length, height)
    indoor.light_room(b, rng, width, length, height, daylight)
    b.main_yaw_deg = 90.0
    b.camera = Camera((width / 2, 0.35, rng.uniform(1.0, 1.15)), 90.0)
    return b.finish(rng.getrandbits(30))


def write_scenes(kind: str, out: Path, count: int, size: tuple[int, int] | None = None, seed: int = 0,
                 truth: bool = False, device: str = "cpu", progress: Progress | None = None) -> dict[str, Any]:
    """Render `count` worlds, of seeds `seed`, `seed` + 1, ..., into the folder `out`.

    KIND/NUMBER.png is the picture, KIND/NUMBER_depth.png its depth (16 bits, millimetres; 0: sky, or beyond 65.535 m),
    KIND.csv lists them (`image,depth`, no header: open it as nyu:OUT/KIND.csv, or OUT/KIND as a folder), scenes.json
    says how they were made. With `truth`, KIND/NUMBER_truth.npz holds depth_m, normal, object_id, object_names,
    material_id, material_names, edge_occlusion, edge_crease, edge_texture, edge_shadow, horizon_row,
    vanishing_point and focal_px (see Rendering). Every file is whole or absent; the list is written last.

    Returns:
        The content of scenes.json.

    Raises:
        DepthcueError: an unknown kind, a count below 1, a folder that cannot be written, a full disk.
    """
    check_kind(kind)
    if count < 1:
        raise DepthcueError(f"--count must be at least 1, got {count}", "For example --count 100.")
    height, width = size or DEFAULT_SIZE[kind]
    progress = progress or Silent()
    progress.start(f"rendering {kind} scenes", count)
    at_once = _AT_ONCE["cpu" if torch.device(device).type == "cpu" else "cuda"]
    entries = []
    for start in range(seed, seed + count, at_once):
        seeds = range(start, min(start + at_once, seed + count))
        entries += _write_batch(render(kind, seeds, height, width, device), seeds, out / kind, truth)
        progress.advance(len(seeds))
    made = files.document("scenes", kind=kind, count=count, first_seed=seed, width=width, height=height,
                           list=f"{kind}.csv", truth=truth)
    files.write_json(out / "scenes.json", made)
    write_text(out / f"{kind}.csv", "".join(f"{kind}/{name}.png,{kind}/{name}_depth.png\n" for name in entries))
    return made


def _write_batch(rendering: Rendering, seeds: Sequence[int], folder: Path, truth: bool) -> list[str]:
    rgb = (rendering.rgb * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    rounded = (rendering.depth_m[:, 0] * 1000).round()
    depth_mm = torch.where(rounded <= _MILLIMETRES_AT_MOST, rounded, 0).cpu().numpy().astype(np.uint16)
    names = [f"{seed:06d}" for seed in seeds]
    for position, name in enumerate(names):
        for suffix, pixels in (("", rgb[position]), ("_depth", depth_mm[position])):
            with atomic_path(folder / f"{name}{suffix}.png") as partial:
                Image.fromarray(pixels).save(partial, compress_level=4)
        if truth:
            with atomic_path(folder / f"{name}_truth.npz") as partial, partial.open("wb") as file:
                np.savez_compressed(file, **_truth_of(rendering, position))
    return names


def _truth_of(rendering: Rendering, position: int) -> dict[str, Any]:
    def plane(values: torch.Tensor) -> Any:
        return values[position].squeeze(0).cpu().numpy()

    return {
        "depth_m": plane(rendering.depth_m), "normal": plane(rendering.normal),
        "object_id": plane(rendering.object_id).astype(np.int16),
        "object_names": np.array([item.name for item in rendering.objects[position]]),
        "material_id": plane(rendering.material_id).astype(np.uint8), "material_names": np.array(CLASSES),
        **{f"edge_{name}": plane(edge) for name, edge in rendering.edges.items()},
        "horizon_row": plane(rendering.horizon_row), "vanishing_point": plane(rendering.vanishing_point),
        "focal_px": plane(rendering.focal_px),
    }
