"""A scene as data: primitives with materials grouped into objects, a light, a camera, a sensor; and how to fill one.

`Turn` changes one thing of a world while all else stays: camera, light, air, textures, or a single object.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.scenes import materials
from depthcue.scenes.geometry import Primitives
from depthcue.scenes.materials import Colour, Material, Paint, scaled

BOX = (0.0, 0.0, 0.0, 0.0, -1.0)
BALL = (1.0, 1.0, 1.0, 0.0, -1.0)
CYLINDER = (1.0, 1.0, 0.0, 0.0, -1.0)
CYLINDER_X = (0.0, 1.0, 1.0, 0.0, -1.0)
CYLINDER_Y = (1.0, 0.0, 1.0, 0.0, -1.0)
CUSHION = (0.56, 0.56, 0.6, 0.0, -1.0)
"""A box with rounded corners and edges."""
# as far as a uint32 salt may be shifted without meeting the salt of a neighbouring object
_SALT_STEP = 1_000_003


def frustum(top: float, bottom: float = 1.0) -> tuple[float, float, float, float, float]:
    """Quadric of a round solid with radius `bottom` below and `top` above (0 to 1, as shares of its size)."""
    slope, middle = (top - bottom) / 2, (top + bottom) / 2
    return (1.0, 1.0, -slope * slope, -slope * middle, -middle * middle)


@dataclass
class Camera:
    """Position (x, y, z up) in metres; yaw from the x axis, pitch (up positive), roll in degrees; focal length as a
    multiple of the kind's own."""

    position: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    focal_factor: float = 1.0


@dataclass
class Lighting:
    """Light, air and sensor. light: (x, y, z, 1) a lamp, (x, y, z, 0) towards the sun; fill: the position of a large
    soft light that casts no shadow; clouds 0 (none) to 1; haze_per_m: extinction of the air. Intensities and colours
    are linear and relative, because exposure brings the picture to `brightness` (its mean, before gamma)."""

    light: tuple[float, float, float, float]
    light_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ambient: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fill: tuple[float, float, float] = (0.0, 0.0, 2.0)
    fill_colour: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sky: tuple[float, float, float] = (0.5, 0.65, 0.9)
    clouds: float = 0.0
    haze_per_m: float = 0.0
    brightness: float = 0.25
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    noise: float = 0.01
    vignette: float = 0.1
    blur: float = 0.0
    shadows: float = 1.0


@dataclass(frozen=True)
class WorldObject:
    """An object's name, its anchor (floor contact or centre, world metres), and the number of the object under it."""

    name: str
    anchor: tuple[float, float, float]
    parent: int


@dataclass
class World:
    """One finished scene on the host: arrays over P primitives, and the tables."""

    PER_PRIMITIVE: ClassVar[tuple[str, ...]] = (
        "linear", "offset", "half", "quadric", "curved", "casts", "material", "object_id", "texture_salt", "painted")

    linear: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    half: npt.NDArray[np.float32]
    quadric: npt.NDArray[np.float32]
    curved: npt.NDArray[np.bool_]
    casts: npt.NDArray[np.bool_]
    material: npt.NDArray[np.float32]
    object_id: npt.NDArray[np.int32]
    texture_salt: npt.NDArray[np.int32]
    painted: npt.NDArray[np.bool_]
    objects: list[WorldObject]
    camera: Camera
    lighting: Lighting
    main_yaw_deg: float
    salt: int
    slant: tuple[float, float] = (0.0, 1.0)
    """Slant of the plane that the pattern of the painted floor shows (see `materials.Paint`)."""


class Builder:
    """Collects primitives. `at` moves and turns the frame of their coordinates, `object` names their object.

    Lengths in metres, z up. Sizes are full sizes, positions are centres.
    """

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.objects: list[WorldObject] = []
        self.camera = Camera((0.0, 0.0, 1.5), 0.0)
        self.lighting = Lighting((0.0, 0.0, 2.0, 1.0))
        self.main_yaw_deg = 0.0
        self._frame = (0.0, 0.0, 0.0, 1.0, 0.0)  # x, y, z, cos yaw, sin yaw
        self._object = -1
        self._numbers: list[tuple[float, ...]] = []
        self._materials: list[Material] = []

    @contextmanager
    def at(self, x: float, y: float, z: float = 0.0, yaw_deg: float = 0.0) -> Iterator[None]:
        """Inside, coordinates are relative to (x, y, z) and turned by `yaw_deg`, nested frames included."""
        before = self._frame
        px, py, pz, c, s = before
        turn = math.radians(yaw_deg)
        tc, ts = math.cos(turn), math.sin(turn)
        self._frame = (px + c * x - s * y, py + s * x + c * y, pz + z, c * tc - s * ts, s * tc + c * ts)
        try:
            yield
        finally:
            self._frame = before

    @contextmanager
    def object(self, name: str) -> Iterator[int]:
        """Inside, primitives belong to a new object standing at the current frame's origin; nested: on the outer."""
        outer = self._object
        self._object = len(self.objects)
        self.objects.append(WorldObject(name, self._frame[:3], outer))
        try:
            yield self._object
        finally:
            self._object = outer

    def add(self, shape: tuple[float, float, float, float, float], centre: Sequence[float], size: Sequence[float],
            material: Material, yaw_deg: float = 0.0, tilt_deg: float = 0.0, casts: bool = True) -> None:
        """One primitive. yaw turns it about z, tilt then leans it about its own x axis."""
        assert self._object >= 0, "a primitive has to belong to an object"
        x, y, z = centre
        px, py, pz, c, s = self._frame
        if yaw_deg:
            turn = math.radians(yaw_deg)
            tc, ts = math.cos(turn), math.sin(turn)
            cos, sin = c * tc - s * ts, s * tc + c * ts
        else:
            cos, sin = c, s
        self._numbers.append((px + c * x - s * y, py + s * x + c * y, pz + z, size[0] / 2, size[1] / 2, size[2] / 2,
                              cos, sin, math.radians(tilt_deg), *shape, shape is not BOX, casts, self._object))
        self._materials.append(material)

    def box(self, centre: Sequence[float], size: Sequence[float], material: Material, yaw_deg: float = 0.0,
            tilt_deg: float = 0.0, casts: bool = True) -> None:
        """An oriented box."""
        self.add(BOX, centre, size, material, yaw_deg, tilt_deg, casts)

    def boxes(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """World to unit cube of all primitives so far: linear (P, 3, 3) and offset (P, 3), float32."""
        numbers = np.array(self._numbers, dtype=np.float64)
        linear, offset, _ = _to_unit_cube(numbers)
        return linear.astype(np.float32), offset.astype(np.float32)

    def belongs_to(self, names: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Primitives (P,) that are part of an object with one of these names."""
        matching = np.array([item.name in names for item in self.objects])
        return matching[[int(row[-1]) for row in self._numbers]]

    def finish(self, salt: int) -> World:
        """The world of what was added."""
        numbers = np.array(self._numbers, dtype=np.float64)
        linear, offset, half = _to_unit_cube(numbers)
        return World(
            linear=linear.astype(np.float32), offset=offset.astype(np.float32), half=half.astype(np.float32),
            quadric=numbers[:, 9:14].astype(np.float32), curved=numbers[:, 14] > 0, casts=numbers[:, 15] > 0,
            material=materials.rows(self._materials, half), object_id=numbers[:, 16].astype(np.int32),
            texture_salt=(salt + numbers[:, 16].astype(np.int64) * 31).astype(np.int32),
            painted=np.zeros(len(numbers), dtype=bool),
            objects=self.objects, camera=self.camera, lighting=self.lighting, main_yaw_deg=self.main_yaw_deg, salt=salt)


def _to_unit_cube(numbers: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Rows of a Builder -> linear (P, 3, 3), offset (P, 3), half sizes (P, 3)."""
    centre, half = numbers[:, 0:3], numbers[:, 3:6]
    cos, sin, tilt = numbers[:, 6], numbers[:, 7], numbers[:, 8]
    tc, ts = np.cos(tilt), np.sin(tilt)
    zero = np.zeros_like(cos)
    # rows are the primitive's axes: x turned by yaw, then y and z leaned about it
    turn = np.stack((cos, sin, zero, -sin * tc, cos * tc, ts, sin * ts, -cos * ts, tc), 1).reshape(-1, 3, 3)
    linear = turn / half[:, :, None]
    return linear, -(linear @ centre[:, :, None])[:, :, 0], half


@dataclass
class WorldBatch:
    """B worlds as tensors on one device, padded to the largest number of primitives."""

    primitives: Primitives
    casters: Primitives
    half: Tensor  # (B, P, 3)
    material: Tensor  # (B, P, 29)
    object_id: Tensor  # (B, P)
    texture_salt: Tensor  # (B, P) int32
    painted: Tensor  # (B, P) bool
    slant: Tensor  # (B, 2)
    salt: Tensor  # (B,) int32
    lighting: dict[str, Tensor]
    cloudy: bool
    any_painted: bool


def stack(worlds: Sequence[World], device: torch.device) -> WorldBatch:
    """Put worlds of one batch together."""
    largest = max(len(world.half) for world in worlds)

    def pad(name: str) -> Tensor:
        arrays: list[npt.NDArray[Any]] = [getattr(world, name) for world in worlds]
        out = np.zeros((len(arrays), largest, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
        for position, array in enumerate(arrays):
            out[position, :len(array)] = array
        return torch.from_numpy(out).to(device)

    present = np.zeros((len(worlds), largest), dtype=bool)
    for position, world in enumerate(worlds):
        present[position, :len(world.half)] = True
    shared = {name: pad(name) for name in ("linear", "offset", "quadric", "curved")}
    solid = torch.from_numpy(present).to(device)
    lightings = {name: torch.tensor([getattr(world.lighting, name) for world in worlds], dtype=torch.float32,
                                    device=device)
                 for name in Lighting.__dataclass_fields__}
    return WorldBatch(Primitives(**shared, present=solid), Primitives(**shared, present=solid & pad("casts")),
                      pad("half"), pad("material"), pad("object_id"), pad("texture_salt"), pad("painted"),
                      torch.tensor([world.slant for world in worlds], dtype=torch.float32, device=device),
                      torch.tensor([world.salt for world in worlds], dtype=torch.int32, device=device), lightings,
                      any(world.lighting.clouds > 0 for world in worlds), any(world.painted.any() for world in worlds))


@dataclass(frozen=True)
class ObjectTurn:
    """A change to one object and to what stands on it; the defaults change nothing.

    object_id: as in Rendering.object_id. move_m: along the main direction, to its left, up. scale: about the object's
    anchor. texture_seed: draw its textures afresh (0 = its own); texture_scale: size of their pattern; colour: paint it
    plainly, linear RGB in [0, 1].
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
    """The world with a pattern on the painted objects, on the slant of `paint` for its camera."""
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
