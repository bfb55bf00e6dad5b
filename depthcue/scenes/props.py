"""Single objects to be put into a scene: things of known size, and things no network has met.

Every builder draws in the current frame of the Builder: x away from the camera, y to the left, z up. Sizes in metres.
"""

import colorsys
from collections.abc import Callable

from depthcue.scenes import fittings, furniture, vehicles
from depthcue.scenes.finish import Finish
from depthcue.scenes.materials import Material
from depthcue.scenes.world import BALL, CYLINDER, CYLINDER_Y, Builder, frustum

_GREY = Material("plastic", (0.32, 0.32, 0.33), (0.26, 0.26, 0.27), noise_period=(0.4,) * 3, noise_mix=0.5)
_FUR = Material("fabric", (0.30, 0.16, 0.06), (0.55, 0.48, 0.40), noise_period=(0.18,) * 3, noise_mix=1.0,
                sharpness=4.0, bump=0.3)
_STRAW = Material("fabric", (0.42, 0.30, 0.10), (0.26, 0.18, 0.06), noise_period=(0.05, 0.05, 0.05), noise_mix=1.0,
                  bump=0.4)


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
    """A neutral box: as large as a car from behind, or, before a lens for rooms, scaled down to a chair's size."""
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
    """Two posts and a lintel: a thing one sees through."""
    with b.object("arch"):
        for side in (-1, 1):
            b.box((0, side * 0.65, 0.65), (0.3, 0.3, 1.3), _GREY)
        b.box((0, 0, 1.45), (0.3, 1.6, 0.3), _GREY)


def card(b: Builder) -> None:
    """A flat upright figure of one colour and no meaning, 1 m tall, face to the camera; lit from within a little, so
    that it is no silhouette before the light."""
    r, g, v = colorsys.hsv_to_rgb(b.rng.random(), b.rng.uniform(0.35, 0.9), b.rng.uniform(0.45, 0.95))
    with b.object("card"):
        b.box((0, 0, 0.5), (0.004, b.rng.uniform(0.75, 1.25), 1.0), Material("paper", (r * r, g * g, v * v), glow=0.5))


def egg(b: Builder) -> None:
    """A matt, plain body, long in the direction of view: all that tells its depth is how it is shaded."""
    shade = b.rng.uniform(0.3, 0.7)
    with b.object("egg"):
        b.add(BALL, (0, 0, 0.5), (2.4, 1.0, 1.0), Material("paint", (shade, shade, shade)))


PROPS: dict[str, Callable[[Builder], None]] = {
    "car": vehicles.car, "van": vehicles.van, "pedestrian": vehicles.pedestrian, "chair": chair, "sofa": sofa,
    "fridge": fridge, "dog": dog, "box": box, "ball": ball, "cone": cone, "bale": bale, "arch": arch, "card": card,
    "egg": egg}
