"""Report of steadiness: the share of kept pixels that stay kept in the next frame, and the cost of steady masks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from depthcue.report.figures import LIGHT, Bars, Theme, draw_panels
from depthcue.report.section import Plot, Section
from depthcue.report.tables import Table, compared_with, label_of, number, too_few, verdict
from depthcue.results import MASK, STEADY, Steadiness


def section(results: Steadiness, folder: Path) -> Section:
    """The section of a steadiness document that lies in `folder`."""
    return Section(
        "Do kept pixels stay kept from frame to frame?", sentences(results), (methods_table(results),),
        (Plot("steadiness", f"Of the {results.share:.0%} of pixels kept, the share that is kept in the next frame too, "
              "carried along the camera's true motion, with 95% intervals; and the depth net's error through them",
              partial(_draw, results)),), (),
        "Each frame is masked anew. Depth and camera poses say which pixels of two neighbouring frames show the same "
        "point; a steady mask keeps that point in both frames or in neither. The steady mask follows estimated motion "
        "and sees past frames alone, as `depthcue mask --steady` does.")


def sentences(results: Steadiness) -> tuple[str, ...]:
    """The overlap of the mask, of edges and of the steady mask, what it costs, and how far the depth itself wavers."""
    methods = results.ways
    found = [f"Where both of two neighbouring frames see a point ({results.seen_in_both:.0%} of the pixels), "
             f"{number(methods[MASK], 'overlap', '.1%')} of the pixels that the mask keeps stay kept."]
    others = [f"{label_of(method)} {number(entry, 'overlap', '.1%')}" for method, entry in methods.items()
              if method not in (MASK, STEADY)]
    if others:
        found.append(f"For comparison: {'; '.join(others)}.")
    if STEADY in methods:
        steady = methods[STEADY]
        clear = verdict(steady["overlap_minus_mask_ci95"], results.runs)
        gained = compared_with(clear, "the mask alone", few="too few runs of frames to tell")
        found.append(f"Followed along the estimated motion, {number(steady, 'overlap', '.1%')} stay kept, {gained}; "
                     f"the depth net's error through it is {number(steady, 'rmse_times_mask', '.3f')} "
                     "times that through the mask.")
    found.append(f"The depth net itself changes its answer for a point by {number(results, 'depth_change', '.1%')} "
                 "from one frame to the next.")
    return *found, *too_few(results.runs, "run")


def methods_table(results: Steadiness) -> Table:
    """Table with a row for each scorer."""
    rows = tuple((label_of(method), number(entry, "overlap"), f"{entry.overlap_unaligned:.3f}",
                  number(entry, "rmse_to_target"), number(entry, "rmse_times_mask") if method != MASK else "1")
                 for method, entry in results.ways.items())
    return Table(f"{results.share:.0%} of the pixels kept; {results.pairs} pairs of frames of {results.data.spec} "
                 "(95 %)", ("kept by", "overlap", "at equal pixels", "RMSE against N(I), m", "times the mask's"), rows)


def _draw(results: Steadiness, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    names = [label_of(method) for method in results.ways]

    def bars(measure: str, label: str, percent: bool = False) -> Bars:
        return Bars(names, [(None, [(name, entry[measure], entry[f"{measure}_ci95"])
                                    for name, entry in zip(names, results.ways.values(), strict=True)])], label,
                    own_colours=True, percent=percent)

    return draw_panels([bars("overlap", "kept in the next frame too", percent=True),
                        bars("rmse_to_target", "RMSE against N(I), m")], paths, theme, (8.0, 0.45 * len(names) + 1.2))
