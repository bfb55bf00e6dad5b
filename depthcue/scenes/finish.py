"""The surfaces of one room: palettes drawn once, so that a room's things go together, and fresh draws for clutter."""

import colorsys
import random

from depthcue.scenes.materials import Colour, Material, scaled

_WOODS: tuple[tuple[Colour, Colour], ...] = (
    ((0.36, 0.19, 0.08), (0.23, 0.11, 0.045)), ((0.20, 0.085, 0.035), (0.11, 0.045, 0.02)),
    ((0.52, 0.33, 0.17), (0.40, 0.23, 0.10)), ((0.62, 0.46, 0.28), (0.50, 0.35, 0.19)),
    ((0.10, 0.05, 0.03), (0.06, 0.03, 0.018)), ((0.42, 0.17, 0.07), (0.28, 0.10, 0.04)),
    ((0.30, 0.22, 0.15), (0.20, 0.14, 0.09)))
_WALLS: tuple[Colour, ...] = (
    (0.75, 0.72, 0.66), (0.80, 0.79, 0.77), (0.70, 0.62, 0.48), (0.62, 0.60, 0.56), (0.60, 0.63, 0.60),
    (0.50, 0.55, 0.40), (0.70, 0.60, 0.38), (0.50, 0.54, 0.60), (0.66, 0.54, 0.46), (0.78, 0.74, 0.62),
    (0.72, 0.70, 0.68), (0.66, 0.60, 0.52), (0.38, 0.42, 0.32), (0.52, 0.30, 0.20), (0.68, 0.66, 0.70),
    (0.76, 0.75, 0.72), (0.58, 0.52, 0.44))
_CARPETS: tuple[Colour, ...] = (
    (0.50, 0.42, 0.33), (0.38, 0.34, 0.30), (0.24, 0.24, 0.25), (0.42, 0.40, 0.38), (0.30, 0.20, 0.14),
    (0.20, 0.24, 0.32), (0.55, 0.50, 0.44), (0.30, 0.10, 0.08))


class Finish:
    """Draws materials for one room; what a room has in one kind only (its wood, its walls) is drawn once."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.woods = [self._new_wood() for _ in range(2)]
        self.lacquers = [self._plain("wood", self._off_white(), gloss=0.1),
                         self._plain("wood", self._vivid(0.5) if rng.random() < 0.3 else self._off_white(), gloss=0.1)]
        self.fabrics = [self._new_fabric() for _ in range(3)]
        self.metals = [self._plain("metal", (g, g, g * 0.97), gloss=0.5) for g in (0.5, rng.uniform(0.05, 0.3))]
        self.black = self._plain("plastic", (0.02, 0.02, 0.022), gloss=0.15)
        self.wall_colour = self._shaken(rng.choice(_WALLS), 0.12)

    # surfaces of the shell

    def wall(self) -> Material:
        rng = self.rng
        pick = rng.random()
        colour = self.wall_colour
        if pick < 0.045:
            return Material("stone", (0.36, 0.13, 0.08), (0.45, 0.22, 0.14), (0.45, 0.42, 0.38),
                            cell=(0.22, 0.22, 0.075),
                            shift=0.5, gap=0.012, cell_shade=0.7, noise_mix=0.5, offset=rng.random())
        if pick < 0.11:
            wood = self._new_wood()
            return Material("wood", wood.colour, wood.second, (0.03, 0.02, 0.01), cell=(0.12, 0.12, 0.0), gap=0.008,
                            cell_shade=0.4, noise_period=(0.05, 0.05, 0.9), noise_mix=0.7, offset=rng.random())
        if pick < 0.18:
            second = scaled(colour, rng.uniform(0.7, 0.92))
            return Material("paper", colour, second, parity=(1.0, 1.0, 0.0), offset=rng.random(),
                            cell=(rng.uniform(0.06, 0.25),) * 2 + (0.0,), noise_mix=0.0)
        return Material("paint", colour, scaled(colour, 0.9), noise_period=(0.9, 0.9, 0.9), noise_mix=0.5,
                        offset=rng.random() * 9)

    def ceiling(self) -> Material:
        rng = self.rng
        shade = rng.uniform(0.65, 0.88)
        if rng.random() < 0.2:
            return Material("paint", (shade,) * 3, (shade * 0.85,) * 3, (0.45, 0.45, 0.45), cell=(0.6, 0.6, 0.6),
                            gap=0.025, noise_period=(0.02, 0.02, 0.02), noise_mix=0.4)
        return Material("paint", (shade, shade, shade * rng.uniform(0.9, 1.0)))

    def floor(self, kind: str) -> Material:
        """kind: "wood", "carpet" or "tiles"."""
        rng = self.rng
        if kind == "wood":
            wood, wide = self._new_wood(), rng.uniform(0.06, 0.2)
            along = rng.random() < 0.5
            cell = (rng.uniform(0.6, 1.8), wide, 0.0) if along else (wide, 0.0, 0.0)
            period = (0.6, 0.03, 0.03) if along else (0.03, 0.6, 0.03)
            return Material("wood", wood.colour, wood.second, scaled(wood.second, 0.4), cell=cell, shift=0.37,
                            gap=0.006, cell_shade=rng.uniform(0.2, 0.6), noise_period=period, noise_mix=0.8,
                            gloss=rng.uniform(0.05, 0.3), offset=rng.random() * 5)
        if kind == "tiles":
            size = rng.uniform(0.1, 0.45)
            base = self._off_white() if rng.random() < 0.6 else self._shaken((0.45, 0.30, 0.20), 0.3)
            joint = scaled(base, rng.choice((0.45, 0.7, 1.25)))
            checks = (1.0, 1.0, 0.0) if rng.random() < 0.15 else (0.0, 0.0, 0.0)
            return Material("ceramic", base, scaled(base, 0.1 if checks[0] else 0.82), joint,
                            cell=(size, size, 0.0), gap=rng.uniform(0.005, 0.014), parity=checks, cell_shade=0.15,
                            noise_mix=0.0 if checks[0] else 0.6, gloss=0.25, offset=rng.random())
        base = self._shaken(rng.choice(_CARPETS), 0.15)
        return Material("fabric", base, scaled(base, 0.72), noise_period=(0.03, 0.03, 0.03), noise_mix=0.7,
                        sharpness=1.5, bump=0.25)

    def rug(self) -> Material:
        rng = self.rng
        a, b = self._vivid(0.5), self._vivid(0.5)
        if rng.random() < 0.3:
            return Material("fabric", a, b, noise_period=(0.05, 0.05, 0.05), noise_mix=0.8, sharpness=2.0,
                            offset=rng.random() * 7)
        return Material("fabric", a, b, scaled(b, 0.5), cell=(rng.uniform(0.08, 0.4), rng.uniform(0.08, 0.4), 0),
                        parity=(1.0, float(rng.random() < 0.6), 0.0), gap=0.02, cell_hue=0.2, offset=rng.random())

    def worktop(self) -> Material:
        rng = self.rng
        base = self._shaken(rng.choice(((0.10, 0.10, 0.10), (0.45, 0.40, 0.34), (0.65, 0.62, 0.58),
                                        (0.30, 0.20, 0.13))), 0.2)
        return Material("stone", base, scaled(base, 1.9), noise_period=(0.025,) * 3,
                        noise_mix=0.6, sharpness=3.0, gloss=0.35)

    def splash(self) -> Material:
        size, base = self.rng.uniform(0.06, 0.15), self._off_white()
        return Material("ceramic", base, base, scaled(base, 0.7), cell=(size, size, size), gap=0.006,
                        cell_shade=0.25, cell_hue=self.rng.choice((0.0, 0.0, 0.08)), gloss=0.3)

    # surfaces of furniture

    def wood(self) -> Material:
        return self.woods[self.rng.random() < 0.3]

    def lacquer(self) -> Material:
        return self.lacquers[self.rng.random() < 0.4]

    def fabric(self) -> Material:
        return self.rng.choice(self.fabrics) if self.rng.random() < 0.6 else self._new_fabric()

    def leather(self) -> Material:
        base = self._shaken(self.rng.choice(((0.08, 0.04, 0.03), (0.02, 0.02, 0.02), (0.25, 0.13, 0.07),
                                             (0.5, 0.42, 0.34))), 0.2)
        return Material("fabric", base, scaled(base, 0.7), noise_period=(0.2,) * 3, noise_mix=0.6, gloss=0.3, bump=0.15)

    def bedding(self) -> Material:
        rng = self.rng
        a, b = (self._vivid(0.7), self._vivid(0.8)) if rng.random() < 0.6 else (self._off_white(), self._vivid(0.5))
        pick = rng.random()
        size = rng.uniform(0.06, 0.35)
        if pick < 0.25:
            return Material("fabric", a, b, cell=(size, size, size), parity=(1.0, 1.0, 0.0), bump=0.15)
        if pick < 0.45:
            return Material("fabric", a, b, cell=(0.0, size, 0.0), parity=(0.0, 1.0, 0.0), cell_hue=0.25, bump=0.15)
        if pick < 0.58:
            return Material("fabric", a, b, noise_period=(rng.uniform(0.03, 0.15),) * 3, noise_mix=1.0, sharpness=3.0,
                            bump=0.15, offset=rng.random() * 9)
        if pick < 0.8:
            return Material("fabric", a, b, b, cell=(size, size, size), cell_hue=0.35, cell_shade=0.7, gap=0.02,
                            bump=0.15)
        return Material("fabric", a, scaled(a, 0.8), noise_period=(0.3,) * 3, noise_mix=0.7, bump=0.3)

    def linen(self) -> Material:
        base = self._off_white() if self.rng.random() < 0.7 else self._vivid(0.4)
        return Material("fabric", base, scaled(base, 0.85), noise_period=(0.2,) * 3, noise_mix=0.8, bump=0.35)

    def curtain(self) -> Material:
        rng = self.rng
        base = self._off_white() if rng.random() < 0.5 else self._vivid(0.5)
        fold = rng.uniform(0.06, 0.16)
        return Material("fabric", base, scaled(base, 0.6), noise_period=(fold, fold, 3.0), noise_mix=1.0,
                        sharpness=1.5, bump=0.5, glow=rng.choice((0.0, 0.0, 0.4)), offset=rng.random() * 9)

    def metal(self) -> Material:
        return self.metals[self.rng.random() < 0.4]

    def dark(self) -> Material:
        return self.black

    def appliance(self) -> Material:
        shade = self.rng.choice((0.75, 0.78, 0.42, 0.03))
        return Material("metal", (shade, shade, shade * 0.98), gloss=0.35)

    def ceramic(self) -> Material:
        base = self._off_white() if self.rng.random() < 0.6 else self._vivid(0.6)
        return Material("ceramic", base, gloss=0.4)

    def plastic(self) -> Material:
        return Material("plastic", self._vivid(0.8) if self.rng.random() < 0.5 else (0.08, 0.08, 0.08), gloss=0.15)

    def bright(self) -> Material:
        return Material("plastic", self._vivid(), self._vivid(), noise_period=(0.1,) * 3, gloss=0.15,
                        noise_mix=self.rng.choice((0.0, 0.0, 1.0)), sharpness=6.0)

    def bottle(self) -> Material:
        return Material("glass", self._vivid(0.8), self._off_white(), cell=(0.0, 0.0, 0.12), parity=(0.0, 0.0, 1.0),
                        gloss=0.5, offset=self.rng.random())

    def package(self) -> Material:
        return Material("paper", self._vivid(0.8), self._vivid(0.8), self._off_white(), cell=(0.11, 0.13, 0.09),
                        gap=0.01,
                        cell_hue=self.rng.choice((0.0, 0.5)), noise_period=(0.06,) * 3, noise_mix=0.8, sharpness=6.0,
                        offset=self.rng.random() * 9)

    def carton(self) -> Material:
        return Material("paper", (0.45, 0.30, 0.17), (0.36, 0.23, 0.12), noise_period=(0.3,) * 3, noise_mix=0.6)

    def paper(self) -> Material:
        return Material("paper", (0.8, 0.8, 0.78), (0.25, 0.25, 0.28), noise_period=(0.08, 0.012, 0.05), noise_mix=0.4,
                        sharpness=3.0)

    def books(self) -> Material:
        rng = self.rng
        return Material("paper", self._vivid(0.6), (0.7, 0.66, 0.58), (0.02, 0.02, 0.02),
                        cell=(rng.uniform(0.018, 0.045), 0.0, 0.0), gap=0.004, cell_shade=1.2, cell_hue=0.7,
                        noise_period=(0.01, 0.1, 0.08), noise_mix=0.5, sharpness=4.0, offset=rng.random() * 9)

    def picture(self) -> Material:
        rng = self.rng
        if rng.random() < 0.2:
            size = rng.uniform(0.05, 0.3)
            return Material("paper", self._vivid(0.7), self._vivid(0.7), self._off_white(),
                            cell=(size, size, size * 1.3),
                            cell_hue=0.6, cell_shade=0.9, gap=0.015, noise_period=(0.07,) * 3, noise_mix=0.8,
                            sharpness=4.0, offset=rng.random() * 9)
        return Material("paper", self._vivid(0.7), self._vivid(0.7), noise_period=(rng.uniform(0.05, 0.3),) * 3,
                        noise_mix=1.0, sharpness=rng.uniform(1.0, 6.0), offset=rng.random() * 9)

    def screen(self) -> Material:
        rng = self.rng
        if rng.random() < 0.6:
            return Material("glass", (0.015, 0.015, 0.018), gloss=0.5)
        return Material("light", self._vivid(0.5), self._off_white(), noise_period=(0.15,) * 3, noise_mix=0.9,
                        sharpness=4.0, glow=rng.uniform(0.4, 1.2))

    def lampshade(self) -> Material:
        return Material("light", (0.85, 0.72, 0.50), glow=self.rng.choice((0.0, 0.0, 1.5, 4.0)))

    def window(self, glow: float) -> Material:
        """View through a pane: burnt-out sky, or leaves and houses."""
        rng = self.rng
        if rng.random() < 0.5:
            return Material("glass", (0.85, 0.9, 0.95), (0.6, 0.7, 0.75), noise_period=(0.5,) * 3, noise_mix=0.5,
                            glow=glow)
        return Material("glass", (0.25, 0.35, 0.15), (0.8, 0.87, 0.95), noise_period=(rng.uniform(0.1, 0.5),) * 3,
                        noise_mix=1.0, sharpness=3.0, glow=glow, offset=rng.random() * 9)

    def blind(self, glow: float) -> Material:
        shade = self.rng.uniform(0.5, 0.85)
        return Material("plastic", (shade, shade, shade * 0.95), (shade * 0.6,) * 3, (shade * 0.35,) * 3,
                        cell=(0.0, 0.0, self.rng.uniform(0.025, 0.05)), gap=0.012, glow=glow * 0.5)

    def leaf(self) -> Material:
        green = self._shaken((0.10, 0.22, 0.05), 0.4)
        return Material("leaf", green, scaled(green, 0.35), noise_period=(0.05,) * 3, noise_mix=1.0,
                        sharpness=3.0, bump=0.5)

    def mirror(self) -> Material:
        shade = self.rng.uniform(0.3, 0.6)
        return Material("glass", (shade, shade, shade), self.wall_colour, noise_period=(0.6,) * 3, noise_mix=1.0,
                        sharpness=1.5, gloss=0.4, offset=self.rng.random() * 9)

    # colours

    def _new_wood(self) -> Material:
        rng = self.rng
        light, dark = rng.choice(_WOODS)
        scale = rng.uniform(0.75, 1.2)
        return Material("wood", scaled(light, scale), scaled(dark, scale),
                        noise_period=(0.5, rng.uniform(0.015, 0.05), 0.03), grain=True, noise_mix=rng.uniform(0.4, 1.0),
                        sharpness=1.5, gloss=rng.uniform(0.03, 0.25), offset=rng.random() * 9)

    def _new_fabric(self) -> Material:
        rng = self.rng
        base = self._vivid(0.65) if rng.random() < 0.6 else self._shaken(rng.choice(_CARPETS), 0.3)
        pick = rng.random()
        if pick < 0.15:
            size = rng.uniform(0.03, 0.12)
            return Material("fabric", base, self._off_white(), cell=(size, size, size),
                            parity=(1.0, float(rng.random() < 0.5), 0.0), bump=0.2)
        if pick < 0.24:
            return Material("fabric", base, self._vivid(0.6), noise_period=(rng.uniform(0.02, 0.1),) * 3, noise_mix=1.0,
                            sharpness=5.0, bump=0.2, offset=rng.random() * 9)
        return Material("fabric", base, scaled(base, 0.75), noise_period=(0.06,) * 3, noise_mix=0.9, sharpness=1.5,
                        bump=0.35)

    def _plain(self, kind: str, colour: Colour, gloss: float = 0.0) -> Material:
        return Material(kind, colour, scaled(colour, 0.85), noise_period=(0.4,) * 3, noise_mix=0.3, gloss=gloss)

    def _off_white(self) -> Colour:
        shade, warm = self.rng.uniform(0.55, 0.85), self.rng.uniform(0.0, 0.15)
        return (shade, shade * (1 - warm / 2), shade * (1 - warm))

    def _vivid(self, most: float = 1.0) -> Colour:
        """A colour of any hue; `most` bounds the saturation."""
        rng = self.rng
        # warm hues are the more common ones in rooms; values reach from nearly black to bright
        hue = rng.random() if rng.random() < 0.5 else rng.uniform(-0.05, 0.16)
        r, g, b = colorsys.hsv_to_rgb(hue % 1.0, most * rng.random(), 0.1 + 0.8 * rng.random())
        return (r * r * 0.9, g * g * 0.9, b * b * 0.9)

    def _shaken(self, colour: Colour, by: float) -> Colour:
        common = 1 + self.rng.uniform(-by, by)
        r, g, b = (min(0.9, c * common * (1 + self.rng.uniform(-by, by) * 0.4)) for c in colour)
        return (r, g, b)
