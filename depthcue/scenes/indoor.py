"""Rooms as a hand-held RGB-D camera sees them: bedrooms, kitchens, living rooms, offices, bathrooms, dining rooms."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from depthcue.scenes import clutter, fittings, furniture
from depthcue.scenes.finish import Finish
from depthcue.scenes.materials import scaled
from depthcue.scenes.render import camera_axes
from depthcue.scenes.world import Builder, Camera, Lighting, World

FOCAL_PX, FOCAL_HEIGHT = 519.0, 480
"""NYU-v2's focal length, at the height of its images."""

STYLES = (("bedroom", 0.27), ("living", 0.2), ("kitchen", 0.16), ("office", 0.13), ("dining", 0.09), ("bathroom", 0.07),
          ("study", 0.08), ("store", 0.03), ("classroom", 0.05))

_FLOORS = {"kitchen": ("tiles", "tiles", "wood"), "bathroom": ("tiles", "tiles", "wood"),
           "office": ("carpet", "carpet", "wood"),
           "bedroom": ("carpet", "wood"), "living": ("wood", "carpet"), "dining": ("wood", "tiles", "carpet"),
           "study": ("carpet", "wood"), "store": ("tiles", "carpet"), "classroom": ("carpet", "tiles")}

# medians of depth over NYU-v2's 795 training frames (5th to 95th percentile), from which a wanted median is drawn
_MEDIAN_DEPTH_M = (1.4, 1.7, 2.1, 2.4, 2.7, 3.0, 3.3, 3.8, 4.4)
_Piece = tuple[float, float, float, Callable[[Builder, Finish], None]]
"""Furniture at a wall: width, depth and height in metres, and what draws it."""


class FloorPlan:
    """The floor of a room of size (x, y): which rectangles are taken."""

    def __init__(self, width: float, length: float) -> None:
        self.width, self.length = width, length
        self.taken: list[tuple[float, float, float, float]] = []

    def claim(self, x: float, y: float, half_x: float, half_y: float) -> bool:
        """Take the rectangle centred at (x, y) if it is inside and free."""
        low_x, high_x, low_y, high_y = x - half_x, x + half_x, y - half_y, y + half_y
        if low_x < 0 or low_y < 0 or high_x > self.width or high_y > self.length or any(
                low_x < b and high_x > a and low_y < d and high_y > c for a, b, c, d in self.taken):
            return False
        self.taken.append((low_x, high_x, low_y, high_y))
        return True


def build(seed: int) -> World:
    """The room of a seed."""
    rng = random.Random(f"indoor/{seed}")
    b = Builder(rng)
    finish = Finish(rng)
    style = _pick(rng, STYLES)
    small = style in ("bathroom", "kitchen")
    width = rng.uniform(2.2, 4.6) if small else rng.uniform(2.9, 8.0)
    length = rng.uniform(2.4, 5.6) if small else rng.uniform(3.2, 8.5)
    height = rng.uniform(2.3, 3.1)
    if style in ("store", "classroom"):
        width, length, height = rng.uniform(5.5, 10), rng.uniform(6.5, 12), rng.uniform(2.6, 3.8)
    plan = FloorPlan(width, length)
    daylight = rng.random() < 0.6
    glow = rng.uniform(1.5, 9.0) if daylight else rng.uniform(0.0, 0.3)

    walls = floor_and_ceiling(b, finish, width, length, height, _FLOORS[style])
    wall_material = finish.wall()
    accent = finish.wall() if rng.random() < 0.2 else wall_material
    order = list(range(4))
    rng.shuffle(order)
    door_wall = order[0]
    for number in order:
        x, y, yaw, span = walls[number]
        with b.at(x, y, 0.0, yaw):
            fittings.wall(b, finish, span, height, accent if number == order[1] else wall_material,
                          doorway=number == door_wall and rng.random() < 0.6)
            dress_wall(b, finish, plan, style, span, height, glow, (x, y, yaw), first=number == order[1],
                       second=number == order[2])
    furnish_middle(b, finish, plan, style, width, length)
    fittings.ceiling_things(b, finish, width, length, height)
    light_room(b, rng, width, length, height, daylight)
    b.main_yaw_deg = 0.0
    choose_camera(b, width, length, height)
    return b.finish(rng.getrandbits(30))


def floor_and_ceiling(b: Builder, f: Finish, width: float, length: float, height: float, floors: Sequence[str],
                      ) -> tuple[tuple[float, float, float, float], ...]:
    """Lay the floor, of one of the kinds `floors`, and the ceiling of a room.

    Returns:
        For each wall its frame and span: x, y and yaw of its left end seen from inside, from which x runs to the right
        along the wall and y into the room; and its length.
    """
    floor = f.floor(b.rng.choice(floors))
    with b.object("floor"):
        b.box((width / 2, length / 2, -0.1), (width + 12, length + 12, 0.2), floor)
    with b.object("ceiling"):
        b.box((width / 2, length / 2, height + 0.1), (width + 12, length + 12, 0.2), f.ceiling(), casts=False)
    return ((0.0, 0.0, 0.0, width), (width, 0.0, 90.0, length), (width, length, 180.0, width),
            (0.0, length, 270.0, length))


def dress_wall(b: Builder, f: Finish, plan: FloorPlan, style: str, span: float, height: float, glow: float,
               frame: tuple[float, float, float], first: bool, second: bool) -> None:
    """Stand furniture along one wall and hang things above it. Inside, the frame is the wall's."""
    rng = b.rng
    at = rng.uniform(0.0, 0.3)
    busy = rng.uniform(0.7, 1.0)
    if style in ("kitchen", "bathroom") and (first or second or rng.random() < 0.3):
        run = span if style == "kitchen" else min(span, rng.uniform(0.9, 1.8))
        if claim_on_wall(plan, frame, run / 2, 0.31, run / 2, 0.31):
            with b.at(run / 2, 0.0):
                (fittings.kitchen_run if style == "kitchen" else fittings.vanity)(b, f, run, height, glow)
        at = run + 0.1
    pieces = list(_PIECES[style])
    if first and style == "bedroom":
        wide = min(span - 0.2, rng.choice((0.95, 1.4, 1.6, 1.8)))
        middle = rng.uniform(wide / 2 + 0.1, span - wide / 2 - 0.1)
        if claim_on_wall(plan, frame, middle, 1.05, wide / 2, 1.05):
            with b.at(middle, 0.06):
                furniture.bed(b, f, wide)
            for side in (-1, 1):
                x = middle + side * (wide / 2 + 0.35)
                if rng.random() < 0.8 and claim_on_wall(plan, frame, x, 0.25, 0.3, 0.25):
                    with b.at(x, 0.03):
                        furniture.nightstand(b, f)
    if first and style in ("living", "study") and span > 2.4:
        wide = min(span - 0.4, rng.uniform(1.5, 2.4))
        middle = rng.uniform(wide / 2 + 0.1, span - wide / 2 - 0.1)
        if claim_on_wall(plan, frame, middle, 0.5, wide / 2, 0.5):
            with b.at(middle, 0.05):
                furniture.sofa(b, f, wide)
    while at < span - 0.4:
        piece = rng.choice(pieces)
        wide, deep, tall, draw = piece(rng)
        if rng.random() < busy and claim_on_wall(plan, frame, at + wide / 2, deep / 2, wide / 2, deep / 2):
            with b.at(at + wide / 2, 0.02, 0.0, rng.uniform(-4, 4) if rng.random() < 0.3 else 0.0):
                draw(b, f)
            if tall < 1.3 and rng.random() < 0.6:
                with b.at(at + wide / 2, 0.0):
                    fittings.wall_fixture(b, f, wide, tall, height, glow)
        elif rng.random() < 0.75:
            with b.at(at + wide / 2, 0.0):
                fittings.wall_fixture(b, f, wide, 0.4, height, glow)
        at += wide + rng.choice((0.02, 0.1, 0.3, 0.7)) * rng.random()


def claim_on_wall(plan: FloorPlan, frame: tuple[float, float, float], x: float, y: float, half_x: float,
                  half_y: float) -> bool:
    """Claim a rectangle given in a wall's frame."""
    ox, oy, yaw = frame
    c, s = round(math.cos(math.radians(yaw))), round(math.sin(math.radians(yaw)))
    world_x, world_y = ox + c * x - s * y, oy + s * x + c * y
    if s:
        half_x, half_y = half_y, half_x
    return plan.claim(world_x, world_y, half_x - 0.01, half_y - 0.01)


def furnish_middle(b: Builder, f: Finish, plan: FloorPlan, style: str, width: float, length: float) -> None:
    """Rug, tables with chairs, and things lying about in what is left of the floor."""
    rng = b.rng
    if rng.random() < 0.45 and style not in ("bathroom", "office"):
        wide, long = rng.uniform(0.8, min(3.0, width * 0.8)), rng.uniform(1.0, min(3.5, length * 0.8))
        with b.at(width * rng.uniform(0.35, 0.65), length * rng.uniform(0.35, 0.65), 0.0, rng.uniform(-15, 15)), \
                b.object("rug"):
            b.box((0, 0, 0.006), (wide, long, 0.012), f.rug())
    if style in ("store", "classroom"):
        rows_of_furniture(b, f, plan, style, width, length)
    chances = {"dining": 1.0, "kitchen": 0.45, "living": 0.5, "office": 0.7, "study": 0.4, "bedroom": 0.15}
    for _ in range(2 if style in ("office", "dining") else 1):
        if rng.random() > chances.get(style, 0.0):
            continue
        low = style == "living" or style == "bedroom"
        wide = rng.uniform(0.6, 1.2) if low else rng.uniform(0.9, 2.0)
        deep = rng.uniform(0.45, 0.7) if low else rng.uniform(0.7, 1.0)
        x, y = width * rng.uniform(0.25, 0.75), length * rng.uniform(0.25, 0.75)
        reach = max(wide, deep) / 2 + (0.1 if low else 0.45)
        if not plan.claim(x, y, reach, reach):
            continue
        with b.at(x, y, 0.0, rng.choice((0.0, 90.0)) + rng.uniform(-12, 12)):
            with b.at(0.0, -deep / 2):
                furniture.table(b, f, wide, deep, rng.uniform(0.36, 0.5) if low else rng.uniform(0.7, 0.78))
            if low:
                continue
            for side in (0, 180):
                for step in range(1 if wide < 1.3 else 2):
                    if rng.random() < 0.85:
                        along = 0.0 if wide < 1.3 else (step - 0.5) * wide * 0.5
                        with b.at(0, 0, 0, side), b.at(along, -deep / 2 - rng.uniform(0.15, 0.5), 0, rng.gauss(0, 12)):
                            furniture.chair(b, f)
            if rng.random() < 0.4:
                with b.at(wide / 2 + 0.35, 0, 0, 90):
                    furniture.chair(b, f)
    for _ in range(rng.randint(1, 4) + int(width * length * rng.uniform(0.0, 0.18))):
        x, y = rng.uniform(0.3, width - 0.3), rng.uniform(0.3, length - 0.3)
        if plan.claim(x, y, 0.25, 0.25):
            with b.at(x, y, 0.0, rng.uniform(0, 360)):
                pick = rng.random()
                if pick < 0.15:
                    furniture.chair(b, f)
                elif pick < 0.25 and style in ("living", "bedroom", "study"):
                    furniture.sofa(b, f, rng.uniform(0.75, 0.95))
                else:
                    clutter.floor_thing(b, f)


def rows_of_furniture(b: Builder, f: Finish, plan: FloorPlan, style: str, width: float, length: float) -> None:
    """Aisles of shelves, or rows of desks with screens and chairs."""
    rng = b.rng
    deep, apart = (0.7, rng.uniform(1.9, 2.6)) if style == "store" else (0.75, rng.uniform(1.7, 2.3))
    tall, unit = rng.uniform(1.3, 2.1), rng.uniform(1.2, 1.8)
    y = rng.uniform(1.2, 2.0)
    while y < length - 1.0:
        x = rng.uniform(0.9, 1.6)
        while x + unit < width - 0.8:
            if plan.claim(x + unit / 2, y, unit / 2, deep / 2) and rng.random() < 0.9:
                with b.at(x + unit / 2, y - deep / 2):
                    if style == "store":
                        furniture.bookshelf(b, f, unit, tall, goods=True)
                    else:
                        furniture.desk(b, f, unit - 0.1)
            x += unit
        y += apart


def light_room(b: Builder, rng: random.Random, width: float, length: float, height: float, daylight: bool) -> None:
    """One lamp near the ceiling (or light from a side, as from a window), ambient light, and the camera's sensor."""
    warm = rng.uniform(0.0, 0.45)
    colour = (1.0, 1 - 0.45 * warm, 1 - 0.95 * warm)
    if daylight and rng.random() < 0.6:
        side = rng.choice(((0.15, 0.5), (0.85, 0.5), (0.5, 0.15), (0.5, 0.85)))
        position = (width * side[0], length * side[1], rng.uniform(1.5, 2.1))
        colour = (1.0 - 0.1 * warm, 1.0, 1.0)
    else:
        position = (width * rng.uniform(0.25, 0.75), length * rng.uniform(0.25, 0.75), height - rng.uniform(0.1, 0.5))
    ambient = rng.uniform(0.12, 0.6)
    tint = rng.uniform(0.0, 0.5)
    soft = rng.uniform(0.2, 1.6)
    corner = (width * rng.choice((0.08, 0.5, 0.92)), length * rng.choice((0.08, 0.5, 0.92)), rng.uniform(0.9, 2.2))
    cast = rng.gauss(0, 0.1)
    b.lighting = Lighting(
        light=(*position, 1.0), light_colour=scaled(colour, rng.uniform(0.7, 1.5)),
        ambient=(ambient, ambient * (1 - 0.2 * warm), ambient * (1 - 0.35 * warm)), sky=(0.75, 0.8, 0.9),
        fill=corner, fill_colour=(soft, soft * (1 - 0.3 * tint), soft * (1 - 0.7 * tint)),
        brightness=math.exp(rng.gauss(math.log(0.185), 0.36)),
        white_balance=(math.exp(cast + rng.gauss(0, 0.04)), math.exp(rng.gauss(-0.02, 0.03)),
                       math.exp(-cast + rng.gauss(0, 0.06))),
        contrast=rng.uniform(1.3, 2.0), saturation=rng.uniform(0.8, 1.35), noise=rng.uniform(0.002, 0.014),
        vignette=rng.uniform(0.0, 0.45), blur=rng.uniform(0.0, 0.07))


def choose_camera(b: Builder, width: float, length: float, height: float) -> None:
    """Stand somewhere with a free view whose median depth is near one drawn from NYU-v2's."""
    rng = b.rng
    wanted = rng.choice(_MEDIAN_DEPTH_M) * rng.uniform(0.9, 1.1)
    candidates = []
    for _ in range(8):
        # near a wall, looking across the room, mostly
        x, y = rng.uniform(0.3, width - 0.3), rng.uniform(0.3, length - 0.3)
        aim_x, aim_y = width * rng.uniform(0.1, 0.9), length * rng.uniform(0.1, 0.9)
        yaw = math.degrees(math.atan2(aim_y - y, aim_x - x)) + rng.gauss(0, 20)
        candidates.append(Camera((x, y, min(height - 0.4, rng.gauss(1.35, 0.2))), yaw,
                                 pitch_deg=max(-40.0, min(15.0, rng.gauss(-11, 9))), roll_deg=rng.gauss(0, 2.5)))
    depth, furnished = _rough_views(b, candidates)
    nearest, median = np.sort(depth, 1)[:, 1], np.median(depth, 1)
    cost = (np.abs(np.log(np.maximum(median, 0.1) / wanted)) + 3 * np.maximum(0, 0.8 - nearest)
            + 0.9 * np.maximum(0, rng.uniform(0.4, 0.7) - furnished))
    b.camera = candidates[int(cost.argmin())]


def _rough_views(b: Builder, cameras: list[Camera]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """z-depths (cameras, 20) on a coarse grid of rays, every primitive taken as its box; and which share of the rays
    meets furniture, not the shell of the room."""
    linear, offset = b.boxes()
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 5), np.linspace(-0.36, 0.36, 4))
    rays, positions = [], []
    for camera in cameras:
        right, down, forward = camera_axes(replace(camera, roll_deg=0.0)).T
        rays.append(forward + x.reshape(-1, 1) * right + y.reshape(-1, 1) * down)
        positions.append(camera.position)
    start = np.einsum("pij,cj->icp", linear, np.array(positions, dtype=np.float32)) + offset.T[:, None]
    step = np.einsum("pij,rj->irp", linear, np.concatenate(rays).astype(np.float32), optimize=True)
    inverse = 1 / (step + 1e-9).reshape(3, len(cameras), x.size, -1)
    middle, half = start[:, :, None] * inverse, np.abs(inverse)
    first, last = -middle - half, half - middle
    near = np.maximum(np.maximum(first[0], first[1]), first[2])
    far = np.minimum(np.minimum(last[0], last[1]), last[2])
    inside = (np.abs(start) < 1.15).all(0)[:, None]
    near = np.where(inside, 0.05, np.where((near < far) & (near > 0), near, np.inf))
    shell = b.belongs_to(("floor", "ceiling", "wall"))
    return np.minimum(near.min(-1), 20.0), 1 - shell[near.argmin(-1)].mean(-1)


def _pick(rng: random.Random, choices: tuple[tuple[str, float], ...]) -> str:
    at = rng.random() * sum(weight for _, weight in choices)
    for name, weight in choices:
        at -= weight
        if at <= 0:
            return name
    return choices[-1][0]


def _fixed(width: float, depth: float, height: float, draw: Callable[[Builder, Finish], None],
           ) -> Callable[[random.Random], _Piece]:
    return lambda rng: (width, depth, height, draw)


def _centred(draw: Callable[[Builder, Finish], None]) -> Callable[[Builder, Finish], None]:
    def drawn(b: Builder, f: Finish) -> None:
        with b.at(0.0, 0.25):
            draw(b, f)
    return drawn


def _cabinet(rng: random.Random) -> _Piece:
    w, d, h = rng.uniform(0.6, 1.6), rng.uniform(0.4, 0.55), rng.uniform(0.7, 1.25)
    return w, d, h, lambda b, f: furniture.cabinet(b, f, w, d, h)


def _wardrobe(rng: random.Random) -> _Piece:
    w, h = rng.uniform(0.8, 2.0), rng.uniform(1.7, 2.2)
    return w, 0.6, h, lambda b, f: furniture.cabinet(b, f, w, 0.6, h, "wardrobe")


def _shelf(rng: random.Random) -> _Piece:
    w, h = rng.uniform(0.5, 1.4), rng.uniform(0.9, 2.2)
    return w, 0.4, h, lambda b, f: furniture.bookshelf(b, f, w, h)


def _desk(rng: random.Random) -> _Piece:
    w = rng.uniform(1.0, 1.7)
    return w, 1.3, 1.2, lambda b, f: furniture.desk(b, f, w)


def _television(rng: random.Random) -> _Piece:
    w = rng.uniform(0.8, 1.7)
    return w, 0.5, 1.4, lambda b, f: furniture.television(b, f, w)


def _seat(low: float, high: float) -> Callable[[random.Random], _Piece]:
    def draw(rng: random.Random) -> _Piece:
        w = rng.uniform(low, high)
        return w, 0.95, 0.9, lambda b, f: furniture.sofa(b, f, w)
    return draw


def _plant(rng: random.Random) -> _Piece:
    tall = rng.uniform(0.6, 1.5)
    return 0.5, 0.5, tall, _centred(lambda b, f: clutter.plant(b, f, tall))


def _side_table(rng: random.Random) -> _Piece:
    w, h = rng.uniform(0.5, 1.2), rng.uniform(0.5, 0.9)
    return w, 0.45, h, lambda b, f: furniture.table(b, f, w, 0.42, h)


_armchair, _sofa = _seat(0.75, 1.0), _seat(1.4, 2.2)
_floor_lamp = _fixed(0.4, 0.4, 1.9, _centred(furniture.floor_lamp))
_thing = _fixed(0.55, 0.5, 0.5, _centred(clutter.floor_thing))
_chair = _fixed(0.5, 0.55, 1.0, furniture.chair)
_fridge, _toilet = _fixed(0.8, 0.75, 1.9, fittings.fridge), _fixed(0.5, 0.75, 0.8, fittings.toilet)
_bathtub, _washer = _fixed(1.6, 0.75, 0.6, fittings.bathtub), _fixed(0.65, 0.65, 0.9, fittings.washer)
_PIECES: dict[str, tuple[Callable[[random.Random], _Piece], ...]] = {
    "bedroom": (_cabinet, _cabinet, _wardrobe, _desk, _shelf, _chair, _thing, _armchair, _plant, _floor_lamp),
    "living": (_sofa, _armchair, _television, _shelf, _cabinet, _plant, _floor_lamp, _side_table, _thing),
    "kitchen": (_fridge, _cabinet, _thing, _chair, _shelf, _side_table, _washer),
    "office": (_desk, _desk, _shelf, _cabinet, _thing, _chair, _side_table, _plant),
    "dining": (_cabinet, _cabinet, _plant, _chair, _side_table, _shelf, _floor_lamp),
    "bathroom": (_toilet, _bathtub, _thing, _cabinet, _washer),
    "store": (_shelf, _shelf, _cabinet, _side_table, _thing),
    "classroom": (_side_table, _shelf, _cabinet, _chair, _desk),
    "study": (_desk, _shelf, _shelf, _armchair, _cabinet, _plant, _thing, _television, _floor_lamp),
}
