"""Report of compare-nets: agreement of networks with each other and with edges, and the use of each other's masks."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from depthcue.report.figures import LIGHT, Matrix, Theme, draw_panels
from depthcue.report.section import Picture, Plot, Section, draw_rows, example_of
from depthcue.report.tables import (
    PHRASES,
    TRUTH,
    Table,
    Verdict,
    counted,
    measured_against,
    number,
    sorted_out,
    span,
    too_few,
    verdict,
    verdict_words,
)
from depthcue.results import CompareNets, Fields

MEASURES = {"pearson": "correlation", "ssim": "structural similarity", "iou": "overlap"}
"""Names of the measures of agreement."""
_OTHER_NETWORKS = "other networks"


def section(results: CompareNets, folder: Path) -> Section:
    """The section of a compare-nets document that lies in `folder`."""
    share = f"{results.share:.0%}"
    against = " and ".join(measured_against(results))
    labels = [net.label for net in results.nets]
    rows = results.examples
    figure = Picture("masks.png", "The masks of every network on the same pictures",
                     partial(draw_rows, rows, [f"mask of {label}" for label in labels], folder), on_page=False)
    return Section(
        "Do different networks look at the same pixels?",
        (in_words(results), *agreement_in_words(results), *transfer_in_words(results), *too_few(results.images)),
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


def in_words(results: CompareNets) -> str:
    """Sentences on the pixels that two networks both keep, beside edges, chance and other pictures."""
    found = results.differences["iou"]
    means = {name: f"{entry['mean']:.0%}" for name, entry in found["with"].items()}
    return (f"Of the pixels that either of two networks keeps when each keeps {results.share:.0%}, "
            f"{number(found, 'between_networks', '.0%').replace(' (', ' are kept by both (')}; with the strongest "
            f"edges a mask shares {means['edges']}, with pixels chosen at random {means['random']}, and with the other "
            f"network's mask of another picture {means['another picture']}.")


def agreement_in_words(results: CompareNets) -> list[str]:
    """Whether networks agree with each other more than with edges, for every measure; nothing is left out."""
    measured = [(name, results.differences[measure]["with"]["edges"]) for measure, name in MEASURES.items()]
    found = sorted_out((f"{name} {number(entry, 'minus', '+.2f')}", verdict(entry["minus_ci95"], results.images))
                       for name, entry in measured)
    unclear, few = (PHRASES[each].capitalize() for each in (Verdict.NOT_CLEAR, Verdict.TOO_FEW))
    sentences = {
        Verdict.MORE: "The masks of two networks are more like each other than like edges: {}.",
        Verdict.LESS: "The masks of two networks are more like edges than like each other: {}.",
        Verdict.NOT_CLEAR: f"{unclear} between agreement with each other and with edges in {{}}.",
        Verdict.TOO_FEW: f"{few} agreement with each other from agreement with edges: {{}}."}
    return [sentences[each].format(", ".join(named)) for each, named in found.items() if named]


def transfer_in_words(results: CompareNets) -> list[str]:
    """Sentences on the cost for a network of using another's mask, against all comparisons."""
    sentences = []
    for reference in measured_against(results):
        entries = {name: entry["truth" if reference == TRUTH else "target"]
                   for name, entry in results.transfer_ratio.items()}
        if any(entry["times"] is None for entry in entries.values()):
            continue
        found = verdict(entries[_OTHER_NETWORKS]["ci95"], results.images, 1.0)
        remark = "" if found.clear else f", {verdict_words(found)}"
        own = f"is {_times(entries[_OTHER_NETWORKS])} that by its own mask{remark}"
        rest = ", ".join(f"{_times(entries[name])} by {name}" for name in ("edges", "random"))
        sentences.append(f"Shown the pixels that another network's mask chose, a network's error against {reference} "
                         f"{own}; it is {rest}.")
    return sentences


def _times(entry: Fields) -> str:
    return f"{entry['times']:.2f} times ({span(entry['ci95'], '.2f')})"


def _plain(value: float) -> str:
    """Two digits, and no minus before a zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def _nets_table(results: CompareNets) -> Table:
    truth = results.ground_truth
    columns = ("network", "works at", "lambda", "mean of M", *(("RMSE, whole picture",) if truth else ()))
    rows = tuple(
        (net.label, f"{net.size[1]}×{net.size[0]}", "" if net.lam is None else f"{net.lam:.3g}",
         f"{net.mean:.3f}",
         *((f"{net.whole['rmse']:.3f}",) if truth else ())) for net in results.nets)
    return Table(f"Networks; {counted(results.images)} of {results.data.spec}", columns, rows)


def _agreement_table(results: CompareNets, measure: str) -> Table:
    matrix, names = results.agreement[measure], results.columns
    rows = tuple(
        (name, *("1" if row == column else f"{_plain(matrix.mean[row][column])} ({_plain(low)} to {_plain(high)})"
                 for column, (low, high) in enumerate(matrix.ci95[row])))
        for row, name in enumerate(names))
    of = f" of the {results.share:.0%} of pixels kept" if measure == "iou" else " of soft masks"
    return Table(f"Agreement: {MEASURES[measure]}{of} (95 %)", ("", *names), rows)


def _transfer_table(results: CompareNets, reference: str) -> Table:
    error, difference = _transfer_fields(reference)
    rows = []
    for label, entries in results.transfer.items():
        cells = []
        for name in results.columns:
            above = "" if name == label else f" {number(entries[name], difference, '+.3f')}"
            cells.append(f"{entries[name][error]:.3f}{above}")
        rows.append((label, *cells))
    return Table(f"Transfer: RMSE in metres against {reference}, and how far above that by the own mask (95 %)",
                 ("seen by … chosen by", *results.columns), tuple(rows))


def _transfer_fields(reference: str) -> tuple[str, str]:
    return ("rmse", "minus_own") if reference == TRUTH else ("rmse_to_target", "to_target_minus_own")


def _draw_agreement(results: CompareNets, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    names = tuple(results.columns)
    return _draw_cells([Matrix(
        name, names, names, tuple(tuple(map(_plain, row)) for row in results.agreement[measure].mean),
        tuple(map(tuple, results.agreement[measure].mean))) for measure, name in MEASURES.items()], paths, theme)


def _draw_transfer(results: CompareNets, paths: Sequence[Path], theme: Theme = LIGHT) -> Figure:
    columns, labels = tuple(results.columns), tuple(results.transfer)
    cells: list[Matrix] = []
    for reference in measured_against(results):
        error, _ = _transfer_fields(reference)
        values = [[results.transfer[label][name][error] for name in columns] for label in labels]
        own = [results.transfer[label][label][error] for label in labels]
        # networks see to different distances: colours compare within a row, and are full at twice the own error
        strengths = [tuple(value / reference_value - 1 if reference_value else 0.0 for value in row)
                     for row, reference_value in zip(values, own, strict=True)]
        cells.append(Matrix(
            f"against {reference}", labels, columns, tuple(tuple(f"{value:.2f}" for value in row) for row in values),
            tuple(strengths), "seen by", "chosen by"))
    return _draw_cells(cells, paths, theme)


def _draw_cells(cells: Sequence[Matrix], paths: Sequence[Path], theme: Theme) -> Figure:
    widths, heights = zip(*(each.inches for each in cells), strict=True)
    return draw_panels(cells, paths, theme, (sum(widths), max(heights)), widths=widths)
