"""Turn one thing of a world while all else stays: camera, light, air, textures, or a single object."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from depthcue.errors import DepthcueError
from depthcue.scenes import materials
from depthcue.scenes.materials import Colour, Paint, scaled
from depthcue.scenes.world import Camera, Lighting, World

# as far as a uint32 salt may be shifted without meeting the salt of a neighbouring object
_SALT_STEP = 1_000_003


@dataclass(frozen=True)
class ObjectTurn:
    """A change to one object and to what stands on it; the defaults change nothing.

    object_id: as in Rendering.object_id. move_m: along the main direction, to its left, up. scale: about the place
    where the object stands. texture_seed: draw its textures afresh (0 = its own); texture_scale: size of their pattern;
    colour: paint it plainly, linear RGB in [0, 1].
    """

    object_id: int
    move_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    remove: bool = False
    texture_seed: int = 0
    texture_scale: float = 1.0
    colour: Colour | None = None


@dataclass(frozen=True)
class Turn:
    """Changes to one frame's world; the defaults change nothing. Exposure stays that of the unchanged frame.

    pitch_deg (up positive), yaw_deg (left positive), roll_deg (the picture turns counter-clockwise), height_m,
    forward_m and left_m (along and across the main direction) are added to the camera's; focal_factor multiplies its
    focal length.
    haze_per_m is added to the air's extinction. light_yaw_deg turns the light about the vertical through the camera;
    light_factor and ambient_factor scale it and the ambient light; shadows False lets light pass through everything.
    texture_seed draws all textures afresh (0 = their own), texture_scale sizes their patterns, textures False leaves
    plain colours. paint: what lies on the floor, in all but its pattern. objects: changes to single objects.
    """

    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    roll_deg: float = 0.0
    height_m: float = 0.0
    forward_m: float = 0.0
    left_m: float = 0.0
    focal_factor: float = 1.0
    haze_per_m: float = 0.0
    light_yaw_deg: float = 0.0
    light_factor: float = 1.0
    ambient_factor: float = 1.0
    shadows: bool = True
    textures: bool = True
    texture_seed: int = 0
    texture_scale: float = 1.0
    paint: Paint | None = None
    objects: tuple[ObjectTurn, ...] = ()


def turned(world: World, turn: Turn) -> World:
    """A copy of the world with the turn made; the world itself is not touched.

    Raises:
        DepthcueError: an object that the world has not, or a factor that is not above 0.
    """
    for name in ("focal_factor", "texture_scale"):
        _check_positive(name, getattr(turn, name))
    everything = np.ones(len(world.half), dtype=bool)
    world = replace(world, camera=_camera(world, turn), lighting=_lighting(world, turn), material=world.material.copy(),
                    texture_salt=world.texture_salt.copy())
    _retexture(world, everything, turn.texture_seed, turn.texture_scale)
    if not turn.textures:
        _make_plain(world, everything)
    if turn.paint is not None:
        world = _painted(world, turn.paint)
    for change in turn.objects:
        world = _change_object(world, change)
    return world


def family(world: World, object_id: int) -> list[int]:
    """The object and all that stands on it."""
    members = [object_id]
    for number, item in enumerate(world.objects):
        if item.parent in members:
            members.append(number)
    return members


def _camera(world: World, turn: Turn) -> Camera:
    camera = world.camera
    main = math.radians(world.main_yaw_deg)
    x, y, z = camera.position
    position = (x + turn.forward_m * math.cos(main) - turn.left_m * math.sin(main),
                y + turn.forward_m * math.sin(main) + turn.left_m * math.cos(main), z + turn.height_m)
    return replace(camera, position=position, yaw_deg=camera.yaw_deg + turn.yaw_deg,
                   pitch_deg=camera.pitch_deg + turn.pitch_deg, roll_deg=camera.roll_deg + turn.roll_deg,
                   focal_factor=camera.focal_factor * turn.focal_factor)


def _lighting(world: World, turn: Turn) -> Lighting:
    lighting = world.lighting
    x, y, z, lamp = lighting.light
    centre_x, centre_y = (world.camera.position[0], world.camera.position[1]) if lamp else (0.0, 0.0)
    angle = math.radians(turn.light_yaw_deg)
    x, y = x - centre_x, y - centre_y
    x, y = (centre_x + x * math.cos(angle) - y * math.sin(angle), centre_y + x * math.sin(angle) + y * math.cos(angle))
    return replace(lighting, light=(x, y, z, lamp), light_colour=scaled(lighting.light_colour, turn.light_factor),
                   ambient=scaled(lighting.ambient, turn.ambient_factor),
                   fill_colour=scaled(lighting.fill_colour, turn.ambient_factor),
                   haze_per_m=lighting.haze_per_m + turn.haze_per_m, shadows=lighting.shadows * float(turn.shadows))


def _painted(world: World, paint: Paint) -> World:
    """The world with a pattern on what is painted, on the slant that its camera is to see; `material` is its own."""
    named = np.array([item.name in paint.on for item in world.objects])
    chosen = named[world.object_id]
    if paint.pattern is not None:
        world.material[chosen] = materials.rows([paint.pattern] * int(chosen.sum()), world.half[chosen].astype(float))
        world.texture_salt[chosen] = world.salt  # one pattern over all of it
    return replace(world, painted=world.painted | chosen, slant=paint.slant(world.camera.position[2]))


def _change_object(world: World, change: ObjectTurn) -> World:
    if not 0 <= change.object_id < len(world.objects):
        raise DepthcueError(f"this world has no object {change.object_id}",
                            f"Its objects have numbers from 0 to {len(world.objects) - 1}.")
    for name in ("scale", "texture_scale"):
        _check_positive(name, getattr(change, name))
    chosen = np.isin(world.object_id, family(world, change.object_id))
    _retexture(world, chosen, change.texture_seed, change.texture_scale)
    if change.colour is not None:
        world.material[chosen, materials.COLOUR] = change.colour
        world.material[chosen, materials.SECOND] = change.colour
        _make_plain(world, chosen)
    if change.remove:
        kept = ~chosen
        arrays = {name: getattr(world, name)[kept] for name in World.PER_PRIMITIVE}
        return replace(world, **arrays)
    anchor = np.array(world.objects[change.object_id].anchor)
    main = math.radians(world.main_yaw_deg)
    forward, left, up = change.move_m
    move = np.array((forward * math.cos(main) - left * math.sin(main), forward * math.sin(main)
                     + left * math.cos(main), up))
    linear, offset = world.linear.copy(), world.offset.copy()
    # a world point p of the changed object was anchor + (p - anchor - move) / scale before
    linear[chosen] = world.linear[chosen] / change.scale
    offset[chosen] += world.linear[chosen] @ (anchor - (anchor + move) / change.scale)
    return replace(world, linear=linear.astype(np.float32), offset=offset.astype(np.float32))


def _retexture(world: World, chosen: npt.NDArray[np.bool_], seed: int, scale: float) -> None:
    world.texture_salt[chosen] += np.int32(seed * _SALT_STEP % 2**30)
    for part in (materials.CELL, materials.PERIOD, slice(materials.GAP, materials.GAP + 1)):
        world.material[chosen, part] *= scale


def _make_plain(world: World, chosen: npt.NDArray[np.bool_]) -> None:
    """Leave each surface its mean colour."""
    row = world.material
    share = 0.5 * row[chosen, materials.MIX, None]
    row[chosen, materials.COLOUR] = (1 - share) * row[chosen, materials.COLOUR] + share * row[chosen, materials.SECOND]
    for part in (materials.CELL, materials.PARITY):
        row[chosen, part] = 0.0
    for column in (materials.MIX, materials.GAP, materials.SHADE, materials.HUE, materials.BUMP):
        row[chosen, column] = 0.0


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise DepthcueError(f"{name} must be above 0 and finite, got {value}", "1 changes nothing.")
