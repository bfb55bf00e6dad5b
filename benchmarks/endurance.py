"""Memory of `depthcue mask` on a live stream over hours, at the start and at the end: whether something leaks.

    python benchmarks/endurance.py [--hours 2] [--rate 15] [--speed 8] [--minutes 20]

Serves rendered pictures as an MJPEG stream on this machine, `--speed` times as fast as a camera of `--rate` frames a
second, and has the command record masks and overlays of it, as a process of its own. Every second its resident memory,
open files and threads are noted. Ends when as many frames have been sent as the camera gives in `--hours`, or after
`--minutes`. Start and end are medians over a tenth of the run each, the start after a tenth for warming up. Writes
benchmarks/results/endurance.json; exit status 1 where memory grew by more than a twentieth.
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from depthcue import files
from depthcue.scenes import render

RESULTS = Path(__file__).resolve().parent / "results"
SIZE = (240, 320)
SEEN_AT = "96x64"
"""Small, so that hours of a stream pass in minutes; what could leak is the same."""
PICTURES = 16
ALLOWED_GROWTH = 0.05
SAMPLES_KEPT = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rate", type=float, default=15.0)
    parser.add_argument("--speed", type=float, default=8.0)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--weights", default="compact-indoor")
    parser.add_argument("--out", type=Path, default=RESULTS / "endurance.json")
    options = parser.parse_args()

    seconds = 3600 * options.hours / options.speed
    if options.minutes is not None:
        seconds = min(seconds, 60 * options.minutes)
    camera = Camera(options.rate * options.speed)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        samples = record_and_watch(camera.url, options.weights, seconds, out)
        (entry,) = json.loads((out / "summary.json").read_text())["inputs"]
        if entry["error"]:
            raise SystemExit(entry["error"])
        for output in entry["outputs"]:
            check_whole(out / output, entry["frames"])
        written_mib = sum((out / output).stat().st_size for output in entry["outputs"]) / 2**20
    tenth = max(len(samples) // 10, 1)
    start, end = (statistics.median(each["rss_mib"] for each in part)
                  for part in (samples[tenth:2 * tenth], samples[-tenth:]))
    equivalent_h = entry["frames"] / options.rate / 3600
    growth = end / start - 1
    print(f"{entry['frames']} frames masked, {entry['live']['dropped']} dropped: {equivalent_h:.2f} h of a camera of "
          f"{options.rate:g} fps; {start:.0f} MiB at the start, {end:.0f} MiB at the end ({100 * growth:+.1f} %); "
          f"latency {entry['live']['latency_ms']}")
    files.write_public(options.out, files.document(
        "endurance", weights=options.weights, seen_at=SEEN_AT, camera_fps=options.rate, speed=options.speed,
        seconds=seconds, frames=entry["frames"], live=entry["live"], equivalent_hours=equivalent_h,
        rss_mib_start=start, rss_mib_end=end, growth=growth, allowed_growth=ALLOWED_GROWTH, written_mib=written_mib,
        samples=samples[::-(-len(samples) // SAMPLES_KEPT)]))
    if growth > ALLOWED_GROWTH:
        raise SystemExit(1)


class Camera:
    """Serves the same few rendered pictures for ever, at a steady rate."""

    def __init__(self, rate: float) -> None:
        rgb = render("indoor", range(PICTURES), *SIZE).rgb  # (B, 3, H, W)
        pictures = [_jpeg(picture) for picture in (255 * rgb.permute(0, 2, 3, 1)).byte().numpy()]

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *_: Any) -> None: ...

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                began = time.monotonic()
                for number in range(10**9):
                    content = pictures[number % PICTURES]
                    try:
                        self.wfile.write(b"--next\r\nContent-Type: image/jpeg\r\nContent-Length: "
                                         b"%d\r\n\r\n" % len(content) + content + b"\r\n")
                    except OSError:  # the reader has left
                        return
                    time.sleep(max(began + number / rate - time.monotonic(), 0.0))

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/"


def _jpeg(rgb: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def record_and_watch(url: str, weights: str, seconds: float, out: Path) -> list[dict[str, float]]:
    """Run the command for `seconds` of the stream; its memory every second, from the first frame on."""
    process = subprocess.Popen([sys.executable, "-m", "depthcue.cli", "mask", url, "--out", str(out), "--weights",
                                weights, "--size", SEEN_AT, "--duration", str(seconds), "--quiet"])
    samples = []
    began: float | None = None
    while process.poll() is None:
        if began is None and list(out.glob(".*partial*")):
            began = time.perf_counter()
        if began is not None and (sample := look(process.pid)):
            samples.append({"second": round(time.perf_counter() - began, 1), **sample})
        time.sleep(1.0)
    if process.returncode or not samples:
        raise SystemExit(f"the command failed with status {process.returncode}")
    return samples


def look(process: int) -> dict[str, float]:
    """Resident memory, open files and threads of a process; empty when it has ended."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        return {"rss_mib": round(int(status["VmRSS"].split()[0]) / 1024, 1), "threads": int(status["Threads"]),
                "files": len(os.listdir(f"/proc/{process}/fd"))}
    except (OSError, KeyError):
        return {}


def check_whole(path: Path, frames: int) -> None:
    """Every frame that was masked must be in the file."""
    with av.open(str(path)) as container:
        found = sum(packet.dts is not None for packet in container.demux(video=0))
    if found != frames:
        raise SystemExit(f"{path.name} holds {found} frames of {frames}")


if __name__ == "__main__":
    main()
