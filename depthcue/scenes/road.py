"""Roads as a car's camera sees them: streets with parked cars, suburbs, country roads, motorways."""

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from depthcue.scenes import props, street
from depthcue.scenes.materials import Material, scaled
from depthcue.scenes.world import BALL, Builder, Camera, Lighting, World

FOCAL_PX, FOCAL_WIDTH = 721.5, 1242
"""KITTI's focal length, at the width of its images."""

CAMERA_HEIGHT_M = 1.65

_BEHIND_M, _AHEAD_M, _SEGMENT_M = -18.0, 150.0, 14.0


class RoadCourse:
    """The road's centre line: straight or a long bend; points on it by distance s along it and y to the left of it."""

    def __init__(self, b: Builder, bend_per_m: float) -> None:
        self.builder, self.bend_per_m = b, bend_per_m

    @contextmanager
    def at(self, s: float, y: float, yaw_deg: float = 0.0) -> Iterator[None]:
        """A frame beside the course: x along it, y to its left."""
        turn = self.bend_per_m * s
        if abs(self.bend_per_m) < 1e-6:
            x0, y0 = s, 0.0
        else:
            x0, y0 = math.sin(turn) / self.bend_per_m, (1 - math.cos(turn)) / self.bend_per_m
        with self.builder.at(x0 - y * math.sin(turn), y0 + y * math.cos(turn), 0.0, math.degrees(turn) + yaw_deg):
            yield

    def segments(self) -> list[float]:
        """Middles of the pieces that surfaces are laid in; one piece when straight."""
        count = round((_AHEAD_M - _BEHIND_M) / _SEGMENT_M)
        return [_BEHIND_M + (i + 0.5) * _SEGMENT_M for i in range(count)]


def build(seed: int) -> World:
    """The road of a seed."""
    rng = random.Random(f"road/{seed}")
    b = Builder(rng)
    draw = rng.random()
    style = "city" if draw < 0.3 else "suburb" if draw < 0.6 else "country" if draw < 0.8 else "motorway"
    course = RoadCourse(b, rng.choice((0.0, 0.0, 1.0)) * rng.gauss(0, 0.003))
    lane = rng.uniform(2.9, 3.7)
    if style == "motorway":
        left, right = 1, rng.randint(1, 3)
    else:
        left, right = 1, rng.choice((1, 1, 2)) if style == "city" else 1
    # lanes with our direction lie to the right of the centre line (y < 0)
    low, high = -right * lane - 0.4, left * lane + 0.4
    if style == "motorway":
        low -= 1.8
    own = rng.randint(0, right - 1)
    eye_y = -(own + 0.5) * lane + rng.gauss(0, 0.25)

    with b.object("ground"):
        b.box((400, 0, -0.55), (1600, 1600, 1.0), street.ground(b))
    _surface(b, course, style, lane, left, right, low, high)
    for side in (-1, 1):
        _roadside(b, style, Side(course, side, high if side > 0 else -low))
    _traffic(b, course, style, lane, left, right, own)
    _far(b)
    if style in ("motorway", "city") and rng.random() < 0.15:
        with course.at(rng.uniform(25, 90), (low + high) / 2):
            street.gantry(b, high - low + 3)
    _weather(b, rng)
    b.camera = Camera((0.0, eye_y, CAMERA_HEIGHT_M + rng.gauss(0, 0.03)), rng.gauss(0, 2.0), rng.gauss(-0.3, 0.9),
                      rng.gauss(0, 0.5))
    b.main_yaw_deg = 0.0
    return b.finish(rng.getrandbits(30))


def _surface(b: Builder, course: RoadCourse, style: str, lane: float, left: int, right: int, low: float,
             high: float) -> None:
    """Carriageway, marks, kerbs and footways."""
    rng = b.rng
    asphalt = street.asphalt(b)
    wear = rng.uniform(0.35, 0.8)
    mark = Material("marking", (wear, wear, wear * 0.97), asphalt.colour, noise_period=(0.25,) * 3,
                    noise_mix=rng.uniform(0, 0.5), sharpness=3.0)
    kerb = Material("stone", (0.36, 0.35, 0.33), (0.25, 0.24, 0.23), (0.12, 0.12, 0.12), cell=(1.0, 0.0, 0.0), gap=0.03,
                    noise_period=(0.4,) * 3, noise_mix=0.6)
    straight = abs(course.bend_per_m) < 1e-6
    whole = (_AHEAD_M + 400 - _BEHIND_M, (_AHEAD_M + 400 + _BEHIND_M) / 2)
    pieces = [(whole[1], whole[0])] if straight else [(s, _SEGMENT_M * 1.12) for s in course.segments()]
    walk = street.pavement(b) if style in ("city", "suburb") else None
    walk_wide = rng.uniform(1.5, 4.0)
    with b.object("road"):
        for s, long in pieces:
            with course.at(s, 0.0):
                b.box((0, (low + high) / 2, -0.05), (long, high - low, 0.1), asphalt)
        edge_lines = style in ("motorway", "country") or rng.random() < 0.4
        solid = rng.random() < 0.2
        lines = [y for y in range(-right + 1, left) if y != 0 or style != "motorway"]
        for s, long in pieces:
            with course.at(s, 0.0):
                if edge_lines:
                    for y in (-right * lane, left * lane if style != "motorway" else 0.15):
                        b.box((0, y, 0.003), (long, 0.14, 0.006), mark)
                if solid and style != "motorway":
                    b.box((0, 0, 0.003), (long, 0.13, 0.006), mark)
        dash, gap = (6.0, 12.0) if style == "motorway" else (3.0, 6.0)
        start = _BEHIND_M + rng.random() * (dash + gap)
        if rng.random() < 0.9:
            for y in lines:
                if y == 0 and solid:
                    continue
                s = start
                while s < 110:
                    with course.at(s, y * lane):
                        b.box((0, 0, 0.003), (dash, 0.13, 0.006), mark)
                    s += dash + gap
        if style == "city" and rng.random() < 0.35:
            s = rng.uniform(10, 40)
            for step in range(int((high - low) / 1.0)):
                with course.at(s, low + 0.7 + step):
                    b.box((0, 0, 0.003), (3.0, 0.5, 0.006), mark)
        for _ in range(rng.randint(0, 4)):
            shade = rng.uniform(0.6, 1.3)
            with course.at(rng.uniform(4, 40), rng.uniform(low, high)):
                b.box((0, 0, 0.001), (rng.uniform(0.6, 8), rng.uniform(0.5, 1.5), 0.004),
                      asphalt.tinted(scaled(asphalt.colour, shade)))
    if walk is None:
        return
    with b.object("footway"):
        for s, long in pieces:
            with course.at(s, 0.0):
                for side, y in ((1, high), (-1, low)):
                    b.box((0, y + side * 0.08, 0.06), (long, 0.16, 0.14), kerb)
                    b.box((0, y + side * (0.16 + walk_wide / 2), 0.05), (long, walk_wide, 0.14), walk)


class Side:
    """One side of a road: its frames have x along the road, y away from it, whichever side it is."""

    def __init__(self, course: RoadCourse, side: int, edge: float) -> None:
        self.course, self.side, self.edge = course, side, edge

    @contextmanager
    def at(self, s: float, away: float, yaw_deg: float | None = None) -> Iterator[None]:
        """A frame at distance s along the road and `away` from the carriageway's edge; with `yaw_deg` x points along
        the road on both sides, turned by so much."""
        turn = (0.0 if self.side > 0 else 180.0) if yaw_deg is None else yaw_deg
        with self.course.at(s, self.side * (self.edge + away), turn):
            yield


def _roadside(b: Builder, style: str, side: Side) -> None:
    """Everything that stands along one side."""
    rng = b.rng
    back = rng.uniform(2.5, 5.0) if style == "city" else rng.uniform(5.0, 14.0)
    if style in ("city", "suburb"):
        _houses(b, style, side, back)
    _greenery(b, style, side, back)
    if style in ("suburb", "country") or rng.random() < 0.2:
        away, s = rng.uniform(1.8, 4.5), _BEHIND_M
        while s < 90:
            long, pick = rng.uniform(6, 22), rng.random()
            with side.at(s + long / 2, away):
                if pick < 0.3:
                    street.hedge(b, long)
                elif pick < 0.65:
                    street.fence(b, long)
            s += long + rng.uniform(0, 6)
    if style == "motorway" or (style == "country" and rng.random() < 0.4):
        rail = street.guard_rail if rng.random() < 0.65 else street.barrier
        begin = rng.uniform(-18, 40) if rng.random() < 0.5 else _BEHIND_M
        for s in side.course.segments():
            if s > begin:
                with side.at(s, 0.7):
                    rail(b, _SEGMENT_M)
    _posts(b, style, side)


def _houses(b: Builder, style: str, side: Side, back: float) -> None:
    """A row of buildings, closed in a city, with gaps in a suburb."""
    rng = b.rng
    s = _BEHIND_M
    while s < 130:
        long = rng.uniform(9, 26) if style == "city" else rng.uniform(8, 15)
        tall = rng.uniform(6, 20) if style == "city" else rng.uniform(3.5, 8)
        if rng.random() < (0.85 if style == "city" else 0.6):
            with side.at(s + long / 2, back + rng.uniform(0, 1.5)):
                street.building(b, long, rng.uniform(8, 14), tall)
        s += long + (0.0 if style == "city" and rng.random() < 0.7 else rng.uniform(1, 8))


def _greenery(b: Builder, style: str, side: Side, back: float) -> None:
    """Trees and bushes."""
    rng = b.rng
    every = {"city": 14.0, "suburb": 9.0, "country": 8.0, "motorway": 10.0}[style]
    s = _BEHIND_M if rng.random() < 0.8 else 140.0
    while s < 140:
        s += rng.expovariate(1 / every) + 1.5
        away = rng.uniform(1.5, 2.5) if style == "city" else rng.uniform(2.0, 16.0)
        if style in ("city", "suburb") and away > back - 2:
            away = rng.uniform(1.2, 2.5)
        with side.at(s, away):
            if rng.random() < 0.75:
                street.tree(b, rng.uniform(4, 13), clusters=14 if s < 50 else 7)
            else:
                street.bush(b, rng.uniform(0.6, 2.5))


def _posts(b: Builder, style: str, side: Side) -> None:
    """Lamp posts, signs, billboards, bollards, people and bins on the footway."""
    rng = b.rng
    apart = rng.uniform(18, 40)
    s = _BEHIND_M + rng.random() * apart
    while s < 130 and rng.random() < 0.95:
        with side.at(s, 0.8):
            street.lamp_post(b)
        s += apart
    for _ in range(rng.randint(0, 4)):
        with side.at(rng.uniform(6, 70), rng.uniform(0.5, 1.2), rng.gauss(0, 6)):
            street.sign(b)
    if rng.random() < 0.2:
        with side.at(rng.uniform(12, 80), rng.uniform(2, 6), rng.gauss(0, 10)):
            street.billboard(b)
    if style == "city" and rng.random() < 0.3:
        s = rng.uniform(3, 10)
        for step in range(rng.randint(2, 8)):
            with side.at(s + step * 1.8, 0.3):
                street.bollard(b)
    people = {"city": rng.randint(0, 7), "suburb": rng.randint(0, 2)}.get(style, 0)
    for _ in range(people):
        with side.at(rng.uniform(4, 50), rng.uniform(0.6, 2.2), rng.choice((0, 180)) + rng.gauss(0, 15)):
            props.pedestrian(b) if rng.random() < 0.8 else props.refuse_bin(b)


def _traffic(b: Builder, course: RoadCourse, style: str, lane: float, left: int, right: int, own: int) -> None:
    """Moving traffic in every lane, parked cars at the sides, cyclists, someone crossing."""
    rng = b.rng
    density = rng.uniform(0.15, 1.0)

    def one() -> Callable[[Builder], None]:
        pick = rng.random()
        if style == "motorway":
            return props.car if pick < 0.7 else props.van if pick < 0.82 else props.lorry
        if pick < 0.92:
            return props.car if pick < 0.8 else props.van
        return props.bus if pick < 0.96 else props.lorry

    for number in range(-right, left):
        ahead = number < 0
        s = rng.uniform(9, 30) if number == -own - 1 else rng.uniform(-5, 25)
        while s < 130:
            if rng.random() < density * 0.8:
                with course.at(s, (number + 0.5) * lane + rng.gauss(0, 0.2), (0.0 if ahead else 180.0)
                               + rng.gauss(0, 1.5)):
                    one()(b)
            s += rng.uniform(12, 40)
    if style in ("city", "suburb"):
        for side, edge in ((1, left * lane), (-1, -right * lane)):
            if rng.random() < 0.35:
                continue
            s, filled = rng.uniform(-8, 4), rng.uniform(0.3, 0.95)
            # half on the footway, out of the way of our own lane
            y = edge + side * rng.uniform(0.5, 1.1)
            while s < 80:
                if rng.random() < filled:
                    with course.at(s, y, (0.0 if side < 0 or rng.random() < 0.3 else 180.0) + rng.gauss(0, 2)):
                        (props.car if rng.random() < 0.85 else props.van if rng.random() < 0.8
                         else props.trailer)(b)
                s += rng.uniform(5.6, 7.5)
    for _ in range(rng.choice((0, 0, 1, 2)) if style in ("city", "suburb") else 0):
        with course.at(rng.uniform(7, 40), -right * lane + rng.uniform(0.4, 1.0), rng.gauss(0, 4)):
            props.cyclist(b)
    if style == "city" and rng.random() < 0.25:
        with course.at(rng.uniform(9, 35), rng.uniform(-right, left) * lane, rng.choice((90, -90)) + rng.gauss(0, 15)):
            props.pedestrian(b)


def _far(b: Builder) -> None:
    """Hills, woods and blocks at the horizon, so that a road seldom ends in bare sky."""
    rng = b.rng
    for _ in range(rng.randint(2, 7)):
        with b.object("hill"):
            wood = street.ground(b) if rng.random() < 0.4 else Material(
                "leaf", (0.06, 0.09, 0.03), (0.015, 0.03, 0.01), noise_period=(9.0,) * 3, noise_mix=1.0, sharpness=2.0,
                bump=0.5)
            wide = rng.uniform(250, 800)
            b.add(BALL, (rng.uniform(550, 1000), rng.uniform(-600, 600), -8.0),
                  (wide, wide * rng.uniform(0.5, 1.0), rng.uniform(20, 75)), wood, casts=False)
    for _ in range(rng.randint(0, 14)):
        with b.at(rng.uniform(130, 220), rng.uniform(-110, 110)):
            street.tree(b, rng.uniform(6, 14), 4)
    for _ in range(rng.randint(0, 5)):
        side = rng.choice((-1, 1))
        with b.at(rng.uniform(110, 240), side * rng.uniform(25, 110), 0.0, rng.uniform(-30, 30)):
            street.building(b, rng.uniform(12, 40), rng.uniform(10, 20), rng.uniform(6, 30))


def _weather(b: Builder, rng: random.Random) -> None:
    """Sun or overcast, sky, haze, sensor."""
    overcast = rng.random() < 0.25
    azimuth, height = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(18, 65))
    sun = (math.cos(height) * math.cos(azimuth), math.cos(height) * math.sin(azimuth), math.sin(height))
    warm = rng.uniform(0.0, 0.25)
    strength = rng.uniform(0.1, 0.35) if overcast else rng.uniform(1.6, 3.2)
    sky = (1.6, 1.65, 1.7) if overcast or rng.random() < 0.45 else (
        rng.uniform(0.6, 0.95), rng.uniform(0.85, 1.1), rng.uniform(1.15, 1.45))
    ambient = rng.uniform(0.22, 0.45)
    cast = rng.gauss(0, 0.035)
    b.lighting = Lighting(
        light=(*sun, 0.0), light_colour=(strength, strength * (1 - 0.4 * warm), strength * (1 - 0.9 * warm)),
        ambient=(ambient * 0.9, ambient, ambient * 1.15), sky=sky, clouds=rng.choice((0.0, rng.uniform(0.2, 1.0))),
        haze_per_m=math.exp(rng.uniform(math.log(0.0004), math.log(0.003))),
        brightness=math.exp(rng.gauss(math.log(0.165), 0.35)),
        white_balance=(math.exp(cast), 1.0, math.exp(-cast)), contrast=rng.uniform(1.3, 1.9),
        saturation=rng.uniform(0.8, 1.4), noise=rng.uniform(0.003, 0.02), vignette=rng.uniform(0.0, 0.3),
        blur=rng.uniform(0.0, 0.06))
