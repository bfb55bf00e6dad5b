"""What bench found: how fast each way of running the nets is on one machine, and how much of it can be had."""

from functools import partial
from pathlib import Path

from depthcue.report.bench_figures import draw_jobs, draw_speeds
from depthcue.report.bench_tables import best_timing, jobs_table, limits_table, net_table
from depthcue.report.results import Results
from depthcue.report.section import Plot, Section

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
