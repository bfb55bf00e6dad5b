"""Objects beside a road (buildings, trees, hedges, fences, rails, lamp posts, signs) and the ground they stand on.

Every builder draws in the current frame of the Builder: x along the road, y away from it (to the left), z up.
"""

import math
from dataclasses import replace

from depthcue.scenes.materials import Colour, Material, scaled
from depthcue.scenes.world import BALL, CYLINDER, CYLINDER_Y, Builder, frustum

CONE = frustum(0.02)
STEEL = Material("metal", (0.32, 0.33, 0.34), (0.24, 0.24, 0.25), noise_period=(0.4,) * 3, noise_mix=0.6, gloss=0.3)
DARK_STEEL = Material("metal", (0.05, 0.055, 0.05), gloss=0.2)
TRUNK = Material("wood", (0.11, 0.08, 0.05), (0.05, 0.035, 0.025), noise_period=(0.08, 0.08, 0.5), noise_mix=1.0,
                 bump=0.5)


def building(b: Builder, length: float, depth: float, height: float) -> None:
    """A block with rows of windows, a ground floor, a cornice or a pitched roof; its front on y = 0."""
    rng = b.rng
    plaster = _plaster(b)
    storey, bay = rng.uniform(2.9, 3.6), rng.uniform(2.0, 4.0)
    glass = rng.choice((0.02, 0.05, 0.1, 0.25))
    front = Material("stone", (glass, glass * 1.05, glass * 1.15), (0.4, 0.4, 0.38), plaster, cell=(bay, bay, storey),
                     gap=rng.uniform(0.42, 0.6) * bay, cell_shade=1.2, noise_period=(0.6, 0.6, 0.5), noise_mix=0.4,
                     sharpness=2.0, gloss=0.25, offset=rng.random() * 5)
    floors = max(1, round(height / storey))
    height = floors * storey
    with b.object("building"):
        b.box((0, depth / 2, height / 2), (length, depth, height), front)
        shop = rng.random()
        base = Material("stone", scaled(plaster, 0.75), scaled(plaster, 0.5), noise_period=(0.8,) * 3, noise_mix=0.7)
        if shop < 0.45:
            windows = Material("glass", (0.06, 0.07, 0.08), (0.5, 0.4, 0.3), scaled(plaster, 0.5),
                               cell=(bay * 1.3, bay, 0.0), gap=0.35, noise_period=(0.7,) * 3, noise_mix=0.9,
                               sharpness=3.0, cell_hue=0.5, gloss=0.4, offset=rng.random() * 9)
            b.box((0, -0.05, 1.45), (length * 0.98, 0.1, 2.5), windows)
            b.box((0, -0.12, 3.0), (length * 0.9, 0.24, 0.6), _print(b, 0.5))
            if rng.random() < 0.3:
                b.box((0, -0.7, 2.75), (length * 0.6, 1.4, 0.06), Material("fabric", _vivid(b)), tilt_deg=-14)
        elif shop < 0.8:
            b.box((0, -0.04, 0.45), (length, 0.08, 0.9), base)
            for _ in range(rng.randint(1, 2)):
                x = rng.uniform(-0.4, 0.4) * length
                b.box((x, -0.04, 1.1), (rng.uniform(1.0, 2.6), 0.1, 2.2), Material("wood", _vivid(b, 0.5)))
        if rng.random() < 0.5 or floors > 4:
            b.box((0, depth / 2 - 0.1, height + 0.12), (length + 0.3, depth + 0.4, 0.28), base)
            for step in range(1, min(floors, 3)):
                if rng.random() < 0.4:
                    b.box((0, -0.06, step * storey + 0.1), (length, 0.16, 0.2), base)
        else:
            pitched_roof(b, length, depth, height)
        if rng.random() < 0.3:
            for step in range(1, min(floors, 4)):
                b.box((rng.uniform(-0.25, 0.25) * length, -0.5, step * storey + 0.4), (bay, 1.0, 0.9), base)


def pitched_roof(b: Builder, length: float, depth: float, height: float) -> None:
    """Two sloping sides of tiles and the gables under them."""
    rng = b.rng
    red = rng.uniform(0.6, 1.2)
    tiles = Material("ceramic", (0.22 * red, 0.09 * red, 0.06 * red), (0.12 * red, 0.06, 0.05), (0.04, 0.02, 0.02),
                     cell=(0.3, 0.35, 0.0), gap=0.03, cell_shade=0.5, noise_period=(1.5,) * 3, noise_mix=0.6)
    slope = rng.uniform(32, 45)
    rise = depth / 2 * (slope / 45) * 0.95
    side = (rise * rise + depth * depth / 4) ** 0.5 + 0.4
    tilt = slope_of(rise, depth / 2)
    for sign, y in ((1, depth * 0.25), (-1, depth * 0.75)):
        b.box((0, y, height + rise / 2), (length + 0.6, side, 0.16), tiles, tilt_deg=sign * tilt)
    gable = Material("stone", _plaster(b))
    for step in range(3):
        share = 1 - (step + 0.5) / 3
        b.box((0, depth / 2, height + rise * (step + 0.5) / 3), (length - 0.05, depth * share, rise / 3), gable)
    if rng.random() < 0.6:
        b.box((rng.uniform(-0.3, 0.3) * length, depth * 0.6, height + rise), (0.6, 0.6, 1.6), tiles)


def tree(b: Builder, height: float, clusters: int = 14) -> None:
    """A trunk and a crown of leaf clusters; a conifer at times."""
    rng = b.rng
    leaf = _leaf(b)
    wide = height * rng.uniform(0.4, 0.75)
    with b.object("tree"):
        bare = height * rng.uniform(0.15, 0.35)
        b.add(CYLINDER, (0, 0, height * 0.3), (height * 0.035 + 0.05, height * 0.035 + 0.05, height * 0.6), TRUNK)
        if rng.random() < 0.15:
            layers = 5
            for step in range(layers):
                low = bare * 0.4 + step * height * 0.16
                size = wide * (0.8 - step * 0.13)
                b.add(CONE, (0, 0, low + height * 0.14), (size, size, height * 0.28), leaf)
            return
        for _ in range(clusters):
            size = wide * rng.uniform(0.35, 0.62)
            z = rng.uniform(bare + size * 0.3, height - size * 0.3)
            spread = wide * 0.4 * (1.1 - abs(z / height - 0.6) * 1.6)
            b.add(BALL, (rng.uniform(-1, 1) * spread, rng.uniform(-1, 1) * spread, z),
                  (size * rng.uniform(0.8, 1.3), size * rng.uniform(0.8, 1.3), size * rng.uniform(0.7, 1.0)), leaf,
                  yaw_deg=rng.uniform(0, 180), tilt_deg=rng.uniform(-20, 20))


def bush(b: Builder, size: float) -> None:
    """A few leaf clusters on the ground."""
    rng, leaf = b.rng, _leaf(b)
    with b.object("bush"):
        for _ in range(rng.randint(2, 5)):
            s = size * rng.uniform(0.5, 1.0)
            b.add(BALL, (rng.uniform(-0.6, 0.6) * size, rng.uniform(-0.3, 0.3) * size, s * 0.35),
                  (s * 1.2, s, s * 0.9), leaf, yaw_deg=rng.uniform(0, 180))


def hedge(b: Builder, length: float) -> None:
    """A clipped hedge along the road."""
    rng = b.rng
    tall = rng.uniform(0.8, 2.4)
    with b.object("hedge"):
        b.add((0.1, 0.5, 0.5, 0.0, -1.0), (0, 0, tall / 2 - 0.05), (length, rng.uniform(0.6, 1.2), tall + 0.1),
              _leaf(b))


def fence(b: Builder, length: float) -> None:
    """Boards, railings or a wall along the road."""
    rng = b.rng
    pick = rng.random()
    with b.object("fence"):
        if pick < 0.4:
            tall, base = rng.uniform(1.0, 2.0), rng.uniform(0.05, 0.3)
            boards = Material("wood", (base * 1.5, base, base * 0.6), (base, base * 0.6, base * 0.4),
                              (0.01, 0.01, 0.01),
                              cell=(0.14, 0.14, 0.0), gap=0.02, cell_shade=0.5, noise_period=(0.05, 0.05, 0.6),
                              noise_mix=0.8)
            b.box((0, 0, tall / 2), (length, 0.06, tall), boards)
        elif pick < 0.7:
            tall = rng.uniform(0.8, 2.2)
            b.box((0, 0, tall / 2), (length, 0.25, tall), _masonry(b))
            b.box((0, 0, tall + 0.04), (length, 0.33, 0.09), Material("stone", (0.4, 0.38, 0.35)))
        else:
            for z in (0.35, 0.9):
                b.box((0, 0, z), (length, 0.04, 0.05), DARK_STEEL)
            count = max(2, int(length / 0.8))
            for step in range(min(count, 12)):
                b.box(((step / (count - 1) - 0.5) * length, 0, 0.5), (0.05, 0.05, 1.0), DARK_STEEL)


def guard_rail(b: Builder, length: float) -> None:
    """A steel beam on posts."""
    with b.object("guard rail"):
        b.add((0.0, 0.3, 0.8, 0.0, -1.0), (0, 0, 0.62), (length, 0.09, 0.32), STEEL)
        for step in range(2):
            b.box(((step - 0.5) * length * 0.5, 0.09, 0.35), (0.1, 0.08, 0.7), STEEL)


def barrier(b: Builder, length: float) -> None:
    """A concrete barrier or noise wall."""
    tall = b.rng.choice((0.85, 0.85, 0.85, 2.8))
    with b.object("barrier"):
        stone = Material("stone", (0.42, 0.41, 0.38), (0.3, 0.29, 0.27), (0.2, 0.2, 0.19), cell=(4.0, 4.0, 0.0),
                         gap=0.05, noise_period=(0.8,) * 3, noise_mix=0.8)
        b.box((0, 0, tall / 2), (length, 0.25, tall), stone)


def lamp_post(b: Builder) -> None:
    """A pole with an arm over the road (towards -y) and a lamp."""
    rng = b.rng
    tall, arm = rng.uniform(6, 10), rng.uniform(0.8, 2.2)
    with b.object("lamp post"):
        b.add(CYLINDER, (0, 0, tall / 2), (0.16, 0.16, tall), STEEL)
        b.add(CYLINDER_Y, (0, -arm / 2, tall), (0.08, arm, 0.08), STEEL)
        b.box((0, -arm, tall - 0.03), (0.25, 0.6, 0.14), STEEL)


def sign(b: Builder) -> None:
    """A round, triangular or square traffic sign, or a traffic light, facing -x."""
    rng = b.rng
    pick = rng.random()
    with b.object("traffic light" if pick > 0.75 else "sign"):
        tall = rng.uniform(2.2, 3.0)
        b.add(CYLINDER, (0, 0, tall / 2), (0.08, 0.08, tall), STEEL)
        with b.at(-0.06, 0, 0, 90):
            if pick > 0.75:
                b.box((0, 0, tall + 0.2), (0.28, 0.2, 0.85), DARK_STEEL)
                for step, colour in enumerate(((0.6, 0.02, 0.02), (0.5, 0.3, 0.02), (0.02, 0.5, 0.1))):
                    b.add(CYLINDER_Y, (0, 0.1, tall + 0.45 - 0.26 * step), (0.2, 0.06, 0.2),
                          Material("light", scaled(colour, 0.5), glow=rng.choice((0.0, 2.0))))
            elif pick > 0.35:
                red, white = Material("paint", (0.5, 0.02, 0.02)), Material("paint", (0.75, 0.75, 0.75))
                b.add(CYLINDER_Y, (0, 0, tall - 0.2), (0.62, 0.03, 0.62), red)
                b.add(CYLINDER_Y, (0, 0.006, tall - 0.2), (0.46, 0.03, 0.46), white)
            else:
                size = rng.uniform(0.5, 0.9)
                b.box((0, 0, tall - 0.1), (size, 0.03, size), Material(
                    "paint", rng.choice(((0.02, 0.1, 0.4), (0.6, 0.45, 0.03), (0.7, 0.7, 0.7))), (0.75, 0.75, 0.75),
                    noise_period=(0.2, 0.2, 0.15), noise_mix=0.7, sharpness=6.0))


def billboard(b: Builder) -> None:
    """A large board on posts, facing -x."""
    rng = b.rng
    wide, tall, low = rng.uniform(2.5, 7), rng.uniform(1.5, 3.5), rng.uniform(0.8, 5)
    with b.object("billboard"), b.at(0, 0, 0, 90):
        b.box((0, 0, low + tall / 2), (wide, 0.2, tall), _print(b, 0.8))
        for post in (-0.3, 0.3):
            b.add(CYLINDER, (post * wide, -0.05, low / 2), (0.2, 0.2, low), STEEL)


def gantry(b: Builder, span: float) -> None:
    """A sign bridge over the road, or a footbridge."""
    rng = b.rng
    low = rng.uniform(5.0, 6.2)
    with b.object("gantry"):
        for side in (-1, 1):
            b.box((0, side * span / 2, low / 2 + 0.4), (0.4, 0.4, low + 0.8), STEEL)
        b.box((0, 0, low + 0.5), (0.5, span, 0.6), STEEL)
        if rng.random() < 0.7:
            for across in (-0.25, 0.2):
                b.box((-0.35, across * span, low + 0.4), (0.1, span * 0.3, 2.0), Material(
                    "paint", (0.02, 0.08, 0.3), (0.7, 0.7, 0.7), noise_period=(0.4, 0.4, 0.3), noise_mix=0.6,
                    sharpness=6.0))
        else:
            b.box((0, 0, low + 0.9), (3.0, span * 1.3, 1.4), Material("stone", (0.4, 0.39, 0.36)))


def bollard(b: Builder) -> None:
    """A post at the kerb."""
    with b.object("bollard"):
        stripes = Material("plastic", (0.7, 0.7, 0.7), (0.45, 0.03, 0.03), cell=(0.0, 0.0, 0.25),
                           parity=(0.0, 0.0, 1.0))
        b.add(CYLINDER, (0, 0, 0.5), (0.12, 0.12, 1.0), stripes if b.rng.random() < 0.5 else DARK_STEEL)


def asphalt(b: Builder) -> Material:
    """A road surface."""
    shade = b.rng.uniform(0.05, 0.22)
    blue = b.rng.uniform(0.95, 1.08)
    return Material("asphalt", (shade, shade, shade * blue), (shade * 0.62, shade * 0.62, shade * 0.62 * blue),
                    noise_period=(1.6, 0.25, 0.25), noise_mix=b.rng.uniform(0.3, 0.9), sharpness=1.2, bump=0.1)


def ground(b: Builder) -> Material:
    """Grass, dry grass or gravel."""
    base: Colour = b.rng.choice(((0.08, 0.12, 0.03), (0.13, 0.14, 0.05), (0.32, 0.25, 0.12), (0.2, 0.18, 0.15)))
    return Material("earth", base, scaled(base, 0.5), noise_period=(0.35,) * 3, noise_mix=1.0, sharpness=1.5, bump=0.4)


def pavement(b: Builder) -> Material:
    """Slabs or asphalt of a footway."""
    shade, size = b.rng.uniform(0.14, 0.4), b.rng.uniform(0.3, 0.8)
    return Material("stone", (shade, shade * 0.97, shade * 0.92), (shade * 0.75,) * 3, (shade * 0.45,) * 3,
                    cell=(size, size, 0.0), shift=0.5, gap=0.02, cell_shade=0.25, noise_period=(0.5,) * 3,
                    noise_mix=0.7)


def slope_of(rise: float, run: float) -> float:
    """Slope in degrees."""
    return math.degrees(math.atan2(rise, run))


def _leaf(b: Builder) -> Material:
    rng = b.rng
    base = rng.choice(((0.05, 0.09, 0.02), (0.08, 0.13, 0.03), (0.03, 0.06, 0.02), (0.16, 0.15, 0.04),
                       (0.22, 0.12, 0.03)))
    scale = rng.uniform(0.7, 1.4)
    return Material("leaf", scaled(base, scale * 1.5), scaled(base, scale * 0.22),
                    noise_period=(rng.uniform(0.12, 0.3),) * 3, noise_mix=1.0, sharpness=1.8, bump=1.1)


def _print(b: Builder, size: float) -> Material:
    """Lettering and pictures, too far away to read."""
    return Material("paint", _vivid(b), _vivid(b), _vivid(b), cell=(size * 3, size * 3, size * 2), cell_hue=0.4,
                    noise_mix=0.9, noise_period=(size, size, size * 0.7), sharpness=6.0, offset=b.rng.random() * 9)


def _plaster(b: Builder) -> Colour:
    rng = b.rng
    base = rng.choice(((0.6, 0.57, 0.5), (0.7, 0.69, 0.66), (0.55, 0.44, 0.28), (0.42, 0.3, 0.24), (0.35, 0.34, 0.33),
                       (0.5, 0.24, 0.16), (0.45, 0.5, 0.52)))
    return scaled(base, rng.uniform(0.6, 1.15))


def _masonry(b: Builder) -> Material:
    brick = Material("stone", (0.3, 0.12, 0.07), (0.38, 0.2, 0.13), (0.35, 0.33, 0.3), cell=(0.25, 0.25, 0.08),
                     shift=0.5, gap=0.012, cell_shade=0.6, noise_period=(0.6,) * 3, noise_mix=0.6)
    if b.rng.random() < 0.5:
        return brick
    return replace(brick, colour=_plaster(b), second=scaled(_plaster(b), 0.7), cell=(0.0, 0.0, 0.0), gap=0.0)


def _vivid(b: Builder, most: float = 0.9) -> Colour:
    rng = b.rng
    shade = rng.uniform(0.05, 0.6)
    return (shade * (1 - most * rng.random()), shade * (1 - most * rng.random()), shade * (1 - most * rng.random()))
