"""`depthcue mask` on a video: frames a second of the whole command against the bare runner, and memory against length.

    python benchmarks/mask_throughput.py VIDEO [--weights compact-road] [--rounds 5]

The bare runner is what `open_session` gives, fed one batch after the other with frames that were decoded and resized
before the clock starts: all a program could do that neither reads nor writes. It is also timed with as many batches
side by side as the command uses. The command runs as a process of its own; its time is taken twice: of the job (from
opening the net to the last file, as summary.json has it) and of the whole process with its start. Rounds take turns,
medians are reported. Writes benchmarks/results/mask-throughput.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from depthcue import files
from depthcue.frames import find_inputs, open_input
from depthcue.imaging import fit_size, resize_rgb
from depthcue.runtime import open_session
from depthcue.runtime.opening import torch_threads

RESULTS = Path(__file__).resolve().parent / "results"
SAVES = (("mask",), ("mask", "overlay"))
LENGTHS = (1, 4)
BARE_BATCH = 4
"""A larger one gains the runner nothing on a CPU; the command has its own default."""
WANTED = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--weights", default="compact-road")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "mask-throughput.json")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        videos = {times: repeated(options.video, times, Path(folder)) for times in LENGTHS}
        warm_up = run_command(videos[1], options.weights, "auto", SAVES[0], Path(folder, "out"))
        backend = warm_up["backend"].split()[0]
        frames = working_frames(options.video, options.weights)
        bare: dict[str, list[float]] = {"one": [], "side by side": []}
        runs: dict[tuple[int, tuple[str, ...]], list[dict[str, Any]]] = {}
        for _ in range(options.rounds):
            for way, times in bare.items():
                times.append(bare_fps(frames, options.weights, backend, streams=1 if way == "one" else os.cpu_count()))
            for length, video in videos.items():
                for save in SAVES:
                    measured = run_command(video, options.weights, backend, save, Path(folder, "out"))
                    if measured["frames"] != length * len(frames):
                        raise SystemExit(f"{measured['frames']} frames masked of {length * len(frames)}")
                    runs.setdefault((length, save), []).append(measured)

    bare_medians = {way: statistics.median(times) for way, times in bare.items()}
    rows = [row(length, save, measured, bare_medians) for (length, save), measured in runs.items()]
    for each in rows:
        print(f"{each['length']}x {'+'.join(each['save']):13} job {each['job_fps']:6.1f} fps = "
              f"{each['share_of_bare']:.2f} of the bare (side by side {each['share_of_bare_side_by_side']:.2f}); "
              f"process {each['process_fps']:6.1f} fps, start {each['start_s']:.1f} s, "
              f"{each['cpu_ms_per_frame']:.1f} ms CPU a frame, {each['peak_rss_mib']:.0f} MiB")
    files.write_public(options.out, files.document(
        "mask-throughput", video={"name": options.video.name, "frames": len(frames), "seen_at": frames.shape[1:3]},
        backend=warm_up["backend"], weights=options.weights, rounds=options.rounds, wanted=WANTED,
        bare_batch_size=BARE_BATCH, bare_fps={way: {"median": bare_medians[way], "all": times}
                                              for way, times in bare.items()}, runs=rows))


def row(length: int, save: tuple[str, ...], measured: list[dict[str, Any]], bare: dict[str, float]) -> dict[str, Any]:
    job_fps = [each["frames"] / each["job_s"] for each in measured]
    middle = statistics.median(job_fps)
    return {
        "length": length, "save": list(save), "frames": measured[0]["frames"],
        "job_fps": middle, "job_fps_range": [min(job_fps), max(job_fps)],
        "process_fps": statistics.median(each["frames"] / each["process_s"] for each in measured),
        "start_s": statistics.median(each["process_s"] - each["job_s"] for each in measured),
        "cpu_ms_per_frame": statistics.median(1e3 * each["cpu_s"] / each["frames"] for each in measured),
        "share_of_bare": middle / bare["one"], "share_of_bare_side_by_side": middle / bare["side by side"],
        "peak_rss_mib": statistics.median(each["peak_rss_mib"] for each in measured),
    }


def working_frames(video: Path, weights: str) -> np.ndarray:
    """All frames as the net sees them: uint8 (N, h, w, 3)."""
    description = open_session(weights, backend="torch" if not weights.endswith(".onnx") else "onnx").description
    with open_input(find_inputs([str(video)])[0]) as source:
        size = fit_size(*source.size, (description.height, description.width), description.multiple)
        return np.stack([resize_rgb(frame.rgb, *size) for frame in source])


def bare_fps(frames: np.ndarray, weights: str, backend: str, streams: int | None) -> float:
    """Frames a second of the runner alone."""
    streams = streams or 1
    threads = max((os.cpu_count() or 1) // streams, 1)
    batches = [frames[start:start + BARE_BATCH] for start in range(0, len(frames), BARE_BATCH)]
    with torch_threads(threads), open_session(weights, backend=backend, threads=threads) as runner, \
            ThreadPoolExecutor(streams) as pool:
        list(pool.map(runner.run, batches[:2 * streams]))
        began = time.perf_counter()
        masks = list(pool.map(runner.run, batches))
        seconds = time.perf_counter() - began
    if not all(np.isfinite(mask).all() for mask in masks):
        raise SystemExit("the runner gives NaN")
    return len(frames) / seconds


def run_command(video: Path, weights: str, backend: str, save: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Run the command as a process; its time, that of its job, and its peak memory."""
    command = [sys.executable, "-m", "depthcue.cli", "mask", str(video), "--out", str(out), "--weights", weights,
               "--backend", backend, "--quiet"]
    for kind in save:
        command += ["--save", kind]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    peaks: list[int] = []
    watch = threading.Thread(target=watch_memory, args=(process.pid, peaks))
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    watch.join()
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    summary = json.loads((out / "summary.json").read_text())
    return {"process_s": seconds, "job_s": summary["totals"]["seconds"], "frames": summary["totals"]["frames"],
            "cpu_s": usage.ru_utime + usage.ru_stime, "peak_rss_mib": max(peaks) / 1024,
            "backend": summary["backend"]}


def watch_memory(process: int, peaks: list[int]) -> None:
    """Peak resident memory, KiB, again and again until the process ends.

    What wait4 reports will not do: it counts the moment in which the child still was a copy of this process.
    """
    while True:
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            return
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                peaks.append(int(line.split()[1]))
        if "VmHWM" not in status:  # it has ended and waits to be collected
            return
        time.sleep(0.05)


def repeated(video: Path, times: int, folder: Path) -> Path:
    """The video `times` over in one file, its packets copied as they are."""
    out = folder / f"{video.stem}-{times}x.mp4"
    with av.open(str(out), "w") as target:
        stream = None
        shift = 0
        for _ in range(times):
            with av.open(str(video)) as source:
                original = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(original)
                length = int(original.frames / Fraction(original.average_rate) / original.time_base)
                for packet in source.demux(original):
                    if packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    target.mux(packet)
                shift += length
    return out


if __name__ == "__main__":
    main()
