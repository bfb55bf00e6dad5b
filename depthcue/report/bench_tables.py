"""The tables of a bench: contenders by speed, whole jobs, and what the hardware can do."""

from typing import Any

from depthcue.report.results import Results
from depthcue.report.tables import Table

NETWORK, RUNNER = "network", "runner"
"""Scopes, as `bench.measure` names them. Contenders are compared in the second, which every one of them has."""


def best_timing(entry: Results, scope: str = RUNNER) -> dict[str, Any] | None:
    """The timing of a contender with most frames a second."""
    timings = [timing for timing in entry["timings"] if timing["scope"] == scope]
    return max(timings, key=lambda timing: float(timing["frames_per_second"]), default=None)


def in_order(part: Results) -> list[Results]:
    """The contenders that were timed: those with right answers, fastest first, then the others."""
    entries = {entry["name"]: entry for entry in part["contenders"]}
    rest = [entry for entry in part["contenders"] if entry["name"] not in part["ranking"] and entry["timings"]]
    return [*(entries[name] for name in part["ranking"]), *rest]


def net_table(results: Results, part: Results) -> Table:
    """A row for every contender: the least batch, the best one, the share of the limit, against the net as given, peak
    memory, largest difference of answers."""
    staged = any(timing["scope"] == NETWORK for entry in part["contenders"] for timing in entry["timings"])
    on_gpu = results["machine"].get("gpu") is not None and results["device"].startswith("cuda")
    least = min(results["settings"]["batch_sizes"])
    columns = ["run by", f"ms, {_frames(least)} (p95)", "frames/s (batch)", *(["net alone"] if staged else []),
               "of limit", "× as given" if part["file"] is None else f"× {part['reference']}",
               "GPU MiB" if on_gpu else "MiB", "difference"]
    rows = []
    for entry in in_order(part):
        first = next((timing for timing in entry["timings"]
                      if timing["batch"] == least and timing["scope"] == RUNNER), None)
        best, alone = best_timing(entry), best_timing(entry, NETWORK)
        cells = [entry["name"], "" if first is None else f"{first['median_ms']:.3g} ({first['p95_ms']:.3g})",
                 "" if best is None else f"{best['frames_per_second']:.3g} ({best['batch']})"]
        if staged:
            cells.append("" if alone is None else f"{alone['frames_per_second']:.3g} ({alone['batch']})")
        cells += [_share(alone if staged else best), "" if best is None or "ratio" not in best
                  else f"{best['ratio']:.2f}", _memory(entry, on_gpu), _difference(entry)]
        rows.append(tuple(cells))
    return Table(_title(results, part), tuple(columns), tuple(rows))


def jobs_table(results: Results) -> Table:
    """A row for every contender, a column for every source: frames a second, and as a share of the bare runner."""
    jobs = results["end_to_end"]["jobs"]
    sources = list(dict.fromkeys(job["source"] for job in jobs))
    found = {(job["name"], job["source"]): job for job in jobs}
    best = {job["name"]: 0.0 for job in jobs}
    for job in jobs:
        best[job["name"]] = max(best[job["name"]], job["frames_per_second"])
    rows = [(name, *(_job(found.get((name, source))) for source in sources))
            for name in sorted(best, key=lambda name: -best[name])]
    frames = " and ".join(dict.fromkeys(_frames(job["frames"]) for job in jobs))
    return Table(f"Whole jobs, from files to masks on disk, {frames} each: frames a second (of the bare runner)",
                 ("run by", *sources), tuple(rows))


def limits_table(results: Results) -> Table:
    """What the hardware did at most in this run."""
    limits = results["limits"]
    side = limits["matrix_side"]
    rows = [(f"matrix product, {precision}", f"{1000 * rate:.3g} GFLOP/s" if rate < 1 else f"{rate:.3g} TFLOP/s")
            for precision, rate in limits["matmul_tflops"].items()]
    rows += [(name, f"{limits[field]:.3g} GB/s") for field, name in _COPIES.items() if field in limits]
    return Table(f"What {limits['device']} can do at most; matrices of {side}x{side}", ("", "rate"), tuple(rows))


_COPIES = {"memory_gb_s": "memory, read and written", "to_device_gb_s": "copy to the device",
           "from_device_gb_s": "copy from the device"}


def _title(results: Results, part: Results) -> str:
    machine, flops = results["machine"], part["flops_per_frame"]
    place = machine.get("gpu") if results["device"].startswith("cuda") else None
    threads = results["threads"]
    place = place or f"{machine['processor']}, {threads} thread{'' if threads == 1 else 's'}"
    work = ", ".join(f"{flops[form] / 1e9:.3g} GFLOP a frame {name}" for form, name in
                     (("as_given", "as given"), ("rewritten", "rewritten"))
                     if flops[form] is not None and (form == "as_given" or flops[form] != flops["as_given"]))
    name = {"mask": "Mask net", "depth": "Depth net"}[part["kind"]]
    file = "" if part["file"] is None else f" ({part['file']})"
    return f"{name} {part['name']}{file} at {part['width']}x{part['height']} on {place}" + (f"; {work}" if work else "")


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _share(timing: dict[str, Any] | None) -> str:
    return "" if timing is None or timing["share_of_limit"] is None else f"{timing['share_of_limit']:.0%}"


def _memory(entry: Results, on_gpu: bool) -> str:
    mib = entry["device_mib" if on_gpu else "host_mib"]
    return "" if mib is None else f"{mib}"


def _difference(entry: Results) -> str:
    agreement = entry["agreement"]
    if agreement["max_abs"] is None:
        return "wrong: NaN or another shape"
    return f"{'' if agreement['right'] else 'wrong: '}{agreement['max_abs']:.1g}"


def _job(job: Results | None) -> str:
    return "" if job is None else f"{job['frames_per_second']:.3g} ({job['share_of_runner']:.0%})"
