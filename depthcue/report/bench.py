"""What bench found: how fast each way of running the nets is on one machine, and how much of it can be had.

The tables of a bench: contenders by speed, whole jobs, and what the hardware can do.

The figures of a bench: frames a second over batch sizes, and whole jobs beside the bare runner.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from depthcue.report.figures import LIGHT, Theme, new_figure, save_figure, style_axes
from depthcue.report.provenance import Results
from depthcue.report.section import Plot, Section
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


_MARKERS = {"fp32": "o", "bf16": "s", "fp16": "^", "int8": "D"}
_BACKENDS = ("torch", "onnx", "openvino", "tensorrt")
NAMES = {"mask": "mask net", "depth": "depth net"}


def draw_speeds(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw frames a second over frames per batch, one plot a net; a backend's colour, a precision's mark.

    Args:
        results: a bench document.
        paths: files to write; the suffix says which kind (.png, .svg, .pdf).
    """
    parts = results["measured"]
    figure = new_figure(4.2 * len(parts) + 1.7, 3.9, theme)
    labelled: dict[str, Artist] = {}
    for axes, part in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        _draw_net(axes, part, theme)
        handles, labels = axes.get_legend_handles_labels()
        labelled.update(zip(labels, handles, strict=True))
    figure.legend(list(labelled.values()), list(labelled), frameon=False, labelcolor=theme.ink,
                  loc="outside right upper", fontsize=8.5, handlelength=2.8)
    return save_figure(figure, paths)


def draw_jobs(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw the frames a second of whole jobs as bars, and of the bare runner as lines across them.

    Args:
        results: a bench document with jobs.
        paths: files to write; the suffix says which kind (.png, .svg, .pdf).
    """
    jobs = results["end_to_end"]["jobs"]
    sources = list(dict.fromkeys(job["source"] for job in jobs))
    names = list(dict.fromkeys(job["name"] for job in jobs))
    bare = {entry["name"]: timing["frames_per_second"] for entry in results["measured"][0]["contenders"]
            if (timing := best_timing(entry)) is not None}
    figure = new_figure(1.6 + 1.5 * len(names), 3.4, theme)
    axes = figure.subplots()
    width = 0.7 / len(sources)
    for position, source in enumerate(sources):
        found = {job["name"]: job for job in jobs if job["source"] == source}
        for place, name in enumerate(names):
            if name in found:
                left = place - 0.35 + (position + 0.5) * width
                axes.bar(left, found[name]["frames_per_second"], 0.92 * width, color=theme.methods[position],
                         label=source if place == 0 else None)
                rates = found[name]["all"]
                axes.plot([left, left], [min(rates), max(rates)], color=theme.ink, linewidth=1)
    for place, name in enumerate(names):
        axes.plot([place - 0.4, place + 0.4], [bare[name]] * 2, color=theme.ink, linewidth=1.6,
                  linestyle=(0, (4, 2)), label="bare runner" if place == 0 else None)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
    axes.set_ylabel("frames a second", color=theme.ink, fontsize=9)
    axes.set_ylim(bottom=0)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, labelcolor=theme.ink, fontsize=8.5,
                  loc="outside right upper")
    style_axes(axes, theme)
    return save_figure(figure, paths)


def _draw_net(axes: Axes, part: Results, theme: Theme) -> None:
    for entry in in_order(part):
        timings = [timing for timing in entry["timings"] if timing["scope"] == RUNNER]
        colour = theme.methods[_BACKENDS.index(entry["backend"]) % len(theme.methods)]
        right = entry["agreement"]["right"]
        axes.plot([timing["batch"] for timing in timings], [timing["frames_per_second"] for timing in timings],
                  color=colour, marker=_MARKERS[entry["precision"]], markersize=5,
                  markerfacecolor=colour if right else theme.background, linewidth=1.6 if entry["rewritten"] else 1.2,
                  linestyle="-" if entry["rewritten"] else (0, (4, 2)),
                  label=entry["name"] + ("" if right else " (wrong)"))
    batches = sorted({timing["batch"] for entry in part["contenders"] for timing in entry["timings"]})
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    rates = [timing["frames_per_second"] for entry in part["contenders"] for timing in entry["timings"]
             if timing["scope"] == RUNNER]
    axes.set_ylim(0, 1.06 * max(rates, default=1.0))  # room for the highest mark, however close the others are to it
    axes.set_title(f"{NAMES[part['kind']]} {part['name']}, {part['width']}x{part['height']}", fontsize=10,
                   color=theme.ink, loc="left")
    axes.set_xlabel("frames per batch", color=theme.ink, fontsize=9)
    axes.set_ylabel("frames a second", color=theme.ink, fontsize=9)
    style_axes(axes, theme)


KINDS = {"mask": "mask net", "depth": "depth net"}
_REASONS = 160
"""Characters of a reason that are worth reading; results.json has all."""


def section(results: Results, folder: Path) -> Section:
    """The section of a bench document."""
    jobs = results["end_to_end"]["jobs"]
    tables = [net_table(results, part) for part in results["measured"]]
    plots = [Plot("speed", "Frames a second against frames per batch" + (
        "; dashed: the net in torch as it was given" if any(part["file"] is None for part in results["measured"]) else
        ""),
                  partial(draw_speeds, results))]
    if jobs:
        tables.append(jobs_table(results))
        plots.append(Plot("jobs", "Whole jobs, from files to masks on disk (bars), and the bare runner at its best "
                          "batch (lines)", partial(draw_jobs, results)))
    return Section("How fast it runs here", sentences(results), (*tables, limits_table(results)), tuple(plots),
                   lead="Every way of running the nets that works on this machine: its answers are compared with those "
                   "of the net in torch as it was given, in float32 (of an exported file, with what ONNX Runtime makes "
                   "of it on the CPU), then all are timed in turns.")


def sentences(results: Results) -> tuple[str, ...]:
    """What is fastest, at what share of the limit, what whole jobs come to, what was wrong and what did not run."""
    said = [] if results["trained"] else ["The mask net is untrained: its speed is that of a trained one."]
    for part in results["measured"]:
        said += _fastest(results, part)
    said += _jobs(results)
    for part in results["measured"]:
        wrong = [entry["name"] for entry in part["contenders"] if not entry["agreement"]["right"]]
        if wrong:
            said.append(f"Not ranked, since their answers are farther from the {KINDS[part['kind']]}'s than their "
                        f"precision allows: {', '.join(wrong)}.")
    return (*said, *_missing(results))


def _fastest(results: Results, part: Results) -> list[str]:
    if not part["ranking"]:
        return []
    entries = {entry["name"]: entry for entry in part["contenders"]}
    first = entries[part["ranking"][0]]
    name = part["name"] if part["file"] is None else f"{part['name']} ({part['file']})"
    said = f"The {KINDS[part['kind']]} {name} is fastest with {_speed(first, part['reference'])}"
    plain = [name for name in part["ranking"] if entries[name]["precision"] == "fp32"]
    if first["precision"] != "fp32" and plain:
        said += f"; in float32 with {_speed(entries[plain[0]], part['reference'])}"
    return [f"{said}."]


def _speed(entry: Results, reference: str) -> str:
    timing = best_timing(entry)
    if timing is None:
        return entry["name"]
    limit = timing["share_of_limit"]
    words = f"{entry['name']}: {timing['frames_per_second']:.3g} frames a second at batch {timing['batch']}"
    if "ratio" in timing and entry["name"] != reference:
        words += f", {timing['ratio']:.2g} times as fast as {reference}"
    return words + (f", {limit:.0%} of the matrix-product rate" if limit is not None else "")


def _jobs(results: Results) -> list[str]:
    jobs = results["end_to_end"]["jobs"]
    said = []
    for source in dict.fromkeys(job["source"] for job in jobs):
        best = max((job for job in jobs if job["source"] == source), key=lambda job: float(job["frames_per_second"]))
        said.append(f"Whole jobs on {_SOURCES[source]}: {best['frames_per_second']:.3g} frames a second with "
                    f"{best['name']}, {best['share_of_runner']:.0%} of the bare runner.")
    return said


_SOURCES = {"video": "a video", "pictures": "a folder of pictures", "source": "the source given"}


def _missing(results: Results) -> list[str]:
    reasons: dict[str, list[str]] = {}
    for part in results["measured"]:
        for failure in part["failed"]:
            reasons.setdefault(_cut(failure["reason"]), []).append(f"{failure['name']} ({KINDS[part['kind']]})")
    said = [f"Does not run here: {', '.join(names)}: {reason}." for reason, names in reasons.items()]
    if results["without_target"]:
        said.append(f"The depth net was left out: {_cut(results['without_target'])}.")
    for part in results["measured"]:
        if part["left_out"]:
            batches = ", ".join(str(each["batch"]) for each in part["left_out"])
            said.append(f"Batches of {batches} frames were left out for the {KINDS[part['kind']]}: they would have "
                        "taken too long (--seconds gives more).")
        said += [f"{entry['name']} ({KINDS[part['kind']]}) did not run batches of {each['batch']}: "
                 f"{_cut(each['reason'])}."
                 for entry in part["contenders"] for each in entry["left_out"]]
    return said + [f"{each['name']} failed on {_SOURCES[each['source']]}: {_cut(each['reason'])}."
                   for each in results["end_to_end"]["failed"]]


def _cut(reason: str) -> str:
    short = reason if len(reason) <= _REASONS else f"{reason[:_REASONS]}…"
    return short.rstrip(".")
