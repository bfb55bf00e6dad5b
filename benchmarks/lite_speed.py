"""The shipped nets, of the family `lite`, against the former ones, of the family `compact`: time of a frame on a CPU.

    python benchmarks/lite_speed.py [--batch 2] [--seconds 20] [--threads 2]

Mask nets and depth nets of both families at 256x192, untrained, since time does not depend on what a net has learned.
Every way of running them that works here is timed in turns, both families in every round, so that a disturbance of the
machine hits both; the ratio is the median over rounds. Writes benchmarks/results/lite-speed.json.
"""

import argparse
import logging
import statistics
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from depthcue.bench.candidates import (
    REFERENCE,
    Candidate,
    depth_candidates,
    depth_net_of,
    mask_candidates,
    mask_net_of,
)
from depthcue.bench.limits import work_per_frame
from depthcue.bench.measure import reason_of, take_turns
from depthcue.files import document, write_public
from depthcue.nets import DepthNet, MaskNet
from depthcue.nets.checkpoint import save_net
from depthcue.scenes import render

RESULTS = Path(__file__).resolve().parent / "results" / "lite-speed.json"
FORMER, SHIPPED = "compact", "lite0"
SIZE = (192, 256)


def main() -> None:
    """Time both kinds of nets and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each way of running")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # the exporter's, about its own use of deprecated parts of torch
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        found = {kind: measure(kind, Path(folder), options.batch, options.seconds, options.threads)
                 for kind in ("mask", "depth")}
    for kind, net in found.items():
        print(f"{kind}: GFLOP {net['gflop']}, million weights {net['million_weights']}")
        for name, row in net["ways"].items():
            print(f"  {name}: {row['ms'][FORMER]:.1f} ms, now {row['ms'][SHIPPED]:.1f}, "
                  f"{row['times_as_fast']:.2f} times as fast")
    write_public(RESULTS, document("lite-speed", batch=options.batch, threads=options.threads, size=SIZE, nets=found))


def measure(kind: str, folder: Path, batch: int, seconds: float, threads: int) -> dict[str, Any]:
    """The former and the shipped family as nets of one kind, "mask" or "depth", in every way that both run."""
    pictures = render("indoor", range(2), *SIZE).rgb
    frames = np.ascontiguousarray((255 * pictures).byte().permute(0, 2, 3, 1).numpy())[np.arange(batch) % 2]
    ways: dict[str, dict[str, Candidate]] = {}
    gflop, weights = {}, {}
    for family in (FORMER, SHIPPED):
        net: MaskNet | DepthNet
        if kind == "mask":
            net, _ = mask_net_of(family, pictures)
            stored = folder / f"{family}.safetensors"
            save_net(net, stored, architecture=family, trained=False)
            candidates = mask_candidates(net, str(stored), None, "cpu", threads, batch, SIZE)
        else:
            net, _ = depth_net_of(family, pictures)
            candidates = depth_candidates(net, "cpu", threads, batch, SIZE)
        flops = work_per_frame(net, SIZE, rewrite=False).flops
        gflop[family] = None if flops is None else round(flops / 1e9, 3)
        weights[family] = round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, 2)
        for candidate in candidates:
            ways.setdefault(candidate.name, {})[family] = candidate
    timed = {name: row for name, pair in ways.items() if (row := time_pair(pair, frames, seconds)) is not None}
    return {"gflop": gflop, "million_weights": weights, "reference": REFERENCE, "ways": timed}


def time_pair(pair: dict[str, Candidate], frames: np.ndarray[Any, Any], seconds: float) -> dict[str, Any] | None:
    """Milliseconds of a frame for each family, and how many times as fast the shipped one is; None where one fails."""
    def failed(name: str, error: Exception) -> None:
        print(f"{name} does not run here: {reason_of(error)}")

    with ExitStack() as stack:
        calls: dict[str, Callable[[], object]] = {}
        for family, candidate in pair.items():
            try:
                calls[family] = partial(stack.enter_context(candidate.open()).run, frames)
            except Exception as error:  # whatever a library raises that is half installed
                failed(f"{family} in {candidate.name}", error)
                return None
        times = take_turns(calls, seconds, failed)
    if len(times) < len(pair):
        return None
    former, shipped = (times[family].seconds for family in (FORMER, SHIPPED))
    return {"ms": {family: round(1e3 * statistics.median(times[family].seconds) / len(frames), 3) for family in times},
            "times_as_fast": round(statistics.median(a / b for a, b in zip(former, shipped, strict=True)), 3),
            "rounds": len(former)}


if __name__ == "__main__":
    main()
