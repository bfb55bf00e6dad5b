"""What fewer bits cost and save in ONNX Runtime on this CPU: fp16, bf16 and int8 against fp32, in one run.

    python benchmarks/int8.py --data nyu:PATH [--weights compact-indoor] [--weights drn22] [--rounds 15]

Every net is exported in every precision, twice in int8: with all products in int8, and with those in float32 that the
gate of `depthcue export` asks for. Errors are the export's own, against torch in float32, on pictures of the data that
int8 was not calibrated on. Times are of ONNX Runtime's CPU provider alone, frames in and masks out, on all cores; the
precisions take turns in every round, medians are reported. It has no kernels for bf16, so that has errors and no time,
and it computes fp16 in float32, so that there fp16 saves memory and no time. `drn22` without a checkpoint has random
weights: its times hold and its errors say nothing. Writes benchmarks/results/int8-cpu.json.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from depthcue import files
from depthcue.backends.onnx_backend import CPU_PROVIDER
from depthcue.backends.session import INT8, PRECISIONS, TOLERANCES, Tolerance
from depthcue.errors import DepthcueError
from depthcue.export import export_onnx
from depthcue.export.onnx import CALIBRATION, PICTURES, Picture, depth_net_of, stored_pictures
from depthcue.imaging import resize_rgb
from depthcue.nets import MaskNet, build_mask_net, load_mask_net

OUT = Path(__file__).resolve().parent / "results" / "int8-cpu.json"
ANYTHING = Tolerance(**{field.name: 1e9 for field in fields(Tolerance) if field.name != "on_noise"}, on_noise=False)
GATED = "int8, gated"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="pictures to calibrate and to compare on, as a data spec")
    parser.add_argument("--weights", action="append", help="mask nets; default: compact-indoor and drn22")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--pictures", type=int, default=PICTURES + CALIBRATION)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    stored = stored_pictures(options.data, options.pictures)
    compared, calibration = stored[::3], [picture for place, picture in enumerate(stored) if place % 3]
    nets = [measured(name, compared, calibration, options.batch_sizes, options.rounds)
            for name in options.weights or ["compact-indoor", "drn22"]]
    files.write_public(options.out, files.document(
        "int8", data=options.data, compared=len(compared), calibrated=len(calibration),
        rounds=options.rounds, provider=CPU_PROVIDER, onnxruntime=onnxruntime.__version__, nets=nets))


def measured(name: str, compared: list[Picture], calibration: list[Picture], batch_sizes: list[int],
             rounds: int) -> dict[str, Any]:
    """Errors and times of one net in every precision."""
    trained = name != "drn22"
    net = load_mask_net(name) if trained else build_mask_net("drn22").eval()
    with tempfile.TemporaryDirectory() as folder:
        rows = {way: exported(net, trained, way, Path(folder), compared, calibration) for way in (*PRECISIONS, GATED)}
        files = {way: row["file"] for way, row in rows.items() if row["runs"]}
        times = timed(net, files, compared, batch_sizes, rounds)
    fp32 = times["fp32"]
    for way, row in rows.items():
        row["ms_per_frame"] = times.get(way)
        row["speed_up"] = {size: fp32[size]["median"] / each["median"] for size, each in times.get(way, {}).items()}
        speed = ", ".join(f"batch {size}: {row['ms_per_frame'][size]['median']:.1f} ms ({up:.2f}x)"
                          for size, up in row["speed_up"].items())
        errors = row["errors"] or {}
        print(f"{name} {way:12} {speed or 'does not run here'}; side {errors.get('changed_side')}, task "
              f"{errors.get('task_rmse_m')} m, change {errors.get('task_change_m')} m")
        del row["file"]
    return {"weights": name, "trained": trained, "size": [net.description.height, net.description.width],
            "precisions": rows}


def exported(net: MaskNet, trained: bool, way: str, folder: Path, compared: list[Picture],
             calibration: list[Picture]) -> dict[str, Any]:
    """A file in one precision, with the errors that its gate measured."""
    precision = INT8 if way == GATED else way
    file = folder / f"{way.replace(', ', '-')}.onnx"
    tolerance = TOLERANCES[INT8] if way == GATED else ANYTHING
    judge = depth_net_of(net.description, net.description.name) if trained else None
    row: dict[str, Any] = {"file": file, "bytes": None, "runs": False, "errors": None, "lowering": None,
                           "refused": None}
    try:
        card = export_onnx(net, file, compared if trained else compared[:2], judge, tolerance, precision=precision,
                           calibration=calibration)
    except DepthcueError as error:
        return row | {"refused": error.message}
    parity = {key: value for key, value in card["parity"].items() if key != "tolerance"}
    return row | {"bytes": card["bytes"], "runs": card["runs_in_onnxruntime_on_cpu"],
                  "errors": parity if trained else None, "lowering": card["lowering"]}


def timed(net: MaskNet, files: dict[str, Path], pictures: list[Picture], batch_sizes: list[int],
          rounds: int) -> dict[str, dict[int, dict[str, float]]]:
    """Milliseconds a frame of every file and batch size: median, least and most of the rounds."""
    sessions = {way: onnxruntime.InferenceSession(file, providers=[CPU_PROVIDER]) for way, file in files.items()}
    height, width = net.description.height, net.description.width
    found: dict[str, dict[int, dict[str, float]]] = {way: {} for way in files}
    for size in batch_sizes:
        frames = np.stack([resize_rgb(pictures[row % len(pictures)], height, width) for row in range(size)])
        feeds: dict[str, Any] = {"frames": frames}
        if net.description.dial_name is not None:
            feeds[net.description.dial_name] = np.full(size, net.description.default_dial, np.float32)
        taken: dict[str, list[float]] = {way: [] for way in files}
        for turn in range(rounds + 1):
            for way, session in sessions.items():
                began = time.perf_counter()
                session.run(None, feeds)
                if turn:  # the first call allocates and chooses kernels
                    taken[way].append(1e3 * (time.perf_counter() - began) / size)
        for way, each in taken.items():
            found[way][size] = {"median": statistics.median(each), "least": min(each), "most": max(each)}
    return found


if __name__ == "__main__":
    main()
