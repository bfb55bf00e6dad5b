"""The figures of a bench: frames a second over batch sizes, and whole jobs beside the bare runner."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from depthcue.report.bench_tables import RUNNER, best_timing, in_order
from depthcue.report.figures import LIGHT, Theme, new_figure, save_figure, style_axes
from depthcue.report.results import Results

_MARKERS = {"fp32": "o", "bf16": "s", "fp16": "^", "int8": "D"}
_BACKENDS = ("torch", "onnx", "openvino", "tensorrt")
NAMES = {"mask": "mask net", "depth": "depth net"}


def draw_speeds(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> None:
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
    save_figure(figure, paths)


def draw_jobs(results: Results, paths: Sequence[Path], theme: Theme = LIGHT) -> None:
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
    save_figure(figure, paths)


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
