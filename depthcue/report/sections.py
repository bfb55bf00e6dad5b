"""Which module tells what the results of a command come to."""

from collections.abc import Callable
from pathlib import Path

from depthcue.report import bench, compare_losses, compare_nets, comparison, evaluate, findings, optimize, probe, tour
from depthcue.report.relative import with_note
from depthcue.report.results import Results
from depthcue.report.section import Section

SECTIONS: dict[str, Callable[[Results, Path], Section]] = {
    "demo": tour.section,
    "compare-edges": comparison.section,
    "evaluate": evaluate.section,
    "compare-nets": compare_nets.section,
    "compare-losses": compare_losses.section,
    "optimize": optimize.section,
    "findings": findings.section,
    "probe": probe.section,
    "bench": bench.section,
}
"""By the command that wrote the results; each takes the results and the folder they lie in."""


def section_of(results: Results, folder: Path) -> Section:
    """The section of a results document that lies in `folder`; its command must be in SECTIONS."""
    return with_note(SECTIONS[results["command"]](results, folder), results)
