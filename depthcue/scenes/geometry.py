"""Rays against convex primitives, batched and culled by tiles: the first thing hit, and whether light arrives.

Every primitive is the unit cube [-1, 1]^3 under an affine map, cut, if it is curved, with the inside of a quadric
a x^2 + b y^2 + c z^2 + 2 d z + e <= 0. That gives boxes, ellipsoids, cylinders, cones, frusta and cushions, all convex, so
that a ray has one interval inside each. Rays are taken in tiles of pixels; a conservative interval test leaves for
each tile the few primitives that its rays can meet. The loop runs over the k-th candidate of all tiles at once,
tiles with many candidates first, so the work is the number of (tile, candidate) pairs and no frame is a loop of its own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

TILE_HEIGHT = 8
TILE_WIDTH = 16

# keeps a direction component that would be exactly 0 (a camera along an axis) out of 0 * inf
_NUDGE = 3.7e-8
_NEAREST_M = 1e-3


@dataclass(frozen=True)
class Primitives:
    """B worlds of P primitives each; rows that only pad have `present` False.

    linear (B, P, 3, 3) and offset (B, P, 3) take a world point to the unit cube: local = linear @ point + offset.
    quadric (B, P, 5) holds a, b, c, d, e and matters where curved (B, P) is True.
    """

    linear: Tensor
    offset: Tensor
    quadric: Tensor
    curved: Tensor
    present: Tensor


@dataclass(frozen=True)
class Hits:
    """What the rays of one batch of frames meet.

    distance (B, H, W) in units of the ray direction's length (the z-depth, when directions have a forward component
    of 1), inf where nothing is met; primitive (B, H, W) int64 index into the P primitives, 0 where nothing is met.
    """

    distance: Tensor
    primitive: Tensor


def first_hits(primitives: Primitives, origin: Tensor, corner: Tensor, per_column: Tensor, per_row: Tensor,
               height: int, width: int) -> Hits:
    """Cast one ray through the centre of every pixel.

    origin, corner, per_column, per_row: (B, 3); the ray through image point (x, y), in pixels from the top left
    corner of the image, leaves origin in direction corner + x * per_column + y * per_row.
    """
    frames, count = primitives.present.shape
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    start = _map_point(primitives, origin)  # (B, P, 3)
    base, along_x, along_y = (_map_vector(primitives, v) for v in (corner, per_column, per_row))
    base = base + _NUDGE

    # the direction is linear in x and y, so over a tile its extremes lie at the tile's corners
    edge_x = torch.arange(columns + 1, device=origin.device) * float(TILE_WIDTH)
    edge_y = torch.arange(rows + 1, device=origin.device) * float(TILE_HEIGHT)
    at_x = along_x[:, :, None] * edge_x[:, None]  # (B, P, columns + 1, 3)
    at_y = along_y[:, :, None] * edge_y[:, None] + base[:, :, None]  # (B, P, rows + 1, 3)
    low = (torch.minimum(at_y[:, :, :-1], at_y[:, :, 1:])[:, :, :, None]
           + torch.minimum(at_x[:, :, :-1], at_x[:, :, 1:])[:, :, None])
    high = (torch.maximum(at_y[:, :, :-1], at_y[:, :, 1:])[:, :, :, None]
            + torch.maximum(at_x[:, :, :-1], at_x[:, :, 1:])[:, :, None])
    anchor = start[:, :, None, None]
    met = _beam_meets_cube(anchor, anchor, low, high, None)  # (B, P, rows, columns)
    met = (met & primitives.present[:, :, None, None]).permute(0, 2, 3, 1).reshape(-1, count)

    tiles = frames * rows * columns
    table = torch.cat((start, base, along_x, along_y), dim=2).reshape(frames * count, 12)
    tile = torch.arange(tiles, device=origin.device)
    first_row = (tile // columns % rows * TILE_HEIGHT).float()
    first_column = (tile % columns * TILE_WIDTH).float()
    frame_base = tile // (rows * columns) * count
    best = torch.full((tiles, TILE_HEIGHT, TILE_WIDTH), torch.inf, device=origin.device)
    winner = torch.zeros((tiles, TILE_HEIGHT, TILE_WIDTH), dtype=torch.int32, device=origin.device)
    in_column = torch.arange(TILE_WIDTH, device=origin.device) + 0.5
    in_row = torch.arange(TILE_HEIGHT, device=origin.device) + 0.5
    quadric = primitives.quadric.reshape(-1, 5)

    for curved in (False, True):
        kind = primitives.curved == curved
        kind_rows = kind[:, None].expand(frames, rows * columns, count).reshape(-1, count)
        order, slots = _candidate_slots(met & kind_rows)
        if not slots:
            continue
        best, winner = best[order], winner[order]
        column_of, row_of = first_column[order], first_row[order]
        base_of = frame_base[order]
        for chosen in slots:
            n = len(chosen)
            row = base_of[:n] + chosen
            values = table[row]  # (n, 12)
            at_column = (values[:, 3:6, None] + values[:, 6:9, None] * (column_of[:n, None, None] + in_column))
            at_row = values[:, 9:12, None] * (row_of[:n, None, None] + in_row)
            direction = at_column[:, :, None, :] + at_row[:, :, :, None]  # (n, 3, TILE_HEIGHT, TILE_WIDTH)
            local = values[:, 0:3, None, None]
            near, far = _cube_interval(local, direction.reciprocal())
            if curved:
                near, far = _cut_with_quadric(near, far, local, direction, quadric[row])
            closer = (near < far).logical_and_(near > _NEAREST_M).logical_and_(near < best[:n])
            torch.where(closer, near, best[:n], out=best[:n])
            torch.where(closer, chosen.to(torch.int32)[:, None, None], winner[:n], out=winner[:n])
        back = torch.empty_like(order)
        back[order] = tile
        best, winner = best[back], winner[back]
    return Hits(_untile(best, frames, rows, columns, height, width),
                _untile(winner, frames, rows, columns, height, width).long())


def light_arrives(primitives: Primitives, points: Tensor, light: Tensor, ask: Tensor) -> Tensor:
    """Whether nothing stands between each point and the light.

    points: (B, 3, H, W), already lifted off their own surface; light: (B, 4), the place of a lamp (x, y, z, 1) or the
    direction towards the sun (x, y, z, 0); ask: (B, H, W) bool, the points that matter, the rest come out True.
    Primitives with `present` False cast nothing. Returns (B, H, W) bool.
    """
    frames, count = primitives.present.shape
    height, width = points.shape[2:]
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    tiles = frames * rows * columns
    asked = _tile(ask[:, None], rows, columns)[:, 0]  # (tiles, TILE_HEIGHT, TILE_WIDTH)
    place = _tile(points, rows, columns)
    is_lamp = light[:, 3]  # (B,)

    towards = _map_vector(primitives, light[:, :3]) + is_lamp[:, None, None] * primitives.offset
    # bounds of each tile's asked points as a box: centre and half size
    low = place.masked_fill(~asked[:, None], torch.inf).amin((2, 3))
    high = place.masked_fill(~asked[:, None], -torch.inf).amax((2, 3))
    any_asked = asked.any(2).any(1)
    low, high = (torch.where(any_asked[:, None], v, 0.0).reshape(frames, -1, 3) for v in (low, high))
    centre, half = (low + high) / 2, (high - low) / 2
    linear = primitives.linear
    middle = primitives.offset[:, None] + _dot(linear[:, None], centre[:, :, None, None, :])  # (B, tiles, P, 3)
    reach = _dot(linear.abs()[:, None], half[:, :, None, None, :])
    start_low, start_high = middle - reach, middle + reach
    lamp = is_lamp[:, None, None, None]
    met = _beam_meets_cube(start_low, start_high, towards[:, None] - lamp * start_low,
                           towards[:, None] - lamp * start_high, torch.where(is_lamp > 0, 1.0, torch.inf)[:, None, None])
    met = (met & primitives.present[:, None] & any_asked.reshape(frames, -1, 1)).reshape(-1, count)

    table = torch.cat((linear.flatten(2), primitives.offset, towards), dim=2).reshape(frames * count, 15)
    quadric = primitives.quadric.reshape(-1, 5)
    tile = torch.arange(tiles, device=points.device)
    frame_of = tile // (rows * columns)
    blocked = ~asked
    for curved in (False, True):
        kind = (primitives.curved == curved)[:, None].expand(frames, rows * columns, count).reshape(-1, count)
        order, slots = _candidate_slots(met & kind)
        if not slots:
            continue
        blocked, here = blocked[order], place[order]
        base_of, lamp_of = frame_of[order] * count, is_lamp[frame_of[order]][:, None, None, None]
        last = torch.where(lamp_of[:, 0] > 0, 0.99, torch.inf)
        for chosen in slots:
            n = len(chosen)
            row = base_of[:n] + chosen
            values = table[row][:, :, None, None]  # (n, 15, 1, 1)
            local = torch.addcmul(values[:, 9:12], values[:, 0:9:3], here[:n, 0:1])
            local.addcmul_(values[:, 1:9:3], here[:n, 1:2]).addcmul_(values[:, 2:9:3], here[:n, 2:3])
            direction = values[:, 12:15] - lamp_of[:n] * local + _NUDGE
            near, far = _cube_interval(local, direction.reciprocal())
            if curved:
                near, far = _cut_with_quadric(near, far, local, direction, quadric[row])
            blocked[:n] |= (near < far).logical_and_(far > 0).logical_and_(near < last[:n])
        back = torch.empty_like(order)
        back[order] = tile
        blocked = blocked[back]
    return ~(_untile(blocked, frames, rows, columns, height, width) & ask)


def surface(primitives: Primitives, points: Tensor, primitive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where on its primitive a hit lies: local point (3, N), outward world normal (3, N), face axis (N,) 0 to 2.

    points: (3, N) world points on the surface; primitive: (N,) index into the flattened (B * P) primitives. The face
    axis is the one the normal is nearest to in local space; textures are laid on the other two.
    """
    table = torch.cat((primitives.linear.flatten(2), primitives.offset, primitives.quadric,
                       primitives.linear.square().sum(3), primitives.curved[:, :, None]), dim=2).flatten(0, 1)
    values = table.T.contiguous()[:, primitive]  # (21, N)
    linear, quadric, scale = values[0:9].unflatten(0, (3, 3)), values[12:17], values[17:20]
    local = linear[:, 0] * points[0] + linear[:, 1] * points[1] + linear[:, 2] * points[2] + values[9:12]
    size = local.abs()
    outermost = torch.maximum(torch.maximum(size[0], size[1]), size[2])
    face_axis = _argmax(size)
    gradient = local * quadric[:3]
    inside = gradient * local
    value = inside[0] + inside[1] + inside[2] + 2 * quadric[3] * local[2] + quadric[4]
    gradient[2] += quadric[3]
    # a cut primitive shows its quadric where that is the nearer boundary
    on_quadric = (values[20] > 0) & (value.abs() < (1 - outermost).abs() * 2)
    axes = torch.arange(3, device=points.device)[:, None]
    face = torch.where(axes == face_axis, local.sign(), 0.0)
    outward = torch.where(on_quadric, gradient, face)
    normal = linear[0] * outward[0] + linear[1] * outward[1] + linear[2] * outward[2]
    length = (normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2).sqrt().clamp_min(1e-12)
    axis = torch.where(on_quadric, _argmax(gradient.square() * scale), face_axis)
    return local, normal / length, axis


def _argmax(values: Tensor) -> Tensor:
    """(3, N) -> (N,); faster than a reduction over so short a dimension."""
    later = torch.where(values[2] > values[1], 2, 1)
    return torch.where(torch.maximum(values[1], values[2]) > values[0], later, 0)


def _map_point(primitives: Primitives, point: Tensor) -> Tensor:
    return _map_vector(primitives, point) + primitives.offset


def _map_vector(primitives: Primitives, vector: Tensor) -> Tensor:
    """(B, 3) -> (B, P, 3)"""
    return _dot(primitives.linear, vector[:, None, None, :])


def _dot(rows: Tensor, vector: Tensor) -> Tensor:
    """Row by row products, added in a fixed order: a matrix product's rounding may change with the batch."""
    return rows[..., 0] * vector[..., 0] + rows[..., 1] * vector[..., 1] + rows[..., 2] * vector[..., 2]


def _beam_meets_cube(start_low: Tensor, start_high: Tensor, step_low: Tensor, step_high: Tensor,
                     last: Tensor | None) -> Tensor:
    """Whether some s in [0, last] brings the box [start + s * step] (bounds low, high, (..., 3)) onto [-1, 1]^3."""
    entry_step, exit_step = step_high, step_low
    enter = -(start_high + 1) / torch.where(entry_step == 0, 1e-12, entry_step)
    leave = (1 - start_low) / torch.where(exit_step == 0, 1e-12, exit_step)
    inf = torch.inf
    upper = torch.minimum(torch.where(entry_step < 0, enter, inf), torch.where(exit_step >= 0, leave, inf)).amin(-1)
    lower = torch.maximum(torch.where(entry_step >= 0, enter, 0.0), torch.where(exit_step < 0, leave, 0.0)).amax(-1)
    lower = lower.clamp_min(0.0)
    if last is not None:
        upper = torch.minimum(upper, last)
    # widened a little, so that rounding here never drops what the exact test would meet
    return lower <= upper * 1.0001 + 1e-4


def _cube_interval(local: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """Entry and exit of rays local + t / inverse through the unit cube; (n, 3, h, w) each -> (n, h, w) twice."""
    middle = local * inverse
    half = inverse.abs_()
    near = (middle + half).neg_()
    far = half.sub_(middle)
    near = torch.maximum(torch.maximum(near[:, 0], near[:, 1]), near[:, 2])
    far = torch.minimum(torch.minimum(far[:, 0], far[:, 1]), far[:, 2])
    return near, far


def _cut_with_quadric(near: Tensor, far: Tensor, local: Tensor, direction: Tensor,
                      quadric: Tensor) -> tuple[Tensor, Tensor]:
    """Keep of [near, far] what lies inside the quadric; an empty interval comes out with near > far."""
    weights = quadric[:, :3, None, None]
    slope, constant = quadric[:, 3, None, None], quadric[:, 4, None, None]
    weighted = direction * weights
    a = (weighted * direction).sum(1)
    b = (weighted * local).sum(1) + slope * direction[:, 2]
    c = (weights * local * local).sum(1) + 2 * slope * local[:, 2] + constant
    a = torch.where(a.abs() < 1e-12, 1e-12, a)
    discriminant = b * b - a * c
    root = discriminant.clamp_min(0).sqrt()
    first, second = (-b - root) / a, (-b + root) / a
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    # a > 0: inside between the roots. a < 0 (cone seen along its axis): inside before the lower or after the upper
    # root, and the cube holds only one of the two nappes.
    outward = a < 0
    before = low > near
    near_out = torch.where(before, near, torch.maximum(near, high))
    far_out = torch.where(before, torch.minimum(far, low), far)
    inside_near = torch.where(outward, near_out, torch.maximum(near, low))
    inside_far = torch.where(outward, far_out, torch.minimum(far, high))
    misses = (discriminant < 0) & ~outward
    return torch.where(misses, torch.inf, inside_near), inside_far


def _candidate_slots(met: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Turn (tiles, P) bool into an order of tiles, most candidates first, and for k = 0, 1, ... the k-th candidate
    (n_k,) of the first n_k tiles in that order, n_k being how many have more than k."""
    counts = met.sum(1)
    counts_sorted, order = counts.sort(descending=True, stable=True)
    candidates = met.nonzero()[:, 1]
    start = (counts.cumsum(0) - counts)[order]
    having = counts_sorted.bincount()
    # number of tiles with more than k candidates; the one transfer to the host
    remaining = (len(counts) - having.cumsum(0)).tolist()
    return order, [candidates[start[:n] + k] for k, n in enumerate(remaining) if n > 0]


def _tile(image: Tensor, rows: int, columns: int) -> Tensor:
    """(B, C, H, W) -> (B * rows * columns, C, TILE_HEIGHT, TILE_WIDTH), padded with zeros."""
    frames, channels, height, width = image.shape
    padded = torch.nn.functional.pad(image, (0, columns * TILE_WIDTH - width, 0, rows * TILE_HEIGHT - height))
    parts = padded.reshape(frames, channels, rows, TILE_HEIGHT, columns, TILE_WIDTH)
    return parts.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, TILE_HEIGHT, TILE_WIDTH)


def _untile(tiles: Tensor, frames: int, rows: int, columns: int, height: int, width: int) -> Tensor:
    """(B * rows * columns, TILE_HEIGHT, TILE_WIDTH) -> (B, H, W)"""
    parts = tiles.reshape(frames, rows, columns, TILE_HEIGHT, TILE_WIDTH)
    return parts.permute(0, 1, 3, 2, 4).reshape(frames, rows * TILE_HEIGHT, columns * TILE_WIDTH)[:, :height, :width]
