"""Does the mask light up at the vanishing point? On rendered roads nobody trained on, where the point is known.

    python benchmarks/vanishing_point.py --weights compact-road

For every picture the mean of the mask within a radius of the vanishing point, over its mean in the whole picture, and
the same for the picture's Sobel edge map; bootstrap intervals over pictures. Writes
benchmarks/results/vanishing-point.json.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from depthcue import record
from depthcue.evaluation.statistics import mean_interval, resampling_weights
from depthcue.nets import load_mask_net
from depthcue.scenes import render
from depthcue.selection import Means, Pictures, build_method

RESULTS = Path(__file__).resolve().parent / "results"
FIRST_TEST_SEED = 1_000_000_000
RADII = (0.025, 0.05, 0.1)
"""In picture widths."""


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="compact-road")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--lambda", dest="lam", type=float)
    parser.add_argument("--out", type=Path, default=RESULTS / "vanishing-point.json")
    options = parser.parse_args()

    net = load_mask_net(options.weights)
    lam = net.check_lambda(options.lam)
    height, width = net.description.height, net.description.width
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    ratios: dict[str, dict[float, list[float]]] = {name: {radius: [] for radius in RADII} for name in ("mask", "sobel")}
    methods = {name: build_method(name, Means(net, lam)) for name in ratios}
    outside = 0
    for start in range(0, options.count, 8):
        seeds = list(range(FIRST_TEST_SEED + start, FIRST_TEST_SEED + min(start + 8, options.count)))
        rendering = render("road", seeds, height, width)
        for name, method in methods.items():
            scores = method(Pictures(rendering.rgb, seeds))[:, 0]  # (B, H, W)
            for score, (x, y) in zip(scores, rendering.vanishing_point.tolist(), strict=True):
                if not (0 <= x < width and 0 <= y < height):
                    outside += name == "mask"
                    continue
                distance = ((rows - y).square() + (columns - x).square()).sqrt() / width
                for radius in RADII:
                    ratios[name][radius].append(float(score[distance <= radius].mean() / score.mean()))

    counted = len(ratios["mask"][RADII[0]])
    weights = resampling_weights(counted)
    summary = [{"radius": radius, **{name: {
        "ratio": round(float(np.mean(ratios[name][radius])), 4),
        "ci95": [round(end, 4) for end in mean_interval(np.array(ratios[name][radius]), weights)],
    } for name in ratios}} for radius in RADII]
    for entry in summary:
        print(entry)
    record.write_json(options.out, record.document(
        "vanishing-point", images=counted, vanishing_point_outside=outside, weights=net.card.get("sha256"),
        **{"lambda": lam}, radii_in_widths=summary))


if __name__ == "__main__":
    main()
