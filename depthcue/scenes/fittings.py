"""Fittings of a house: walls with doorways, windows, doors, pictures, kitchen runs, bathroom fittings, lamps.

A wall's frame has its origin at the wall's left end seen from outside the room, x along the wall, y into the room.
"""

from depthcue.scenes import clutter, furniture
from depthcue.scenes.finish import Finish
from depthcue.scenes.materials import Material
from depthcue.scenes.world import CUSHION, CYLINDER, CYLINDER_X, CYLINDER_Y, Builder, frustum


def wall(b: Builder, f: Finish, span: float, height: float, material: Material, doorway: bool) -> None:
    """A wall of length `span` with its skirting, perhaps with an open doorway into another room or hall."""
    rng = b.rng
    thick = 0.14
    with b.object("wall"):
        if doorway and span > 1.6:
            wide, tall = rng.uniform(0.8, 1.6), rng.uniform(1.98, 2.15)
            left = rng.uniform(0.15, span - wide - 0.15)
            b.box((left / 2, -thick / 2, height / 2), (left, thick, height), material)
            right = span - left - wide
            b.box((span - right / 2, -thick / 2, height / 2), (right, thick, height), material)
            b.box((left + wide / 2, -thick / 2, (height + tall) / 2), (wide, thick, height - tall), material)
            trim = f.lacquer()
            for x in (left, left + wide):
                b.box((x, -thick / 2, tall / 2), (0.08, thick + 0.03, tall), trim)
            b.box((left + wide / 2, -thick / 2, tall), (wide + 0.08, thick + 0.03, 0.08), trim)
            beyond(b, f, left + wide / 2, height, material)
            if rng.random() < 0.5:
                with b.at(left, -0.02, 0.0, rng.uniform(60, 110)):
                    door_leaf(b, f, wide, tall)
        else:
            b.box((span / 2, -thick / 2, height / 2), (span + 0.2, thick, height), material)
        if rng.random() < 0.6 and not doorway:
            b.box((span / 2, 0.006, 0.05), (span, 0.014, rng.uniform(0.06, 0.14)), f.lacquer())


def beyond(b: Builder, f: Finish, x: float, height: float, material: Material) -> None:
    """The hall or room behind a doorway: far wall, sides, something standing there."""
    rng = b.rng
    deep, half = rng.uniform(1.0, 4.5), rng.uniform(0.9, 2.5)
    other = f.wall() if rng.random() < 0.5 else material
    with b.object("wall"):
        b.box((x, -deep - 0.2, height / 2), (2 * half + 0.2, 0.1, height), other)
        for side in (-1, 1):
            b.box((x + side * half, -deep / 2 - 0.14, height / 2), (0.1, deep, height), other)
    with b.at(x + rng.uniform(-0.4, 0.4) * half, -deep - 0.1):
        if rng.random() < 0.6:
            furniture.cabinet(b, f, 0.8, 0.45, rng.uniform(0.7, 1.9))
        else:
            wall_fixture(b, f, 1.0, 0.5, height, 1.0)


def door_leaf(b: Builder, f: Finish, wide: float, tall: float) -> None:
    """A door hinged at the origin, lying along x."""
    material = f.lacquer() if b.rng.random() < 0.6 else f.wood()
    with b.object("door"):
        b.box((wide / 2, 0.0, tall / 2), (wide, 0.04, tall), material)
        b.add(CYLINDER_Y, (wide - 0.07, 0.0, 1.0), (0.05, 0.14, 0.05), f.metal())
        if b.rng.random() < 0.6:
            for z in (0.5, 1.45):
                for side in (-0.015, 0.015):
                    b.box((wide / 2, side, z), (wide * 0.66, 0.02, 0.7), material.tinted(
                        (material.colour[0] * 0.93, material.colour[1] * 0.93, material.colour[2] * 0.93)))


def wall_fixture(b: Builder, f: Finish, width: float, above: float, height: float, glow: float) -> None:
    """Something on the wall centred at x = 0 over furniture of height `above`."""
    rng = b.rng
    pick = rng.random()
    if pick < 0.3 and width > 0.55:
        window(b, f, max(0.6, width * rng.uniform(0.6, 1.1)), max(above + 0.1, rng.uniform(0.7, 1.1)),
               min(height - 0.15, rng.uniform(1.9, 2.4)), glow)
    elif pick < 0.42 and above < 0.6:
        with b.at(-0.42, 0.03):
            door_leaf(b, f, 0.84, 2.03)
        with b.object("door frame"):
            trim = f.lacquer()
            for x in (-0.46, 0.46):
                b.box((x, 0.015, 1.02), (0.09, 0.05, 2.08), trim)
            b.box((0, 0.015, 2.08), (1.0, 0.05, 0.09), trim)
    elif pick < 0.8:
        count = rng.choice((1, 1, 1, 2, 3))
        for step in range(count):
            picture(b, f, (step - (count - 1) / 2) * max(0.35, width / (count + 0.5)), max(above + 0.45, 1.5))
    elif pick < 0.9:
        shelf_at = max(above + 0.35, rng.uniform(1.3, 1.8))
        with b.object("wall shelf"):
            for step in range(rng.randint(1, 2)):
                z = shelf_at + step * 0.34
                b.box((0, 0.12, z), (width * 0.9, 0.24, 0.025), f.wood())
                clutter.books_on(b, f, width * 0.85, 0.22, z + 0.012, 0.3)
    elif pick < 0.95:
        with b.object("mirror"):
            tall = rng.uniform(0.5, 1.1)
            z = max(above + 0.1 + tall / 2, 1.4)
            b.box((0, 0.015, z), (width * 0.7, 0.03, tall), f.wood())
            b.box((0, 0.032, z), (width * 0.7 - 0.08, 0.008, tall - 0.08), f.mirror())
    else:
        with b.object("clock"):
            size = rng.uniform(0.2, 0.36)
            b.add(CYLINDER_Y, (0, 0.02, max(above + 0.4, 1.8)), (size, 0.04, size), f.dark())
            b.add(CYLINDER_Y, (0, 0.025, max(above + 0.4, 1.8)), (size * 0.86, 0.04, size * 0.86), f.paper())


def picture(b: Builder, f: Finish, x: float, z: float) -> None:
    """A frame, a mount, a picture; a bare poster at times."""
    rng = b.rng
    wide, tall = rng.uniform(0.2, 0.9), rng.uniform(0.25, 0.8)
    with b.object("picture"):
        z += rng.uniform(-0.1, 0.15)
        if rng.random() < 0.3:
            b.box((x, 0.004, z), (wide, 0.008, tall), f.picture())
            return
        b.box((x, 0.012, z), (wide, 0.024, tall), f.wood() if rng.random() < 0.6 else f.dark())
        rim = rng.uniform(0.03, 0.08)
        if rng.random() < 0.5:
            b.box((x, 0.022, z), (wide - rim, 0.01, tall - rim), f.paper().tinted((0.75, 0.73, 0.68)))
            rim += 0.14
        b.box((x, 0.025, z), (max(0.08, wide - rim), 0.01, max(0.08, tall - rim)), f.picture())


def window(b: Builder, f: Finish, wide: float, bottom: float, top: float, glow: float) -> None:
    """Frame, panes, perhaps blinds or curtains; the view is a picture on the pane."""
    rng = b.rng
    tall, middle = top - bottom, (top + bottom) / 2
    trim = f.lacquer()
    with b.object("window"):
        blind = rng.random() < 0.35
        b.box((0, 0.006, middle), (wide, 0.012, tall), f.blind(glow) if blind else f.window(glow))
        for x in (-wide / 2, wide / 2):
            b.box((x, 0.025, middle), (0.07, 0.05, tall + 0.07), trim)
        for z in (bottom, top):
            b.box((0, 0.03 if z == top else 0.05, z), (wide + 0.1, 0.06 if z == top else 0.1, 0.06), trim)
        if not blind:
            for step in range(rng.randint(0, 2)):
                b.box((wide * (step - 0.5) * 0.5, 0.015, middle), (0.035, 0.03, tall), trim)
            if rng.random() < 0.6:
                b.box((0, 0.015, middle), (wide, 0.03, 0.04), trim)
    if rng.random() < 0.4:
        cloth, fall = f.curtain(), rng.choice((0.05, bottom - 0.1))
        with b.object("curtain"):
            share = rng.uniform(0.15, 0.5)
            for side in (-1, 1):
                b.box((side * (wide / 2 + 0.1 - share * wide / 2), 0.1, (top + 0.12 + fall) / 2),
                      (share * wide, 0.07, top + 0.12 - fall), cloth)
            b.add(CYLINDER_X, (0, 0.1, top + 0.13), (wide + 0.5, 0.03, 0.03), f.metal())


def kitchen_run(b: Builder, f: Finish, run: float, height: float, glow: float) -> None:
    """Base units with a worktop, splash back, wall units, sink, cooker, and what stands about."""
    rng = b.rng
    depth, top = 0.6, rng.uniform(0.88, 0.94)
    fronts = f.wood() if rng.random() < 0.6 else f.lacquer()
    knob, stone = f.metal(), f.worktop()
    cooker_at = rng.uniform(-run / 2 + 0.5, run / 2 - 0.5) if run > 1.6 else None
    with b.object("counter"):
        b.box((0, depth / 2 - 0.03, 0.05), (run, depth - 0.08, 0.1), f.dark())
        b.box((0, depth / 2 - 0.02, top / 2 + 0.03), (run, depth - 0.04, top - 0.1), fronts)
        b.box((0, depth / 2, top), (run + 0.02, depth + 0.03, 0.04), stone)
        furniture.doors(b, fronts, knob, run, depth - 0.04, 0.12, top - 0.04 if rng.random() < 0.5 else top - 0.2,
                        max(1, round(run / rng.uniform(0.4, 0.6))), 1)
        if rng.random() < 0.7:
            b.box((0, 0.008, top + 0.26), (run, 0.016, 0.5), f.splash())
    with b.object("wall cabinet"):
        bottom, deep = rng.uniform(1.38, 1.5), rng.uniform(0.3, 0.36)
        left = -run / 2
        while left < run / 2 - 0.3:
            wide = min(rng.uniform(0.6, 1.4), run / 2 - left)
            if rng.random() < 0.75:
                upper = min(height, bottom + rng.uniform(0.65, 0.9))
                x = left + wide / 2
                b.box((x, deep / 2, (bottom + upper) / 2), (wide, deep, upper - bottom), fronts)
                with b.at(x, 0.0):
                    furniture.doors(b, fronts, knob, wide, deep, bottom, upper, max(1, round(wide / 0.45)), 1)
            elif rng.random() < 0.6:
                with b.at(left + wide / 2, 0.0):
                    window(b, f, wide * 0.8, 1.1, 2.0, glow)
            left += wide + 0.01
    if cooker_at is not None:
        with b.at(cooker_at, 0.0), b.object("cooker"):
            metal = f.appliance()
            b.box((0, depth / 2 + 0.02, top / 2 + 0.02), (0.62, depth + 0.03, top), metal)
            b.box((0, depth + 0.04, 0.48), (0.5, 0.02, 0.36), f.dark())
            b.add(CYLINDER_X, (0, depth + 0.07, 0.74), (0.5, 0.03, 0.03), f.metal())
            for x in (-0.15, 0.15):
                for y in (0.18, 0.44):
                    b.add(CYLINDER, (x, y, top + 0.03), (0.2, 0.2, 0.025), f.dark())
            if rng.random() < 0.5:
                b.add(CYLINDER, (0.15, 0.18, top + 0.11), (0.24, 0.24, 0.14), f.metal())
            if rng.random() < 0.6:
                b.box((0, 0.2, 1.65), (0.6, 0.4, 0.28), f.appliance())
    sink_at = rng.uniform(-run / 2 + 0.4, run / 2 - 0.4) if run > 1.0 else 0.0
    if cooker_at is None or abs(sink_at - cooker_at) > 0.7:
        with b.at(sink_at, 0.0), b.object("sink"):
            b.box((0, depth / 2 + 0.02, top + 0.012), (0.6, 0.42, 0.02), f.metal())
            b.box((0, depth / 2 + 0.02, top + 0.018), (0.52, 0.34, 0.014), f.metals[1])
            b.add(CYLINDER, (0, 0.1, top + 0.14), (0.035, 0.035, 0.26), f.metal())
            b.add(CYLINDER_Y, (0, 0.18, top + 0.27), (0.03, 0.18, 0.03), f.metal())
    clutter.clutter_on(b, f, run * 0.95, depth * 0.7, depth / 2, top + 0.02, rng.randint(2, max(3, int(run * 4))))
    if rng.random() < 0.5:
        with b.at(rng.uniform(-0.4, 0.4) * run, 0.2, top + 0.02), b.object("microwave"):
            b.box((0, 0.02, 0.15), (0.5, 0.36, 0.3), f.appliance())
            b.box((-0.06, 0.205, 0.15), (0.33, 0.012, 0.22), f.dark())


def fridge(b: Builder, f: Finish) -> None:
    """Two doors with bars, sometimes with magnets and papers."""
    rng = b.rng
    metal, tall, wide = f.appliance(), rng.uniform(1.6, 1.9), rng.uniform(0.65, 0.8)
    with b.object("fridge"):
        b.box((0, 0.33, tall / 2), (wide, 0.64, tall), metal)
        split = tall * rng.choice((0.35, 0.68))
        for low, high in ((0.05, split - 0.01), (split + 0.01, tall)):
            b.box((0, 0.68, (low + high) / 2), (wide, 0.06, high - low), metal)
            b.box((wide * 0.42, 0.735, (low + high) / 2), (0.03, 0.04, min(0.4, (high - low) * 0.6)), f.metal())
        for _ in range(rng.randint(0, 4)):
            b.box((rng.uniform(-0.25, 0.2), 0.712, rng.uniform(1.0, tall - 0.1)),
                  (rng.uniform(0.06, 0.2), 0.004, rng.uniform(0.06, 0.25)), f.picture())


def washer(b: Builder, f: Finish) -> None:
    """A washing machine or dryer with its porthole."""
    with b.object("washer"):
        b.box((0, 0.31, 0.43), (0.6, 0.6, 0.86), f.appliance())
        b.add(CYLINDER_Y, (0, 0.61, 0.42), (0.4, 0.05, 0.4), f.metal())
        b.add(CYLINDER_Y, (0, 0.62, 0.42), (0.3, 0.06, 0.3), f.dark())
        b.box((0, 0.615, 0.79), (0.56, 0.02, 0.1), f.metals[1])
    clutter.clutter_on(b, f, 0.5, 0.4, 0.3, 0.86, b.rng.randint(0, 3))


def vanity(b: Builder, f: Finish, run: float, height: float, glow: float) -> None:
    """A wash basin in a unit, a tap, a mirror above."""
    rng = b.rng
    top = rng.uniform(0.78, 0.9)
    fronts = f.wood() if rng.random() < 0.6 else f.lacquer()
    with b.object("vanity"):
        b.box((0, 0.26, top / 2), (run, 0.5, top), fronts)
        b.box((0, 0.28, top + 0.015), (run + 0.03, 0.56, 0.04), f.worktop() if rng.random() < 0.6 else f.ceramic())
        furniture.doors(b, fronts, f.metal(), run, 0.51, 0.1, top - 0.05, max(1, round(run / 0.45)), 1)
        white = Material("ceramic", (0.8, 0.8, 0.78), gloss=0.4)
        b.add(frustum(1.0, 0.8), (0, 0.3, top + 0.05), (0.46, 0.36, 0.06), white)
        b.add(CYLINDER, (0, 0.3, top + 0.065), (0.38, 0.28, 0.035), white.tinted((0.55, 0.55, 0.55)))
        b.add(CYLINDER, (0, 0.1, top + 0.1), (0.04, 0.04, 0.18), f.metal())
        b.add(CYLINDER_Y, (0, 0.15, top + 0.18), (0.03, 0.12, 0.03), f.metal())
    with b.object("mirror"):
        tall = rng.uniform(0.6, 1.0)
        b.box((0, 0.012, top + 0.2 + tall / 2), (run * rng.uniform(0.6, 1.0), 0.02, tall), f.mirror())
        for step in range(rng.randint(0, 3)):
            b.add(CYLINDER, (step * 0.22 - 0.22, 0.12, top + 0.3 + tall), (0.12, 0.12, 0.14), f.lampshade())
    clutter.clutter_on(b, f, run * 0.9, 0.3, 0.3, top + 0.03, rng.randint(1, 5))


def toilet(b: Builder, f: Finish) -> None:
    """Bowl, seat, cistern, and paper on the wall."""
    white = Material("ceramic", (0.8, 0.8, 0.78), gloss=0.4)
    with b.object("toilet"):
        b.add(CUSHION, (0, 0.1, 0.6), (0.42, 0.19, 0.38), white)
        b.add(frustum(1.0, 0.65), (0, 0.42, 0.2), (0.36, 0.5, 0.4), white)
        b.add(CYLINDER, (0, 0.42, 0.41), (0.39, 0.5, 0.04), white)
        if b.rng.random() < 0.4:
            b.add(CYLINDER, (0, 0.42, 0.435), (0.27, 0.36, 0.02), white.tinted((0.5, 0.5, 0.5)))
        b.add(CYLINDER_X, (0.5, 0.08, 0.7), (0.11, 0.12, 0.12), white)


def bathtub(b: Builder, f: Finish) -> None:
    """A tub, a curtain at times, tiles behind."""
    rng = b.rng
    white = Material("ceramic", (0.78, 0.78, 0.77), gloss=0.4)
    with b.object("bathtub"):
        b.box((0, 0.37, 0.27), (1.58, 0.73, 0.54), white)
        b.box((0, 0.37, 0.545), (1.4, 0.56, 0.012), white.tinted((0.5, 0.5, 0.5)))
        b.box((0, 0.005, 1.3), (1.58, 0.012, 1.6), f.splash())
    if rng.random() < 0.6:
        with b.object("curtain"):
            wide = rng.uniform(0.4, 1.5)
            b.box((-0.78 + wide / 2, 0.74, 1.05), (wide, 0.05, 1.8), f.curtain())
            b.add(CYLINDER_X, (0, 0.74, 1.97), (1.6, 0.03, 0.03), f.metal())


def ceiling_things(b: Builder, f: Finish, width: float, length: float, height: float) -> None:
    """Lamps, fans or strip lights; they give the look of light, the room's one real lamp is elsewhere."""
    rng = b.rng
    pick = rng.random()
    glow = rng.choice((0.3, 3.0, 6.0))
    lit = Material("light", (0.9, 0.87, 0.8), glow=glow)
    if pick < 0.3:
        with b.object("ceiling lamp"):
            b.add(CYLINDER, (width / 2, length / 2, height - 0.05), (0.35, 0.35, 0.1), lit, casts=False)
    elif pick < 0.55:
        with b.object("strip light"):
            for x in (0.3, 0.7):
                for y in (0.25, 0.75):
                    b.box((width * x, length * y, height - 0.015), (0.3, 1.2, 0.04), lit, casts=False)
    elif pick < 0.7:
        with b.at(width * rng.uniform(0.4, 0.6), length * rng.uniform(0.4, 0.6)), b.object("pendant lamp"):
            drop = rng.uniform(0.4, 0.9)
            b.add(CYLINDER, (0, 0, height - drop / 2), (0.02, 0.02, drop), f.dark(), casts=False)
            b.add(frustum(0.3), (0, 0, height - drop), (0.4, 0.4, 0.25), f.lampshade(), casts=False)
    elif pick < 0.8:
        with b.at(width / 2, length / 2), b.object("ceiling fan"):
            b.add(CYLINDER, (0, 0, height - 0.2), (0.16, 0.16, 0.4), f.metal(), casts=False)
            for turn in (0, 60, 120):
                b.box((0, 0, height - 0.3), (1.3, 0.14, 0.012), f.wood(), yaw_deg=turn, casts=False)
