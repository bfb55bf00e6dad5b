"""Small worlds whose pictures can be worked out by hand."""

import random

from depthcue.scenes.materials import Material
from depthcue.scenes.world import Builder, Camera, Lighting, World

PLAIN = Material("paint", (0.5, 0.5, 0.5))
FOCAL_PX = 60.0


def builder(position: tuple[float, float, float] = (0.0, 0.0, 1.5), yaw_deg: float = 0.0, pitch_deg: float = 0.0,
            roll_deg: float = 0.0, light: tuple[float, float, float, float] = (-0.4, 0.3, 1.0, 0.0)) -> Builder:
    """A builder with a camera that looks along x, a sun behind it, and a quiet sensor."""
    b = Builder(random.Random(1))
    b.camera = Camera(position, yaw_deg, pitch_deg, roll_deg)
    b.lighting = Lighting(light=light, noise=0.0, vignette=0.0)
    return b


def ground(b: Builder, material: Material = PLAIN) -> None:
    """A wide floor whose top is z = 0."""
    with b.object("ground"):
        b.box((0, 0, -0.5), (4000, 4000, 1), material)


def wall_ahead(b: Builder, distance: float, material: Material = PLAIN) -> None:
    """A wide wall across the view."""
    with b.object("wall"):
        b.box((distance + 0.5, 0, 0), (1, 400, 400), material)


def finish(b: Builder) -> World:
    return b.finish(salt=5)
