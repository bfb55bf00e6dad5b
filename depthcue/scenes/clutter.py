"""Clutter of rooms: small things on surfaces and shelves (cups, bottles, boxes, books), bags and plants on the floor.

Every builder draws in the current frame of the Builder, in metres: x right, y to the front, z up, the origin where the
thing stands.
"""

from depthcue.scenes.finish import Finish
from depthcue.scenes.world import BALL, CUSHION, CYLINDER, Builder, frustum


def clutter_on(b: Builder, f: Finish, width: float, depth: float, y: float, z: float, count: int) -> None:
    """Small things standing on a surface of the given size centred at (0, y, z)."""
    for _ in range(count):
        with b.at(b.rng.uniform(-0.46, 0.46) * width, y + b.rng.uniform(-0.42, 0.42) * depth, z,
                  b.rng.uniform(-40, 40)):
            small_thing(b, f, 0.4)


def small_thing(b: Builder, f: Finish, room: float) -> None:
    """One cup, bottle, box, stack, bowl, vase, laptop, picture or ball, no taller than `room`."""
    rng = b.rng
    pick = rng.random()
    if pick < 0.15:
        with b.object("cup"):
            size = rng.uniform(0.06, 0.1)
            b.add(CYLINDER, (0, 0, size * 0.6), (size, size, size * 1.2), f.ceramic())
    elif pick < 0.3:
        with b.object("bottle"):
            tall, wide = min(room, rng.uniform(0.15, 0.33)), rng.uniform(0.05, 0.09)
            glass = f.bottle()
            b.add(CYLINDER, (0, 0, tall * 0.35), (wide, wide, tall * 0.7), glass)
            b.add(frustum(0.35), (0, 0, tall * 0.78), (wide, wide, tall * 0.18), glass)
            b.add(CYLINDER, (0, 0, tall * 0.9), (wide * 0.4, wide * 0.4, tall * 0.2), f.bright())
    elif pick < 0.55:
        with b.object("box"):
            w, d, h = rng.uniform(0.07, 0.34), rng.uniform(0.05, 0.25), min(room, rng.uniform(0.05, 0.28))
            b.box((0, 0, h / 2), (w, d, h), f.package())
    elif pick < 0.7:
        with b.object("books"):
            z = 0.0
            for _ in range(rng.randint(1, 4)):
                thick = rng.uniform(0.015, 0.05)
                b.box((rng.uniform(-0.02, 0.02), 0, z + thick / 2),
                      (rng.uniform(0.15, 0.3), rng.uniform(0.13, 0.22), thick), f.bright(),
                      yaw_deg=rng.uniform(-15, 15))
                z += thick
    elif pick < 0.78:
        with b.object("paper"):
            b.box((0, 0, 0.003), (0.21, 0.3, 0.006), f.paper())
    elif pick < 0.85:
        with b.object("bowl"):
            size = rng.uniform(0.12, 0.3)
            b.add(frustum(1.0, 0.5), (0, 0, size * 0.2), (size, size, size * 0.4), f.ceramic())
            for _ in range(rng.randint(0, 3)):
                b.add(BALL, (rng.uniform(-0.3, 0.3) * size, rng.uniform(-0.3, 0.3) * size, size * 0.4), (0.08,) * 3,
                      f.bright())
    elif pick < 0.92:
        with b.object("laptop" if room > 0.25 else "box"):
            dark = f.dark() if rng.random() < 0.6 else f.metal()
            b.box((0, 0, 0.012), (0.34, 0.23, 0.022), dark)
            if room > 0.25:
                b.box((0, -0.13, 0.13), (0.34, 0.012, 0.23), dark, tilt_deg=-12)
                b.box((0, -0.12, 0.13), (0.31, 0.008, 0.2), f.screen(), tilt_deg=-12)
    elif pick < 0.97:
        plant(b, f, min(room, rng.uniform(0.2, 0.45)))
    else:
        with b.object("ball"):
            size = rng.uniform(0.06, 0.2)
            b.add(BALL, (0, 0, size / 2), (size,) * 3, f.bright())


def floor_thing(b: Builder, f: Finish) -> None:
    """One carton, bag, basket, stool, suitcase, ball or heap of clothes on the floor."""
    rng = b.rng
    pick = rng.random()
    if pick < 0.3:
        with b.object("carton"):
            w, d, h = rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.5), rng.uniform(0.15, 0.5)
            b.box((0, 0, h / 2), (w, d, h), f.carton() if rng.random() < 0.5 else f.package())
            if rng.random() < 0.4:
                b.box((0, 0, h * 1.3), (w * 0.8, d * 0.8, h * 0.6), f.package(), yaw_deg=rng.uniform(-20, 20))
    elif pick < 0.45:
        with b.object("bag"):
            b.add(CUSHION, (0, 0, 0.17), (rng.uniform(0.3, 0.45), rng.uniform(0.18, 0.3), rng.uniform(0.28, 0.45)),
                  f.fabric())
    elif pick < 0.6:
        with b.object("bin"):
            tall = rng.uniform(0.25, 0.6)
            b.add(frustum(1.0, 0.78), (0, 0, tall / 2), (tall * 0.85, tall * 0.85, tall), f.plastic())
    elif pick < 0.72:
        with b.object("stool"):
            tall, wide, wood = rng.uniform(0.4, 0.7), rng.uniform(0.3, 0.4), f.wood()
            b.add(CYLINDER, (0, 0, tall - 0.02), (wide, wide, 0.05), f.fabric() if rng.random() < 0.4 else wood)
            for x, y in ((-1, -1), (1, -1), (-1, 1), (1, 1)):
                b.box((x * wide * 0.32, y * wide * 0.32, tall / 2), (0.03, 0.03, tall), wood)
    elif pick < 0.85:
        with b.object("clothes"):
            for _ in range(rng.randint(2, 5)):
                size = rng.uniform(0.2, 0.45)
                b.add(BALL, (rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), 0.04),
                      (size, size * 0.7, rng.uniform(0.1, 0.3)), f.fabric(), yaw_deg=rng.uniform(0, 180))
    elif pick < 0.93:
        with b.object("ottoman"):
            b.add(CUSHION, (0, 0, 0.22), (rng.uniform(0.45, 0.9), rng.uniform(0.4, 0.6), 0.44), f.fabric())
    else:
        with b.object("ball"):
            size = rng.uniform(0.15, 0.6)
            b.add(BALL, (0, 0, size / 2), (size,) * 3, f.bright())


def books_on(b: Builder, f: Finish, width: float, depth: float, z: float, room: float, goods: bool = False) -> None:
    """Runs of books, or of packages, and perhaps an object beside them."""
    rng = b.rng
    left = -width / 2
    for _ in range(rng.randint(1, 3)):
        run = rng.uniform(0.2, 0.7) * width
        if left + run > width / 2:
            run = width / 2 - left
        if run < 0.08:
            break
        tall = min(room, rng.uniform(0.17, 0.32))
        deep = min(depth * 0.95, rng.uniform(0.14, 0.26))
        b.box((left + run / 2, deep / 2 + 0.02, z + tall / 2), (run, deep, tall),
              f.package() if goods and rng.random() < 0.8 else f.books())
        left += run + rng.choice((0.0, 0.03, 0.12))
        if rng.random() < 0.25 and left + 0.2 < width / 2:
            with b.at(left + 0.08, depth / 2, z):
                small_thing(b, f, min(room, 0.25))
            left += 0.18


def plant(b: Builder, f: Finish, height: float) -> None:
    """A pot and a crown of leaves."""
    rng = b.rng
    leaf, pot = f.leaf(), height * rng.uniform(0.25, 0.4)
    with b.object("plant"):
        b.add(frustum(1.0, 0.7), (0, 0, pot / 2), (pot * 0.9, pot * 0.9, pot), f.ceramic())
        for _ in range(rng.randint(4, 8)):
            size = height * rng.uniform(0.2, 0.42)
            b.add(BALL, (rng.uniform(-0.22, 0.22) * height, rng.uniform(-0.22, 0.22) * height,
                         pot + rng.uniform(0.15, 0.55) * height), (size * 0.55, size * 1.1, size * 0.35), leaf,
                  yaw_deg=rng.uniform(0, 180), tilt_deg=rng.uniform(-60, 60))
