"""What it costs to train the paper's mask net for the paper's depth net: the released program against `depthcue train`.

    python benchmarks/mask_training_cost.py [--device cuda] [--batch-size 8] [--steps 6]

The released program, as the authors' train.py does it: eager, float32, the depth net's weights left with gradients,
its target computed with a graph that is then thrown away. Ours: the command's own loop, in fp32 and bf16. Same nets
(hu-resnet50, drn22), sizes and batches, a process each, one after the other; medians of whole steps after a warm-up,
and peak memory (of the process on a CPU, of the allocator on a GPU). Writes
benchmarks/results/mask-training-cost-DEVICE.json.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from training_speed import StepTimes

from depthcue import files
from depthcue.nets import build_depth_net, build_mask_net
from depthcue.nets.checkpoint import save_net
from depthcue.objective import l_dif, mask_objective
from depthcue.training.mask import PAPER_LAMBDA, MaskTraining, train_mask

RESULTS = Path(__file__).resolve().parent / "results"
WARM_UP = 2
TARGET, MASK = "hu-resnet50", "drn22"


class WaitingTimes(StepTimes):
    """Notes when each step is done, and not when a GPU was told to do it."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device

    def advance(self, steps: int = 1, **figures: float) -> None:
        _wait(self.device)
        super().advance(steps, **figures)


def released(size: tuple[int, int], batch_size: int, steps: int, device: str) -> dict[str, float]:
    """Seconds a step and peak memory of a plain loop over the same nets."""
    target = build_depth_net(TARGET, height=size[0], width=size[1]).to(device).eval()
    net = build_mask_net(MASK, height=size[0], width=size[1]).to(device).train()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4, weight_decay=1e-4)
    picture = torch.randn(batch_size, 3, *size, generator=torch.Generator().manual_seed(0)).to(device)

    def step() -> None:
        depth = target(picture).detach()
        optimiser.zero_grad()
        mask = net(picture)
        mask_objective(l_dif(target(picture * mask), depth), mask, PAPER_LAMBDA).backward()
        optimiser.step()

    seconds = []
    for number in range(WARM_UP + steps):
        began = time.perf_counter()
        step()
        _wait(device)
        if number >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    return _cost(statistics.median(seconds), batch_size, device)


def ours(size: tuple[int, int], batch_size: int, steps: int, device: str, precision: str) -> dict[str, float]:
    """The same of `depthcue train`, its loader and bookkeeping included."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "target.safetensors"
        save_net(build_depth_net(TARGET, height=size[0], width=size[1]), target, architecture=TARGET)
        times = WaitingTimes(device)
        train_mask(MaskTraining(str(target), ("scenes:indoor:8",), steps=WARM_UP + 1 + steps, net=MASK,
                                batch_size=batch_size, precision=precision, average=0.0, schedule="constant",
                                learning_rate=1e-4), f"{folder}/run", device=device, progress=times)
        return _cost(batch_size / times.images_a_second(batch_size, WARM_UP), batch_size, device)


def _cost(seconds: float, batch_size: int, device: str) -> dict[str, float]:
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" \
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds_a_step": round(seconds, 4), "images_a_second": round(batch_size / seconds, 3),
            "peak_mib": round(peak)}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", default="304x228", help="width x height")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=1, help="times the ways are measured in turn")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    shared = ((height, width), options.batch_size, options.steps, options.device)
    ways: dict[str, tuple[Callable[..., dict[str, float]], tuple[str, ...]]] = {
        "released way, fp32": (released, ()), "depthcue, fp32": (ours, ("fp32",)), "depthcue, bf16": (ours, ("bf16",))}

    costs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    # a process each, so that one's memory does not count for the next
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        for _ in range(options.rounds):
            for way, (measure, more) in ways.items():
                costs[way].append(processes.submit(measure, *shared, *more).result())
    found = {way: {name: statistics.median(cost[name] for cost in rounds) for name in rounds[0]}
             for way, rounds in costs.items()}
    first = found["released way, fp32"]
    for way, cost in found.items():
        cost["speed_up"] = round(cost["images_a_second"] / first["images_a_second"], 3)
        print(f"{way}: {cost['images_a_second']:.2f} images a second ({cost['speed_up']:.2f}), "
              f"{cost['peak_mib']:.0f} MiB at most")
    files.write_public(options.out or RESULTS / f"mask-training-cost-{options.device}.json",
                      files.document("mask-training-cost", target=TARGET, mask_net=MASK, size=[height, width],
                                      batch_size=options.batch_size, device=options.device,
                                      threads=torch.get_num_threads(), ways=found, rounds=costs))


if __name__ == "__main__":
    main()
