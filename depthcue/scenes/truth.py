"""What a photograph cannot tell: which edges are which, and how much of the sky each point sees."""

import torch
from torch import Tensor

_STEP = 0.015  # depth step, beyond what the surface's slope explains, that counts as an occlusion; share of depth
_CREASE_COSINE = 0.9
_ALBEDO_STEP = 0.12  # relative to the brighter side


def edges(points: Tensor, normal: Tensor, depth: Tensor, valid: Tensor, albedo: Tensor, lit: Tensor,
          faces_light: Tensor, primitive: Tensor, focal_px: Tensor) -> dict[str, Tensor]:
    """Label edges by their cause: name -> (B, H, W) bool.

    occlusion: the depth jumps between different surfaces (sky included); both sides of the jump are marked. crease:
    depth is continuous, the normal is not. texture: the albedo changes inside one smooth surface. shadow: the border of
    a cast shadow on one smooth surface. points, normal, albedo (B, 3, H, W); the rest (B, H, W); focal_px (B,).
    """
    marks = {name: torch.zeros_like(valid) for name in ("occlusion", "crease", "texture", "shadow")}
    brightest = albedo.amax(1)
    for dim in (1, 2):
        size = valid.shape[dim]

        def both(values: Tensor, at: int = dim, last: int = size - 1) -> tuple[Tensor, Tensor]:
            axis = at + values.dim() - 3
            return values.narrow(axis, 0, last), values.narrow(axis, 1, last)

        point_a, point_b = both(points)
        normal_a, normal_b = both(normal)
        seen_a, seen_b = both(valid)
        depth_a, depth_b = both(depth)
        surface_a, surface_b = both(primitive)
        difference = point_b - point_a
        # distance of each point from the other's tangent plane
        off_a, off_b = _dot(difference, normal_a).abs(), _dot(difference, normal_b).abs()
        nearest = torch.minimum(depth_a, depth_b)
        apart = torch.minimum(off_a, off_b) > _STEP * nearest
        jump = (seen_a != seen_b) | (seen_a & seen_b & apart & (surface_a != surface_b))
        joined = seen_a & seen_b & ~jump
        bent = joined & (_dot(normal_a, normal_b) < _CREASE_COSINE)
        smooth = joined & ~bent
        colour_a, colour_b = both(albedo)
        bright_a, bright_b = both(brightest)
        step = (colour_a - colour_b).abs().amax(1)
        changed = smooth & (step > _ALBEDO_STEP * torch.maximum(bright_a, bright_b).clamp_min(0.08))
        lit_a, lit_b = both(lit)
        faces_a, faces_b = both(faces_light)
        shaded = smooth & (lit_a != lit_b) & faces_a & faces_b
        for name, found in (("occlusion", jump), ("crease", bent), ("texture", changed), ("shadow", shaded)):
            first, second = both(marks[name])
            first |= found
            second |= found
    return marks


def hollowness(points: Tensor, normal: Tensor, depth: Tensor) -> Tensor:
    """Share of ambient light (B, H, W) in [0, 1] that arrives, from the neighbours that stand above each tangent plane.

    A screen-space estimate: three rings of eight points on a coarse grid, interpolated. The rings scale with the image.
    """
    height, width = depth.shape[1:]
    stride = max(1, round(height / 40))
    points, normal, depth = (v[..., ::stride, ::stride] for v in (points, normal, depth))
    rows, columns = depth.shape[1:]
    blocked = torch.zeros_like(depth)
    for step, reach_m in ((1, 0.3), (2, 0.5), (4, 0.9)):
        padded = torch.nn.functional.pad(points, (step, step, step, step), mode="replicate")
        falloff = 1 / (reach_m + 0.06 * depth)
        for down in (0, step, 2 * step):
            for right in (0, step, 2 * step):
                if (down, right) == (step, step):
                    continue
                towards = padded[:, :, down:down + rows, right:right + columns] - points
                distance = _dot(towards, towards).sqrt_().clamp_min_(1e-4)
                rise = _dot(towards, normal).div_(distance).sub_(0.08).clamp_min_(0)
                blocked += rise * (1 - distance * falloff).clamp_min_(0)
    coarse = 1 / (1 + 0.22 * blocked)
    # sample (i, j) of the coarse grid is pixel (i * stride, j * stride)
    grown = torch.nn.functional.interpolate(coarse[:, None], scale_factor=stride, mode="bilinear",
                                            align_corners=False)[:, 0]
    shift = stride // 2
    return torch.nn.functional.pad(grown, (shift, 0, shift, 0), mode="replicate")[:, :height, :width]


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """(B, 3, H, W) twice -> (B, H, W); faster than a reduction over so short a dimension."""
    return first[:, 0] * second[:, 0] + first[:, 1] * second[:, 1] + first[:, 2] * second[:, 2]
