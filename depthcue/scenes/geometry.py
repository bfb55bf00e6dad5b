"""Rays against convex primitives, batched and culled by tiles: the first thing hit, and whether light arrives.

Every primitive is the unit cube [-1, 1]^3 under an affine map, cut, if it is curved, with the inside of a quadric
a x^2 + b y^2 + c z^2 + 2 d z + e <= 0. That gives boxes, ellipsoids, cylinders, cones, frusta and cushions, all convex,
so that a ray has one interval inside each. Rays are taken in tiles of pixels; a conservative interval test leaves for
each tile the few primitives that its rays can meet. The loop runs over the k-th candidate of all tiles at once, tiles
with many candidates first, so the work is the number of (tile, candidate) pairs and no frame is a loop of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

TILE_HEIGHT = 8
TILE_WIDTH = 16

# keeps a direction component that would be exactly 0 (a camera along an axis) out of 0 * inf
_NUDGE = 3.7e-8
_NEAREST_M = 1e-3

_PAIRS_AT_LEAST = 320


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
    """First hits of the rays of one batch of frames.

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
    primitives, original = _only(primitives, _in_view(primitives, origin, corner, per_column, per_row, height, width))
    frames, count = primitives.present.shape
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    start = _map_point(primitives, origin)  # (B, P, 3)
    base, along_x, along_y = (_map_vector(primitives, v) for v in (corner, per_column, per_row))
    base = base + _NUDGE

    # the direction is linear in x and y, so over a tile its extremes lie at the tile's corners
    edge_x = torch.arange(columns + 1, device=origin.device) * float(TILE_WIDTH)
    edge_y = torch.arange(rows + 1, device=origin.device) * float(TILE_HEIGHT)
    reach = [_bounds_over_tiles(base[..., axis], along_x[..., axis], along_y[..., axis], edge_x, edge_y)
             for axis in range(3)]
    anchor = [start[..., axis][:, None, None] for axis in range(3)]
    met = _beam_meets_cube([(a, a) for a in anchor], reach, torch.inf)  # (B, rows, columns, P)
    met = (met & primitives.present[:, None, None]).reshape(-1, count)

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
            n, group = chosen.shape
            row = (base_of[:n, None] + chosen).flatten()
            values = table[row]  # (n * group, 12)
            at = column_of[:n].repeat_interleave(group), row_of[:n].repeat_interleave(group)
            at_column = values[:, 3:6, None] + values[:, 6:9, None] * (at[0][:, None, None] + in_column)
            at_row = values[:, 9:12, None] * (at[1][:, None, None] + in_row)
            direction = at_column[:, :, None, :] + at_row[:, :, :, None]  # (n * group, 3, TILE_HEIGHT, TILE_WIDTH)
            local = values[:, 0:3, None, None]
            near, far = _cube_interval(local, direction.reciprocal())
            if curved:
                near, far = _cut_with_quadric(near, far, local, direction, quadric[row])
            met_here = (near < far).logical_and_(near > _NEAREST_M)
            candidate = chosen.to(torch.int32)[:, :, None, None]
            if group > 1:
                near = torch.where(met_here, near, torch.inf).unflatten(0, (n, group))
                nearest = near.amin(1)
                # of two at the same distance the first counts, however the candidates were grouped
                candidate = torch.where(near == nearest[:, None], candidate, count).amin(1)
                near, met_here = nearest, nearest < torch.inf
            else:
                candidate = candidate[:, 0]
            closer = met_here.logical_and_(near < best[:n])
            torch.where(closer, near, best[:n], out=best[:n])
            torch.where(closer, candidate, winner[:n], out=winner[:n])
        back = torch.empty_like(order)
        back[order] = tile
        best, winner = best[back], winner[back]
    position = _untile(winner, frames, rows, columns, height, width).flatten(1).long()
    return Hits(_untile(best, frames, rows, columns, height, width),
                original.gather(1, position).unflatten(1, (height, width)))


def light_arrives(primitives: Primitives, points: Tensor, light: Tensor, wanted: Tensor) -> Tensor:
    """Whether nothing stands between each point and the light.

    Args:
        points: (B, 3, H, W), lifted off their own surface.
        light: (B, 4), the position of a lamp (x, y, z, 1) or the direction towards the sun (x, y, z, 0).
        wanted: (B, H, W) bool, the points that matter; the rest come out True.

    Returns:
        (B, H, W) bool. Primitives with `present` False cast nothing.
    """
    frames, count = primitives.present.shape
    height, width = points.shape[2:]
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    tiles = frames * rows * columns
    needed = _tile(wanted[:, None], rows, columns)[:, 0]  # (tiles, TILE_HEIGHT, TILE_WIDTH)
    tiled = _tile(points, rows, columns)
    is_lamp = light[:, 3]  # (B,)

    towards = _map_vector(primitives, light[:, :3]) + is_lamp[:, None, None] * primitives.offset
    # the box around each tile's wanted points: centre and half size
    low = tiled.masked_fill(~needed[:, None], torch.inf).amin((2, 3))
    high = tiled.masked_fill(~needed[:, None], -torch.inf).amax((2, 3))
    any_needed = needed.any(2).any(1)
    low, high = (torch.where(any_needed[:, None], v, 0.0).reshape(frames, -1, 3) for v in (low, high))
    centre, half = (low + high) / 2, (high - low) / 2
    linear = primitives.linear
    start, step = [], []
    for axis in range(3):
        row = linear[:, None, :, axis]  # (B, 1, P, 3)
        middle = primitives.offset[:, None, :, axis] + _dot(row, centre[:, :, None])  # (B, tiles, P)
        reach = _dot(row.abs(), half[:, :, None])
        low_bound, high_bound = middle - reach, middle + reach
        lamp = is_lamp[:, None, None]
        start.append((low_bound, high_bound))
        step.append((towards[:, None, :, axis] - lamp * low_bound, towards[:, None, :, axis] - lamp * high_bound))
    met = _beam_meets_cube(start, step, torch.where(is_lamp > 0, 1.0, torch.inf)[:, None, None])
    met = (met & primitives.present[:, None] & any_needed.reshape(frames, -1, 1)).reshape(-1, count)

    table = torch.cat((linear.flatten(2), primitives.offset, towards), dim=2).reshape(frames * count, 15)
    quadric = primitives.quadric.reshape(-1, 5)
    tile = torch.arange(tiles, device=points.device)
    frame_of = tile // (rows * columns)
    blocked = ~needed
    for curved in (False, True):
        kind = (primitives.curved == curved)[:, None].expand(frames, rows * columns, count).reshape(-1, count)
        order, slots = _candidate_slots(met & kind)
        if not slots:
            continue
        blocked, here = blocked[order], tiled[order]
        base_of, lamp_of = frame_of[order] * count, is_lamp[frame_of[order]][:, None, None, None]
        last = torch.where(lamp_of[:, 0] > 0, 0.99, torch.inf)
        for chosen in slots:
            n, group = chosen.shape
            row = (base_of[:n, None] + chosen).flatten()
            values = table[row][:, :, None, None]  # (n * group, 15, 1, 1)
            point_of, lamp, end = here[:n], lamp_of[:n], last[:n]
            if group > 1:
                point_of, lamp, end = (v.repeat_interleave(group, 0) for v in (point_of, lamp, end))
            local = torch.addcmul(values[:, 9:12], values[:, 0:9:3], point_of[:, 0:1])
            local.addcmul_(values[:, 1:9:3], point_of[:, 1:2]).addcmul_(values[:, 2:9:3], point_of[:, 2:3])
            direction = values[:, 12:15] - lamp * local + _NUDGE
            near, far = _cube_interval(local, direction.reciprocal())
            if curved:
                near, far = _cut_with_quadric(near, far, local, direction, quadric[row])
            between = (near < far).logical_and_(far > 0).logical_and_(near < end)
            blocked[:n] |= between.unflatten(0, (n, group)).any(1)
        back = torch.empty_like(order)
        back[order] = tile
        blocked = blocked[back]
    return ~(_untile(blocked, frames, rows, columns, height, width) & wanted)


def surface(primitives: Primitives, points: Tensor, primitive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Position of a hit on its primitive: local point (3, N), outward world normal (3, N), face axis (N,) 0 to 2.

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


def _in_view(primitives: Primitives, origin: Tensor, corner: Tensor, per_column: Tensor, per_row: Tensor, height: int,
             width: int) -> Tensor:
    """Primitives (B, P) that the picture as a whole may show: one tile of the whole picture's size."""
    rows, columns = -(-height // TILE_HEIGHT), -(-width // TILE_WIDTH)
    start = _map_point(primitives, origin)
    base, along_x, along_y = (_map_vector(primitives, v) for v in (corner, per_column, per_row))
    edge_x = torch.tensor([0.0, columns * TILE_WIDTH], device=origin.device)
    edge_y = torch.tensor([0.0, rows * TILE_HEIGHT], device=origin.device)
    reach = [_bounds_over_tiles(base[..., axis], along_x[..., axis], along_y[..., axis], edge_x, edge_y)
             for axis in range(3)]
    anchor = [start[..., axis][:, None, None] for axis in range(3)]
    return _beam_meets_cube([(a, a) for a in anchor], reach, torch.inf)[:, 0, 0] & primitives.present


def _only(primitives: Primitives, chosen: Tensor) -> tuple[Primitives, Tensor]:
    """The chosen primitives of every world, in their order, and where each was before (B, P')."""
    largest = max(1, int(chosen.sum(1).max()))
    original = chosen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :largest]

    def taken(values: Tensor) -> Tensor:
        index = original.reshape(*original.shape, *(1 for _ in values.shape[2:])).expand(-1, -1, *values.shape[2:])
        return values.gather(1, index)

    return Primitives(taken(primitives.linear), taken(primitives.offset), taken(primitives.quadric),
                      taken(primitives.curved), chosen.gather(1, original)), original


def _bounds_over_tiles(base: Tensor, along_x: Tensor, along_y: Tensor, edge_x: Tensor,
                       edge_y: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest base + x * along_x + y * along_y (B, P) over every tile: (B, rows, columns, P) twice."""
    at_x = edge_x[None, :, None] * along_x[:, None]  # (B, columns + 1, P)
    at_y = edge_y[None, :, None] * along_y[:, None] + base[:, None]
    low = torch.minimum(at_y[:, :-1], at_y[:, 1:])[:, :, None] + torch.minimum(at_x[:, :-1], at_x[:, 1:])[:, None]
    high = torch.maximum(at_y[:, :-1], at_y[:, 1:])[:, :, None] + torch.maximum(at_x[:, :-1], at_x[:, 1:])[:, None]
    return low, high


def _map_point(primitives: Primitives, point: Tensor) -> Tensor:
    return _map_vector(primitives, point) + primitives.offset


def _map_vector(primitives: Primitives, vector: Tensor) -> Tensor:
    """(B, 3) -> (B, P, 3)"""
    return _dot(primitives.linear, vector[:, None, None, :])


def _dot(rows: Tensor, vector: Tensor) -> Tensor:
    """Row by row products, added in a fixed order: a matrix product's rounding may change with the batch."""
    return rows[..., 0] * vector[..., 0] + rows[..., 1] * vector[..., 1] + rows[..., 2] * vector[..., 2]


def _beam_meets_cube(start: Sequence[tuple[Tensor, Tensor]], step: Sequence[tuple[Tensor, Tensor]],
                     last: Tensor | float) -> Tensor:
    """Whether some s in [0, last] brings the box start + s * step onto [-1, 1]^3.

    start, step: for each of the three axes the box's lower and upper bound. The answer may be yes where the exact one
    is no, never the other way round.
    """
    lower: Tensor | None = None
    upper: Tensor | None = None
    for (start_low, start_high), (step_low, step_high) in zip(start, step, strict=True):
        # two conditions, each distance + s * slope >= 0: the box reaches -1 from below, and 1 from above
        for distance, slope in ((start_high + 1, step_high), (1 - start_low, -step_low)):
            crossing = -distance / torch.where(slope == 0, 1e-12, slope)
            rising = slope >= 0
            from_here, until = torch.where(rising, crossing, 0.0), torch.where(rising, torch.inf, crossing)
            lower = from_here if lower is None else torch.maximum(lower, from_here)
            upper = until if upper is None else torch.minimum(upper, until)
    assert lower is not None and upper is not None
    # widened a little, so that rounding here never drops what the exact test would meet
    return lower.clamp_min_(0) <= upper.clamp_max_(last) * 1.0001 + 1e-4


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
    """Turn (tiles, P) bool into an order of tiles, most candidates first, and a list of what to try one after the
    other: candidates (n, group) of the first n tiles in that order. Where few tiles are left, several of a tile's
    candidates form a group (the last may be repeated), so that no step is too small to be worth its launch."""
    counts = met.sum(1)
    counts_sorted, order = counts.sort(descending=True, stable=True)
    candidates = met.nonzero()[:, 1]
    start, last = (counts.cumsum(0) - counts)[order], counts_sorted - 1
    having = counts_sorted.bincount()
    # number of tiles with more than k candidates; the one transfer to the host
    remaining = (len(counts) - having.cumsum(0)).tolist()[:-1]
    slots = []
    k = 0
    while k < len(remaining):
        n = remaining[k]
        group = max(1, min(_PAIRS_AT_LEAST // n, len(remaining) - k))
        wanted = torch.arange(k, k + group, device=met.device)
        slots.append(candidates[start[:n, None] + torch.minimum(wanted, last[:n, None])])
        k += group
    return order, slots


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
