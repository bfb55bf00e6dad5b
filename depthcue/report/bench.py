"""Report of bench: speed of each candidate on one machine, and its share of the hardware's limit.

The tables of a bench: candidates by speed, whole jobs, and what the hardware can do.

The figures of a bench: frames a second over batch sizes, and whole jobs beside the bare runner.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from depthcue.report.figures import LIGHT, Bar, Bars, Curve, Curves, Theme, draw_panels, method_colour
from depthcue.report.section import Plot, Section
from depthcue.report.tables import Table
from depthcue.results import Bench, NetSpeed

NETWORK, RUNNER = "network", "runner"
"""Scopes, as `bench.measure` names them. Candidates are compared in the second, which every one of them has."""


def best_timing(entry: dict[str, Any], scope: str = RUNNER) -> dict[str, Any] | None:
    """The timing of a candidate with most frames a second."""
    timings = [timing for timing in entry["timings"] if timing["scope"] == scope]
    return max(timings, key=lambda timing: float(timing["frames_per_second"]), default=None)


def in_order(part: NetSpeed) -> list[dict[str, Any]]:
    """The candidates that were timed: those with right answers, fastest first, then the others."""
    entries = {entry["name"]: entry for entry in part["contenders"]}
    rest = [entry for entry in part["contenders"] if entry["name"] not in part["ranking"] and entry["timings"]]
    return [*(entries[name] for name in part["ranking"]), *rest]


def net_table(results: Bench, part: NetSpeed) -> Table:
    """A row for every candidate: the least batch, the best one, the share of the limit, against the net as given, peak
    memory, largest difference of answers."""
    staged = any(timing["scope"] == NETWORK for entry in part["contenders"] for timing in entry["timings"])
    on_gpu = results.machine.get("gpu") is not None and results.device.startswith("cuda")
    least = min(results.settings["batch_sizes"])
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


def jobs_table(results: Bench) -> Table:
    """A row for every candidate, a column for every source: frames a second, and as a share of the bare runner."""
    jobs = results.end_to_end.jobs
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


def limits_table(results: Bench) -> Table:
    """Table of the hardware's measured limits."""
    limits = results.limits
    side = limits["matrix_side"]
    rows = [(f"matrix product, {precision}", f"{1000 * rate:.3g} GFLOP/s" if rate < 1 else f"{rate:.3g} TFLOP/s")
            for precision, rate in limits["matmul_tflops"].items()]
    rows += [(name, f"{limits[field]:.3g} GB/s") for field, name in _COPIES.items() if field in limits]
    return Table(f"What {limits['device']} can do at most; matrices of {side}x{side}", ("", "rate"), tuple(rows))


_COPIES = {"memory_gb_s": "memory, read and written", "to_device_gb_s": "copy to the device",
           "from_device_gb_s": "copy from the device"}


def _title(results: Bench, part: NetSpeed) -> str:
    machine, flops = results.machine, part["flops_per_frame"]
    hardware = machine.get("gpu") if results.device.startswith("cuda") else None
    threads = results.threads
    hardware = hardware or f"{machine['processor']}, {threads} thread{'' if threads == 1 else 's'}"
    work = ", ".join(f"{flops[form] / 1e9:.3g} GFLOP a frame {name}" for form, name in
                     (("as_given", "as given"), ("rewritten", "rewritten"))
                     if flops[form] is not None and (form == "as_given" or flops[form] != flops["as_given"]))
    name = {"mask": "Mask net", "depth": "Depth net"}[part["kind"]]
    file = "" if part["file"] is None else f" ({part['file']})"
    return f"{name} {part['name']}{file} at {part['width']}x{part['height']} on {hardware}" + (
        f"; {work}" if work else "")


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _share(timing: dict[str, Any] | None) -> str:
    return "" if timing is None or timing["share_of_limit"] is None else f"{timing['share_of_limit']:.0%}"


def _memory(entry: dict[str, Any], on_gpu: bool) -> str:
    mib = entry["device_mib" if on_gpu else "host_mib"]
    return "" if mib is None else f"{mib}"


def _difference(entry: dict[str, Any]) -> str:
    agreement = entry["agreement"]
    if agreement["max_abs"] is None:
        return "wrong: NaN or another shape"
    return f"{'' if agreement['right'] else 'wrong: '}{agreement['max_abs']:.1g}"


def _job(job: dict[str, Any] | None) -> str:
    return "" if job is None else f"{job['frames_per_second']:.3g} ({job['share_of_runner']:.0%})"


_MARKERS = {"fp32": "o", "bf16": "s", "fp16": "^", "int8": "D"}
_BACKENDS = ("torch", "onnx", "openvino", "tensorrt")


def draw_speeds(results: Bench, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw frames a second over frames per batch, one panel a net; a backend's colour, a precision's mark."""
    panels = [_speeds(part, theme) for part in results.measured]
    return draw_panels(panels, paths, theme, (4.2 * len(panels) + 1.7, 3.9), legend=True)


def _speeds(part: NetSpeed, theme: Theme) -> Curves:
    curves, rates = [], [1.0]
    for entry in in_order(part):
        timings = [timing for timing in entry["timings"] if timing["scope"] == RUNNER]
        right, rewritten = entry["agreement"]["right"], entry["rewritten"]
        rates += [timing["frames_per_second"] for timing in timings]
        curves.append(Curve(entry["name"] + ("" if right else " (wrong)"),
                            method_colour(_BACKENDS.index(entry["backend"]), theme),
                            [timing["batch"] for timing in timings],
                            [timing["frames_per_second"] for timing in timings], marker=_MARKERS[entry["precision"]],
                            hollow=not right, width=1.6 if rewritten else 1.2, line="-" if rewritten else (0, (4, 2))))
    batches = sorted({timing["batch"] for entry in part.contenders for timing in entry["timings"]})
    # room for the highest mark, however close the others are to it
    return Curves(f"{KINDS[part.kind]} {part.name}, {part.width}x{part.height}", "frames per batch", "frames a second",
                  curves, log=2, ticks=(batches, list(map(str, batches))), top=1.06 * max(rates[1:], default=1.0),
                  legend=False)


def draw_jobs(results: Bench, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw the frames a second of whole jobs, from the slowest to the fastest run, beside the bare runner's.

    Args:
        results: a bench document with jobs.
    """
    jobs = results.end_to_end.jobs
    shown = {name: name.replace(" ", "\n") for name in dict.fromkeys(job["name"] for job in jobs)}
    rates = [(job["source"], (shown[job["name"]], job["frames_per_second"], (min(job["all"]), max(job["all"]))))
             for job in jobs]
    sources = dict.fromkeys(source for source, _ in rates)
    series: list[tuple[str | None, list[Bar]]] = [
        (source, [bar for other, bar in rates if other == source]) for source in sources]
    series.append(("bare runner", [
        (shown[entry["name"]], timing["frames_per_second"], None) for entry in results.measured[0].contenders
        if entry["name"] in shown and (timing := best_timing(entry)) is not None]))
    panel = Bars(list(shown.values()), series, "frames a second", columns=True)
    return draw_panels([panel], paths, theme, (1.6 + 1.5 * len(shown), 3.4))


KINDS = {"mask": "mask net", "depth": "depth net"}
_REASONS = 160
"""Characters of a reason that are worth reading; results.json has all."""


def section(results: Bench, folder: Path) -> Section:
    """The section of a bench document."""
    jobs = results.end_to_end.jobs
    tables = [net_table(results, part) for part in results.measured]
    plots = [Plot("speed", "Frames a second against frames per batch" + (
        "; dashed: the net in torch as it was given" if any(part["file"] is None for part in results.measured) else
        ""),
                  partial(draw_speeds, results))]
    if jobs:
        tables.append(jobs_table(results))
        plots.append(Plot("jobs", "Whole jobs, from files to masks on disk, and the bare runner at its best batch; "
                          "lines reach from the slowest to the fastest run", partial(draw_jobs, results)))
    return Section("How fast it runs here", sentences(results), (*tables, limits_table(results)), tuple(plots),
                   lead="Every way of running the nets that works on this machine: its answers are compared with those "
                   "of the net in torch as it was given, in float32 (of an exported file, with what ONNX Runtime makes "
                   "of it on the CPU), then all are timed in turns.")


def sentences(results: Bench) -> tuple[str, ...]:
    """Sentences on the fastest candidate, its share of the limit, whole jobs, wrong answers and failures."""
    sentences = [] if results.trained else ["The mask net is untrained: its speed is that of a trained one."]
    for part in results.measured:
        sentences += _fastest(part)
    sentences += _jobs(results)
    for part in results.measured:
        wrong = [entry["name"] for entry in part["contenders"] if not entry["agreement"]["right"]]
        if wrong:
            sentences.append(f"Not ranked, since their answers are farther from the {KINDS[part['kind']]}'s than their "
                             f"precision allows: {', '.join(wrong)}.")
    return (*sentences, *_missing(results))


def _fastest(part: NetSpeed) -> list[str]:
    if not part["ranking"]:
        return []
    entries = {entry["name"]: entry for entry in part["contenders"]}
    first = entries[part["ranking"][0]]
    name = part["name"] if part["file"] is None else f"{part['name']} ({part['file']})"
    sentence = f"The {KINDS[part['kind']]} {name} is fastest with {_speed(first, part['reference'])}"
    plain = [name for name in part["ranking"] if entries[name]["precision"] == "fp32"]
    if first["precision"] != "fp32" and plain:
        sentence += f"; in float32 with {_speed(entries[plain[0]], part['reference'])}"
    return [f"{sentence}."]


def _speed(entry: dict[str, Any], reference: str) -> str:
    timing = best_timing(entry)
    if timing is None:
        return entry["name"]
    limit = timing["share_of_limit"]
    words = f"{entry['name']}: {timing['frames_per_second']:.3g} frames a second at batch {timing['batch']}"
    if "ratio" in timing and entry["name"] != reference:
        words += f", {timing['ratio']:.2g} times as fast as {reference}"
    if limit is not None:
        words += f", {limit:.0%} of the matrix-product rate"
        if (memory := timing.get("share_of_memory")) is not None:
            words += f" and {memory:.0%} of memory's"
    return words


def _jobs(results: Bench) -> list[str]:
    jobs = results.end_to_end.jobs
    sentences = []
    for source in dict.fromkeys(job["source"] for job in jobs):
        best = max((job for job in jobs if job["source"] == source), key=lambda job: float(job["frames_per_second"]))
        sentences.append(f"Whole jobs on {_SOURCES[source]}: {best['frames_per_second']:.3g} frames a second with "
                         f"{best['name']}, {best['share_of_runner']:.0%} of the bare runner.")
    return sentences


_SOURCES = {"video": "a video", "pictures": "a folder of pictures", "source": "the source given"}


def _missing(results: Bench) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for part in results.measured:
        for failure in part["failed"]:
            reasons.setdefault(_cut(failure["reason"]), []).append(f"{failure['name']} ({KINDS[part['kind']]})")
    sentences = [f"Does not run here: {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    if results.without_target:
        sentences.append(f"The depth net was left out: {_cut(results.without_target)}.")
    for part in results.measured:
        if part["left_out"]:
            batches = ", ".join(str(each["batch"]) for each in part["left_out"])
            sentences.append(f"Batches of {batches} frames were left out for the {KINDS[part['kind']]}: they would "
                             "have taken too long (--seconds gives more).")
        sentences += [f"{entry['name']} ({KINDS[part['kind']]}) did not run batches of {each['batch']}: "
                      f"{_cut(each['reason'])}."
                      for entry in part["contenders"] for each in entry["left_out"]]
    return sentences + [f"{each['name']} failed on {_SOURCES[each['source']]}: {_cut(each['reason'])}."
                        for each in results.end_to_end.failed]


def _cut(reason: str) -> str:
    short = reason if len(reason) <= _REASONS else f"{reason[:_REASONS]}…"
    return short.rstrip(".")
