"""`depthcue mask` on a folder of very many small pictures: how soon the first mask is there, and memory to the end.

    python benchmarks/many_pictures.py [--count 20000]

Makes a folder of pictures in subfolders of a thousand (copies of fifty small ones: the handling of files is measured,
not the network) and a small mask network of random weights, and runs the command on them as a process of its
own. Every second the resident memory of the process is noted. The time to the first mask counts from the moment at
which the run replaces its summary, which it does when its nets are open. Start and end are medians over a tenth of the
run each, the start after a tenth for warming up. Afterwards the command runs once more with --resume. Writes
benchmarks/results/many-pictures.json; exit status 1 where memory grew by more than a twentieth, or the first mask took
more than two seconds.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from endurance import look
from PIL import Image

from depthcue import files
from depthcue.nets import build_mask_net
from depthcue.nets.checkpoint import save_net

RESULTS = Path(__file__).resolve().parent / "results"
SIZE = (36, 48)
DIFFERENT = 50
A_FOLDER = 1000
ALLOWED_GROWTH = 0.05
ALLOWED_FIRST_S = 2.0
SAMPLES_KEPT = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=RESULTS / "many-pictures.json")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_pictures(folder / "in", options.count)
        weights = folder / "small.safetensors"
        net = build_mask_net("compact", seed=1, config={"widths": [8] * 5, "detail": 8}, height=32, width=48,
                             target="nowhere", lambda_range=(0.5, 6.0))
        save_net(net, weights, architecture="compact")
        run = watch(folder, weights)
        summary = json.loads((folder / "out" / "summary.json").read_text())
        totals = summary["totals"]
        if (totals["inputs"], totals["failed"]) != (options.count, 0):
            raise SystemExit(f"not all were masked: {totals}")
        again = watch(folder, weights, "--resume")
        if json.loads((folder / "out" / "summary.json").read_text())["totals"]["resumed"] != options.count:
            raise SystemExit("not all were resumed")
    samples = run["samples"]
    tenth = max(len(samples) // 10, 1)
    start, end = (statistics.median(each["rss_mib"] for each in part)
                  for part in (samples[tenth:2 * tenth], samples[-tenth:]))
    growth = end / start - 1
    print(f"{options.count} pictures in {run['seconds']:.0f} s, the first mask {run['first_mask_s']:.2f} s after the "
          f"nets were open; {start:.0f} MiB at the start, {end:.0f} MiB at the end ({100 * growth:+.1f} %); resumed in "
          f"{again['seconds']:.0f} s")
    files.write_public(options.out, files.document(
        "many-pictures", pictures=options.count, seconds=run["seconds"], nets_open_s=run["nets_open_s"],
        first_mask_s=run["first_mask_s"], allowed_first_mask_s=ALLOWED_FIRST_S, rss_mib_start=start, rss_mib_end=end,
        growth=growth, allowed_growth=ALLOWED_GROWTH, resumed_s=again["seconds"], load=os.getloadavg()[0],
        samples=samples[::-(-len(samples) // SAMPLES_KEPT)]))
    if growth > ALLOWED_GROWTH or run["first_mask_s"] > ALLOWED_FIRST_S:
        raise SystemExit(1)


def make_pictures(folder: Path, count: int) -> None:
    """So many files, of a few different contents."""
    contents = []
    for number in range(DIFFERENT):
        values = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    for number in range(count):
        path = folder / f"{number // A_FOLDER:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number % DIFFERENT])


def watch(folder: Path, weights: Path, *more: str) -> dict[str, Any]:
    """Run the command; seconds in all, until its nets were open, and from there to the first mask; memory."""
    out = folder / "out"
    before = stamp(out / "summary.json")
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "depthcue.cli", "mask", str(folder / "in"), "--out", str(out),
                                "--weights", str(weights), "--backend", "torch", "--device", "cpu", "--save", "mask",
                                "--quiet", *more])
    moments: dict[str, float] = {}

    def await_first() -> None:
        first = out / "000" / "000000_mask.png"
        while process.poll() is None and len(moments) < 2:
            if "open" not in moments and stamp(out / "summary.json") != before:
                moments["open"] = time.perf_counter()
            if "first" not in moments and (first.exists() or list((out / "000").glob("*_mask.png"))):
                moments["first"] = time.perf_counter()
            time.sleep(0.02)

    watching = threading.Thread(target=await_first)
    watching.start()
    samples = []
    while process.poll() is None:
        if "open" in moments and (sample := look(process.pid)):
            samples.append({"second": round(time.perf_counter() - start, 1), **sample})
        time.sleep(1.0)
    watching.join()
    if process.returncode:
        raise SystemExit(f"the command failed with status {process.returncode}")
    opened = moments.get("open", start)
    return {"seconds": time.perf_counter() - start, "nets_open_s": opened - start, "samples": samples,
            "first_mask_s": max(moments.get("first", opened) - opened, 0.0)}


def stamp(path: Path) -> int | None:
    """When a file was written; None while there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


if __name__ == "__main__":
    main()
