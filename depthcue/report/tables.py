"""Results as tables of text, for a terminal or a page.

Besides the general `Table`: names of scorers and settings, and the tables and the sentence of compare-edges, RMSE
against sparseness for every scorer.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from depthcue.report.provenance import TARGET, TRUTH, fields_for, measured_against
from depthcue.report.verdicts import Verdict, number, sorted_out, verdict
from depthcue.results import AtSetting, CompareEdges

LABELS = {"direct": "Eq. (3)", "sobel": "edges", "canny": "Canny edges", "hed": "HED edges", "smoothgrad": "SmoothGrad",
          "object-boundaries": "object boundaries (oracle)", "depth-edges": "depth edges (oracle)",
          "integrated-gradients": "integrated gradients", "rollout": "attention rollout"}
"""Short names of scorers; any other goes by its own."""
SHARE = 0.2
"""Share of the pixels at which scorers are compared in words and in one table."""
_NUMBER = re.compile(r"[-+−±<>~]?\s*\d")


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> tuple[bool, ...]:
        """Whether each column holds words, which are read from the left, and not numbers."""
        return word_columns(self.columns, self.rows)


def word_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[bool, ...]:
    """Whether each column holds words: the first one does, and any in which no cell begins with a number."""
    return tuple(column == 0 or not any(_NUMBER.match(row[column]) for row in rows) for column in range(len(columns)))


MANY = 3
"""More rivals than this are rows of a table and not pairs of columns."""


def label_of(method: str) -> str:
    """Name of a scorer in tables and figures."""
    return LABELS.get(method, method)


def comparison_tables(results: CompareEdges) -> list[Table]:
    """The tables of compare-edges: curves against ground truth (where there is any) and against N(I); soft maps."""
    curves = [curves_table(results, reference) for reference in measured_against(results)]
    return [*curves, soft_table(results)] if results.soft else curves


def curves_table(results: CompareEdges, reference: str) -> Table:
    """RMSE at equal sparseness for every method, and how far the others are above the mask (95 % intervals)."""
    error, difference = fields_for(reference)
    methods = list(results.curves)
    others = methods[1:]
    title = f"RMSE in metres against {reference}; {results.images} images of {results.data.spec}"
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
    """A row for every way to choose, a column for every sparseness, without the differences."""
    error, _ = fields_for(reference)
    columns = ["chosen by", *(f"{entry.sparseness:.0%}" for entry in results.curves["mask"])]
    rows = [[label_of(method), *(f"{entry[error]:.3f}" for entry in entries)]
            for method, entries in results.curves.items()]
    if reference == TRUTH:
        columns.append("100%")
        rows = [[*row, f"{results.target['rmse']:.3f}"] for row in rows]
    return Table(title, tuple(columns), tuple(tuple(row) for row in rows))


def setting_name(entry: AtSetting) -> str:
    """Setting of a mask net as a number: the share of one that takes shares, else λ."""
    return f"{entry.keep:.3g}" if "keep" in entry else f"{entry.lam:.3g}"


def setting_title(entry: AtSetting) -> str:
    """The same within a sentence: "a share of 0.2", "lambda 4"."""
    return f"a share of {entry.keep:.3g}" if "keep" in entry else f"lambda {entry.lam:.3g}"


def setting_column(entries: Sequence[AtSetting]) -> str:
    """Heading of a column of such names."""
    return "share" if any("keep" in entry for entry in entries) else "lambda"


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


def in_words(results: CompareEdges) -> str:
    """One sentence on the comparison at about SHARE of the pixels."""
    reference = TRUTH if results.ground_truth else TARGET
    error, difference = fields_for(reference)
    mask = min(results.curves["mask"], key=lambda entry: abs(entry.sparseness - SHARE))
    position = results.curves["mask"].index(mask)
    verdicts, errors = {}, {}
    for method, entries in results.curves.items():
        if method != "mask":
            verdicts[method] = verdict(entries[position][f"{difference}_ci95"], results.images)
            errors[method] = f"{entries[position][error]:.2f} m"
    remark = {Verdict.MORE: "", Verdict.LESS: " (less than with the mask)", Verdict.NOT_CLEAR: " (no clear difference)",
              Verdict.TOO_FEW: " (too few images to tell)"}
    parts = [f"{errors[method]} with {label_of(method)}{remark[found]}" for method, found in verdicts.items()]
    whole = f"; from the whole picture it is {results.target['rmse']:.2f} m" if reference == TRUTH else ""
    against = "" if reference == TRUTH else ", measured against what it sees in the whole picture"
    others = f", {' and '.join(parts)}" if parts else ""
    if len(parts) > MANY:
        words = {Verdict.MORE: "more with", Verdict.LESS: "less with", Verdict.NOT_CLEAR: "no clear difference with",
                 Verdict.TOO_FEW: "too few images to tell with"}
        others = "; ".join(["", *(
            f"{words[found]} " + ", ".join(f"{label_of(method)} ({errors[method]})" for method in methods)
            for found, methods in sorted_out(verdicts.items()).items() if methods)])
    return (f"With {mask.sparseness:.0%} of the pixels left, the depth is off by {mask[error]:.2f} m when the mask "
            f"chooses them{others}{whole}{against}.")
