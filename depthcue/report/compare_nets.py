"""What compare-nets found: whether networks agree with each other more than with edges, and use each other's masks.

Matrices of numbers as figures: one coloured cell a number, names at the sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from depthcue.report.figures import LIGHT, Theme, new_figure, save_figure
from depthcue.report.gallery import draw_rows, example_of
from depthcue.report.provenance import TRUTH, Results, measured_against
from depthcue.report.section import Picture, Plot, Section
from depthcue.report.tables import Table
from depthcue.report.verdicts import Verdict, number, sorted_out, span, too_few, verdict

_CELL_INCHES = 0.82
_MARGIN_INCHES = 1.5
"""For the names at the sides and the title."""


@dataclass(frozen=True)
class Matrix:
    """Numbers in rows and columns, and how strongly each cell is coloured."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """What is written into the cells."""
    strengths: tuple[tuple[float, ...], ...]
    """0 for the colour of the page, 1 for the full colour; beyond is cut."""
    rows_are: str = ""
    columns_are: str = ""


def draw_matrices(matrices: Sequence[Matrix], paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    """Draw matrices side by side into every path; the suffix says which kind (.png, .svg, .pdf)."""
    widths = [_CELL_INCHES * len(matrix.columns) + _MARGIN_INCHES for matrix in matrices]
    height = _CELL_INCHES * 0.8 * max(len(matrix.rows) for matrix in matrices) + _MARGIN_INCHES
    figure = new_figure(sum(widths), height, theme)
    every = figure.subplots(1, len(matrices), squeeze=False, gridspec_kw={"width_ratios": widths})[0]
    for axes, matrix in zip(every, matrices, strict=True):
        _draw(axes, matrix, theme)
    return save_figure(figure, paths)


def _draw(axes: Axes, matrix: Matrix, theme: Theme) -> None:
    colours = LinearSegmentedColormap.from_list("page to full", [theme.background, theme.methods[1]])
    axes.set_facecolor(theme.background)
    axes.imshow(matrix.strengths, cmap=colours, vmin=0, vmax=1, aspect="auto")
    for row, texts in enumerate(matrix.texts):
        for column, text in enumerate(texts):
            cell = colours(min(max(matrix.strengths[row][column], 0.0), 1.0))
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=_readable(cell, theme))
    axes.set_xticks(range(len(matrix.columns)), [_folded(name) for name in matrix.columns], fontsize=8, color=theme.ink)
    axes.set_yticks(range(len(matrix.rows)), [_folded(name) for name in matrix.rows], fontsize=8, color=theme.ink)
    axes.set_xlabel(matrix.columns_are, fontsize=9, color=theme.ink)
    axes.set_ylabel(matrix.rows_are, fontsize=9, color=theme.ink)
    axes.set_title(matrix.title, fontsize=10, color=theme.ink, loc="left")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _readable(cell: tuple[float, ...], theme: Theme) -> str:
    """Of the theme's two extremes the one that stands out from a cell."""
    return max((theme.ink, theme.background), key=lambda colour: abs(_light(to_rgb(colour)) - _light(cell[:3])))


def _light(colour: tuple[float, ...]) -> float:
    red, green, blue = colour
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _folded(name: str) -> str:
    """A long name in lines, broken after its dashes, so that it fits beside its row."""
    lines = [""]
    for part in name.replace("-", "-\n").split("\n"):
        if lines[-1] and len(lines[-1]) + len(part) > 13:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


MEASURES = {"pearson": "correlation", "ssim": "structural similarity", "iou": "overlap"}
"""What each measure of agreement is called."""
_OTHER_NETWORKS = "other networks"


def section(results: Results, folder: Path) -> Section:
    """The section of a compare-nets document that lies in `folder`."""
    share = f"{results['share']:.0%}"
    against = " and ".join(measured_against(results))
    labels = [net["label"] for net in results["nets"]]
    rows = results["examples"]
    figure = Picture("masks.png", "The masks of every network on the same pictures",
                     partial(draw_rows, rows, [f"mask of {label}" for label in labels], folder), on_page=False)
    return Section(
        "Do different networks look at the same pixels?",
        (in_words(results), *agreement_in_words(results), *transfer_in_words(results), *too_few(results["images"])),
        (_nets_table(results), *(_agreement_table(results, measure) for measure in MEASURES),
         *(_transfer_table(results, reference) for reference in measured_against(results))),
        (Plot("agreement", "Agreement of masks with each other, with edges and with chance: correlation and "
              f"structural similarity of soft masks, overlap of the {share} of pixels with the highest values",
              partial(_draw_agreement, results)),
         Plot("transfer", f"RMSE in metres of each network that sees the {share} of pixels that another chose, against "
              f"{against}; the stronger the colour, the larger the error beside that by the network's own mask",
              partial(_draw_transfer, results))),
        (figure,) if rows else (),
        "Every network has learnt a mask of its own. If the masks showed quirks of one network, those of others would "
        "look different; if they showed edges, all would look like an edge map. Masks are compared pixel by pixel, and "
        "each network is shown the pixels that another network's mask chose.",
        examples=tuple(example_of(row, [f"mask of {label}; its depth by {share} of the pixels" for label in labels])
                       for row in rows))


def in_words(results: Results) -> str:
    """How much of what two networks keep is the same, beside edges, chance and other pictures."""
    found = results["differences"]["iou"]
    means = {name: f"{entry['mean']:.0%}" for name, entry in found["with"].items()}
    return (f"Of the pixels that either of two networks keeps when each keeps {results['share']:.0%}, "
            f"{number(found, 'between_networks', '.0%').replace(' (', ' are kept by both (')}; with the strongest "
            f"edges a mask shares {means['edges']}, with pixels chosen at random {means['random']}, and with the other "
            f"network's mask of another picture {means['another picture']}.")


def agreement_in_words(results: Results) -> list[str]:
    """Whether networks agree with each other more than with edges, for every measure; nothing is left out."""
    measured = [(name, results["differences"][measure]["with"]["edges"]) for measure, name in MEASURES.items()]
    found = sorted_out((f"{name} {number(entry, 'minus', '+.2f')}", verdict(entry["minus_ci95"], results["images"]))
                       for name, entry in measured)
    sentences = {
        Verdict.MORE: "The masks of two networks are more like each other than like edges: {}.",
        Verdict.LESS: "The masks of two networks are more like edges than like each other: {}.",
        Verdict.NOT_CLEAR: "No clear difference between agreement with each other and with edges in {}.",
        Verdict.TOO_FEW: "Too few images to tell agreement with each other from agreement with edges: {}."}
    return [sentences[each].format(", ".join(named)) for each, named in found.items() if named]


def transfer_in_words(results: Results) -> list[str]:
    """What it costs a network to see by another's mask, against all that it is measured against."""
    sentences = []
    for reference in measured_against(results):
        entries = {name: entry["truth" if reference == TRUTH else "target"]
                   for name, entry in results["transfer_ratio"].items()}
        if any(entry["times"] is None for entry in entries.values()):
            continue
        found = verdict(entries[_OTHER_NETWORKS]["ci95"], results["images"], 1.0)
        own = f"is {_times(entries[_OTHER_NETWORKS])} that by its own mask" + \
            {Verdict.NOT_CLEAR: ", no clear difference", Verdict.TOO_FEW: ", too few images to tell"}.get(found, "")
        rest = ", ".join(f"{_times(entries[name])} by {name}" for name in ("edges", "random"))
        sentences.append(f"Shown the pixels that another network's mask chose, a network's error against {reference} "
                         f"{own}; it is {rest}.")
    return sentences


def _times(entry: dict[str, Any]) -> str:
    return f"{entry['times']:.2f} times ({span(entry['ci95'], '.2f')})"


def _plain(value: float) -> str:
    """Two digits, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def _nets_table(results: Results) -> Table:
    truth = results["ground_truth"]
    columns = ("network", "works at", "lambda", "mean of M", *(("RMSE, whole picture",) if truth else ()))
    rows = tuple(
        (net["label"], f"{net['size'][1]}×{net['size'][0]}", "" if net["lambda"] is None else f"{net['lambda']:.3g}",
         f"{net['mean']:.3f}",
         *((f"{net['whole']['rmse']:.3f}",) if truth else ())) for net in results["nets"])
    return Table(f"Networks; {results['images']} images of {results['data']['spec']}", columns, rows)


def _agreement_table(results: Results, measure: str) -> Table:
    matrix, names = results["agreement"][measure], results["columns"]
    rows = tuple(
        (name, *("1" if row == column else f"{_plain(matrix['mean'][row][column])} ({_plain(low)} to {_plain(high)})"
                 for column, (low, high) in enumerate(matrix["ci95"][row])))
        for row, name in enumerate(names))
    of = f" of the {results['share']:.0%} of pixels kept" if measure == "iou" else " of soft masks"
    return Table(f"Agreement: {MEASURES[measure]}{of} (95 %)", ("", *names), rows)


def _transfer_table(results: Results, reference: str) -> Table:
    error, difference = _transfer_fields(reference)
    rows = []
    for label, entries in results["transfer"].items():
        cells = []
        for name in results["columns"]:
            above = "" if name == label else f" {number(entries[name], difference, '+.3f')}"
            cells.append(f"{entries[name][error]:.3f}{above}")
        rows.append((label, *cells))
    return Table(f"Transfer: RMSE in metres against {reference}, and how far above that by the own mask (95 %)",
                 ("seen by … chosen by", *results["columns"]), tuple(rows))


def _transfer_fields(reference: str) -> tuple[str, str]:
    return ("rmse", "minus_own") if reference == TRUTH else ("rmse_to_target", "to_target_minus_own")


def _draw_agreement(results: Results, paths: Any, theme: Any) -> None:
    names = tuple(results["columns"])
    draw_matrices([Matrix(
        MEASURES[measure], names, names,
        tuple(tuple(_plain(value) for value in row) for row in results["agreement"][measure]["mean"]),
        tuple(tuple(row) for row in results["agreement"][measure]["mean"])) for measure in MEASURES], paths, theme)


def _draw_transfer(results: Results, paths: Any, theme: Any) -> None:
    columns, labels = tuple(results["columns"]), tuple(results["transfer"])
    matrices = []
    for reference in measured_against(results):
        error, _ = _transfer_fields(reference)
        values = [[results["transfer"][label][name][error] for name in columns] for label in labels]
        own = [results["transfer"][label][label][error] for label in labels]
        # networks see to different distances: colours compare within a row, and are full at twice the own error
        strengths = [[value / reference_value - 1 if reference_value else 0.0 for value in row]
                     for row, reference_value in zip(values, own, strict=True)]
        matrices.append(Matrix(
            f"against {reference}", labels, columns, tuple(tuple(f"{value:.2f}" for value in row) for row in values),
            tuple(tuple(row) for row in strengths), "seen by", "chosen by"))
    draw_matrices(matrices, paths, theme)
