"""Report of compare-edges: RMSE against sparseness for every scorer, what each costs, and pictures of kept pixels."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from depthcue.report.figures import (
    FEW_CURVES,
    LIGHT,
    Curve,
    Curves,
    Theme,
    draw_panels,
    method_colour,
    method_style,
    name_axes,
    new_figure,
    save_figure,
)
from depthcue.report.section import Column, Example, Picture, Plot, Section, draw_examples, unit_note
from depthcue.report.tables import (
    MANY,
    SHARE,
    TARGET,
    TRUTH,
    Table,
    Verdict,
    clearly_longer,
    counted,
    duration,
    fields_for,
    label_of,
    measured_against,
    medians_of,
    number,
    setting_column,
    setting_name,
    sorted_out,
    too_few,
    verdict,
    verdict_words,
)
from depthcue.results import CompareEdges, CurvePoint, EdgeExample

SHOWN_RIVALS = 2
"""Most scorers beside the mask that an example shows: what fits in one row of a page."""
_CHOSEN_BY = {"mask": "chosen by the mask", "sobel": "the strongest edges", "random": "at random"}


def comparison_tables(results: CompareEdges) -> list[Table]:
    """The tables of compare-edges: curves against ground truth (where there is any) and against N(I); soft maps."""
    curves = [curves_table(results, reference) for reference in measured_against(results)]
    return [*curves, soft_table(results)] if results.soft else curves


def curves_table(results: CompareEdges, reference: str) -> Table:
    """RMSE at equal sparseness for every method, and how far the others are above the mask (95 % intervals)."""
    error, difference = fields_for(reference)
    methods = list(results.curves)
    others = methods[1:]
    title = f"RMSE in metres against {reference}; {counted(results.images)} of {results.data.spec}"
    if len(others) > MANY:
        return _table_of_many(results, reference, title)
    columns = ["pixels kept", "mask", *(column for other in others
                                        for column in (label_of(other), f"{label_of(other)} − mask (95 %)"))]
    rows = []
    for position, entry in enumerate(results.curves["mask"]):
        row = [f"{entry.sparseness:.0%}", f"{entry[error]:.3f}"]
        for other in others:
            theirs = results.curves[other][position]
            row += [f"{theirs[error]:.3f}", number(theirs, difference, "+.3f")]
        rows.append(tuple(row))
    if reference == TRUTH:
        rows.append(("100%", f"{results.target['rmse']:.3f}", *[""] * (2 * len(others))))
    return Table(title, tuple(columns), tuple(rows))


def _table_of_many(results: CompareEdges, reference: str, title: str) -> Table:
    """A row for every scorer, a column for every sparseness, without the differences."""
    error, _ = fields_for(reference)
    columns = ["chosen by", *(f"{entry.sparseness:.0%}" for entry in results.curves["mask"])]
    rows = [[label_of(method), *(f"{entry[error]:.3f}" for entry in entries)]
            for method, entries in results.curves.items()]
    if reference == TRUTH:
        columns.append("100%")
        rows = [[*row, f"{results.target['rmse']:.3f}"] for row in rows]
    return Table(title, tuple(columns), tuple(tuple(row) for row in rows))


def soft_table(results: CompareEdges) -> Table:
    """Soft maps at the settings used: M, its binary M', and the other maps scaled to the mean of M."""
    reference = measured_against(results)[0]
    error, _ = fields_for(reference)
    others = [method for method in results.curves if method != "mask"]
    threshold = results.soft[0].binary["threshold"]
    title = f"Soft maps, the others scaled to the mean of M; RMSE in metres against {reference}"
    if len(others) > MANY:
        methods = {**{method: label_of(method) for method in results.curves}, "binary": f"mask > {threshold:g}"}
        return Table(title, (f"soft map, by {setting_column(results.soft)} (mean)", *(
            f"{setting_name(entry)} ({entry.mask['mean']:.0%})" for entry in results.soft)), tuple(
            (label, *(f"{entry[method][error]:.3f}" for entry in results.soft)) for method, label in methods.items()))
    columns = (setting_column(results.soft), "mean of M", "RMSE(M)", f"share M > {threshold:g}", "RMSE(M')",
               *(f"soft {label_of(other)}" for other in others))
    rows = tuple(
        (setting_name(entry), f"{entry.mask['mean']:.3f}", f"{entry.mask[error]:.3f}",
         f"{entry.binary['sparseness']:.3f}", f"{entry.binary[error]:.3f}",
         *(f"{entry[other][error]:.3f}" for other in others))
        for entry in results.soft)
    return Table(title, columns, rows)


def choices_table(results: CompareEdges) -> Table:
    """Table of the scorers at about SHARE of the pixels, best first: RMSE, difference from the mask's, cost."""
    reference, position = _reference(results), _position(results, SHARE)
    error, difference = fields_for(reference)
    rows = []
    for method, entry in sorted(_at(results, position).items(), key=lambda item: float(item[1][error])):
        above = "" if method == "mask" else number(entry, difference, "+.3f")
        rows.append((label_of(method), f"{entry[error]:.3f}", above, duration(results.cost_ms[method].median)))
    kept = results.curves["mask"][position].sparseness
    return Table(f"{kept:.0%} of the pixels, chosen in {len(rows)} ways: RMSE in metres against {reference}, and what "
                 "choosing costs (median)", ("chosen by", "RMSE", "− mask (95 %)", "time a picture"), tuple(rows))


def draw_comparison(results: CompareEdges, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw RMSE against sparseness with shaded 95 % intervals, and N's own error as a line.

    One panel against ground truth, where there is any, and one against N(I).
    """
    references = measured_against(results)
    few = len(results.curves) <= FEW_CURVES
    panels: list[Curves] = []
    for reference in references:
        error, _ = fields_for(reference)
        curves = [Curve(label_of(method), at=[entry.sparseness for entry in entries],
                        values=[entry[error] for entry in entries],
                        intervals=[entry[f"{error}_ci95"] for entry in entries] if few or method == "mask" else (),
                        **method_style(position, theme))
                  for position, (method, entries) in enumerate(results.curves.items())]
        level = (results.target["rmse"], "whole picture") if reference == TRUTH else None
        panels.append(Curves(f"against {reference}", "share of pixels the depth net sees", "RMSE (m)", curves, level,
                             percent=True, legend=few and not panels))
    width = 4.6 * len(references) + (0.4 if few else 2.2)
    return draw_panels(panels, paths, theme, (width, 3.7 if few else 4.4), legend=not few)


def draw_choices(results: CompareEdges, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw the RMSE of every scorer at a fifth of the pixels, with 95 % intervals, over what it costs a picture.

    Args:
        results: a compare-edges document with costs.
    """
    reference = _reference(results)
    error, _ = fields_for(reference)
    entries = _at(results, _position(results, SHARE))
    figure = new_figure(6.4, 4.2, theme)
    axes = figure.subplots()
    costs = {method: results.cost_ms[method].median for method in entries}
    for position, (method, entry) in enumerate(entries.items()):
        low, high = entry[f"{error}_ci95"]
        colour = method_colour(position, theme)
        axes.plot([costs[method]] * 2, [low, high], color=colour, linewidth=1.2, alpha=0.55)
        axes.plot([costs[method]], [entry[error]], color=colour, marker="o", markersize=7 if method == "mask" else 5,
                  zorder=4)
    axes.set_xscale("log")
    # room for the names, which stand to the right of the points
    axes.set_xlim(min(costs.values()) / 2, max(costs.values()) * 12)
    bottom, top = axes.get_ylim()
    heights = _apart([(entry[error], method) for method, entry in entries.items()], costs, (top - bottom) / 24)
    for method, height in heights.items():
        axes.annotate(label_of(method), (costs[method] * 1.18, height), color=theme.ink, fontsize=8.5, va="center",
                      fontweight="bold" if method == "mask" else "normal",
                      path_effects=[withStroke(linewidth=2.5, foreground=theme.background)])  # over other intervals
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    name_axes(axes, theme, f"against {reference}", "time to choose, a picture",
              f"RMSE (m) with {SHARE:.0%} of the pixels")
    return save_figure(figure, paths)


def in_words(results: CompareEdges) -> str:
    """One sentence on the comparison at about SHARE of the pixels."""
    reference, position = _reference(results), _position(results, SHARE)
    error, difference = fields_for(reference)
    mask = results.curves["mask"][position]
    verdicts, errors = {}, {}
    for method, entries in results.curves.items():
        if method != "mask":
            verdicts[method] = verdict(entries[position][f"{difference}_ci95"], results.images)
            errors[method] = f"{entries[position][error]:.2f} m"
    remarks = {method: verdict_words(found, more="", less="less than with the mask")
               for method, found in verdicts.items()}
    parts = [f"{errors[method]} with {label_of(method)}" + (f" ({remark})" if remark else "")
             for method, remark in remarks.items()]
    whole = f"; from the whole picture it is {results.target['rmse']:.2f} m" if reference == TRUTH else ""
    against = "" if reference == TRUTH else ", measured against what it sees in the whole picture"
    others = f", {' and '.join(parts)}" if parts else ""
    if len(parts) > MANY:
        others = "; ".join(["", *(
            f"{verdict_words(found)} with " + ", ".join(f"{label_of(method)} ({errors[method]})" for method in methods)
            for found, methods in sorted_out(verdicts.items()).items() if methods)])
    return (f"With {mask.sparseness:.0%} of the pixels left, the depth is off by {mask[error]:.2f} m when the mask "
            f"chooses them{others}{whole}{against}.")


def cost_in_words(results: CompareEdges) -> tuple[str, ...]:
    """Sentence on the cost of the slowest scorer against the mask's; empty where none is clearly slower."""
    costs = results.cost_ms
    slowest = max(costs, key=lambda method: float(costs[method].median))
    mask, other = costs["mask"], costs[slowest]
    if not clearly_longer(other, mask):
        return ()
    return (f"Choosing takes {duration(mask.median)} a picture with the mask and {duration(other.median)} with "
            f"{label_of(slowest)}, {other.median / mask.median:.3g} times as long ({medians_of(mask, other)}).",)


def left_out_in_words(results: CompareEdges) -> tuple[str, ...]:
    """Sentences on the scorers that could not work here, with the reason."""
    return tuple(f"Left out: {label_of(method)} ({reason})." for method, reason in results.left_out.items())


def trained_in_words(results: CompareEdges, summary: dict[str, Any]) -> tuple[str, ...]:
    """Sentences on a training: its end, and the mask's worth on the pictures kept aside.

    Args:
        results: a compare-edges result on these pictures at one share.
        summary: `training.mask.TrainedMask.summary`.
    """
    steps, planned, kept = summary["steps"], summary["planned"], summary["kept_step"]
    ended = f"Training took {steps} steps and {summary['seconds'] / 60:.1f} minutes."
    if summary["ended"] == "no fall":
        ended += f" Of {planned} steps it ended there, since the error through 20% of the pixels no longer fell."
    if kept != steps:
        ended += (" No step lowered the error, so the weights are those it started from." if kept == 0 else
                  f" The weights are those after step {kept}, where the error was lowest.")
    (edges,) = results.curves["sobel"]
    more = "train longer, or on more pictures like those it is for."
    sentence_for = {Verdict.MORE: "The mask is clearly better than edges.",
                    Verdict.LESS: f"The mask is clearly worse than edges, and not to be trusted: {more}",
                    Verdict.NOT_CLEAR: f"The mask is not clearly better than edges: {more}",
                    Verdict.TOO_FEW: "Whether the mask is better than edges cannot be told: give more pictures."}
    found = verdict(edges["to_target_minus_mask_ci95"], results.images)
    return ended, *unit_note(results), in_words(results), sentence_for[found], *too_few(results.images)


def _reference(results: CompareEdges) -> str:
    return TRUTH if results.ground_truth else TARGET


def _position(results: CompareEdges, share: float) -> int:
    """Index in every curve of the sparseness nearest to `share`."""
    entries = results.curves["mask"]
    return min(range(len(entries)), key=lambda position: abs(entries[position].sparseness - share))


def _at(results: CompareEdges, position: int) -> dict[str, CurvePoint]:
    return {method: entries[position] for method, entries in results.curves.items()}


def _apart(wanted: list[tuple[float, str]], costs: dict[str, float], gap: float) -> dict[str, float]:
    """Heights for names near the wanted ones, pushed up until no name touches one of about the same cost."""
    placed: dict[str, float] = {}
    for height, method in sorted(wanted):
        for other, taken in sorted(placed.items(), key=lambda item: item[1]):
            near = max(costs[method], costs[other]) < 12 * min(costs[method], costs[other])
            if near and abs(height - taken) < gap:
                height = taken + gap
        placed[method] = height
    return placed


def section(results: CompareEdges, folder: Path) -> Section:
    """The section of a compare-edges document that lies in `folder`."""
    panel = Picture("examples.png", "What the depth net was shown and what it saw",
                    partial(draw_examples, results, folder), on_page=False)
    sentences, tables = [in_words(results)], comparison_tables(results)
    plots = [Plot("comparison", "RMSE against the share of pixels seen, with 95% intervals over images",
                  partial(draw_comparison, results))]
    if results.cost_ms:  # results of earlier versions have none
        sentences += [*cost_in_words(results), *left_out_in_words(results)]
        tables.insert(0, choices_table(results))
        plots.append(Plot("choices", "RMSE with a fifth of the pixels against what choosing them costs",
                          partial(draw_choices, results)))
    return Section(
        "Mask against edges and chance", (*sentences, *too_few(results.images)), tuple(tables), tuple(plots),
        (panel,) if results.examples else (),
        "A mask looks a bit like a line drawing. Are the kept pixels just the strong edges? The depth net is shown "
        "equally many pixels, chosen in one way after the other. The lower the curve, the better the choice.",
        gallery=tuple(results.gallery),
        examples=tuple(_example(example, results) for example in results.examples))


def _example(example: EdgeExample, results: CompareEdges) -> Example:
    share, tiles = f"{example.sparseness:.0%}", example.tiles
    columns = [Column("the whole picture", tiles["picture"], tiles["depth_target"])]
    for method in list(results.curves)[:1 + SHOWN_RIVALS]:
        caption = f"{share}, {_CHOSEN_BY.get(method, f'chosen by {label_of(method)}')}"
        columns.append(Column(caption, tiles[f"kept_{method}"], tiles[f"depth_{method}"]))
    known = "; the true depth" if "depth_truth" in tiles else ""
    columns.append(Column(f"the mask itself{known}", tiles["mask"], tiles.get("depth_truth")))
    return Example(example.name, tuple(columns))
