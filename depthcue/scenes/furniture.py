"""Furniture and clutter as compositions of primitives.

Every builder draws in the current frame of the Builder: x along the piece's width (centred), y from its back (0) to its
front, z up from the floor. Sizes in metres.
"""

from depthcue.scenes import clutter
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
                b.box((side * (width / 2 - 0.03), depth / 2, (height - thick) / 2),
                      (0.03, depth * 0.94, height - thick), legs)
        else:
            leg = rng.uniform(0.03, 0.07)
            shape = CYLINDER if rng.random() < 0.3 else None
            for side in (-1, 1):
                for y in (leg, depth - leg):
                    centre, size = (side * (width / 2 - leg), y, (height - thick) / 2), (leg, leg, height - thick)
                    if shape:
                        b.add(shape, centre, size, legs)
                    else:
                        b.box(centre, size, legs)
            if rng.random() < 0.6:
                b.box((0, depth / 2, height - thick - 0.04), (width - 2 * leg, depth - 2 * leg, 0.08), wood)
        if rng.random() < 0.2:
            b.box((0, depth / 2, height * 0.25), (width * 0.9, depth * 0.85, 0.02), wood)
        clutter.clutter_on(b, f, width * 0.9, depth * 0.85, depth / 2, height, rng.randint(2, 8))


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
            clutter.clutter_on(b, f, width * 0.7, length * 0.4, length * 0.65, height + 0.02, rng.randint(1, 3))


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
            clutter.books_on(b, f, width - 0.06, depth, z + 0.012, gap - 0.05, goods)
        clutter.clutter_on(b, f, width * 0.9, depth * 0.8, depth / 2, height, rng.randint(0, 5))


def cabinet(b: Builder, f: Finish, width: float, depth: float, height: float, name: str = "cabinet",
            things_on_top: bool = True) -> None:
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
        if things_on_top and height < 1.6:
            clutter.clutter_on(b, f, width * 0.9, depth * 0.8, depth / 2, height + 0.02, rng.randint(1, 6))
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
    cabinet(b, f, width, 0.42, height, "nightstand", things_on_top=False)
    if rng.random() < 0.75:
        with b.at(rng.uniform(-0.1, 0.1), 0.2, height + 0.02):
            table_lamp(b, f)
    clutter.clutter_on(b, f, width * 0.8, 0.3, 0.22, height + 0.02, rng.randint(0, 2))


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
            cabinet(b, f, 0.42, depth - 0.12, height - 0.06, "drawers", things_on_top=False)
    if rng.random() < 0.75:
        with b.at(rng.uniform(-0.25, 0.25) * width, depth * 0.35, height, rng.uniform(-20, 20)):
            monitor(b, f, rng.uniform(0.38, 0.6))
            with b.object("keyboard"):
                b.box((0, 0.3, 0.012), (0.42, 0.15, 0.022), f.dark() if rng.random() < 0.6 else f.lacquer())
    if rng.random() < 0.4:
        books_at = rng.choice((-1, 1)) * width * 0.35
        with b.at(books_at, 0, height), b.object("books"):
            clutter.books_on(b, f, 0.35, 0.25, 0.0, 0.3)
    if rng.random() < 0.85:
        with b.at(rng.uniform(-0.3, 0.3), depth + rng.uniform(0.25, 0.6), 0, 180 + rng.uniform(-60, 60)):
            office_chair(b, f) if rng.random() < 0.6 else chair(b, f)


def television(b: Builder, f: Finish, width: float) -> None:
    """A low stand and a television on it."""
    rng = b.rng
    height = rng.uniform(0.4, 0.65)
    cabinet(b, f, width, 0.45, height, "tv stand", things_on_top=False)
    with b.at(rng.uniform(-0.1, 0.1), 0.22, height + 0.02):
        monitor(b, f, min(width * 0.85, rng.uniform(0.6, 1.15)))
    clutter.clutter_on(b, f, width * 0.95, 0.3, 0.3, height + 0.02, rng.randint(0, 3))
