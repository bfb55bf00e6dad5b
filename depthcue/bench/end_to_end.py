"""Whole jobs timed: `depthcue mask` from files to masks on disk, with each contender in turn."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from depthcue.bench.contenders import Contender
from depthcue.bench.measure import reason_of
from depthcue.errors import DepthcueError
from depthcue.progress import Progress, Silent
from depthcue.runtime.mask_job import MaskOptions, mask_sources

ROUNDS = 3


def time_jobs(contenders: Sequence[Contender], spec: str, lam: float | None, size: tuple[int, int] | None,
              sources: Mapping[str, str], progress: Progress) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Mask every source with every contender, ROUNDS times, in turns.

    The clock runs from the first file opened to the last mask written; nets are open by then, as they are in all but
    the first second of a long job. Masks alone are saved.

    Args:
        contenders: those of `in_jobs`.
        spec: of the mask net.
        size: (height, width) to work at; None for the net's own.
        sources: what to call it, and the path.

    Returns:
        An entry for each contender and source that went well: `name`, `source`, `frames`, `frames_per_second` (the
        median) and `all`; and `name`, `source` and `reason` of those that did not.
    """
    taken: dict[tuple[str, str], list[float]] = {}
    frames: dict[str, int] = {}
    failed: dict[tuple[str, str], str] = {}
    progress.start("timing whole jobs", ROUNDS * len(sources) * len(contenders))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for source, path in sources.items():
                for contender in [*contenders[number:], *contenders[:number]]:
                    key = contender.name, source
                    if key not in failed:
                        try:
                            totals = _mask(contender, spec, lam, size, path, Path(folder))
                            taken.setdefault(key, []).append(totals["frames_per_second"])
                            frames[source] = totals["frames"]
                        except Exception as error:  # as when it was checked: libraries raise what they like
                            failed[key] = reason_of(error)
                    progress.advance()
    done = [{"name": name, "source": source, "frames": frames[source], "frames_per_second": _short(median(rates)),
             "all": [_short(rate) for rate in rates]}
            for (name, source), rates in taken.items() if (name, source) not in failed]
    return done, [{"name": name, "source": source, "reason": reason} for (name, source), reason in failed.items()]


def _mask(contender: Contender, spec: str, lam: float | None, size: tuple[int, int] | None, path: str,
          out: Path) -> dict[str, Any]:
    options = MaskOptions(weights=spec, lam=lam, save=("mask",), backend=contender.backend, device=contender.device,
                          precision=contender.precision, size=size)
    summary = mask_sources([path], out, options, Silent())
    errors = [entry["error"] for entry in summary["inputs"] if entry["error"] is not None]
    totals: dict[str, Any] = summary["totals"]
    if errors or not totals["frames"]:
        raise DepthcueError(errors[0] if errors else f"{path} gave no frames", "See depthcue mask.")
    return totals


def _short(value: float) -> float:
    return float(f"{value:.4g}")
