"""Rendering of a world to a photograph: camera, light, surfaces, air, sensor; and the truth beside it.

The truth is depth, normals, objects, materials, albedo, and the cause of each edge.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depthcue.scenes import materials
from depthcue.scenes.geometry import first_hits, light_arrives, surface
from depthcue.scenes.materials import hash32, on_slant, unit
from depthcue.scenes.world import Camera, World, WorldBatch, WorldObject, stack

_STEP = 0.015  # depth step, beyond what the surface's slope explains, that counts as an occlusion; share of depth
_CREASE_COSINE = 0.9
_ALBEDO_STEP = 0.12  # relative to the brighter side
_PIVOT = 0.4  # the grey level that contrast leaves alone
_FRAME_PIXELS_AT_ONCE = 60_000  # on a CPU: what is in flight should stay in its cache


def find_edges(points: Tensor, normal: Tensor, depth: Tensor, valid: Tensor, albedo: Tensor, lit: Tensor,
               faces_light: Tensor, primitive: Tensor) -> dict[str, Tensor]:
    """Label edges by their cause: name -> (B, H, W) bool.

    occlusion: the depth jumps between different surfaces (sky included); both sides of the jump are marked. crease:
    depth is continuous, the normal is not. texture: the albedo changes inside one smooth surface. shadow: the border of
    a cast shadow on one smooth surface. Points, normal and albedo are (B, 3, H, W); the rest (B, H, W).
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
        known_a, known_b = both(valid)
        depth_a, depth_b = both(depth)
        surface_a, surface_b = both(primitive)
        difference = point_b - point_a
        # distance of each point from the other's tangent plane
        off_a, off_b = _dot(difference, normal_a).abs(), _dot(difference, normal_b).abs()
        nearest = torch.minimum(depth_a, depth_b)
        apart = torch.minimum(off_a, off_b) > _STEP * nearest
        jump = (known_a != known_b) | (known_a & known_b & apart & (surface_a != surface_b))
        joined = known_a & known_b & ~jump
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


@dataclass
class Rendering:
    """Pictures and truth of B frames.

    rgb (B, 3, H, W) float32 in [0, 1], gamma encoded; depth_m (B, 1, H, W) along the optical axis, inf for sky; valid
    (B, 1, H, W) bool, False for sky; normal (B, 3, H, W) unit, camera frame (x right, y down, z forward), 0 for sky;
    object_id (B, 1, H, W) int64 position in `objects` of the frame, -1 for sky; material_id (B, 1, H, W) int64 position
    in materials.CLASSES; albedo (B, 3, H, W) linear; edges: name -> (B, 1, H, W) bool for occlusion, crease, texture,
    shadow (see `find_edges`); horizon_row (B,) row of the horizon in the middle column; vanishing_point (B, 2) x, y of
    the room's or road's main direction; focal_px (B,); exposure (B,) gain from radiance to picture; objects: of each
    frame, what its object ids stand for. Image points count from the centre of the top left pixel.
    """

    rgb: Tensor
    depth_m: Tensor
    valid: Tensor
    normal: Tensor
    object_id: Tensor
    material_id: Tensor
    albedo: Tensor
    edges: dict[str, Tensor]
    horizon_row: Tensor
    vanishing_point: Tensor
    focal_px: Tensor
    exposure: Tensor
    objects: list[list[WorldObject]] = field(default_factory=list)


@dataclass(frozen=True)
class Lens:
    """Camera axes and position in the world (B, 3) each, focal length in pixels (B,); principal point centred."""

    position: Tensor
    right: Tensor
    down: Tensor
    forward: Tensor
    focal_px: Tensor


def render_worlds(worlds: Sequence[World], height: int, width: int, focal_px: float,
                  device: str | torch.device = "cpu", exposure: Tensor | None = None) -> Rendering:
    """Photograph every world at the size height x width with its own camera.

    focal_px: the kind's focal length at this size, which each camera's focal_factor multiplies. exposure: (B,) gains
    to use instead of those that each picture would ask for.
    """
    device = torch.device(device)
    at_once = frames_at_once(height, width, device) or len(worlds)

    @torch.no_grad()
    def part(start: int) -> Rendering:
        some = worlds[start:start + at_once]
        lens = _lens(some, focal_px, device)
        main = _unit_vectors([world.main_yaw_deg for world in some], [0.0] * len(some), device)
        gain = None if exposure is None else exposure[start:start + at_once].to(device)
        return _photograph(stack(some, device), lens, main, height, width, gain)

    starts = range(0, len(worlds), at_once)
    joined = _join(_side_by_side(part, starts) if device.type == "cpu" else [part(start) for start in starts])
    joined.objects = [world.objects for world in worlds]
    return joined


def frames_at_once(height: int, width: int, device: torch.device) -> int | None:
    """Number of frames of a call that are computed together; None where all are. Groups do not change a frame."""
    return max(1, _FRAME_PIXELS_AT_ONCE // (height * width)) if device.type == "cpu" else None


def _side_by_side(part: Callable[[int], Rendering], starts: Sequence[int]) -> list[Rendering]:
    """Parts of a rendering on a CPU, each on one thread, and as many at a time as torch has threads.

    The operations of a part are short: threads that share one spend more time on waiting for each other than on it.
    """
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(min(threads, len(starts)) or 1, initializer=torch.set_num_threads,
                                initargs=(1,)) as pool:
            return list(pool.map(part, starts))
    finally:
        torch.set_num_threads(threads)  # the number set in a thread is also that of threads begun later


def camera_axes(camera: Camera) -> NDArray[np.float64]:
    """Directions of a camera's x (right), y (down) and z (forward) in the world, the columns of (3, 3)."""
    yaw, pitch, roll = (math.radians(v) for v in (camera.yaw_deg, camera.pitch_deg, camera.roll_deg))
    ahead = np.array((math.cos(yaw), math.sin(yaw), 0.0))
    forward = math.cos(pitch) * ahead + np.array((0.0, 0.0, math.sin(pitch)))
    right = np.array((math.sin(yaw), -math.cos(yaw), 0.0))
    down = np.cross(forward, right)
    return np.stack((math.cos(roll) * right + math.sin(roll) * down, math.cos(roll) * down - math.sin(roll) * right,
                     forward), axis=1)


def _lens(worlds: Sequence[World], focal_px: float, device: torch.device) -> Lens:
    rows = [np.concatenate((world.camera.position, camera_axes(world.camera).T.ravel(),
                            (focal_px * world.camera.focal_factor,))) for world in worlds]
    table = torch.tensor(np.array(rows), dtype=torch.float32, device=device)
    return Lens(table[:, 0:3], table[:, 3:6], table[:, 6:9], table[:, 9:12], table[:, 12])


def _unit_vectors(yaw_deg: Sequence[float], pitch_deg: Sequence[float], device: torch.device) -> Tensor:
    yaw, pitch = np.radians(yaw_deg), np.radians(pitch_deg)
    vectors = np.stack((np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)), 1)
    return torch.tensor(vectors, dtype=torch.float32, device=device)


def _photograph(batch: WorldBatch, lens: Lens, main: Tensor, height: int, width: int,
                exposure: Tensor | None) -> Rendering:
    frames, count = batch.object_id.shape
    device = batch.half.device
    focal = lens.focal_px[:, None]
    corner = lens.forward - width / 2 / focal * lens.right - height / 2 / focal * lens.down
    hits = first_hits(batch.primitives, lens.position, corner, lens.right / focal, lens.down / focal, height, width)
    valid = hits.distance < torch.inf
    depth = torch.where(valid, hits.distance, 1.0)

    x = (torch.arange(width, device=device) + 0.5)[None, None, None, :]
    y = (torch.arange(height, device=device) + 0.5)[None, None, :, None]
    scale = lens.focal_px[:, None, None, None]
    ray = (corner[:, :, None, None] + lens.right[:, :, None, None] / scale * x
           + lens.down[:, :, None, None] / scale * y)  # (B, 3, H, W)
    points = lens.position[:, :, None, None] + ray * depth[:, None]

    def pictures(flat: Tensor) -> Tensor:
        """(C, N) -> (B, C, H, W)"""
        return flat.reshape(-1, frames, height, width).transpose(0, 1)

    which = (hits.primitive + torch.arange(frames, device=device)[:, None, None] * count).flatten()
    local, normal_flat, axis = surface(batch.primitives, points.transpose(0, 1).flatten(1), which)
    normal = pictures(normal_flat)
    length = _length(ray)
    facing = (-_dot(ray, normal) / length).clamp_min(0.15)
    footprint = (depth * length / lens.focal_px[:, None, None] / facing).flatten()

    row = batch.material.flatten(0, 1).T.contiguous()[:, which]  # (29, N)
    at = local * batch.half.flatten(0, 1).T.contiguous()[:, which]
    if batch.any_painted:
        painted = batch.painted.flatten()[which]
        apparent, wide, mean = on_slant(batch.slant, (x[0] - width / 2) / focal[:, :, None],
                                        (y[0] - height / 2) / focal[:, :, None])
        at = torch.where(painted, apparent.flatten(1), at)
        axis = torch.where(painted, 2, axis)
        # lines that run along the slant are as fine as a pixel is wide, however long it is
        runs = (row[materials.CELL.start + 1] == 0) & (row[materials.MIX] == 0)
        across, both = ((metres / focal[:, :, None]).flatten() for metres in (wide, mean))
        covered = torch.where(runs, across, both)
        footprint = torch.where(painted, covered, footprint)
    albedo_flat, bump = materials.evaluate(row, at, axis, footprint, batch.texture_salt.flatten()[which])
    albedo = pictures(albedo_flat)
    shading_normal = normal + pictures(bump)
    shading_normal = shading_normal / _length(shading_normal)[:, None].clamp_min(1e-6)

    # light
    light = batch.lighting["light"]
    to_light = light[:, :3, None, None] - light[:, 3, None, None, None] * points
    distance = _length(to_light)[:, None]
    to_light = to_light / distance.clamp_min(1e-6)
    is_lamp = light[:, 3, None, None, None]
    strength = torch.where(is_lamp > 0, 1 / (0.6 + (distance * is_lamp / 2.5) ** 2), 1.0)
    faces_light = _dot(normal, to_light) > 0
    lifted = points + normal * (0.002 + 0.0005 * depth[:, None])
    shaded = batch.lighting["shadows"][:, None, None] > 0
    lit = light_arrives(batch.casters, lifted, light, faces_light & valid & shaded)
    cosine = _dot(shading_normal, to_light)[:, None].clamp_min(0)
    direct = (cosine * strength * (lit & faces_light)[:, None]) * batch.lighting["light_colour"][:, :, None, None]
    hollow = hollowness(points, normal, depth)[:, None]
    up = 0.75 + 0.25 * shading_normal[:, 2:3]
    toward_camera = -(_dot(shading_normal, ray) / length)[:, None]
    ambient = batch.lighting["ambient"][:, :, None, None] * up * (0.85 + 0.15 * toward_camera) * hollow
    to_fill = batch.lighting["fill"][:, :, None, None] - points
    fill_distance = _length(to_fill)[:, None]
    fill = (_dot(shading_normal, to_fill)[:, None] / fill_distance.clamp_min(1e-3) * 0.6 + 0.4).clamp_min(0)
    fill = fill / (0.6 + (fill_distance / 2) ** 2) * hollow * batch.lighting["fill_colour"][:, :, None, None]
    bisector = to_light - ray / length[:, None]
    bisector = bisector / _length(bisector)[:, None].clamp_min(1e-6)
    shine = _dot(shading_normal, bisector)[:, None].clamp(0, 1) ** 24

    def picked(index: int) -> Tensor:
        return pictures(row[index:index + 1])

    gloss, glow = picked(materials.GLOSS), picked(materials.GLOW)
    fresnel = (1 - toward_camera.clamp(0, 1)) ** 3
    radiance = albedo * (direct + ambient + fill + glow) + gloss * direct * shine \
        + gloss * fresnel * 0.4 * batch.lighting["sky"][:, :, None, None]

    # air and sky
    sky = _sky(ray / length[:, None], batch)
    haze = 1 - torch.exp(-batch.lighting["haze_per_m"][:, None, None, None] * depth[:, None] * length[:, None])
    veil = batch.lighting["sky"][:, :, None, None] * 0.9
    radiance = torch.where(valid[:, None], torch.lerp(radiance, veil.expand_as(radiance), haze), sky)

    edges = find_edges(points, normal, depth, valid, albedo, lit, faces_light, which.reshape(frames, height, width))
    radiance = _soften(radiance, edges)
    if exposure is None:
        # follows what most of the picture holds, as a camera's does; bright windows and lamps burn out
        exposure = batch.lighting["brightness"] / radiance.clamp_max(2.0).mean((1, 2, 3)).clamp_min(1e-4)
    rgb = _expose(radiance * exposure[:, None, None, None], batch)
    object_id = torch.where(valid, batch.object_id.flatten()[which].reshape(frames, height, width).long(), -1)
    camera_normal = torch.stack([_dot(normal, axis_of[:, :, None, None])
                                 for axis_of in (lens.right, lens.down, lens.forward)], 1) * valid[:, None]
    return Rendering(
        rgb=rgb, depth_m=torch.where(valid, hits.distance, torch.inf)[:, None], valid=valid[:, None],
        normal=camera_normal, object_id=object_id[:, None],
        material_id=torch.where(valid[:, None], picked(materials.CLASS).long(), 0), albedo=albedo * valid[:, None],
        edges={name: edge[:, None] for name, edge in edges.items()},
        horizon_row=height / 2 - 0.5 - lens.focal_px * lens.forward[:, 2] / lens.down[:, 2],
        vanishing_point=_vanishing_point(lens, main, height, width), focal_px=lens.focal_px, exposure=exposure)


def _length(vectors: Tensor) -> Tensor:
    """(B, 3, ...) -> (B, ...); faster than a reduction over so short a dimension."""
    return _dot(vectors, vectors).sqrt()


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """(B, 3, ...) twice -> (B, ...); faster than a reduction over so short a dimension."""
    return first[:, 0] * second[:, 0] + first[:, 1] * second[:, 1] + first[:, 2] * second[:, 2]


def _soften(radiance: Tensor, edges: dict[str, Tensor]) -> Tensor:
    """Smooth over edges alone: one ray a pixel leaves steps where a lens and a sensor leave a ramp."""
    marked = edges["occlusion"] | edges["crease"] | edges["texture"] | edges["shadow"]
    smooth = radiance.clamp_max(4.0)
    for dim in (2, 3):
        before, after = _neighbours(smooth, dim)
        smooth = 0.68 * smooth + 0.16 * (before + after)
    return torch.where(marked[:, None], smooth, radiance)


def _neighbours(image: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The image moved by one pixel either way along a dimension, its border repeated."""
    size = image.shape[dim]
    return (torch.cat((image.narrow(dim, 0, 1), image.narrow(dim, 0, size - 1)), dim),
            torch.cat((image.narrow(dim, 1, size - 1), image.narrow(dim, size - 1, 1)), dim))


def _sky(direction: Tensor, batch: WorldBatch) -> Tensor:
    """Sky radiance (B, 3, H, W): paler towards the horizon, with clouds."""
    up = direction[:, 2].clamp(0, 1)
    colour = batch.lighting["sky"][:, :, None, None]
    pale = torch.lerp(colour, colour.mean(1, keepdim=True) * 1.15, ((1 - up) ** 6)[:, None] * 0.8)
    if not batch.cloudy:
        return pale
    plane = direction[:, :2] / (up + 0.12)[:, None]
    salt = batch.salt[:, None, None].expand(up.shape)
    cloud = torch.zeros_like(up)
    for octave, frequency in enumerate((0.9, 2.1, 4.7)):
        layer = materials.value_noise(plane[:, 0] * frequency, plane[:, 1] * frequency, salt + octave)
        cloud += layer / 2 ** (octave + 1)
    amount = batch.lighting["clouds"][:, None, None]
    cover = ((cloud - 0.85 + amount) * 4).clamp(0, 1) * amount.clamp(0, 1)
    return torch.lerp(pale, colour.amax(1, keepdim=True).expand_as(pale) * 1.1, cover[:, None])


def _expose(radiance: Tensor, batch: WorldBatch) -> Tensor:
    """Exposed linear radiance to a gamma-encoded picture with the sensor's faults."""
    lighting = {name: value.reshape(len(radiance), -1, 1, 1) for name, value in batch.lighting.items()}
    frames, _, height, width = radiance.shape
    device = radiance.device
    x = (torch.arange(width, device=device) + 0.5) / width - 0.5
    y = (torch.arange(height, device=device) + 0.5) / height - 0.5
    falloff = 1 - lighting["vignette"] * 2 * (x[None, :] ** 2 + y[:, None] ** 2)
    linear = radiance * lighting["white_balance"] * falloff
    grey = linear.mean(1, keepdim=True)
    linear = (grey + (linear - grey) * lighting["saturation"]).clamp_min(0)
    edge = lighting["blur"]
    for dim in (2, 3):
        before, after = _neighbours(linear, dim)
        linear = linear * (1 - 2 * edge) + (before + after) * edge
    # a shoulder instead of a hard clip, then gamma and a contrast curve about the middle
    linear = linear / (1 + linear ** 3) ** (1 / 3)
    encoded = linear.clamp_min(1e-6) ** (1 / 2.2)
    # contrast is linear above the pivot and a power below, where a line would cut the shadows off
    steepened = torch.where(encoded < _PIVOT, _PIVOT * (encoded / _PIVOT) ** lighting["contrast"],
                            _PIVOT + (encoded - _PIVOT) * lighting["contrast"])
    encoded = steepened.clamp(0, 1)
    column = torch.arange(width, device=device, dtype=torch.int32)[None, None, :]
    line = torch.arange(height, device=device, dtype=torch.int32)[None, :, None]
    noise = torch.stack([unit(hash32(column, line, batch.salt[:, None, None] + 7 * c))
                         + unit(hash32(line, column, batch.salt[:, None, None] + 7 * c + 3)) - 1 for c in range(3)], 1)
    return (encoded + noise * 2.4 * lighting["noise"]).clamp(0, 1)


def _vanishing_point(lens: Lens, main: Tensor, height: int, width: int) -> Tensor:
    ahead = (main * lens.forward).sum(1)
    safe = torch.where(ahead.abs() < 1e-6, 1e-6, ahead)
    x = width / 2 - 0.5 + lens.focal_px * (main * lens.right).sum(1) / safe
    y = height / 2 - 0.5 + lens.focal_px * (main * lens.down).sum(1) / safe
    return torch.stack((x, y), 1)


def _join(parts: Sequence[Rendering]) -> Rendering:
    def joined(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    names = [name for name in Rendering.__dataclass_fields__ if name not in ("edges", "objects")]
    edges = {name: torch.cat([part.edges[name] for part in parts]) for name in parts[0].edges}
    fields: dict[str, Any] = {name: joined(name) for name in names}
    return Rendering(**fields, edges=edges)
