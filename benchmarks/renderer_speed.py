"""Rendered frames a second on this machine, whole frames with their truth, worlds built before and while timed.

    python benchmarks/renderer_speed.py [--device cuda]

Renders fresh seeds in batches after a warm-up and takes the median time of a batch; checks that each picture is
finite and shows something. Writes benchmarks/results/renderer-speed-DEVICE.json.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from depthcue import files
from depthcue.scenes import KINDS, render
from depthcue.scenes.api import build_world

RESULTS = Path(__file__).resolve().parent / "results"
SIZES = {"indoor": ((240, 320), (144, 192)), "road": ((240, 320), (96, 320))}
"""Height and width: the size that speeds are quoted at, and the one the shipped nets work at."""


def seconds_of_a_batch(kind: str, height: int, width: int, seeds: range, device: str) -> tuple[float, float]:
    """Time to build the worlds of `seeds`, and to render them."""
    began = time.perf_counter()
    for seed in seeds:
        build_world(kind, seed)
    built = time.perf_counter()
    rgb = render(kind, seeds, height, width, device).rgb
    # the check also waits for the device
    if not bool(rgb.isfinite().all()) or float(rgb.std()) < 0.01:
        raise SystemExit(f"{kind} {seeds}: the pictures are empty")
    return built - began, time.perf_counter() - built


def measure(kind: str, height: int, width: int, batch_size: int, batches: int, device: str) -> dict[str, Any]:
    build_world.cache_clear()
    times = [seconds_of_a_batch(kind, height, width, range(i * batch_size, (i + 1) * batch_size), device)
             for i in range(batches + 1)][1:]
    built, rendered = zip(*times, strict=True)
    speeds = sorted(batch_size / seconds for seconds in rendered)
    return {
        "kind": kind, "height": height, "width": width, "frames_a_second": round(statistics.median(speeds), 2),
        "slowest_batch": round(speeds[0], 2), "fastest_batch": round(speeds[-1], 2),
        "world_ms": round(1000 * statistics.median(built) / batch_size, 2),
        "frames_a_second_with_worlds": round(batch_size / statistics.median(map(sum, times)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--batches", type=int, default=7)
    parser.add_argument("--out", type=Path, help="Default: benchmarks/results/renderer-speed-DEVICE.json")
    options = parser.parse_args()

    device = torch.device(options.device).type
    if options.batch_size > build_world.cache_parameters()["maxsize"]:
        raise SystemExit("a batch larger than the cache of worlds would time their building twice")
    speeds = []
    for kind in KINDS:
        for height, width in SIZES[kind]:
            speeds.append(measure(kind, height, width, options.batch_size, options.batches, options.device))
            print("{kind} {width}x{height}: {frames_a_second} frames a second, a world in {world_ms} ms, "
                  "{frames_a_second_with_worlds} frames a second with it".format(**speeds[-1]), flush=True)
    files.write_public(options.out or RESULTS / f"renderer-speed-{device}.json",
                      files.document("renderer-speed", device=device, batch_size=options.batch_size, speeds=speeds))


if __name__ == "__main__":
    main()
