"""Furniture and clutter as compositions of primitives.

Every builder draws in the current frame of the Builder: x along the piece's width (centred), y from its back (0) to its
front, z up from the floor. Sizes in metres.
"""

from depthcue.scenes.finish import Finish
from depthcue.scenes.materials import Material
from depthcue.scenes.world import BALL, CUSHION, CYLINDER, CYLINDER_Y, Builder, frustum

SHADE = frustum(0.6)
TAPER = frustum(0.75)


def table(b: Builder, f: Finish, width: float, depth: float, height: float, name: str = "table") -> None:
    """Top, four legs or two side panels, sometimes an apron or a shelf."""
    rng = b.rng
    wood = f.wood() if rng.random() < 0.75 else f.lacquer()
    legs = wood if rng.random() < 0.7 else f.metal()
    with b.object(name):
        thick = rng.uniform(0.02, 0.05)
        round_top = name == "table" and rng.random() < 0.12
        if round_top:
            b.add(CYLINDER, (0, depth / 2, height - thick / 2), (width, depth, thick), wood)
            b.add(CYLINDER, (0, depth / 2, height / 2 - thick), (0.09, 0.09, height - thick), legs)
            b.add(frustum(0.2), (0, depth / 2, 0.04), (width * 0.5, depth * 0.5, 0.08), legs)
            return
        b.box((0, depth / 2, height - thick / 2), (width, depth, thick), wood)
        if rng.random() < 0.25:
            for side in (-1, 1):
                b.box((side * (width / 2 - 0.03), depth / 2, (height - thick) / 2), (0.03, depth * 0.94, height - thick),
                      legs)
        else:
            leg = rng.uniform(0.03, 0.07)
            shape = CYLINDER if rng.random() < 0.3 else None
            for side in (-1, 1):
                for y in (leg, depth - leg):
                    place, size = (side * (width / 2 - leg), y, (height - thick) / 2), (leg, leg, height - thick)
                    if shape:
                        b.add(shape, place, size, legs)
                    else:
                        b.box(place, size, legs)
            if rng.random() < 0.6:
                b.box((0, depth / 2, height - thick - 0.04), (width - 2 * leg, depth - 2 * leg, 0.08), wood)
        if rng.random() < 0.2:
            b.box((0, depth / 2, height * 0.25), (width * 0.9, depth * 0.85, 0.02), wood)
        clutter_on(b, f, width * 0.9, depth * 0.85, depth / 2, height, rng.randint(1, 5))


def chair(b: Builder, f: Finish) -> None:
    """A dining chair, its back at y = 0."""
    rng = b.rng
    frame = f.wood() if rng.random() < 0.65 else f.metal()
    seat = f.fabric() if rng.random() < 0.5 else frame
    width, depth = rng.uniform(0.38, 0.5), rng.uniform(0.4, 0.5)
    seat_height, height = rng.uniform(0.42, 0.48), rng.uniform(0.78, 1.05)
    post = rng.uniform(0.025, 0.045)
    with b.object("chair"):
        b.add(CUSHION if seat is not frame else (0.55, 0.55, 0.1, 0.0, -1.0), (0, depth / 2, seat_height - 0.02),
              (width, depth, 0.05), seat)
        for side in (-1, 1):
            x = side * (width / 2 - post / 2)
            b.box((x, depth - post, seat_height / 2), (post, post, seat_height), frame)
            b.box((x, post / 2, height / 2), (post, post, height), frame)
        style = rng.random()
        if style < 0.4:
            b.box((0, post / 2, (height + seat_height) / 2 + 0.05), (width, 0.03, (height - seat_height) * 0.75), seat)
        elif style < 0.7:
            b.box((0, post / 2, height - 0.06), (width, 0.03, 0.1), frame)
            for step in range(3):
                b.box(((step - 1) * width * 0.25, post / 2, (height + seat_height) / 2),
                      (0.03, 0.02, height - seat_height), frame)
        else:
            for step in range(3):
                b.box((0, post / 2, height - 0.05 - step * 0.14), (width, 0.02, 0.06), frame)
        if rng.random() < 0.3:
            for side in (-1, 1):
                b.box((side * width / 2, depth * 0.5, seat_height + 0.2), (0.04, depth * 0.9, 0.03), frame)


def office_chair(b: Builder, f: Finish) -> None:
    """Star foot, column, padded seat and back."""
    rng = b.rng
    pad = f.dark() if rng.random() < 0.7 else f.fabric()
    metal = f.dark() if rng.random() < 0.5 else f.metal()
    with b.object("office chair"):
        for turn in range(3):
            b.box((0, 0.25, 0.06), (0.58, 0.05, 0.05), metal, yaw_deg=turn * 60 + 10)
        b.add(CYLINDER, (0, 0.25, 0.26), (0.06, 0.06, 0.36), metal)
        b.add(CUSHION, (0, 0.25, 0.47), (0.5, 0.48, 0.11), pad)
        b.add(CUSHION, (0, 0.02, rng.uniform(0.74, 0.85)), (0.46, 0.09, rng.uniform(0.4, 0.6)), pad, tilt_deg=-6)
        if rng.random() < 0.6:
            for side in (-1, 1):
                b.box((side * 0.27, 0.24, 0.66), (0.05, 0.27, 0.03), metal)
                b.box((side * 0.27, 0.22, 0.56), (0.03, 0.05, 0.2), metal)


def bed(b: Builder, f: Finish, width: float) -> None:
    """Frame, mattress, cover, pillows, headboard; the head at y = 0."""
    rng = b.rng
    length, height = rng.uniform(1.9, 2.1), rng.uniform(0.42, 0.68)
    wood, cover = f.wood(), f.bedding()
    with b.object("bed"):
        b.box((0, length / 2, height * 0.27), (width, length, height * 0.54), wood if rng.random() < 0.6 else cover)
        b.add((0.42, 0.42, 0.3, 0.0, -1.0), (0, length / 2, height * 0.72), (width * 1.02, length, height * 0.56),
              f.linen())
        share = rng.uniform(0.55, 0.85)
        b.add((0.42, 0.36, 0.36, 0.0, -1.0), (0, length * (1 - share / 2) + 0.02, height * 0.7),
              (width * 1.07, length * share + 0.04, height * 0.68), cover)
        if rng.random() < 0.35:
            b.add(CUSHION, (rng.uniform(-0.2, 0.2), length * 0.85, height * 0.95), (width * 0.9, 0.5, 0.2), f.bedding(),
                  yaw_deg=rng.uniform(-25, 25))
        style = rng.random()
        if style < 0.55:
            b.box((0, -0.02, rng.uniform(0.45, 0.6)), (width * 1.05, 0.06, rng.uniform(0.9, 1.2)),
                  wood if rng.random() < 0.7 else f.fabric())
        elif style < 0.75:
            bars = 6
            for step in range(bars):
                b.box((width * (step / (bars - 1) - 0.5), 0, 0.5), (0.03, 0.03, 1.0), wood)
            b.box((0, 0, 1.0), (width, 0.05, 0.07), wood)
        if rng.random() < 0.3:
            b.box((0, length + 0.04, height * 0.55), (width * 1.03, 0.05, height * 1.1), wood)
        pillows = 1 if width < 1.2 else 2
        for row in range(rng.randint(1, 2)):
            cloth = f.linen() if row == 0 else f.bedding()
            for step in range(pillows):
                x = (step - (pillows - 1) / 2) * width * 0.48 + rng.uniform(-0.04, 0.04)
                b.add(CUSHION, (x, 0.2 + row * 0.2, height + 0.09), (min(0.62, width * 0.46) - row * 0.08, 0.38, 0.18),
                      cloth, yaw_deg=rng.uniform(-8, 8), tilt_deg=-rng.uniform(15, 55))
        if rng.random() < 0.3:
            clutter_on(b, f, width * 0.7, length * 0.4, length * 0.65, height + 0.02, rng.randint(1, 3))


def sofa(b: Builder, f: Finish, width: float) -> None:
    """Base, seat cushions, back cushions, arms; an armchair when narrow."""
    rng = b.rng
    cloth = f.leather() if rng.random() < 0.3 else f.fabric()
    depth, seat, back = rng.uniform(0.8, 0.95), rng.uniform(0.38, 0.46), rng.uniform(0.72, 0.95)
    arm, arm_height = rng.uniform(0.1, 0.24), rng.uniform(0.54, 0.68)
    soft = (0.4, 0.45, 0.4, 0.0, -1.0)
    with b.object("sofa" if width > 1.2 else "armchair"):
        b.box((0, depth / 2, seat * 0.35 + 0.03), (width - 0.02, depth, seat * 0.6), cloth)
        count = max(1, round((width - 2 * arm) / 0.7))
        each = (width - 2 * arm) / count
        for step in range(count):
            x = (step - (count - 1) / 2) * each
            b.add(soft, (x, depth * 0.58, seat * 0.88), (each * 0.99, depth * 0.8, seat * 0.4), cloth)
            b.add(soft, (x, depth * 0.2, (seat + back) / 2 + 0.02), (each * 0.99, 0.24, back - seat + 0.06), cloth,
                  tilt_deg=-10)
        b.box((0, 0.07, back * 0.46), (width * 0.99, 0.14, back * 0.9), cloth)
        for side in (-1, 1):
            if rng.random() < 0.3:
                b.add(CYLINDER_Y, (side * (width / 2 - arm / 2), depth * 0.5, arm_height - arm * 0.3),
                      (arm * 1.2, depth, arm * 1.1), cloth)
            b.add(soft, (side * (width / 2 - arm / 2), depth * 0.5, arm_height / 2), (arm, depth * 1.02, arm_height),
                  cloth)
        for _ in range(rng.randint(0, count)):
            b.add(CUSHION, (rng.uniform(-0.4, 0.4) * (width - 2 * arm), depth * 0.42, seat + 0.22), (0.42, 0.16, 0.4),
                  f.bedding(), yaw_deg=rng.uniform(-25, 25), tilt_deg=-rng.uniform(10, 30))


def bookshelf(b: Builder, f: Finish, width: float, height: float, goods: bool = False) -> None:
    """Sides, back, boards; books, or goods, and things between them."""
    rng = b.rng
    depth = rng.uniform(0.25, 0.4)
    wood = f.wood() if rng.random() < 0.7 else f.lacquer()
    levels = max(2, round(height / rng.uniform(0.3, 0.42)))
    gap = height / levels
    with b.object("shelf"):
        for side in (-1, 1):
            b.box((side * (width / 2 - 0.012), depth / 2, height / 2), (0.025, depth, height), wood)
        if rng.random() < 0.75:
            b.box((0, 0.01, height / 2), (width, 0.02, height), wood)
        for level in range(levels + 1):
            z = min(level * gap + 0.04, height - 0.012)
            b.box((0, depth / 2, z), (width, depth * 0.98, 0.025), wood)
            if level == levels or rng.random() < 0.12:
                continue
            books_on(b, f, width - 0.06, depth, z + 0.012, gap - 0.05, goods)
        clutter_on(b, f, width * 0.9, depth * 0.8, depth / 2, height, rng.randint(0, 3))


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


def cabinet(b: Builder, f: Finish, width: float, depth: float, height: float, name: str = "cabinet",
            clutter: bool = True) -> None:
    """A body with doors or drawers, knobs, and things on top."""
    rng = b.rng
    wood = f.wood() if rng.random() < 0.7 else f.lacquer()
    across = max(1, round(width / rng.uniform(0.4, 0.7)))
    up = max(1, round(height / rng.uniform(0.2, 0.3))) if rng.random() < 0.55 else 1
    knob = f.metal()
    with b.object(name):
        foot = rng.choice((0.0, 0.0, 0.06, 0.12))
        b.box((0, depth / 2, (height + foot) / 2), (width, depth, height - foot), wood)
        if foot > 0.08:
            for side in (-1, 1):
                b.box((side * (width / 2 - 0.04), depth - 0.05, foot / 2), (0.05, 0.05, foot), wood)
        b.box((0, depth / 2, height + 0.01), (width * 1.03, depth * 1.04, 0.025), wood)
        doors(b, wood, knob, width, depth, foot + 0.02, height - 0.02, across, up)
        if clutter and height < 1.6:
            clutter_on(b, f, width * 0.9, depth * 0.8, depth / 2, height + 0.02, rng.randint(1, 4))
            if rng.random() < 0.3:
                with b.at(rng.uniform(-0.25, 0.25) * width, depth / 2, height + 0.02):
                    table_lamp(b, f)


def doors(b: Builder, wood: Material, knob: Material, width: float, y: float, bottom: float, top: float, across: int,
          up: int) -> None:
    """Fronts on the plane y with joints between them and a knob or bar each."""
    rng = b.rng
    each, tall = width / across, (top - bottom) / up
    bar = rng.random() < 0.5
    for row in range(up):
        for column in range(across):
            x, z = (column - (across - 1) / 2) * each, bottom + (row + 0.5) * tall
            b.box((x, y + 0.008, z), (each - 0.015, 0.022, tall - 0.015), wood)
            if across * up > 8:
                continue
            if up > 1:
                b.box((x, y + 0.03, z), (min(0.14, each * 0.4) if bar else 0.03, 0.025, 0.02), knob)
            else:
                side = 1 if column % 2 == 0 else -1
                b.box((x + side * (each / 2 - 0.05), y + 0.03, z + (0.3 * tall if top < 1 else 0)),
                      (0.018, 0.025, 0.12 if bar else 0.03), knob)


def nightstand(b: Builder, f: Finish) -> None:
    """A small cabinet, mostly with a lamp."""
    rng = b.rng
    width, height = rng.uniform(0.4, 0.6), rng.uniform(0.45, 0.7)
    cabinet(b, f, width, 0.42, height, "nightstand", clutter=False)
    if rng.random() < 0.75:
        with b.at(rng.uniform(-0.1, 0.1), 0.2, height + 0.02):
            table_lamp(b, f)
    clutter_on(b, f, width * 0.8, 0.3, 0.22, height + 0.02, rng.randint(0, 2))


def table_lamp(b: Builder, f: Finish) -> None:
    """A foot and a shade that may be lit."""
    rng = b.rng
    tall, wide = rng.uniform(0.18, 0.36), rng.uniform(0.2, 0.38)
    with b.object("lamp"):
        b.add(rng.choice((CYLINDER, BALL, TAPER)), (0, 0, tall / 2), (wide * 0.45, wide * 0.45, tall), f.ceramic())
        b.add(CYLINDER, (0, 0, tall + 0.03), (0.02, 0.02, 0.1), f.metal())
        b.add(SHADE, (0, 0, tall + 0.06 + wide * 0.35), (wide, wide, wide * 0.7), f.lampshade())


def floor_lamp(b: Builder, f: Finish) -> None:
    """Foot plate, pole, shade."""
    rng = b.rng
    tall = rng.uniform(1.35, 1.75)
    with b.object("floor lamp"):
        b.add(CYLINDER, (0, 0, 0.015), (0.28, 0.28, 0.03), f.dark())
        b.add(CYLINDER, (0, 0, tall / 2), (0.03, 0.03, tall), f.metal())
        shape = SHADE if rng.random() < 0.7 else frustum(1.0, 0.35)
        b.add(shape, (0, 0, tall + 0.1), (0.38, 0.38, 0.28), f.lampshade())


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


def monitor(b: Builder, f: Finish, width: float) -> None:
    """A screen on a foot, facing +y."""
    rng = b.rng
    tall = width * rng.uniform(0.58, 0.78)
    with b.object("screen"):
        b.box((0, 0, 0.01), (width * 0.4, 0.18, 0.02), f.dark())
        b.box((0, -0.03, 0.1), (0.06, 0.03, 0.2), f.dark())
        deep = rng.choice((0.03, 0.05, 0.32))
        b.box((0, -deep / 2 + 0.02, 0.1 + tall / 2), (width, deep, tall), f.dark())
        b.box((0, 0.023, 0.1 + tall / 2), (width * 0.93, 0.006, tall * 0.9), f.screen())


def desk(b: Builder, f: Finish, width: float) -> None:
    """A work table with a screen, papers, drawers under it and a chair before it."""
    rng = b.rng
    depth, height = rng.uniform(0.6, 0.8), rng.uniform(0.7, 0.78)
    table(b, f, width, depth, height, "desk")
    if rng.random() < 0.6:
        with b.at(rng.choice((-1, 1)) * (width / 2 - 0.27), 0.05):
            cabinet(b, f, 0.42, depth - 0.12, height - 0.06, "drawers", clutter=False)
    if rng.random() < 0.75:
        with b.at(rng.uniform(-0.25, 0.25) * width, depth * 0.35, height, rng.uniform(-20, 20)):
            monitor(b, f, rng.uniform(0.38, 0.6))
            with b.object("keyboard"):
                b.box((0, 0.3, 0.012), (0.42, 0.15, 0.022), f.dark() if rng.random() < 0.6 else f.lacquer())
    if rng.random() < 0.4:
        books_at = rng.choice((-1, 1)) * width * 0.35
        with b.at(books_at, 0, height), b.object("books"):
            books_on(b, f, 0.35, 0.25, 0.0, 0.3)
    if rng.random() < 0.85:
        with b.at(rng.uniform(-0.3, 0.3), depth + rng.uniform(0.25, 0.6), 0, 180 + rng.uniform(-60, 60)):
            office_chair(b, f) if rng.random() < 0.6 else chair(b, f)


def television(b: Builder, f: Finish, width: float) -> None:
    """A low stand and a television on it."""
    rng = b.rng
    height = rng.uniform(0.4, 0.65)
    cabinet(b, f, width, 0.45, height, "tv stand", clutter=False)
    with b.at(rng.uniform(-0.1, 0.1), 0.22, height + 0.02):
        monitor(b, f, min(width * 0.85, rng.uniform(0.6, 1.15)))
    clutter_on(b, f, width * 0.95, 0.3, 0.3, height + 0.02, rng.randint(0, 3))


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
                b.box((rng.uniform(-0.02, 0.02), 0, z + thick / 2), (rng.uniform(0.15, 0.3), rng.uniform(0.13, 0.22),
                                                                      thick), f.bright(), yaw_deg=rng.uniform(-15, 15))
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
                b.add(BALL, (rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), 0.04), (size, size * 0.7,
                                                                                    rng.uniform(0.1, 0.3)),
                      f.fabric(), yaw_deg=rng.uniform(0, 180))
    elif pick < 0.93:
        with b.object("ottoman"):
            b.add(CUSHION, (0, 0, 0.22), (rng.uniform(0.45, 0.9), rng.uniform(0.4, 0.6), 0.44), f.fabric())
    else:
        with b.object("ball"):
            size = rng.uniform(0.15, 0.6)
            b.add(BALL, (0, 0, size / 2), (size,) * 3, f.bright())
