"""Props: vehicles, people, and the objects that experiments put on the floor.

Every builder draws in the current frame of the Builder: x forward (the direction in which a vehicle drives, away from
the camera in experiments), y left, z up from the ground, the origin under the middle. Sizes in metres.
"""

import colorsys
from collections.abc import Callable

from depthcue.scenes import fittings, furniture
from depthcue.scenes.finish import Finish
from depthcue.scenes.materials import Colour, Material
from depthcue.scenes.world import BALL, CUSHION, CYLINDER, CYLINDER_Y, Builder, frustum

# rounded in side view only, rounded in side view and from above
_SIDE_ROUND = (0.5, 0.0, 0.75, 0.0, -1.0)
_BODY_ROUND = (0.62, 0.3, 0.45, 0.0, -1.0)
_DOME = (0.62, 0.15, 0.62, 0.25, -1.0)

_TYRE = Material("plastic", (0.015, 0.015, 0.015))
_GLASS = Material("glass", (0.03, 0.035, 0.04), (0.10, 0.12, 0.14), noise_period=(0.8, 0.8, 0.5), noise_mix=0.8,
                  gloss=0.9)
_DARK = Material("plastic", (0.02, 0.02, 0.022), gloss=0.1)
_PLATE = Material("paper", (0.7, 0.7, 0.66), (0.2, 0.2, 0.2), noise_period=(0.05, 0.05, 0.08), noise_mix=0.7,
                  sharpness=4.0)
_GREY = Material("plastic", (0.32, 0.32, 0.33), (0.26, 0.26, 0.27), noise_period=(0.4,) * 3, noise_mix=0.5)
_FUR = Material("fabric", (0.30, 0.16, 0.06), (0.55, 0.48, 0.40), noise_period=(0.18,) * 3, noise_mix=1.0,
                sharpness=4.0, bump=0.3)
_STRAW = Material("fabric", (0.42, 0.30, 0.10), (0.26, 0.18, 0.06), noise_period=(0.05, 0.05, 0.05), noise_mix=1.0,
                  bump=0.4)


def car(b: Builder) -> None:
    """A car: hatchback, saloon or estate."""
    rng = b.rng
    paint, rim = body_paint(b), Material("metal", (0.35, 0.35, 0.36), gloss=0.5)
    length, width, height = rng.uniform(3.6, 4.8), rng.uniform(1.65, 1.85), rng.uniform(1.4, 1.58)
    waist = height * rng.uniform(0.55, 0.62)
    saloon = rng.random() < 0.4
    with b.object("car"):
        b.add(_BODY_ROUND, (0, 0, (waist + 0.2) / 2), (length, width, waist - 0.18), paint)
        b.box((0, 0, 0.3), (length * 0.9, width * 0.98, 0.22), paint)
        b.box((0, 0, 0.22), (length * 0.96, width * 0.9, 0.14), _DARK)
        cabin = length * (0.52 if saloon else 0.66)
        middle = -length * (0.03 if saloon else 0.12)
        b.add(_DOME, (middle, 0, (waist + height) / 2 - 0.04), (cabin, width * 0.88, height - waist + 0.1), _GLASS)
        b.add(_SIDE_ROUND, (middle, 0, height - 0.06), (cabin * 0.62, width * 0.8, 0.1), paint)
        for x in (-0.28, 0.02, 0.3):
            b.box((middle + x * cabin, 0, (waist + height) / 2 - 0.03), (0.06, width * 0.875, (height - waist) * 0.8),
                  paint, casts=False)
        wheel = rng.uniform(0.58, 0.66)
        for x in (-length * 0.3, length * 0.31):
            b.add(CYLINDER_Y, (x, 0, wheel / 2), (wheel, width * 1.0, wheel), _TYRE)
            b.add(CYLINDER_Y, (x, 0, wheel / 2), (wheel * 0.62, width * 1.015, wheel * 0.62), rim)
        lights(b, length, width, waist * 0.78, 0.3)
        for side in (-1, 1):
            b.add(BALL, (length * 0.16, side * (width / 2 + 0.07), waist + 0.04), (0.14, 0.2, 0.15), paint)


def lights(b: Builder, length: float, width: float, z: float, wide: float) -> None:
    """Head lamps, tail lamps, number plates, grille."""
    front = Material("light", (0.8, 0.8, 0.78), gloss=0.6, glow=b.rng.choice((0.0, 0.0, 3.0)))
    rear = Material("light", (0.4, 0.015, 0.015), gloss=0.4, glow=b.rng.choice((0.0, 0.3, 2.0)))
    for side in (-1, 1):
        b.box((length / 2 - 0.1, side * (width / 2 - wide / 2 - 0.05), z), (0.24, wide, 0.14), front)
        b.box((-length / 2 + 0.1, side * (width / 2 - wide / 2 - 0.03), z), (0.24, wide * 0.85, 0.22), rear)
    b.box((length / 2 - 0.02, 0, z - 0.12), (0.04, width * 0.4, 0.12), _DARK)
    b.box((-length / 2 - 0.01, 0, z - 0.14), (0.03, 0.5, 0.11), _PLATE)
    b.box((length / 2 + 0.01, 0, z - 0.3), (0.03, 0.5, 0.11), _PLATE)


def van(b: Builder) -> None:
    """A delivery van or minibus."""
    rng = b.rng
    paint = body_paint(b)
    length, width, height = rng.uniform(4.6, 6.0), rng.uniform(1.85, 2.05), rng.uniform(1.9, 2.6)
    with b.object("van"):
        b.add((0.5, 0.3, 0.4, 0.0, -1.0), (0, 0, height / 2 + 0.15), (length, width, height - 0.3), paint)
        b.box((0, 0, 0.35), (length * 0.94, width * 0.97, 0.3), _DARK)
        b.box((length * 0.3, 0, height * 0.72), (length * 0.3, width * 1.005, height * 0.24), _GLASS)
        b.add(_SIDE_ROUND, (length * 0.44, 0, height * 0.7), (length * 0.12, width * 0.86, height * 0.34), _GLASS)
        if rng.random() < 0.7:
            b.box((-length / 2 + 0.02, 0, height * 0.74), (0.06, width * 0.78, height * 0.24), _GLASS)
        for x in (-length * 0.3, length * 0.32):
            b.add(CYLINDER_Y, (x, 0, 0.34), (0.68, width * 1.01, 0.68), _TYRE)
        lights(b, length, width, 0.85, 0.22)


def lorry(b: Builder) -> None:
    """A cab and a load box or tank."""
    rng = b.rng
    paint = body_paint(b)
    length, width, height = rng.uniform(6.5, 13.0), 2.5, rng.uniform(3.0, 3.9)
    side = _vivid(b, 0.7)
    load = Material("metal", side if rng.random() < 0.5 else (0.75, 0.75, 0.75), _vivid(b, 0.9),
                    noise_period=(2.0, 2.0, 1.5),
                    noise_mix=rng.choice((0.0, 1.0)), sharpness=6.0, offset=rng.random() * 9)
    with b.object("lorry"):
        b.box((0, 0, 0.75), (length * 0.97, 1.0, 0.35), _DARK)
        b.box((-1.1, 0, (height + 1.0) / 2), (length - 2.4, width, height - 1.0), load)
        b.add((0.4, 0.3, 0.4, 0.0, -1.0), (length / 2 - 0.95, 0, height * 0.45 + 0.2), (1.9, 2.4, height * 0.82), paint)
        b.box((length / 2 - 0.06, 0, height * 0.6), (0.12, 2.1, 0.8), _GLASS)
        b.box((length / 2 - 0.7, 0, height * 0.6), (0.8, 2.41, 0.7), _GLASS)
        for x in (-length * 0.4, -length * 0.28, length * 0.36):
            b.add(CYLINDER_Y, (x, 0, 0.5), (1.0, width * 0.98, 1.0), _TYRE)
        b.box((-length / 2 + 0.1, 0, 0.55), (0.12, width * 0.95, 0.14), _DARK)
        lights(b, length, width, 0.85, 0.3)


def bus(b: Builder) -> None:
    """A bus, or a tram car."""
    rng = b.rng
    paint = body_paint(b)
    length, width, height = rng.uniform(9, 14), 2.5, rng.uniform(2.9, 3.3)
    with b.object("bus"):
        b.add((0.3, 0.3, 0.45, 0.0, -1.0), (0, 0, height / 2 + 0.15), (length, width, height - 0.3), paint)
        panes = Material("glass", _GLASS.colour, _GLASS.second, paint.colour, cell=(1.4, 1.4, 0.0), gap=0.12, gloss=0.8,
                         noise_period=(0.9, 0.9, 0.6), noise_mix=0.8)
        b.box((0, 0, height * 0.64), (length * 0.985, width * 1.01, height * 0.32), panes)
        b.box((length / 2 - 0.1, 0, height * 0.6), (0.22, width * 0.9, height * 0.42), _GLASS)
        b.box((-length / 2 + 0.1, 0, height * 0.66), (0.22, width * 0.8, height * 0.26), _GLASS)
        for x in (-length * 0.3, length * 0.33):
            b.add(CYLINDER_Y, (x, 0, 0.48), (0.96, width * 0.99, 0.96), _TYRE)
        lights(b, length, width, 0.8, 0.3)


def pedestrian(b: Builder) -> None:
    """Legs in mid-stride, trunk, arms, head; perhaps a bag."""
    rng = b.rng
    tall = rng.uniform(1.5, 1.9)
    coat, trousers = _cloth(b), _cloth(b, 0.5)
    skin = Material("skin", (0.5, 0.32, 0.22) if rng.random() < 0.7 else (0.2, 0.11, 0.07))
    hair = Material("skin", rng.choice(((0.03, 0.02, 0.015), (0.12, 0.07, 0.03), (0.35, 0.28, 0.18), (0.4, 0.4, 0.4))))
    hip, shoulder = tall * 0.5, tall * 0.82
    with b.object("pedestrian"):
        stride = rng.uniform(2, 24)
        for side in (-1, 1):
            with b.at(0, side * 0.09, 0, 90):
                lean = side * stride
                b.add(CYLINDER, (0, side * stride * 0.009, hip / 2 + 0.03), (0.14, 0.15, hip), trousers, tilt_deg=lean)
                b.add(BALL, (0, side * stride * 0.018 - 0.04, 0.05), (0.1, 0.28, 0.1), _DARK)
                b.add(CYLINDER, (0.15 * side, -side * stride * 0.006, (hip + shoulder) / 2),
                      (0.09, 0.1, shoulder - hip + 0.1), coat, tilt_deg=-lean)
        b.add(CUSHION, (0, 0, (hip + shoulder) / 2), (0.26, 0.42, shoulder - hip + 0.14), coat)
        b.add(CYLINDER, (0, 0, shoulder + 0.06), (0.11, 0.11, 0.14), skin)
        b.add(BALL, (0, 0, tall - 0.13), (0.2, 0.17, 0.26), skin)
        b.add(BALL, (-0.02, 0, tall - 0.09), (0.21, 0.19, 0.22), hair)
        if rng.random() < 0.3:
            b.add(CUSHION, (-0.2, 0, shoulder - 0.2), (0.2, 0.34, 0.45), _cloth(b))


def cyclist(b: Builder) -> None:
    """A bicycle (wheels as thin discs of spokes, frame bars) and its rider."""
    frame = Material("metal", _vivid(b, 0.9), gloss=0.4)
    coat, trousers = _cloth(b), _cloth(b, 0.5)
    with b.object("cyclist"):
        spokes = Material("metal", (0.10, 0.10, 0.10), (0.3, 0.3, 0.3), noise_period=(0.05,) * 3, noise_mix=0.8)
        for x in (-0.53, 0.53):
            b.add(CYLINDER_Y, (x, 0, 0.35), (0.7, 0.03, 0.7), _TYRE)
            b.add(CYLINDER_Y, (x, 0, 0.35), (0.6, 0.034, 0.6), spokes)
        b.box((0.05, 0, 0.62), (0.9, 0.04, 0.05), frame)
        with b.at(0, 0, 0, 90):
            b.box((0, 0.15, 0.62), (0.04, 0.04, 0.7), frame, tilt_deg=12)
            b.box((0, -0.47, 0.7), (0.04, 0.04, 0.75), frame, tilt_deg=14)
            for side in (-1, 1):
                b.add(CYLINDER, (side * 0.1, 0.02 + side * 0.08, 0.62), (0.14, 0.15, 0.75), trousers,
                      tilt_deg=-10 * side)
                b.add(CYLINDER, (side * 0.2, -0.22, 1.18), (0.09, 0.1, 0.6), coat, tilt_deg=48)
            b.add(CUSHION, (0, 0.02, 1.25), (0.4, 0.26, 0.66), coat, tilt_deg=16)
        b.box((0.42, 0, 1.05), (0.05, 0.55, 0.04), _DARK)
        skin = Material("skin", (0.5, 0.32, 0.22))
        b.add(BALL, (0.16, 0, 1.68), (0.22, 0.18, 0.27), skin)
        b.add(BALL, (0.15, 0, 1.74), (0.25, 0.2, 0.2), Material("plastic", _vivid(b, 0.8)))


def trailer(b: Builder) -> None:
    """A small covered trailer."""
    with b.object("trailer"):
        cover = _cloth(b)
        b.box((0, 0, 0.95), (1.9, 1.3, 0.9), cover)
        b.box((0, 0, 0.48), (2.0, 1.35, 0.12), Material("metal", (0.3, 0.3, 0.3), gloss=0.3))
        b.add(CYLINDER_Y, (0, 0, 0.28), (0.56, 1.6, 0.56), _TYRE)
        b.box((1.4, 0, 0.4), (1.0, 0.08, 0.08), _DARK)


def refuse_bin(b: Builder) -> None:
    """A wheeled refuse bin."""
    with b.object("bin"):
        body = Material("plastic", b.rng.choice(((0.03, 0.03, 0.035), (0.03, 0.08, 0.04), (0.3, 0.22, 0.03))))
        b.add(frustum(1.0, 0.85), (0, 0, 0.5), (0.7, 0.65, 1.0), body)
        b.box((0, 0, 1.03), (0.66, 0.6, 0.08), body)


def chair(b: Builder) -> None:
    """A dining chair, its back to the camera."""
    with b.at(0.0, 0.0, 0.0, -90.0):
        furniture.chair(b, Finish(b.rng))


def sofa(b: Builder) -> None:
    """An armchair, its front to the camera."""
    with b.at(0.0, 0.0, 0.0, 90.0):
        furniture.sofa(b, Finish(b.rng), 0.9)


def fridge(b: Builder) -> None:
    """A fridge with its door to the camera."""
    with b.at(0.0, 0.0, 0.0, 90.0):
        fittings.fridge(b, Finish(b.rng))


def dog(b: Builder) -> None:
    """A dog, side on: trunk, four legs, neck, head and tail."""
    with b.object("dog"):
        b.add(BALL, (0, 0, 0.5), (0.28, 0.85, 0.34), _FUR)
        for y in (-0.28, 0.26):
            for x in (-0.08, 0.08):
                b.add(CYLINDER, (x, y, 0.19), (0.08, 0.09, 0.38), _FUR)
        b.add(BALL, (0, 0.42, 0.68), (0.18, 0.26, 0.34), _FUR)
        b.add(BALL, (0, 0.56, 0.78), (0.2, 0.3, 0.2), _FUR)
        b.add(CYLINDER_Y, (0, -0.52, 0.58), (0.06, 0.3, 0.06), _FUR)


def box(b: Builder) -> None:
    """A neutral box, as large as a car from behind; experiments in rooms scale it down to a chair's size."""
    with b.object("box"):
        b.box((0, 0, 0.75), (1.5, 1.5, 1.5), _GREY)


def ball(b: Builder) -> None:
    """A ball on the ground."""
    with b.object("ball"):
        b.add(BALL, (0, 0, 0.7), (1.4, 1.4, 1.4), _GREY)


def cone(b: Builder) -> None:
    """A cone, point up."""
    with b.object("cone"):
        b.add(frustum(0.02), (0, 0, 0.85), (1.4, 1.4, 1.7), _GREY)


def bale(b: Builder) -> None:
    """A round bale of straw, lying across."""
    with b.object("bale"):
        b.add(CYLINDER_Y, (0, 0, 0.65), (1.3, 1.3, 1.3), _STRAW)


def arch(b: Builder) -> None:
    """Two posts and a lintel, with a free view between them."""
    with b.object("arch"):
        for side in (-1, 1):
            b.box((0, side * 0.65, 0.65), (0.3, 0.3, 1.3), _GREY)
        b.box((0, 0, 1.45), (0.3, 1.6, 0.3), _GREY)


def card(b: Builder) -> None:
    """A flat upright rectangle of one colour, 1 m tall, face to the camera; it glows a little, so that it is no
    silhouette before the light."""
    r, g, v = colorsys.hsv_to_rgb(b.rng.random(), b.rng.uniform(0.35, 0.9), b.rng.uniform(0.45, 0.95))
    with b.object("card"):
        b.box((0, 0, 0.5), (0.004, b.rng.uniform(0.75, 1.25), 1.0), Material("paper", (r * r, g * g, v * v), glow=0.5))


def egg(b: Builder) -> None:
    """A matt, plain body, long in the direction of view: its shading alone tells its depth."""
    shade = b.rng.uniform(0.3, 0.7)
    with b.object("egg"):
        b.add(BALL, (0, 0, 0.5), (2.4, 1.0, 1.0), Material("paint", (shade, shade, shade)))


def body_paint(b: Builder) -> Material:
    """Car paint; most cars are grey, black, white, silver, some red or blue."""
    rng = b.rng
    pick = rng.random()
    if pick < 0.72:
        shade = rng.choice((0.012, 0.02, 0.05, 0.12, 0.28, 0.4, 0.55, 0.75))
        colour = (shade, shade * rng.uniform(0.97, 1.03), shade * rng.uniform(0.97, 1.1))
    elif pick < 0.85:
        colour = (rng.uniform(0.2, 0.5), 0.02, 0.02)
    elif pick < 0.95:
        colour = (0.015, 0.04, rng.uniform(0.08, 0.3))
    else:
        colour = _vivid(b, 0.9)
    return Material("metal", colour, gloss=0.5)


def _cloth(b: Builder, bright: float = 1.0) -> Material:
    r, g, v = _vivid(b, 0.6)
    return Material("fabric", (r * bright, g * bright, v * bright),
                    (r * 0.6 * bright, g * 0.6 * bright, v * 0.6 * bright),
                    noise_period=(0.15,) * 3, noise_mix=0.8, bump=0.3)


def _vivid(b: Builder, most: float) -> Colour:
    rng = b.rng
    r, g, v = colorsys.hsv_to_rgb(rng.random(), most * rng.random(), 0.1 + 0.75 * rng.random())
    return (r * r, g * g, v * v)


PROPS: dict[str, Callable[[Builder], None]] = {
    "car": car, "van": van, "pedestrian": pedestrian, "chair": chair, "sofa": sofa,
    "fridge": fridge, "dog": dog, "box": box, "ball": ball, "cone": cone, "bale": bale, "arch": arch, "card": card,
    "egg": egg}
"""Objects of experiments by name."""
