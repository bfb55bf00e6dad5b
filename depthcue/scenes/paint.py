"""Patterns laid on a surface so that, from where the camera is, they look as on a plane of another slant.

What is painted keeps its geometry, light and shadows; only its pattern tells another depth, as an anamorphic painting
on a pavement does. In the picture of a level camera at height h, a plane that hangs on a line across the view has an
inverse depth that is linear in the tangent v of the angle below the horizon, q = level + slope v; the floor itself is
level 0, slope 1 / h, and a wall across the view is slope 0.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from depthcue.errors import DepthcueError
from depthcue.scenes.materials import Material

_LEAST_INVERSE_DEPTH = 1e-3
"""1/m: a plane that runs over its own horizon is drawn this far away."""


@dataclass(frozen=True)
class Paint:
    """A pattern and the slant it tells.

    Attributes:
        on: names of the objects that are painted.
        near_m, far_m: along the floor ahead, where two lines across the view lie.
        ratio: how many times the near line's distance the pattern tells at the far line. far_m / near_m is what the
            floor tells by itself, 1 a wall at near_m; below 1 the pattern is swapped, coarse where it is far.
        pattern: None leaves every surface its own.
    """

    on: tuple[str, ...]
    near_m: float
    far_m: float
    ratio: float
    pattern: Material | None = None

    def slant(self, height_m: float) -> tuple[float, float]:
        """Level (1/m) and slope (1/m) of the plane that a camera at this height sees the pattern on.

        Raises:
            DepthcueError: lines in the wrong order, or a ratio that is not above 0.
        """
        if not 0 < self.near_m < self.far_m or not self.ratio > 0:
            raise DepthcueError(f"a floor painted from {self.near_m} m to {self.far_m} m with ratio {self.ratio}",
                                "The far line has to lie beyond the near one, and the ratio above 0.")
        near, far = height_m / self.near_m, height_m / self.far_m
        slope = (1 - 1 / self.ratio) / self.near_m / (near - far)
        return 1 / self.near_m - slope * near, slope

    def told_m(self, depth_m: Tensor) -> Tensor:
        """The depth that the pattern tells where the floor's own is `depth_m`, any shape, whatever the height."""
        level, slope = self.slant(1.0)
        return 1 / (level + slope / depth_m).clamp_min(_LEAST_INVERSE_DEPTH)


def on_slant(slant: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays meet slanted planes.

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
