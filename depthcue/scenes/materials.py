"""Procedural surfaces: one pattern with many knobs, evaluated for every pixel from integer hashes; and painted floors.

A surface is laid out in cells (tiles, planks, bricks, books, panes, stripes, checks), each cell may differ in shade
and hue, the gaps between cells have a colour of their own, and value noise stretched along any axis mixes two colours
(plaster, wood grain, asphalt, leaves). The hashes are 32-bit integer arithmetic, so every device draws the same.

`Paint` lays a pattern on a surface so that, from the camera, it looks as on a plane of another slant. The surface keeps
its geometry, light and shadows; its pattern alone suggests another depth, as an anamorphic painting on a pavement does.
In the picture of a level camera at height h, a plane through a line across the view has an inverse depth that is linear
in the tangent v of the angle below the horizon, q = level + slope v; the floor itself is level 0, slope 1 / h, and a
wall across the view is slope 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from depthcue.errors import DepthcueError

Colour = tuple[float, float, float]

CLASSES = ("sky", "paint", "wood", "fabric", "metal", "glass", "stone", "ceramic", "paper", "plastic", "leaf",
           "asphalt", "marking", "earth", "skin", "light")
"""Material ids are positions in this list."""

_FADE_START, _FADE_END = 0.35, 0.9  # share of a pattern's period that a pixel covers while the pattern fades out
COLOUR, SECOND, JOINT, CELL, PARITY, PERIOD = (slice(at, at + 3) for at in range(0, 18, 3))
SHIFT, GAP, SHADE, HUE, MIX, SHARP, GLOSS, GLOW, BUMP, OFFSET, CLASS = range(18, 29)
_LEAST_INVERSE_DEPTH = 1e-3
"""1/m: a plane that runs over its own horizon is drawn this far away."""


@dataclass(frozen=True, slots=True)
class Material:
    """Pattern and colours of a surface. Colours are linear RGB in [0, 1]; lengths are metres along the primitive's own
    axes.

    cell: size of a cell along x, y, z (0 = one endless cell); shift: how far each next row of cells is moved, in
    cells; gap: width of the joint between cells; parity: axes along which cells alternate between the two colours;
    cell_shade / cell_hue: how much cells differ; noise_period: size of the noise along x, y, z, or with `grain` along
    the longest axis and across it; noise_mix: how much the noise leads from colour to second; sharpness: 1 soft to 8
    blotchy; gloss: 0 matt to 1; glow: light it gives off; bump: roughness of its shading; offset: moves the pattern.
    """

    kind: str
    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    joint: Colour = (0.0, 0.0, 0.0)
    cell: Colour = (0.0, 0.0, 0.0)
    shift: float = 0.0
    gap: float = 0.0
    parity: Colour = (0.0, 0.0, 0.0)
    cell_shade: float = 0.0
    cell_hue: float = 0.0
    noise_period: Colour = (0.3, 0.3, 0.3)
    grain: bool = False
    noise_mix: float = 0.0
    sharpness: float = 1.0
    gloss: float = 0.0
    glow: float = 0.0
    bump: float = 0.0
    offset: float = 0.0

    def tinted(self, colour: Colour) -> "Material":
        """The same surface in another colour."""
        return replace(self, colour=colour)


def scaled(colour: Colour, by: float) -> Colour:
    """A darker or lighter colour."""
    return (colour[0] * by, colour[1] * by, colour[2] * by)


def rows(materials: Sequence[Material], half: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Materials of primitives with half sizes `half` (P, 3) as numbers, (P, 29) float32."""
    table: dict[int, list[float]] = {}
    for material in materials:
        if id(material) not in table:
            table[id(material)] = [
                *material.colour, *material.second, *material.joint, *material.cell, *material.parity,
                *material.noise_period, material.shift, material.gap, material.cell_shade, material.cell_hue,
                material.noise_mix, material.sharpness, material.gloss, material.glow, material.bump, material.offset,
                CLASSES.index(material.kind)]
    filled = np.array([table[id(material)] for material in materials], dtype=np.float32)
    grained = np.array([material.grain for material in materials])
    longest = half.argmax(1)
    across = filled[:, PERIOD.start + 1, None].repeat(3, 1)
    across[np.arange(len(half)), longest] = filled[:, PERIOD.start]
    filled[:, PERIOD] = np.where(grained[:, None], across, filled[:, PERIOD])
    return filled


def evaluate(row: Tensor, point: Tensor, axis: Tensor, footprint: Tensor, salt: Tensor) -> tuple[Tensor, Tensor]:
    """Albedo (3, N) and a bump vector (3, N) at points on surfaces.

    row (29, N); point (3, N) metres in the primitive's frame; axis (N,) the face's axis; footprint (N,) metres that
    a pixel covers there; salt (N,) int32, which tells one object's patterns from another's.
    """
    on_x, on_z = axis == 0, axis == 2

    def across_face(values: Tensor) -> tuple[Tensor, Tensor]:
        return torch.where(on_x, values[1], values[0]), torch.where(on_z, values[1], values[2])

    u, v = across_face(point)
    u, v = u + row[OFFSET], v + row[OFFSET] * 0.7
    salt = salt + axis.to(torch.int32) * 7919

    period_u, period_v = across_face(row[PERIOD])
    finest = torch.minimum(period_u, period_v)
    noise_u, noise_v = u / period_u, v / period_v
    noise = (value_noise(noise_u, noise_v, salt) - 0.5) * _fade(footprint, finest)
    detail = value_noise(noise_u * 2.7 + 0.31, noise_v * 2.7 + 0.57, salt + 101) - 0.5
    detail = detail * _fade(footprint, finest * 0.37)
    bump = torch.stack((noise + detail, detail - 0.4 * noise, 0.8 * noise - detail)) * row[BUMP]

    cell_u, cell_v = across_face(row[CELL])
    has_u, has_v = cell_u > 0, cell_v > 0
    cell_u, cell_v = torch.where(has_u, cell_u, 1e4), torch.where(has_v, cell_v, 1e4)
    across = v / cell_v + 0.5 * (~has_v)
    row_number = across.floor()
    along = u / cell_u + 0.5 * (~has_u) + row_number * row[SHIFT]
    column_number = along.floor()
    visible = _fade(footprint, torch.minimum(cell_u, cell_v))
    code = hash32(column_number.to(torch.int32), row_number.to(torch.int32), salt)
    chance = torch.stack((unit(code), unit(code >> 5 ^ code * 3), unit(code >> 9 ^ code * 7))) - 0.5
    parity_u, parity_v = across_face(row[PARITY])
    parity = (parity_u * column_number + parity_v * row_number).remainder(2.0)
    parity = torch.where(parity_u + parity_v > 0, 0.5 + (parity - 0.5) * visible, 0.0)

    mix = (0.5 + (noise + 0.5 * detail) * 1.6 * row[SHARP] - 0.5 * (1 - row[MIX])) * (row[MIX] > 0)
    mix = (mix.clamp(0, 1) * row[MIX] + parity).clamp(0, 1)
    colour = torch.lerp(row[COLOUR], row[SECOND], mix)
    swing = visible * (row[SHADE] * chance[0] + row[HUE] * chance)
    colour = (colour * (1 + 1.6 * swing) + 0.35 * swing * row[HUE]).clamp(0.005, 1)

    # a joint thinner than a pixel darkens by its share of the pixel
    from_u = (0.5 - (along - column_number - 0.5).abs()) * cell_u
    from_v = (0.5 - (across - row_number - 0.5).abs()) * cell_v
    half_gap = row[GAP] / 2
    reach = torch.maximum(half_gap, footprint * 0.5)
    joint = (1 - (torch.minimum(from_u, from_v) - reach + footprint * 0.5).div(footprint.clamp_min(1e-4))).clamp(0, 1)
    return torch.lerp(colour, row[JOINT], half_gap / reach.clamp_min(1e-6) * joint), bump


def value_noise(u: Tensor, v: Tensor, salt: Tensor) -> Tensor:
    """Smooth noise in [0, 1] with one lattice point per unit."""
    low_u, low_v = u.floor(), v.floor()
    fraction_u, fraction_v = u - low_u, v - low_v
    fraction_u = fraction_u * fraction_u * (3 - 2 * fraction_u)
    fraction_v = fraction_v * fraction_v * (3 - 2 * fraction_v)
    column, line = low_u.to(torch.int32), low_v.to(torch.int32)
    corners = [unit(hash32(column + i, line + j, salt)) for j in (0, 1) for i in (0, 1)]
    return torch.lerp(torch.lerp(corners[0], corners[1], fraction_u), torch.lerp(corners[2], corners[3], fraction_u),
                      fraction_v)


def hash32(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Scramble three int32 tensors into one; wraps around as 32-bit integers do."""
    mixed = first * 374761393 + second * 668265263 + third * 1274126177
    mixed = (mixed ^ mixed >> 13) * 1103515245
    mixed = (mixed ^ mixed >> 15) * 668265263
    return mixed ^ mixed >> 14


def unit(code: Tensor) -> Tensor:
    """int32 hash -> float in [0, 1)"""
    return (code & 0xFFFFF).float() * (1.0 / 0x100000)


def _fade(footprint: Tensor, period: Tensor) -> Tensor:
    """1 while a pixel is much smaller than the period, 0 when it covers it."""
    return ((_FADE_END - footprint / period) / (_FADE_END - _FADE_START)).clamp(0, 1)


@dataclass(frozen=True)
class Paint:
    """A pattern and the slant it suggests.

    Attributes:
        on: names of the objects that are painted.
        near_m, far_m: distances along the floor ahead of two lines across the view.
        ratio: distance that the pattern suggests at the far line, in distances of the near line. far_m / near_m is the
            floor's own, 1 a wall at near_m; below 1 the pattern is swapped, coarse where it is far.
        pattern: None leaves every surface its own.
    """

    on: tuple[str, ...]
    near_m: float
    far_m: float
    ratio: float
    pattern: Material | None = None

    def slant(self, height_m: float) -> tuple[float, float]:
        """Level (1/m) and slope (1/m) of the plane that the pattern suggests to a camera at this height.

        Raises:
            DepthcueError: lines in the wrong order, or a ratio that is not above 0.
        """
        if not 0 < self.near_m < self.far_m or not self.ratio > 0:
            raise DepthcueError(f"a floor cannot be painted from {self.near_m} m to {self.far_m} m with ratio "
                                f"{self.ratio}",
                                "The far line must lie beyond the near one, and the ratio must be above 0.")
        near, far = height_m / self.near_m, height_m / self.far_m
        slope = (1 - 1 / self.ratio) / self.near_m / (near - far)
        return 1 / self.near_m - slope * near, slope

    def apparent_m(self, depth_m: Tensor) -> Tensor:
        """The depth that the pattern suggests where the floor's own is `depth_m`, of any shape, for any height."""
        level, slope = self.slant(1.0)
        return 1 / (level + slope / depth_m).clamp_min(_LEAST_INVERSE_DEPTH)


def on_slant(slant: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Intersections of rays with slanted planes.

    Args:
        slant: (B, 2), level and slope.
        across, down: (B, H, W) or less by broadcasting, the ray's direction beside 1 along the optical axis.

    Returns:
        Points (3, B, H, W) in metres along the plane: across, up along the slant, and 0; and the metres (B, H, W) that
        a pixel of 1 radian covers there: across the view, and in the geometric mean of that and along the slant. A
        pattern alike in all directions is still seen, across the view, where a pixel is longer than its grain.
    """
    level, slope = slant[:, 0, None, None], slant[:, 1, None, None]
    depth = 1 / (level + slope * down).clamp_min(_LEAST_INVERSE_DEPTH)
    steep = (level.square() + slope.square()).sqrt().clamp_min(1e-9)
    across, down, depth = torch.broadcast_tensors(across, down, depth)
    along = depth * (slope - level * down) / steep
    length = (1 + across.square() + down.square()).sqrt()
    # the plane's normal is (0, slope, level) / steep, and on the plane ray and normal multiply to 1 / (depth steep)
    facing = (1 / (depth * steep * length)).clamp(0.15, 1.0)
    return torch.stack((depth * across, along, torch.zeros_like(along))), depth * length, depth * length / facing.sqrt()
