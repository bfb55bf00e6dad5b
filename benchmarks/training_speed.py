"""Training images a second on this machine: the compact depth net and its mask net, in fp32 and bf16.

    python benchmarks/training_speed.py

Times whole steps of the real loops on rendered rooms held in memory, after a warm-up; medians. Writes
benchmarks/results/training-speed-cpu.json.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from depthcue import files
from depthcue.progress import Silent
from depthcue.training.depth import DepthTraining, train_depth
from depthcue.training.mask import MaskTraining, train_mask

RESULTS = Path(__file__).resolve().parent / "results"
WARM_UP = 6


class StepTimes(Silent):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def advance(self, steps: int = 1, **figures: float) -> None:
        self.ends.append(time.perf_counter())

    def images_a_second(self, batch_size: int, warm_up: int) -> float:
        steps = [later - sooner for sooner, later in zip(self.ends[warm_up:], self.ends[warm_up + 1:], strict=False)]
        return batch_size / statistics.median(steps)


def measure(precision: str, batch_size: int, steps: int) -> dict[str, float]:
    """Images a second of both trainings in one precision."""
    speeds = {}
    data = ("scenes:indoor:32",)
    with tempfile.TemporaryDirectory() as folder:
        times = StepTimes()
        train_depth(DepthTraining(data, steps=steps + WARM_UP, batch_size=batch_size, precision=precision),
                    f"{folder}/depth", device="cpu", progress=times)
        speeds[f"compact depth net, {precision}"] = round(times.images_a_second(batch_size, WARM_UP), 2)
        times = StepTimes()
        train_mask(MaskTraining(f"{folder}/depth/depth.safetensors", data, steps=steps + WARM_UP,
                                batch_size=batch_size, precision=precision),
                   f"{folder}/mask", device="cpu", progress=times)
        speeds[f"compact mask net, {precision}"] = round(times.images_a_second(batch_size, WARM_UP), 2)
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULTS / "training-speed-cpu.json")
    options = parser.parse_args()

    speeds: dict[str, float] = {}
    for precision in ("fp32", "bf16"):
        speeds |= measure(precision, options.batch_size, options.steps)
    for name, speed in speeds.items():
        print(f"{name}: {speed:.1f} images a second")
    files.write_public(options.out, files.document("training-speed", batch_size=options.batch_size,
                                                   images_a_second=speeds))


if __name__ == "__main__":
    main()
