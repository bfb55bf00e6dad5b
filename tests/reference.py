"""Slow float64 definitions, written from the papers with plain loops, that the fast code is tested against."""

import math
from collections.abc import Sequence

Map = Sequence[Sequence[float]]

# error measures of depth maps (Hu et al. 2019, section 4; Eigen et al. 2014)


def image_errors(prediction: Sequence[float], depth: Sequence[float], valid: Sequence[bool]) -> dict[str, float]:
    """The error measures of one image given as flat lists of pixels, in metres."""
    totals = dict.fromkeys(("mse", "mae", "abs_rel", "log10", "mse_log", "delta1", "delta2", "delta3"), 0.0)
    count = 0
    for predicted, truth, counts in zip(prediction, depth, valid, strict=True):
        if not counts:
            continue
        count += 1
        totals["mse"] += (predicted - truth) ** 2
        totals["mae"] += abs(predicted - truth)
        totals["abs_rel"] += abs(predicted - truth) / truth
        totals["log10"] += abs(math.log10(predicted) - math.log10(truth))
        totals["mse_log"] += (math.log(predicted) - math.log(truth)) ** 2
        for power in (1, 2, 3):
            totals[f"delta{power}"] += max(predicted / truth, truth / predicted) < 1.25**power
    return {name: total / count for name, total in totals.items()}


def rmse_over_images(mse: Sequence[float]) -> float:
    """The square root of the mean over images of their mean squared errors."""
    return math.sqrt(sum(mse) / len(mse))


def sobel_at(depth: Map, row: int, column: int) -> tuple[float, float]:
    """Sobel gradient in x and y of a map (rows of numbers) at one pixel, zero outside."""
    def at(r: int, c: int) -> float:
        inside = 0 <= r < len(depth) and 0 <= c < len(depth[0])
        return depth[r][c] if inside else 0.0

    dx = dy = 0.0
    for offset, weight in ((-1, 1), (0, 2), (1, 1)):
        dx += weight * (at(row + offset, column + 1) - at(row + offset, column - 1))
        dy += weight * (at(row - 1, column + offset) - at(row + 1, column + offset))
    return dx, dy


def losses(prediction: Map, target: Map) -> dict[str, float]:
    """l_depth, l_grad and l_normal of Hu et al. for one pair of maps, pixel by pixel."""
    pixels = [(row, column) for row in range(len(target)) for column in range(len(target[0]))]
    sums = {"l_depth": 0.0, "l_grad": 0.0, "l_normal": 0.0}
    for row, column in pixels:
        sums["l_depth"] += math.log(abs(prediction[row][column] - target[row][column]) + 0.5)
        px, py = sobel_at(prediction, row, column)
        tx, ty = sobel_at(target, row, column)
        sums["l_grad"] += math.log(abs(px - tx) + 0.5) + math.log(abs(py - ty) + 0.5)
        cosine = (px * tx + py * ty + 1) / math.sqrt((px * px + py * py + 1) * (tx * tx + ty * ty + 1))
        sums["l_normal"] += 1 - cosine
    return {name: total / len(pixels) for name, total in sums.items()}


# ways to choose pixels


def log_loss(prediction: Map, target: Map) -> float:
    """Li, Snavely (CVPR 2018): |e| of the logarithms, and half |e' - e| between every s-th pixel and the next."""
    error = [[math.log(p) - math.log(t) for p, t in zip(row, wanted, strict=True)]
             for row, wanted in zip(prediction, target, strict=True)]
    total = sum(abs(e) for row in error for e in row) / sum(len(row) for row in error)
    for step in (1, 2, 4, 8):
        coarse = [row[::step] for row in error[::step]]
        for lines in (coarse, [list(column) for column in zip(*coarse, strict=True)]):
            jumps = [abs(after - before) for line in lines for before, after in zip(line, line[1:], strict=False)]
            total += 0.5 * sum(jumps) / len(jumps) if jumps else 0.0
    return total


def total_variation(mask: Map) -> float:
    """The sum of |differences| of neighbours, left to right and top to bottom, over the number of pixels."""
    height, width = len(mask), len(mask[0])
    total = 0.0
    for row in range(height):
        for column in range(width):
            if column + 1 < width:
                total += abs(mask[row][column + 1] - mask[row][column])
            if row + 1 < height:
                total += abs(mask[row + 1][column] - mask[row][column])
    return total / (height * width)


def gaussian_blur(values: Map, sigma: float) -> list[list[float]]:
    """A Gaussian of two dimensions cut to a square of three deviations, its weights summing to 1; borders repeated."""
    height, width, radius = len(values), len(values[0]), math.ceil(3 * sigma)
    around = range(-radius, radius + 1)
    weight = {(r, c): math.exp(-(r * r + c * c) / (2 * sigma * sigma)) for r in around for c in around}
    total = sum(weight.values())

    def at(row: int, column: int) -> float:
        return values[min(max(row, 0), height - 1)][min(max(column, 0), width - 1)]

    return [[sum(w * at(row + r, column + c) for (r, c), w in weight.items()) / total for column in range(width)]
            for row in range(height)]


def canny(brightness: Map, low: float, high: float) -> tuple[list[list[bool]], list[list[bool]]]:
    """Canny without the blur: where the gradient is strongest across the edge, and what the thresholds leave of it."""
    height, width = len(brightness), len(brightness[0])

    def at(row: int, column: int) -> float:
        return brightness[min(max(row, 0), height - 1)][min(max(column, 0), width - 1)]

    slopes = {}
    for row in range(height):
        for column in range(width):
            x = sum(w * (at(row + o, column + 1) - at(row + o, column - 1)) for o, w in ((-1, 1), (0, 2), (1, 1)))
            y = sum(w * (at(row + 1, column + o) - at(row - 1, column + o)) for o, w in ((-1, 1), (0, 2), (1, 1)))
            slopes[row, column] = (x, y)
    strongest = max(math.hypot(*slope) for slope in slopes.values())
    size = {place: math.hypot(*slope) / strongest for place, slope in slopes.items()}
    thin = {}
    for (row, column), (x, y) in slopes.items():
        # the direction of the gradient, rounded to one of four lines; rows count downwards
        angle = math.degrees(math.atan2(y, x)) % 180
        step = [(0, 1), (1, 1), (1, 0), (1, -1)][round(angle / 45) % 4]
        before, after = (size.get((row + sign * step[0], column + sign * step[1]), 0.0) for sign in (-1, 1))
        thin[row, column] = size[row, column] > before and size[row, column] >= after
    weak = {place for place in thin if thin[place] and size[place] > low}
    edges = {place for place in weak if size[place] > high}
    waiting = list(edges)
    while waiting:
        row, column = waiting.pop()
        for neighbour in ((row + r, column + c) for r in (-1, 0, 1) for c in (-1, 0, 1)):
            if neighbour in weak and neighbour not in edges:
                edges.add(neighbour)
                waiting.append(neighbour)
    return ([[thin[row, column] for column in range(width)] for row in range(height)],
            [[(row, column) in edges for column in range(width)] for row in range(height)])


# agreement of two masks (Wang, Bovik, Sheikh, Simoncelli 2004)


def ssim(first: Map, second: Map) -> float:
    """Structural similarity of two maps in [0, 1], window by window: 11 x 11, a Gaussian of deviation 1.5."""
    weights = [[math.exp(-((row - 5) ** 2 + (column - 5) ** 2) / (2 * 1.5**2)) for column in range(11)]
               for row in range(11)]
    total = sum(sum(row) for row in weights)
    scores = []
    for top in range(len(first) - 10):
        for left in range(len(first[0]) - 10):
            inside = [(weights[row][column] / total, first[top + row][left + column], second[top + row][left + column])
                      for row in range(11) for column in range(11)]
            mean_x, mean_y = sum(w * x for w, x, _ in inside), sum(w * y for w, _, y in inside)
            variance_x = sum(w * (x - mean_x) ** 2 for w, x, _ in inside)
            variance_y = sum(w * (y - mean_y) ** 2 for w, _, y in inside)
            covariance = sum(w * (x - mean_x) * (y - mean_y) for w, x, y in inside)
            light = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
            structure = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
            scores.append(light * structure)
    return sum(scores) / len(scores)


# curves


def area_under(shares: Sequence[float], values: Sequence[float]) -> float:
    """The area under the straight lines from point to point."""
    area = 0.0
    for left in range(len(shares) - 1):
        area += (shares[left + 1] - shares[left]) * (values[left] + values[left + 1]) / 2
    return area
